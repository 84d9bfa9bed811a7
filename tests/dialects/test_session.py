"""Which conversation a client says a request belongs to."""

import msgspec
import pytest

from routewright.call import JsonObject, Options
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.session import (
    ANTHROPIC_FIELDS,
    MAX_NAME_CHARS,
    OPENAI_FIELDS,
    hashed_session,
    session_in,
)


def test_a_name_becomes_a_short_hash_that_is_the_same_every_time() -> None:
    session = hashed_session("alice@example.com")
    assert session == hashed_session("alice@example.com") != hashed_session("bob@example.com")
    assert len(session) == 32
    assert set(session) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "name", ["", "x" * (MAX_NAME_CHARS + 1), "caf\u00e9", "a\nb", "\0", 7, None, ["a"], {"a": "b"}]
)
def test_what_is_no_name_is_no_session(name: object) -> None:
    assert hashed_session(name) == ""


@pytest.mark.parametrize(
    ("fields", "names", "meant"),
    [
        ({"prompt_cache_key": "k", "previous_response_id": "r"}, OPENAI_FIELDS, "k"),
        ({"prompt_cache_key": None, "previous_response_id": "r"}, OPENAI_FIELDS, "r"),
        ({"prompt_cache_key": "x" * 600, "previous_response_id": "r"}, OPENAI_FIELDS, "r"),
        ({"metadata": {"user_id": "u"}}, ANTHROPIC_FIELDS, "u"),
        ({"metadata": {"user_id": 7}}, ANTHROPIC_FIELDS, ""),
        ({"metadata": "u"}, ANTHROPIC_FIELDS, ""),
        ({"metadata": {"user_id": "u"}}, OPENAI_FIELDS, ""),
        ({}, OPENAI_FIELDS, ""),
    ],
)
def test_the_first_field_with_a_name_counts(fields: JsonObject, names: tuple[str, ...], meant: str) -> None:
    assert session_in(fields, names) == hashed_session(meant)


def test_a_chat_body_may_name_its_conversation_and_the_field_goes_on_to_the_provider() -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "prompt_cache_key": "chat-7"}
    call = OpenAIChat().read(msgspec.json.encode(body), request_id="request-1", options=Options())
    assert call.session == hashed_session("chat-7")
    assert call.body["prompt_cache_key"] == "chat-7"
