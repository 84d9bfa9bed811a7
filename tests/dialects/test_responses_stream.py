"""Responses, streamed and whole, into events."""

from typing import Any

import msgspec
import pytest

from builders import attempt
from builders import reply as built_reply
from routewright.dialects.responses_stream import ResponseReader, read_response, read_usage
from routewright.errors import (
    CredentialRefused,
    InvalidResponse,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
)
from routewright.reply import Draft, Event, ToolCallDelta
from routewright.usage import Usage

COUNTS = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 4},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 29,
}


def read(kind: str, reader: ResponseReader | None = None, **fields: Any) -> Event:
    """The one event of a frame."""
    events = (reader or ResponseReader()).read(b"raw", msgspec.json.encode({"type": kind, **fields}))
    assert events is not None
    [event] = events
    return event


# ---- streams --------------------------------------------------------------------------------------------------------


def test_words_thoughts_and_refusals_are_read() -> None:
    assert read("response.output_text.delta", delta="Hi", logprobs=[]) == Event(raw=b"raw", text="Hi")
    assert read("response.reasoning_summary_text.delta", delta="Hm").reasoning == "Hm"
    assert read("response.reasoning_text.delta", delta="Hm").reasoning == "Hm"
    assert read("response.refusal.delta", delta="No.").refusal == "No."


def test_log_probabilities_are_read_where_there_are_some() -> None:
    told = [{"token": "Hi", "logprob": -0.5, "top_logprobs": []}]
    event = read("response.output_text.delta", delta="Hi", logprobs=told)
    assert event.logprobs is not None
    assert msgspec.json.decode(event.logprobs) == told


def test_further_stretches_of_a_thought_are_paragraphs() -> None:
    assert read("response.reasoning_summary_part.added", summary_index=1).reasoning == "\n\n"
    assert ResponseReader().read(b"", b'{"type":"response.reasoning_summary_part.added","summary_index":0}') is None


def test_a_seal_is_read_when_the_thought_is_done() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": "s3al"}
    assert read("response.output_item.added", item=item).seal == ""
    assert read("response.output_item.done", item=item).seal == "s3al"


def test_tool_calls_are_counted_apart_from_other_items() -> None:
    reader = ResponseReader()
    read("response.output_item.added", reader, output_index=0, item={"type": "message", "content": []})
    first = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": ""}
    second = {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": ""}
    assert read("response.output_item.added", reader, output_index=1, item=first).tool_calls == (
        ToolCallDelta(0, "c1", "look"),
    )
    assert read("response.output_item.added", reader, output_index=2, item=second).tool_calls == (
        ToolCallDelta(1, "c2", "run"),
    )
    piece = read("response.function_call_arguments.delta", reader, output_index=1, delta="{}")
    assert piece.tool_calls == (ToolCallDelta(0, arguments="{}"),)
    last = read("response.custom_tool_call_input.done", reader, output_index=2, input="ls")
    assert last.tool_calls == (ToolCallDelta(1, arguments="ls"),)


@pytest.mark.parametrize("end", ["arguments", "item", "both"])
def test_arguments_that_come_whole_are_read_once(end: str) -> None:
    reader = ResponseReader()
    item = {"type": "function_call", "call_id": "c", "name": "look", "arguments": ""}
    events = [read("response.output_item.added", reader, item=item)]
    if end != "item":
        events.append(read("response.function_call_arguments.done", reader, arguments='{"a":1}'))
    if end != "arguments":
        events.append(read("response.output_item.done", reader, item={**item, "arguments": '{"a":1}'}))
    assert "".join(delta.arguments for event in events for delta in event.tool_calls) == '{"a":1}'


def test_a_call_that_was_not_announced_is_read_at_its_end() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    assert read("response.output_item.done", item=item).tool_calls == (ToolCallDelta(0, "c", "look", "{}"),)


@pytest.mark.parametrize(
    ("kind", "response", "finish"),
    [
        ("response.completed", {"status": "completed"}, "stop"),
        ("response.incomplete", {"status": "incomplete", "incomplete_details": {"reason": "x"}}, "length"),
        ("response.incomplete", {"status": "incomplete", "incomplete_details": None}, "length"),
        (
            "response.incomplete",
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
        ),
    ],
)
def test_the_last_event_has_the_usage_and_how_it_ended(kind: str, response: dict[str, Any], finish: str) -> None:
    reader = ResponseReader()
    event = read(kind, reader, response={**response, "model": "gpt-5.5", "service_tier": "flex", "usage": COUNTS})
    assert (event.finish, event.model, event.service_tier) == (finish, "gpt-5.5", "flex")
    assert event.usage == Usage(input=11, cache_read=5, cache_write=4, output=2, reasoning=7)
    assert reader.is_done


def test_an_answer_with_calls_ends_with_them() -> None:
    reader = ResponseReader()
    read("response.output_item.added", reader, item={"type": "function_call", "call_id": "c", "name": "look"})
    assert read("response.completed", reader, response={"status": "completed"}).finish == "tool_calls"


def test_tools_that_the_provider_charges_for_are_told() -> None:
    reader = ResponseReader()
    for index in range(2):
        read("response.output_item.done", reader, output_index=index, item={"type": "web_search_call", "id": "ws"})
    event = read("response.completed", reader, response={"status": "completed", "usage": COUNTS})
    assert event.unpriced == "2 web searches"


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}, ProviderOverloaded),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "x"}}, CredentialRefused),
        ({"type": "error", "code": None, "message": "oh"}, ProviderFailed),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, ProviderFailed),
        ({"type": "response.failed", "response": {"error": {"code": "invalid_prompt"}}}, ProviderRejected),
        ({"type": "response.failed", "response": {"error": {"code": "invalid_image"}}}, ProviderRejected),
        ({"type": "response.failed", "response": {"error": None}}, ProviderFailed),
    ],
)
def test_a_failure_is_read_for_what_it_is(frame: dict[str, Any], error: type[ProviderError]) -> None:
    with pytest.raises(error):
        ResponseReader().read(b"", msgspec.json.encode(frame))


def test_what_is_not_known_is_nothing_and_passes_by() -> None:
    assert ResponseReader().read(b"", b'{"type":"response.web_search_call.searching","item_id":"ws"}') is None
    assert ResponseReader().read(b"", b'{"type":"response.something","response":{"id":"x"}}') is None
    assert ResponseReader().read(b"", b"{") is None
    assert read("response.function_call_arguments.delta", output_index=7, delta="x") == Event(raw=b"raw")


# ---- whole ----------------------------------------------------------------------------------------------------------


def whole(*output: Any, **fields: Any) -> tuple[Event, ...]:
    body = {"id": "resp_1", "object": "response", "status": "completed", "error": None, "output": output}
    return read_response(msgspec.json.encode({**body, **fields}))


def test_a_whole_response_is_read_item_by_item() -> None:
    logprobs = [{"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}]
    events = whole(
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "one"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Ah."}]},
        {
            "type": "message",
            "content": [
                {"type": "output_text", "text": "Hi", "logprobs": logprobs, "annotations": []},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {"type": "mcp_call", "arguments": {"an": "object"}},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "file_search_call"},
        model="gpt-5.5",
        usage=COUNTS,
    )
    assert b"".join(event.raw for event in events).startswith(b'{"id":"resp_1"')
    draft = Draft()
    for event in events:
        draft.add(event)
    thoughts = list(draft._thinking("openai_responses"))
    assert [(thought.text, thought.seal) for thought in thoughts] == [("Hm.", "one"), ("Ah.", "")]
    assert ("".join(draft.text), "".join(draft.refusal)) == ("Hi", "No.")
    assert [msgspec.json.decode(each) for each in draft.logprobs] == [logprobs]
    last = events[-1]
    assert last.tool_calls == (ToolCallDelta(0, "c", "look", "{}"),)
    assert (last.finish, last.unpriced, last.usage) == (
        "tool_calls",
        "1 file searches",
        read_usage(msgspec.json.encode(COUNTS)),
    )


def test_a_reply_knows_all_that_a_whole_response_says_of_itself() -> None:
    reply = built_reply(attempt())
    reply._note(whole(model="gpt-5.5", service_tier="priority", usage=COUNTS))
    assert (reply.served_model, reply.provider_id, reply.service_tier) == ("gpt-5.5", "resp_1", "priority")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"object":"response","output"', InvalidResponse),
        (b'{"object":"response"}', InvalidResponse),
        (b'{"status":"queued","output":[]}', InvalidResponse),
        (b'{"status":"failed","output":[],"error":{"code":"server_error","message":"oh"}}', ProviderFailed),
        (b'{"error":{"message":"oh","code":"rate_limit_exceeded"}}', ProviderOverloaded),
        (b'{"status":"cancelled","output":[]}', ProviderFailed),
    ],
)
def test_what_is_no_whole_response_is_an_error(body: bytes, error: type[ProviderError]) -> None:
    with pytest.raises(error):
        read_response(body)


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}},
        {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 2}},
    ],
)
def test_counts_that_cannot_be_are_none(counts: dict[str, Any]) -> None:
    assert read_usage(msgspec.json.encode(counts)) is None
