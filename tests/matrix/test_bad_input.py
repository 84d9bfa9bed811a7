"""What cannot be read is refused in its client's own form: each SDK raises the class that it has for it."""

from typing import Any
from uuid import uuid4

import anthropic
import pytest

from matrix.desk import FACES, PROVIDERS, Case, Desk
from matrix.faces.messages import Messages
from matrix.meaning import Given, Wish, Words
from matrix.scenarios import ASK, code_of

CLIENTS = pytest.mark.parametrize("face", FACES)
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
NESTED: Any = []
for _ in range(100):
    NESTED = [NESTED]


def case(desk: Desk, face: str, *, stream: bool = False) -> Case:
    """To a provider of another dialect."""
    return Case(desk, face, next(name for name in PROVIDERS if name != face), stream=stream)


@CLIENTS
@STREAMED
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("temperature", "hot", "invalid_request"),
        ("temperature", 99, "invalid_request"),
        ("tools", {"type": "function"}, "invalid_request"),
        ("tools", [7], "invalid_request"),
        ("tool_choice", "perhaps", "invalid_request"),
        ("metadata_of_mine", NESTED, "invalid_json"),
        ("routewright", {"teir": "bulk"}, "invalid_request"),
        ("routewright", {"drop": "tools"}, "invalid_request"),
    ],
)
def test_a_field_of_the_wrong_kind(desk: Desk, face: str, stream: bool, field: str, value: Any, code: str) -> None:
    error = case(desk, face, stream=stream).refusal(ASK, "BadRequestError", **{field: value})
    assert code_of(error) == code


@CLIENTS
@STREAMED
def test_a_part_of_an_unknown_kind_is_named_and_goes_to_its_own_dialect(desk: Desk, face: str, stream: bool) -> None:
    part = {"type": "hologram", "hologram": {"url": "x"}}
    message = {"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}
    wish = Wish(lines=(Given([message] if face == "openai_responses" else message),))
    if face == "anthropic_messages":
        wish = Wish(lines=(Words("user", "Hi"),))
    more: dict[str, Any] = {"messages": [message]} if face == "anthropic_messages" else {}
    abroad = case(desk, face, stream=stream)
    assert "(hologram)" in str(abroad.refusal(wish, "BadRequestError", **more))
    heard = abroad.ask(wish, headers={"x-routewright-drop": "hologram"}, **more)
    assert heard.headers["x-routewright-dropped"] == "hologram"
    assert abroad.asked.wish.lines == (Words("user", "Hi"),)
    home = Case(desk, face, face, stream=stream)
    home.ask(wish, **more)
    assert part in home.asked.body["input" if face == "openai_responses" else "messages"][0]["content"]


@CLIENTS
@pytest.mark.parametrize("part", [{}, {"type": 7}, "words", {"type": "text"}])
def test_a_part_that_is_none(desk: Desk, face: str, part: Any) -> None:
    field = "input" if face == "openai_responses" else "messages"
    body: dict[str, Any] = {field: [{"role": "user", "content": [part]}]}
    case(desk, face).refusal(ASK, "BadRequestError", **body)


@CLIENTS
@STREAMED
def test_a_body_over_the_bound(desk: Desk, face: str, stream: bool) -> None:
    error = case(desk, face, stream=stream).refusal(Wish(lines=(Words("user", "x" * 200_000),)), "413")
    assert (error.status_code, code_of(error)) == (413, "body_too_large")


@CLIENTS
def test_a_model_that_there_is_not(desk: Desk, face: str) -> None:
    assert code_of(case(desk, face).refusal(ASK, "NotFoundError", model="no-such-model")) == "model_not_found"


@CLIENTS
def test_a_wish_to_the_router_that_cannot_be_read(desk: Desk, face: str) -> None:
    error = case(desk, face).refusal(ASK, "BadRequestError", headers={"x-routewright-tier": "huge"})
    assert "x-routewright-tier" in str(error)


@CLIENTS
def test_a_key_of_an_earlier_request_with_another_body(desk: Desk, face: str) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    asked = case(desk, face)
    asked.ask(ASK, headers=headers)
    asked.refusal(Wish(lines=(Words("user", "Else"),)), "UnprocessableEntityError", headers=headers)


@pytest.mark.parametrize("stream", [False, True])
def test_a_version_of_anthropics_that_is_not_known(desk: Desk, stream: bool) -> None:
    asked = case(desk, "anthropic_messages", stream=stream)
    error = asked.refusal(ASK, "BadRequestError", headers={"anthropic-version": "2031-01-01"})
    assert "anthropic-version" in str(error)
    assert error.body["type"] == "error"


def test_no_version_is_the_first_one(desk: Desk) -> None:
    face = Messages(desk.url)
    heard = face.ask(ASK, model="openai_chat", stream=False, headers={"anthropic-version": anthropic.Omit()})  # type: ignore[dict-item]
    face.close()
    assert heard.said.text == "Good morning"
