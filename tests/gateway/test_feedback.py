"""How answers turned out, told to a real gateway by the ids that it gave."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import openai
import pytest

from routewright.ids import uuid7
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import OutcomeRow, Store
from served import Served, serving

OF_NOBODY = uuid7(1, Random(1))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving(home, "--simulate") as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, **headers: str) -> Any:
    """The headers of an answer."""
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello"}]
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages, extra_headers=headers)
    return raw.headers


def tell(client: openai.OpenAI, **body: object) -> Any:
    """What the gateway says to feedback."""
    return client.post("/feedback", cast_to=object, body=body)


def test_feedback_reaches_the_ledger_by_the_id_that_the_client_was_given(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--simulate") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        plain, named = ask(client), ask(client, **{"x-request-id": "my-own-id"})
        assert plain["x-request-id"] == plain["x-routewright-request-id"]
        assert named["x-request-id"] == "my-own-id"
        told = [
            tell(client, request_id=plain["x-request-id"], score=0.75),
            tell(client, request_id=named["x-routewright-request-id"], good=False, model="gpt-5.5"),
            tell(client, request_id=plain["x-request-id"], good=False, comment="wrong: it is 7\n"),
        ]
        assert served.stop() == 0
    assert [answer["recorded"] for answer in told] == [True, True, True]
    assert len({answer["outcome_id"] for answer in told}) == 3
    assert [(row.request_id, row.model, row.score) for row in outcomes(served)] == [
        (plain["x-routewright-request-id"], plain["x-routewright-model"], 0.75),
        (named["x-routewright-request-id"], "gpt-5.5", 0.0),
        (plain["x-routewright-request-id"], plain["x-routewright-model"], 0.0),
    ]
    with closing(Store(SqliteDatabase(served.ledger))) as store:
        found = store.request(plain["x-routewright-request-id"])
    assert found is not None
    assert [(outcome.score, outcome.comment) for outcome in found.outcomes] == [(0.75, ""), (0.0, "wrong: it is 7\n")]


def test_feedback_for_an_unknown_request_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        tell(client, request_id=OF_NOBODY, good=True)
    assert (refused.value.code, refused.value.param) == ("request_not_found", "request_id")


def outcomes(served: Served) -> list[OutcomeRow]:
    with closing(Store(SqliteDatabase(served.ledger))) as store:
        return store.outcomes(0)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"good": True}, "request_id"),
        ({"request_id": 7, "good": True}, "request_id"),
        ({"request_id": "my-own-id", "good": True}, "request_id"),
        ({"request_id": OF_NOBODY}, "score"),
        ({"request_id": OF_NOBODY, "score": 1.5}, "score"),
        ({"request_id": OF_NOBODY, "score": True}, "score"),
        ({"request_id": OF_NOBODY, "good": 1}, "good"),
        ({"request_id": OF_NOBODY, "good": True, "score": 1}, "good"),
        ({"request_id": OF_NOBODY, "good": True, "model": 7}, "model"),
        ({"request_id": OF_NOBODY, "good": True, "comment": 7}, "comment"),
        ({"request_id": OF_NOBODY, "good": True, "stars": 5}, "stars"),
    ],
)
def test_feedback_that_cannot_be_meant_is_a_400_that_names_the_field(
    client: openai.OpenAI, body: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        tell(client, **body)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


def test_the_id_that_a_client_chose_is_refused_with_the_header_that_has_ours(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="x-routewright-request-id"):
        tell(client, request_id="my-own-id", score=1)


def test_feedback_on_an_unknown_model_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        tell(client, request_id=ask(client)["x-request-id"], score=1, model="nobody")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_remarks_are_bounded_and_a_correction_needs_leave_to_keep_content(client: openai.OpenAI) -> None:
    of = {"request_id": ask(client)["x-request-id"], "good": False}
    for remarks, param in (({"comment": "x" * 4_001}, "comment"), ({"correction": "It is 7."}, "correction")):
        with pytest.raises(openai.BadRequestError) as refused:
            tell(client, **of, **remarks)
        assert refused.value.param == param


def test_a_correction_is_kept_where_content_is(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text("[ledger]\nlog_content = true\n")
    with (
        serving(tmp_path, "--simulate") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        request_id = ask(client)["x-request-id"]
        tell(client, request_id=request_id, score=0.25, correction="It is 7.")
        assert served.stop() == 0
    with closing(Store(SqliteDatabase(served.ledger))) as store:
        found = store.request(request_id)
    assert found is not None
    assert [outcome.correction for outcome in found.outcomes] == ["It is 7."]
