import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from builders import call, registry
from lobby import GOOD, lobby
from routewright.call import Options
from routewright.catalog.registry import Tier
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.session import hashed_session
from routewright.errors import InvalidRequest
from routewright.gateway.aliases import with_own_model
from routewright.gateway.headers import read_options, read_session


@pytest.mark.parametrize(
    ("headers", "meant"),
    [
        ({"helicone-user-id": "ann"}, Options(user="ann")),
        ({"x-litellm-end-user-id": "ann"}, Options(user="ann")),
        ({"x-litellm-customer-id": "ann"}, Options(user="ann")),
        ({"x-litellm-tags": "a, b,,c"}, Options(tags=("a", "b", "c"))),
        ({"helicone-property-app": "mobile", "x-litellm-tags": "a"}, Options(tags=("app:mobile", "a"))),
        ({"x-litellm-spend-logs-metadata": '{"project": "p", "n": 1}'}, Options(tags=("project:p", "n:1"))),
        ({"x-litellm-timeout": "30"}, Options(deadline_s=30.0)),
        ({"x-litellm-timeout": "0.25"}, Options(deadline_s=0.25)),
        ({"helicone-cache-enabled": "false"}, Options(cache=False)),
        ({"helicone-cache-enabled": "True"}, Options(cache=True)),
        ({"helicone-omit-request": "true"}, Options(no_log=True)),
        ({"helicone-omit-response": "true"}, Options(no_log=True)),
        ({"x-litellm-enable-message-redaction": "true"}, Options(no_log=True)),
        ({"x-litellm-enable-message-redaction": "false"}, Options()),
        ({"x-litellm-tags": "a", "x-routewright-tags": "b"}, Options(tags=("b",))),
        ({"helicone-user-id": "ann", "x-routewright-user": "bob"}, Options(user="bob")),
        ({"x-litellm-timeout": "30", "x-routewright-deadline-ms": "500"}, Options(deadline_s=0.5)),
        ({"x-litellm-num-retries": "9", "helicone-retry-enabled": "true", "helicone-prompt-id": "p"}, Options()),
    ],
)
def test_wishes_in_the_words_of_other_gateways_are_understood(headers: dict[str, str], meant: Options) -> None:
    assert read_options({name.encode(): value.encode() for name, value in headers.items()}) == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-litellm-timeout", "soon"),
        ("x-litellm-timeout", "0"),
        ("x-litellm-timeout", "1e9"),
        ("x-litellm-spend-logs-metadata", "not json"),
        ("x-litellm-spend-logs-metadata", '{"a": {"b": 1}}'),
        ("x-litellm-spend-logs-metadata", "[" * 5000),
        ("helicone-cache-enabled", "perhaps"),
        ("x-litellm-enable-message-redaction", "perhaps"),
        ("helicone-property-app", "x" * 300),
        ("x-litellm-tags", ",".join(map(str, range(33)))),
    ],
)
def test_a_value_that_cannot_be_read_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest):
        read_options({name.encode(): value.encode()})


@pytest.mark.parametrize(
    ("headers", "meant"),
    [
        ({b"helicone-session-id": b"h"}, "h"),
        ({b"x-litellm-session-id": b"l"}, "l"),
        ({b"helicone-session-id": b"h", b"x-claude-code-session-id": b"c"}, "c"),
    ],
)
def test_conversations_are_known_by_other_names_too(headers: dict[bytes, bytes], meant: str) -> None:
    assert read_session(headers) == hashed_session(meant)


@pytest.mark.parametrize(
    "name",
    ["helicone-auth", "helicone-target-url", "helicone-openai-api-base", "helicone-model-override", "x-litellm-api-key",
     "x-litellm-model", "x-litellm-api-base"],
)  # fmt: skip
async def test_no_alias_says_who_somebody_is_or_where_to_go(tmp_path: Path, name: str) -> None:
    async with lobby(tmp_path) as gateway:
        key = gateway.key().text.reveal()
        assert (await gateway.ask(headers={name: f"Bearer {key}"})).status == 401
        answered = await gateway.ask(key, model="swift", headers={name: "https://elsewhere.example/strong"})
        assert (answered.status, answered.headers["x-routewright-model"]) == (200, "swift")


async def test_a_request_id_of_helicones_is_echoed_and_no_more(tmp_path: Path) -> None:
    async with lobby(tmp_path) as gateway:
        answered = await gateway.ask(headers={"helicone-request-id": "mine"})
        assert answered.headers["x-request-id"] == "mine"
        assert answered.headers["x-routewright-request-id"] != "mine"


def test_tags_and_user_of_a_body_are_taken() -> None:
    body = {**GOOD, "user": "ann", "metadata": {"tags": ["a", "b"], "trace": "t"}}
    read = OpenAIChat().read(json.dumps(body).encode(), request_id="1", options=Options())
    assert (read.options.user, read.options.tags) == ("ann", ("a", "b"))
    assert read.body["metadata"] == {"trace": "t"}
    assert read.body["user"] == "ann"


def test_tags_of_a_response_are_taken_alike() -> None:
    body = {"model": "auto", "input": "Hi", "user": "ann", "metadata": {"tags": ["a"]}}
    read = OpenAIResponses().read(json.dumps(body).encode(), request_id="1", options=Options())
    assert (read.options.user, read.options.tags, "metadata" in read.body) == ("ann", ("a",), False)


def test_what_is_no_tag_is_refused_and_what_is_no_user_passed_over() -> None:
    with pytest.raises(InvalidRequest, match=r"metadata.tags\[0\]"):
        OpenAIChat().read(json.dumps({**GOOD, "metadata": {"tags": [1]}}).encode(), request_id="1", options=Options())
    body = {**GOOD, "user": "x" * 300, "metadata": {"tags": []}}
    read = OpenAIChat().read(json.dumps(body).encode(), request_id="1", options=Options())
    assert (read.options, "metadata" in read.body) == (Options(), False)


@pytest.mark.parametrize(
    ("model", "asked", "meant"),
    [
        ("router-mf-0.116", Options(), ("auto", 0.884)),
        ("router-sw_ranking-0.7", Options(), ("auto", 0.3)),
        ("router-bert-1", Options(), ("auto", 0.0)),
        ("router-mf-0.2", Options(min_quality=0.5), ("auto", 0.5)),
        ("router-mf-0.2", Options(tier=Tier.BULK), ("auto", None)),
        ("router-mf-1.5", Options(), ("router-mf-1.5", None)),
        ("router-mf-x", Options(), ("router-mf-x", None)),
        ("strong", Options(), ("strong", None)),
    ],
)
def test_routellms_model_is_auto_with_the_quality_that_its_threshold_means(
    model: str, asked: Options, meant: tuple[str, float | None]
) -> None:
    asked_for = with_own_model(replace(call(), model=model, options=asked), registry())
    assert (asked_for.model, asked_for.options.min_quality) == meant


async def test_routellms_model_is_answered(tmp_path: Path) -> None:
    async with lobby(tmp_path) as gateway:
        assert (await gateway.ask(model="router-mf-0.116")).status == 200
        assert (await gateway.ask(model="router-mf-x")).code == "model_not_found"
