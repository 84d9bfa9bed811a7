"""Anthropic's messages, streamed and whole, into events."""

from typing import Any

import msgspec
import pytest

from routewright.dialects.anthropic_stream import MessageReader, read_message
from routewright.errors import (
    CredentialRefused,
    InvalidResponse,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
)
from routewright.reply import Event, ToolCallDelta
from routewright.usage import Usage


def read(reader: MessageReader, kind: str, **fields: Any) -> Event:
    """The one event of a frame of this type."""
    events = reader.read(b"raw", msgspec.json.encode({"type": kind, **fields}))
    assert events is not None
    [event] = events
    assert event.raw == b"raw"
    return event


def start(reader: MessageReader, **usage: Any) -> Event:
    message = {"id": "msg_1", "type": "message", "model": "claude-sonnet-5", "stop_reason": None, "usage": usage}
    return read(reader, "message_start", message=message)


def delta(reader: MessageReader, index: int = 0, **fields: Any) -> Event:
    return read(reader, "content_block_delta", index=index, delta=fields)


# ---- content ----------------------------------------------------------------------------------------------------


def test_the_start_tells_who_answers_and_what_was_read() -> None:
    event = start(MessageReader(), input_tokens=25, output_tokens=1)
    assert (event.usage, event.is_usage_partial) == (Usage(input=25, output=1), True)
    assert (event.model, event.provider_id) == ("claude-sonnet-5", "msg_1")


def test_text_and_thinking_are_read() -> None:
    reader = MessageReader()
    assert delta(reader, type="text_delta", text="Hi").text == "Hi"
    assert delta(reader, type="thinking_delta", thinking="hm").reasoning == "hm"
    assert delta(reader, type="signature_delta", signature="x") == Event(raw=b"raw", seal="x")
    hidden = {"type": "redacted_thinking", "data": "abc"}
    assert read(reader, "content_block_start", index=1, content_block=hidden) == Event(raw=b"raw", seal="redacted:abc")
    assert read(reader, "content_block_start", index=0, content_block={"type": "text", "text": "a"}).text == "a"


def test_tool_calls_are_numbered_by_themselves() -> None:
    reader = MessageReader()
    read(reader, "content_block_start", index=0, content_block={"type": "text", "text": ""})
    for block, number in ((1, 0), (3, 1)):
        wish = {"type": "tool_use", "id": f"toolu_{block}", "name": "now", "input": {}}
        event = read(reader, "content_block_start", index=block, content_block=wish)
        assert event.tool_calls == (ToolCallDelta(number, f"toolu_{block}", "now"),)
        assert delta(reader, block, type="input_json_delta", partial_json="").tool_calls == ()
        event = delta(reader, block, type="input_json_delta", partial_json='{"a"')
        assert event.tool_calls == (ToolCallDelta(number, arguments='{"a"'),)
        assert read(reader, "content_block_stop", index=block).tool_calls == ()


def test_a_call_without_arguments_gets_empty_ones() -> None:
    reader = MessageReader()
    wish = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    read(reader, "content_block_start", index=0, content_block=wish)
    delta(reader, type="input_json_delta", partial_json="")
    assert read(reader, "content_block_stop", index=0).tool_calls == (ToolCallDelta(0, arguments="{}"),)


def test_a_call_that_comes_with_its_arguments_keeps_them() -> None:
    reader = MessageReader()
    wish = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"a": 1}}
    event = read(reader, "content_block_start", index=0, content_block=wish)
    assert event.tool_calls == (ToolCallDelta(0, "toolu_1", "now", '{"a":1}'),)
    assert read(reader, "content_block_stop", index=0).tool_calls == ()


def test_tools_that_run_at_the_provider_are_not_the_clients() -> None:
    reader = MessageReader()
    wish = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    assert read(reader, "content_block_start", index=0, content_block=wish) == Event(raw=b"raw")
    assert delta(reader, type="input_json_delta", partial_json='{"q"') == Event(raw=b"raw")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("brand_new", "stop"),
        (None, None),
    ],
)
def test_stop_reasons(reason: str | None, finish: str | None) -> None:
    assert read(MessageReader(), "message_delta", delta={"stop_reason": reason}).finish == finish


def test_a_refusal_brings_its_explanation() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    event = read(MessageReader(), "message_delta", delta={"stop_reason": "refusal", "stop_details": details})
    assert (event.finish, event.refusal) == ("content_filter", "Not that.")


def test_the_end_mark_is_no_event_and_the_only_end() -> None:
    reader = MessageReader()
    read(reader, "message_delta", delta={"stop_reason": "end_turn"})
    assert not reader.is_whole()
    assert reader.read(b"raw", b'{"type":"message_stop"}') == ()
    assert reader.is_done


@pytest.mark.parametrize("data", [b'{"type":"ping"}', b'{"type":"brand_new","x":1}', b"{}", b"{", b"[]", b"\xff"])
def test_what_says_nothing_is_no_event(data: bytes) -> None:
    assert MessageReader().read(b"raw", data) is None


# ---- usage ------------------------------------------------------------------------------------------------------


def test_counts_are_cumulative_and_counted_once() -> None:
    reader = MessageReader()
    start(reader, input_tokens=25, cache_read_input_tokens=100, output_tokens=1)
    first = read(reader, "message_delta", delta={}, usage={"output_tokens": 15})
    assert first.usage == Usage(input=25, cache_read=100, output=15)
    counts = {"input_tokens": 30, "cache_read_input_tokens": 100, "output_tokens": 20}
    last = read(reader, "message_delta", delta={"stop_reason": "end_turn"}, usage=counts)
    assert last.usage == Usage(input=30, cache_read=100, output=20)


def test_cache_writes_are_split_by_their_lifetime() -> None:
    reader = MessageReader()
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 5}
    first = start(reader, input_tokens=1, cache_creation_input_tokens=15, cache_creation=split, output_tokens=1)
    assert first.usage == Usage(input=1, cache_write=10, cache_write_1h=5, output=1)
    last = read(reader, "message_delta", delta={}, usage={"cache_creation_input_tokens": 15, "output_tokens": 3})
    assert last.usage == Usage(input=1, cache_write=10, cache_write_1h=5, output=3)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        (
            {"input_tokens": 2, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(2, output=5, reasoning=4),
        ),
        ({"input_tokens": 2, "output_tokens": 9, "cache_creation_input_tokens": 7}, Usage(2, cache_write=7, output=9)),
        (
            {"input_tokens": 2, "output_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
            Usage(2, cache_write_1h=7, output=9),
        ),
        ({"input_tokens": 2, "output_tokens": 9, "cache_read_input_tokens": None}, Usage(2, output=9)),
        ({"input_tokens": -2, "output_tokens": 9}, None),
        ({"input_tokens": 2, "output_tokens": 10**12}, None),
        ({"input_tokens": 2, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 10}}, None),
        ({"input_tokens": "2", "output_tokens": 9}, None),
        ({"output_tokens": 9}, None),
        ({}, None),
        (None, None),
    ],
)
def test_counts_become_disjoint_or_are_ignored(usage: object, expected: Usage | None) -> None:
    body = msgspec.json.encode({"type": "message", "content": [], "usage": usage})
    [event] = read_message(body)
    assert event.usage == expected


@pytest.mark.parametrize(
    ("counts", "is_partial"),
    [({"output_tokens": 9}, False), ({"input_tokens": 25}, True), ({"input_tokens": 25, "output_tokens": None}, True)],
)
def test_u17_counts_are_partial_until_they_say_what_was_generated(counts: dict[str, Any], is_partial: bool) -> None:
    reader = MessageReader()
    start(reader, input_tokens=25, output_tokens=1)
    assert read(reader, "message_delta", delta={}, usage=counts).is_usage_partial is is_partial


def test_an_absurd_count_does_not_spoil_the_ones_before() -> None:
    reader = MessageReader()
    start(reader, input_tokens=25, output_tokens=1)
    assert read(reader, "message_delta", delta={}, usage={"output_tokens": -1}).usage is None
    assert read(reader, "message_delta", delta={}, usage={"output_tokens": 9}).usage == Usage(input=25, output=9)


# ---- failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        ("overloaded_error", ProviderFailed, 529),
        ("api_error", ProviderFailed, 500),
        ("timeout_error", ProviderFailed, 504),
        ("brand_new_error", ProviderFailed, 500),
        ("rate_limit_error", ProviderOverloaded, 429),
        ("invalid_request_error", ProviderRejected, 400),
        ("authentication_error", CredentialRefused, 401),
        ("billing_error", CredentialRefused, 402),
    ],
)
def test_an_error_event_is_the_error_it_would_have_been(kind: str, error: type[ProviderError], status: int) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": "Overloaded"}})
    with pytest.raises(error) as streamed:
        MessageReader().read(b"raw", body)
    with pytest.raises(error) as whole:
        read_message(body)
    assert type(streamed.value) is type(whole.value) is error
    assert streamed.value.provider_status == whole.value.provider_status == status


# ---- whole messages ---------------------------------------------------------------------------------------------

MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"thinking",'
    b'"thinking":"hm","signature":"x"},{"type":"text","text":"Let me ","citations":null},{"type":"text","text":'
    b'"look."},{"type":"tool_use","id":"toolu_1","name":"now","input":{"zone":"UTC"}},{"type":"tool_use","id":"toolu_2",'
    b'"name":"now","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":12,'
    b'"output_tokens":6}}'
)


def test_a_whole_message_is_an_event_for_each_thought_and_one_for_the_rest() -> None:
    assert read_message(MESSAGE) == (
        Event(raw=MESSAGE, reasoning="hm", seal="x"),
        Event(
            text="Let me look.",
            tool_calls=(
                ToolCallDelta(0, "toolu_1", "now", '{"zone":"UTC"}'),
                ToolCallDelta(1, "toolu_2", "now", "{}"),
            ),
            finish="tool_calls",
            usage=Usage(input=12, output=6),
            model="claude-sonnet-5",
            provider_id="msg_1",
        ),
    )


def test_a_message_cut_anywhere_is_an_invalid_response() -> None:
    for length in range(len(MESSAGE)):
        with pytest.raises(InvalidResponse):
            read_message(MESSAGE[:length])


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"content":null}', b'{"content":"Hi"}'])
def test_a_body_that_is_no_message_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_message(body)


# ---- service tiers, and what no token counts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"service_tier": "standard"}, ""),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "batch", "speed": None}, "batch"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "priority", "speed": "standard"}, "priority"),
        ({"service_tier": 7}, ""),
        ({}, ""),
    ],
)
def test_usage_says_in_which_tier_a_message_is_served(said: dict[str, Any], expected: str) -> None:
    reader = MessageReader()
    assert start(reader, input_tokens=1, output_tokens=1, **said).service_tier == expected
    assert read(reader, "message_delta", delta={}, usage={"output_tokens": 2}).service_tier == expected
    usage = {"input_tokens": 1, "output_tokens": 1, **said}
    (event,) = read_message(msgspec.json.encode({"type": "message", "content": [], "usage": usage}))
    assert event.service_tier == expected


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ({"web_search_requests": 3, "web_fetch_requests": 1}, "3 web searches"),
        ({"web_search_requests": 0, "web_fetch_requests": 1}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_searches_are_told_since_no_price_has_them(tools: object, expected: str) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": tools}
    (event,) = read_message(msgspec.json.encode({"type": "message", "content": [], "usage": usage}))
    assert event.unpriced == expected
    reader = MessageReader()
    start(reader, input_tokens=1, output_tokens=1)
    assert read(reader, "message_delta", delta={}, usage=usage).unpriced == expected
