"""Replies in OpenAI's form: passed on as they came, or translated; usage, cost and errors."""

from typing import Any

import msgspec
import pytest

from builders import attempt, call, deployment, model
from builders import reply as built_reply
from routewright.call import Attempt, Call, ToolCall
from routewright.dialects.openai_answer import (
    PassingWriter,
    TranslatingWriter,
    stream_writer,
    write_completion,
    write_error,
)
from routewright.dialects.openai_stream import ChunkReader, read_completion
from routewright.dialects.sse import Splitter
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    ConnectFailed,
    DeadlineExceeded,
    InvalidRequest,
    LedgerUnavailable,
    ModelNotFound,
    ProviderOverloaded,
    RateLimited,
    RoutewrightError,
    Unauthorized,
    UnpricedModel,
)
from routewright.reply import Answer, AttemptReport, Event, FinishReason, Receipt, Reply, ToolCallDelta
from routewright.usage import Usage

CREATED_S = 1_741_570_283
DONE = b"data: [DONE]\n\n"
USAGE_CHUNK = (
    b'data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570280,"model":"gpt-5-2025",'
    b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"x":{"y":1}}}\n\n'
)


def tried(asked: Call | None = None, dialect: str = "openai_chat") -> Attempt:
    return attempt(asked or call(), model("swift", deployment("acme/swift", dialect=dialect)))


def reply_to(asked: Call, dialect: str = "openai_chat", usage: Usage | None = Usage(input=9, output=3)) -> Reply:  # noqa: B008
    """A reply that has ended and been paid for."""
    reply = built_reply(tried(asked, dialect))
    reply.usage = usage
    settled = AttemptReport(
        attempt_id="attempt-1",
        model="swift",
        deployment="acme/swift",
        cause="first",
        outcome="complete",
        cost_nanousd=12_345,
        usage=Usage(input=8, output=5),
        is_estimated=usage is None,
    )
    reply.receipt = Receipt(cost_nanousd=12_345, is_estimated=usage is None, attempts=(settled,))
    return reply


def chunks(stream: bytes) -> list[Any]:
    """The JSON of a stream's events, `[DONE]` left out."""
    return [msgspec.json.decode(found.data) for found in Splitter().feed(stream) if found.data != b"[DONE]"]


# ---- passing on -------------------------------------------------------------------------------------------------


def test_a_stream_of_the_same_dialect_passes_byte_for_byte() -> None:
    writer = stream_writer(built_reply(tried()), CREATED_S)
    assert isinstance(writer, PassingWriter)
    assert writer.write((Event(raw=b": hi\n\ndata:  {}\r\n\r\n"),)) == b": hi\n\ndata:  {}\r\n\r\n"
    assert writer.write((Event(raw=b"data: a\n\n"), Event(text="of the same bytes"), Event(raw=b":\n\n"))) == (
        b"data: a\n\n:\n\n"
    )


def test_usage_is_kept_from_a_client_that_did_not_ask() -> None:
    asked = call(stream=True)
    writer = PassingWriter(reply_to(asked), CREATED_S)
    assert writer.write((Event(raw=USAGE_CHUNK, usage=Usage(input=9, output=3), is_usage_only=True),)) == b""
    assert writer.end(reply_to(asked)) == DONE


def test_usage_comes_at_the_end_with_its_cost_to_one_that_did() -> None:
    asked = call(stream=True, wants_usage=True)
    writer = PassingWriter(reply_to(asked), CREATED_S)
    usage = Event(raw=b": wait\n\n" + USAGE_CHUNK, usage=Usage(input=9, output=3), is_usage_only=True)
    assert writer.write((Event(raw=b"data: a\n\n"), usage)) == b"data: a\n\n"
    last = writer.end(reply_to(asked))
    assert last.endswith(DONE)
    assert b'"cost":0.000012345}' in last
    [chunk] = chunks(last)
    expected = msgspec.json.decode(USAGE_CHUNK[6:])
    expected["usage"]["cost"] = 0.000012345
    assert chunk == expected


def test_usage_that_passed_with_content_is_not_sent_again() -> None:
    asked = call(stream=True, wants_usage=True)
    writer = PassingWriter(reply_to(asked), CREATED_S)
    assert writer.write((Event(raw=b"data: a\n\n", text="a", usage=Usage(input=9)),)) == b"data: a\n\n"
    assert writer.end(reply_to(asked)) == DONE


@pytest.mark.parametrize("kept", [(), (Event(raw=b'data: {"choices":[],"usage":{}}\n\n', is_usage_only=True),)])
def test_usage_that_never_came_is_the_estimate_that_was_charged(kept: tuple[Event, ...]) -> None:
    asked = call(stream=True, wants_usage=True)
    writer = PassingWriter(reply_to(asked), CREATED_S)
    assert writer.write(kept) == b""
    [chunk] = chunks(writer.end(reply_to(asked, usage=None)))
    assert chunk["choices"] == []
    assert (chunk["usage"]["prompt_tokens"], chunk["usage"]["completion_tokens"]) == (8, 5)
    assert chunk["usage"]["estimated"] is True
    assert chunk["usage"]["cost"] == 0.000012345


# ---- translating ------------------------------------------------------------------------------------------------


def translated(*events: Event, wants_usage: bool = False) -> tuple[bytes, Reply]:
    reply = reply_to(call(stream=True, wants_usage=wants_usage), "anthropic_messages")
    reply.served_model = "claude-x"
    writer = stream_writer(reply, CREATED_S)
    assert isinstance(writer, TranslatingWriter)
    return writer.write(events) + writer.end(reply), reply


def test_a_stream_of_another_dialect_becomes_chunks() -> None:
    stream, _ = translated(
        Event(raw=b"event: message_start\n\n", usage=Usage(input=9)),
        Event(reasoning="hm"),
        Event(text="Hi"),
        Event(raw=b"event: ping\n\n"),
        Event(tool_calls=(ToolCallDelta(0, "c1", "now"), ToolCallDelta(0, arguments="{}"))),
        Event(refusal="No."),
        Event(finish="tool_calls", usage=Usage(input=9, output=3)),
    )
    assert stream.endswith(DONE)
    assert [chunk["choices"][0]["delta"] for chunk in chunks(stream)] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "Hi"},
        {
            "tool_calls": [
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}},
                {"index": 0, "function": {"arguments": "{}"}},
            ]
        },
        {"refusal": "No."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(stream)] == [None] * 5 + ["tool_calls"]
    assert {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks(stream)} == {
        ("chatcmpl-request1", "chat.completion.chunk", CREATED_S, "claude-x")
    }
    assert "usage" not in str(chunks(stream))


def test_a_translated_stream_ends_with_usage_for_those_who_asked() -> None:
    stream, _ = translated(Event(text="Hi"), wants_usage=True)
    first, last = chunks(stream)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "Hi"}
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
        "cost": 0.000012345,
    }


def test_our_own_chunks_are_read_back_as_the_same_events() -> None:
    said = (
        Event(text="Hi"),
        Event(reasoning="hm"),
        Event(refusal="No."),
        Event(tool_calls=(ToolCallDelta(1, "c1", "now", "{"), ToolCallDelta(1, arguments="}"))),
        Event(finish="length"),
    )
    stream, _ = translated(*said)
    reader = ChunkReader(1)
    read = [event for found in Splitter().feed(stream) for event in reader.read(b"", found.data) or ()]
    assert reader.is_done
    plain = [msgspec.structs.replace(event, model="", provider_id="") for event in read]
    assert plain == list(said)


# ---- whole answers ----------------------------------------------------------------------------------------------


def answer(reply: Reply, finish: FinishReason = "stop", **changes: Any) -> Answer:
    assert reply.receipt is not None
    plain = Answer(
        request_id="request-1",
        text="",
        reasoning="",
        thinking=(),
        logprobs=(),
        stop_sequence="",
        refusal="",
        tool_calls=(),
        finish=finish,
        model="swift",
        served_model="claude-x",
        tier=reply.route.tier,
        confidence=None,
        usage=reply.usage or Usage(),
        receipt=reply.receipt,
        route=reply.route,
    )
    return msgspec.structs.replace(plain, **changes)


def test_a_whole_answer_becomes_a_completion() -> None:
    usage = Usage(input=4, cache_read=3, cache_write=2, output=2, reasoning=1)
    reply = reply_to(call(), "anthropic_messages", usage)
    body = write_completion(reply, answer(reply, text="Hi", reasoning="hm"), CREATED_S)
    assert msgspec.json.decode(body) == {
        "id": "chatcmpl-request1",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": "swift",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None, "reasoning_content": "hm"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
            "cost": 0.000012345,
        },
    }
    [event] = read_completion(body)
    assert event.usage == usage


def test_tool_calls_and_refusals_leave_the_content_null() -> None:
    reply = reply_to(call(), "anthropic_messages")
    calls = (ToolCall("c1", "now", "{}"),)
    [wish] = read_completion(write_completion(reply, answer(reply, "tool_calls", tool_calls=calls), CREATED_S))
    assert (wish.tool_calls, wish.finish) == ((ToolCallDelta(0, "c1", "now", "{}"),), "tool_calls")
    body = write_completion(reply, answer(reply, "content_filter", refusal="No."), CREATED_S)
    message = msgspec.json.decode(body)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "No."}


# ---- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "code", "param"),
    [
        (InvalidRequest("bad", param="n"), "invalid_request_error", "invalid_request", "n"),
        (Unauthorized("who"), "authentication_error", "invalid_api_key", None),
        (BudgetExceeded("spent"), "insufficient_quota", "budget_exceeded", None),
        (UnpricedModel("free?"), "permission_error", "unpriced_model", None),
        (ModelNotFound("none", param="model"), "invalid_request_error", "model_not_found", "model"),
        (RateLimited("slow", retry_after_s=1), "rate_limit_error", "rate_limited", None),
        (DeadlineExceeded("late"), "api_error", "deadline_exceeded", None),
        (LedgerUnavailable("full"), "api_error", "ledger_unavailable", None),
        (RoutewrightError("bug"), "api_error", "internal_error", None),
    ],
)
def test_an_error_body_says_what_kind_of_error_it_is(
    error: RoutewrightError, kind: str, code: str, param: str | None
) -> None:
    expected = {"error": {"message": error.message, "type": kind, "param": param, "code": code}}
    assert msgspec.json.decode(write_error(error)) == expected


def test_a_refusal_for_money_has_its_figures_for_machines() -> None:
    told = msgspec.json.decode(write_error(BudgetExceeded("spent", details={"name": "all", "limit_nanousd": 5})))
    assert told["error"]["budget"] == {"name": "all", "limit_nanousd": 5}


def test_the_hint_is_part_of_the_message() -> None:
    body = msgspec.json.decode(write_error(ModelNotFound("no model is called 'x'", hint='use "auto"')))
    assert body["error"]["message"] == "no model is called 'x' (hint: use \"auto\")"


def test_every_failed_attempt_is_told() -> None:
    failures = [("acme/swift", ConnectFailed("refused")), ("best/slow", ProviderOverloaded("slow down"))]
    error = msgspec.json.decode(write_error(AllAttemptsFailed(failures)))["error"]
    assert (error["type"], error["code"]) == ("api_error", "all_attempts_failed")
    assert error["attempts"] == [
        {"deployment": "acme/swift", "code": "upstream_connect_failed", "message": "refused"},
        {"deployment": "best/slow", "code": "upstream_rate_limited", "message": "slow down"},
    ]
    same = msgspec.json.decode(write_error(AllAttemptsFailed(failures[1:])))["error"]
    assert same["type"] == "rate_limit_error"


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_a_broken_stream_ends_with_the_error_and_no_end_mark(dialect: str) -> None:
    last = stream_writer(reply_to(call(), dialect), CREATED_S).fail(DeadlineExceeded("late"))
    assert last == b"data: " + write_error(DeadlineExceeded("late")) + b"\n\n"
