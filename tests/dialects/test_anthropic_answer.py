"""Replies in Anthropic's form: passed on as they came, or translated; usage, cost and errors."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, call, deployment, model, route
from builders import reply as built_reply
from routewright.call import Attempt, Cause, Routed, Thinking, ToolCall
from routewright.dialects.anthropic_answer import (
    CallSequence,
    PassingWriter,
    TranslatingWriter,
    stream_writer,
    write_error,
    write_message,
)
from routewright.dialects.anthropic_stream import MessageReader, read_message
from routewright.dialects.decoding import StreamDecoder
from routewright.dialects.openai_stream import ChunkReader
from routewright.dialects.sse import Splitter
from routewright.errors import (
    AllAttemptsFailed,
    BodyTooLarge,
    BudgetExceeded,
    DeadlineExceeded,
    IdempotencyMismatch,
    InvalidRequest,
    LedgerUnavailable,
    ModelNotFound,
    NotPermitted,
    ProviderOverloaded,
    RateLimited,
    RequestInProgress,
    RoutewrightError,
    Unauthorized,
)
from routewright.reply import Answer, AttemptReport, Draft, Event, FinishReason, Receipt, Reply, ToolCallDelta
from routewright.usage import Usage

SPENT = Usage(input=9, cache_read=4, cache_write=2, cache_write_1h=1, output=3, reasoning=5)


def tried(dialect: str = "openai_chat") -> Attempt:
    at = model("swift", deployment("acme/swift", dialect=dialect))
    asked = call(dialect="anthropic_messages", stream=True)
    return attempt(asked, at, routed=Routed(asked, route(at, input_tokens=77), Cause.FIRST))


def reply_to(dialect: str = "openai_chat", usage: Usage | None = SPENT) -> Reply:
    """A reply that has begun; `paid` ends it."""
    reply = built_reply(tried(dialect))
    reply.usage = usage
    return reply


def paid(reply: Reply, finish: FinishReason | None = "stop", usage: Usage | None = SPENT) -> Reply:
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
    reply.usage, reply.finish = usage, finish
    reply.receipt = Receipt(cost_nanousd=12_345, is_estimated=usage is None, attempts=(settled,))
    return reply


def written(*events: Event, finish: FinishReason | None = "stop", usage: Usage | None = SPENT) -> bytes:
    """The whole stream for events that arrive one by one."""
    reply = reply_to(usage=None)
    writer = stream_writer(reply)
    assert isinstance(writer, TranslatingWriter)
    return b"".join([writer.write((event,)) for event in events]) + writer.end(paid(reply, finish, usage))


def frames(stream: bytes) -> list[Any]:
    """The JSON of a stream's events; each is called by its type."""
    found = Splitter().feed(stream)
    told = [msgspec.json.decode(frame.data) for frame in found]
    for frame, fields in zip(found, told, strict=True):
        assert frame.raw.startswith(b"event: %b\n" % fields["type"].encode())
    return told


def blocks(stream: bytes) -> list[Any]:
    """The content blocks as a client puts them together, after a look at the order of events."""
    first, *between, delta, last = frames(stream)
    assert (first["type"], delta["type"], last) == ("message_start", "message_delta", {"type": "message_stop"})
    built: list[Any] = []
    is_open = False
    for frame in between:
        if frame["type"] == "content_block_start":
            assert not is_open
            assert frame["index"] == len(built)
            built.append(
                {**frame["content_block"], "input": ""}
                if frame["content_block"]["type"] == "tool_use"
                else frame["content_block"]
            )
        elif frame["type"] == "content_block_delta":
            assert is_open
            assert frame["index"] == len(built) - 1
            (key,) = frame["delta"].keys() - {"type"}
            built[-1]["input" if key == "partial_json" else key] += frame["delta"][key]
        is_open = frame["type"] != "content_block_stop"
    assert not is_open
    return built


def end_of(stream: bytes) -> Any:
    return frames(stream)[-2]


# ---- passing on -------------------------------------------------------------------------------------------------


def sse(kind: str, more: str = "") -> bytes:
    """An event as the provider writes it, with blanks where it likes."""
    return f'event: {kind}\ndata: {{"type":"{kind}"{more}  }}\n\n'.encode()


RECORDED = b"".join(
    [
        sse("message_start", ',"message":{"id":"msg_1","content":[],"usage":{"input_tokens":2,"output_tokens":1}}'),
        b'event: ping\ndata: {"type": "ping"}\n\n',
        sse("content_block_start", ',"index":0,"content_block":{"type":"thinking","thinking":""}'),
        sse("content_block_delta", ',"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}'),
        sse("content_block_delta", ',"index":0,"delta":{"type":"signature_delta","signature":"EqQB"}'),
        sse("content_block_stop", ',"index":0'),
        sse("content_block_start", ',"index":1,"content_block":{"type":"server_tool_use","id":"x"}'),
        sse("content_block_stop", ',"index":1'),
        sse("content_block_start", ',"index":2,"content_block":{"type":"text","text":""}'),
        sse("content_block_delta", ',"index":2,"delta":{"type":"text_delta","text":"Grüß 👋"}'),
        sse("content_block_stop", ',"index":2'),
        sse("of_next_year"),
        sse(
            "message_delta", ',"delta":{"stop_reason":"stop_sequence","stop_sequence":"E"},"usage":{"output_tokens":9}'
        ),
        sse("message_stop"),
    ]
)


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(places)]


@given(st.lists(st.integers(0, len(RECORDED)), max_size=6))
def test_a_stream_of_the_same_dialect_passes_byte_for_byte_however_it_is_cut(cuts: list[int]) -> None:
    decoder = StreamDecoder(MessageReader())
    writer = stream_writer(reply_to("anthropic_messages"))
    assert isinstance(writer, PassingWriter)
    passed = b"".join([writer.write(events) for piece in pieces(RECORDED, cuts) if (events := decoder.feed(piece))])
    assert passed == RECORDED[: RECORDED.index(b"event: message_stop")]
    assert decoder.end() == ()
    assert passed + writer.end(paid(reply_to("anthropic_messages"))) == RECORDED


# ---- streams of other dialects ----------------------------------------------------------------------------------


def test_a_text_is_one_block() -> None:
    stream = written(Event(model="gpt-5"), Event(text="Hel"), Event(text="lo"), Event(finish="stop"))
    first = frames(stream)[0]["message"]
    assert (first["type"], first["role"], first["content"], first["stop_reason"]) == ("message", "assistant", [], None)
    assert (first["id"], first["model"]) == ("msg_request1", "swift")
    assert first["usage"]["input_tokens"] == 77  # the estimate that it was routed by
    assert blocks(stream) == [{"type": "text", "text": "Hello"}]
    assert end_of(stream)["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_an_answer_without_anything_in_it_is_a_whole_message() -> None:
    assert blocks(written()) == []


def test_usage_excludes_what_is_cached_and_has_the_cost() -> None:
    assert end_of(written(Event(text="Hi")))["usage"] == {
        "input_tokens": 9,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens": 8,
        "output_tokens_details": {"thinking_tokens": 5},
        "cost": 0.000012345,
    }
    estimated = end_of(written(Event(text="Hi"), usage=None))["usage"]
    assert (estimated["input_tokens"], estimated["output_tokens"], estimated["estimated"]) == (8, 5, True)


def test_thoughts_of_others_come_sealed_so_that_they_are_known_again() -> None:
    stream = written(
        Event(reasoning="h"),
        Event(reasoning="m", seal="abc"),
        Event(seal="xyz"),
        Event(reasoning="oh"),
        Event(text="Hi"),
    )
    assert blocks(stream) == [
        {"type": "thinking", "thinking": "hm", "signature": "rw1.openai_chat.abc"},
        {"type": "redacted_thinking", "data": "rw1.openai_chat.xyz"},
        {"type": "thinking", "thinking": "oh", "signature": "rw1.openai_chat."},
        {"type": "text", "text": "Hi"},
    ]


def test_tool_calls_follow_one_another() -> None:
    stream = written(
        Event(text="Let me look."),
        Event(tool_calls=(ToolCallDelta(0, "call.1", "now", ""),)),
        Event(tool_calls=(ToolCallDelta(0, arguments='{"zone":'),)),
        Event(tool_calls=(ToolCallDelta(0, arguments='"UTC"}'), ToolCallDelta(1, "", "halt", "{}"))),
        finish="tool_calls",
    )
    assert blocks(stream) == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_1", "name": "now", "input": '{"zone":"UTC"}'},
        {"type": "tool_use", "id": "toolu_request1_1", "name": "halt", "input": "{}"},
    ]
    assert end_of(stream)["delta"]["stop_reason"] == "tool_use"


def test_calls_whose_pieces_alternate_are_sorted_out() -> None:
    def piece(index: int, arguments: str, name: str = "") -> Event:
        return Event(tool_calls=(ToolCallDelta(index, f"c{index}" if name else "", name, arguments),))

    stream = written(
        piece(0, "", "a"), piece(1, "", "b"), piece(2, "", "c"),
        piece(1, '{"x"'), piece(0, '{"y"'), piece(1, ":1}"), Event(text="meanwhile"), piece(0, ":2}"), piece(0, " "),
    )  # fmt: skip
    assert [(block["type"], block.get("name"), block.get("input")) for block in blocks(stream)] == [
        ("tool_use", "a", '{"y":2}'),
        ("tool_use", "b", '{"x":1}'),
        ("tool_use", "c", ""),
        ("text", None, None),
    ]


@given(st.data(), st.lists(st.sampled_from(['{"a":[1,2]}', '{"b":"}"}', "{}"]), min_size=1, max_size=4))
def test_however_calls_are_mixed_each_comes_whole(data: st.DataObject, wished: list[str]) -> None:
    left = {index: list(arguments) for index, arguments in enumerate(wished)}
    begun: set[int] = set()
    sequence = CallSequence()
    out: list[tuple[bool, ToolCallDelta]] = []
    while left:
        index = data.draw(st.sampled_from(sorted(left)))
        piece = ToolCallDelta(index, "", "" if index in begun else f"f{index}", left[index].pop(0))
        begun.add(index)
        if not left[index]:
            del left[index]
        out += sequence.add(piece)
    out += sequence.flush()
    order = [piece.name for is_new, piece in out if is_new]
    assert sorted(order) == [f"f{index}" for index in range(len(wished))]
    together: list[str] = []
    for is_new, piece in out:
        if is_new:
            together.append("")
        together[-1] += piece.arguments
    assert dict(zip(order, together, strict=True)) == {f"f{index}": text for index, text in enumerate(wished)}


@pytest.mark.parametrize(
    ("events", "finish", "reason", "sequence"),
    [
        ((Event(text="a"),), "length", "max_tokens", None),
        ((Event(text="a", stop_sequence="END"),), "stop", "stop_sequence", "END"),
        ((Event(tool_calls=(ToolCallDelta(0, "c", "f", "{}"),)),), "stop", "tool_use", None),
        ((Event(text="a"),), "tool_calls", "end_turn", None),
        ((Event(text="a"),), None, "end_turn", None),
        ((Event(text="a"),), "content_filter", "refusal", None),
    ],
)
def test_why_it_ended_is_told(
    events: tuple[Event, ...], finish: FinishReason | None, reason: str, sequence: str | None
) -> None:
    delta = end_of(written(*events, finish=finish))["delta"]
    assert (delta["stop_reason"], delta["stop_sequence"]) == (reason, sequence)


def test_a_refusal_is_shown_and_explained() -> None:
    stream = written(Event(refusal="I "), Event(refusal="cannot."))
    assert blocks(stream) == [{"type": "text", "text": "I cannot."}]
    assert end_of(stream)["delta"]["stop_details"] == {"type": "refusal", "category": None, "explanation": "I cannot."}


def test_of_several_choices_the_first_is_written() -> None:
    assert blocks(written(Event(text="a"), Event(text="b", choice=1))) == [{"type": "text", "text": "a"}]


@given(st.lists(st.integers(0, 400), max_size=6))
def test_however_chunks_are_cut_the_same_message_is_written(cuts: list[int]) -> None:
    chunk = b'data: {"id":"c","model":"gpt-5","choices":[{"index":0,"delta":%b}]}\n\n'
    deltas = [b'{"role":"assistant","content":""}', '{"content":"Grüß 👋"}'.encode(), b'{"reasoning_content":"hm"}']
    deltas.append(b'{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}')
    chat = b"".join(chunk % delta for delta in deltas) + b"data: [DONE]\n\n"

    def message(*parts: bytes) -> list[Any]:
        decoder, writer = StreamDecoder(ChunkReader(1)), TranslatingWriter(reply_to())
        stream = b"".join([writer.write(events) for part in parts if (events := decoder.feed(part))])
        return blocks(stream + writer.end(paid(reply_to(), "tool_calls")))

    assert message(*pieces(chat, cuts)) == message(chat)


# ---- whole answers ----------------------------------------------------------------------------------------------


def answered(reply: Reply, *events: Event) -> Answer:
    draft = Draft()
    for event in events:
        draft.add(event)
    return draft.answer(reply)


def test_a_whole_answer_is_read_back_as_the_same() -> None:
    said = (
        Event(reasoning="hm"),
        Event(
            text="Let me look.",
            tool_calls=(ToolCallDelta(0, "c.1", "now", '{"zone":"UTC"}'), ToolCallDelta(1, "", "f", "{")),
        ),
    )
    reply = paid(reply_to(), "tool_calls")
    body = write_message(reply, answered(reply, *said))
    again = answered(reply, *read_message(body))
    assert again.thinking == (Thinking("hm", "rw1.openai_chat.", "openai_chat"),)
    assert again.text == "Let me look."
    assert again.tool_calls == (
        ToolCall("c_1", "now", '{"zone":"UTC"}'),
        ToolCall("toolu_request1_1", "f", '{"arguments":"{"}'),  # broken ones are told as they are
    )
    told = msgspec.json.decode(body)
    assert (told["stop_reason"], told["model"], told["usage"]["cost"]) == ("tool_use", "swift", 0.000012345)


def test_a_whole_refusal_and_a_stop_sequence_are_told() -> None:
    reply = paid(reply_to())
    told = msgspec.json.decode(write_message(reply, answered(reply, Event(refusal="No."))))
    assert (told["stop_reason"], told["content"]) == ("refusal", [{"type": "text", "text": "No."}])
    told = msgspec.json.decode(write_message(reply, answered(reply, Event(text="a", stop_sequence="END"))))
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "END")


# ---- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("bad", param="n"), "invalid_request_error"),
        (Unauthorized("who"), "authentication_error"),
        (BudgetExceeded("spent"), "billing_error"),
        (NotPermitted("no"), "permission_error"),
        (ModelNotFound("none"), "not_found_error"),
        (RequestInProgress("wait"), "conflict_error"),
        (BodyTooLarge("big"), "request_too_large"),
        (IdempotencyMismatch("other"), "invalid_request_error"),
        (RateLimited("slow", retry_after_s=1), "rate_limit_error"),
        (AllAttemptsFailed([("acme/swift", ProviderOverloaded("slow down"))]), "rate_limit_error"),
        (LedgerUnavailable("full"), "overloaded_error"),
        (DeadlineExceeded("late"), "timeout_error"),
        (RoutewrightError("bug"), "api_error"),
    ],
)
def test_an_error_body_says_what_kind_of_error_it_is(error: RoutewrightError, kind: str) -> None:
    told = msgspec.json.decode(write_error(error, "request-1"))
    assert (told["type"], told["request_id"]) == ("error", "request-1")
    assert (told["error"]["type"], told["error"]["code"]) == (kind, error.code)
    assert told["error"]["message"].startswith(error.message)


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_a_broken_stream_ends_with_the_error_and_no_end_mark(dialect: str) -> None:
    last = stream_writer(reply_to(dialect)).fail(DeadlineExceeded("late"))
    assert last == b"event: error\ndata: " + write_error(DeadlineExceeded("late"), "request-1") + b"\n\n"
