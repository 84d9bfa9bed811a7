from pathlib import Path

import pytest

from builders import attempt, call, model, reply, route
from routewright.call import Routed
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.session import hashed_session
from routewright.errors import InvalidRequest
from routewright.gateway.generation import read_call
from routewright.gateway.headers import answer_headers, read_options, read_session
from routewright.gateway.http import Kept, Request
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), None),
        (("tidied 2 messages: -300 tokens", "capped 1 tool result: -50 tokens"),
         b"tidied 2 messages: -300 tokens; capped 1 tool result: -50 tokens"),
    ],
)  # fmt: skip
def test_what_was_done_to_the_input_is_told(steps: tuple[str, ...], told: bytes | None) -> None:
    routed = Routed(call(), route(model(), context=steps))
    headers = dict(answer_headers(Request("POST", "/", {}, Kept()), reply(attempt(routed=routed))))
    assert headers.get(b"x-routewright-context") == told


def test_what_budgets_did_and_left_is_told() -> None:
    done = route(model(), spending=("waited 0.50 s for all", "swift does not fit all"), max_output_tokens=300)
    answer = reply(attempt(routed=Routed(call(), done)))
    answer.budget_remaining_nanousd = 1_500_000_000
    headers = dict(answer_headers(Request("POST", "/", {}, Kept()), answer))
    assert headers[b"x-routewright-spending"] == b"waited 0.50 s for all; swift does not fit all"
    assert headers[b"x-routewright-max-tokens"] == b"300"
    assert headers[b"x-routewright-budget-remaining-usd"] == b"1.500000000"


@pytest.mark.parametrize(
    ("headers", "meant"),
    [
        ({}, ""),
        ({b"x-session-id": b"a", b"x-conversation-id": b"b", b"x-claude-code-session-id": b"c"}, "a"),
        ({b"x-conversation-id": b"b", b"x-claude-code-session-id": b"c"}, "b"),
        ({b"x-claude-code-session-id": b"c"}, "c"),
        ({b"x-session-id": b"x" * 513, b"x-conversation-id": b"b"}, "b"),
        ({b"x-session-id": b"\xff"}, ""),
        ({b"x-request-id": b"a"}, ""),
    ],
)
def test_the_first_header_that_names_a_conversation_counts(headers: dict[bytes, bytes], meant: str) -> None:
    assert read_session(headers) == hashed_session(meant)


@pytest.mark.parametrize("value", ["café, team:b".encode(), "café, team:b".encode("latin-1")])
@pytest.mark.parametrize("name", [b"x-routewright-tags", b"x-litellm-tags"])
def test_a_tag_has_the_name_that_it_has_in_a_body(name: bytes, value: bytes) -> None:
    assert read_options({name: value}).tags == ("café", "team:b")


@pytest.mark.parametrize(("headers", "meant"), [({}, "by body"), ({b"x-session-id": b"by header"}, "by header")])
async def test_a_header_goes_before_the_bodys_own_word(tmp_path: Path, headers: dict[bytes, bytes], meant: str) -> None:
    body = b'{"model": "auto", "prompt_cache_key": "by body", "messages": [{"role": "user", "content": "Hi"}]}'
    runtime = Runtime.open(SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True))
    call = await read_call(Request("POST", "/", headers, Kept(body)), runtime.engine, OpenAIChat())
    await runtime.close()
    assert call.session == hashed_session(meant)


def test_caller_may_keep_the_content_out_of_the_ledger() -> None:
    assert read_options({b"x-routewright-no-log": b"1"}).no_log
    assert not read_options({b"x-routewright-no-log": b"0"}).no_log
    with pytest.raises(InvalidRequest, match="no_log must be true or false"):
        read_options({b"x-routewright-no-log": b"please"})
