"""A decoder gives the same events under every chunk split, and never takes a broken answer for a whole one."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.dialects.anthropic_stream import MessageReader
from routewright.dialects.decoding import BODY_LIMIT, StreamDecoder, WholeDecoder
from routewright.dialects.openai_stream import ChunkReader, read_completion
from routewright.dialects.responses_stream import ResponseReader
from routewright.dialects.sse import FRAME_LIMIT
from routewright.errors import InvalidResponse, ProviderError, ProviderFailed, StreamCut
from routewright.reply import Event

HEAD = b'"id":"chatcmpl-B9MHDb","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06"'


def chunk(choices: bytes, more: bytes = b"") -> bytes:
    return b"data: {%b,%b%b}\n\n" % (HEAD, b'"choices":' + choices, more)


OPENAI = b"".join(
    [
        chunk(b'[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]'),
        chunk('[{"index":0,"delta":{"content":"Grüß"},"finish_reason":null}]'.encode(), b',"usage":null'),
        b": OPENROUTER PROCESSING\n\n",
        chunk('[{"index":0,"delta":{"content":" dich 👋"},"finish_reason":null}]'.encode()),
        chunk(b'[{"index":0,"delta":{},"finish_reason":"stop"}]'),
        chunk(b"[]", b',"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}'),
        b"data: [DONE]\n\n",
    ]
)
TOOLS = b"".join(
    [
        chunk(
            b'[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1",'
            b'"type":"function","function":{"name":"get_weather","arguments":""}}]},"finish_reason":null}]'
        ),
        chunk(b'[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\":"}}]}}]'),
        chunk(b'[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\"Bern\\"}"}}]}}]'),
        chunk(b'[{"index":0,"delta":{},"finish_reason":"tool_calls"}]'),
        b"data: [DONE]\n\n",
    ]
)
MIXED = OPENAI.replace(b"\n\n", b"\r\n\r\n", 2).replace(b"data: {", b"data:{", 1)
ANTHROPIC = b"".join(
    b"event: %b\ndata: %b\n\n" % (name, data)
    for name, data in [
        (
            b"message_start",
            b'{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],'
            b'"model":"claude-sonnet-5","stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}',
        ),
        (b"content_block_start", b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
        (b"ping", b'{"type":"ping"}'),
        (
            b"content_block_delta",
            '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüß"}}'.encode(),
        ),
        (b"content_block_stop", b'{"type":"content_block_stop","index":0}'),
        (
            b"message_delta",
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            b'"usage":{"output_tokens":15}}',
        ),
        (b"message_stop", b'{"type":"message_stop"}'),
    ]
)

RESPONSES = b"".join(
    b"event: %b\ndata: %b\n\n" % (name, b'{"type":"%b",%b}' % (name, data.encode()))
    for name, data in [
        (b"response.created", '"response":{"id":"resp_1","model":"gpt-5.5","status":"in_progress","output":[]}'),
        (b"response.output_item.added", '"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}'),
        (b"response.reasoning_summary_text.delta", '"item_id":"rs_1","summary_index":0,"delta":"Hm."'),
        (
            b"response.output_item.done",
            '"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"s3al"}',
        ),
        (b"response.output_text.delta", '"item_id":"msg_1","output_index":1,"delta":"Grüß dich 👋","logprobs":[]'),
        (b"response.web_search_call.searching", '"item_id":"ws_1","output_index":2'),
        (
            b"response.output_item.added",
            '"output_index":3,"item":{"type":"function_call","call_id":"call_1","name":"now","arguments":""}',
        ),
        (b"response.function_call_arguments.delta", '"item_id":"fc_1","output_index":3,"delta":"{}"'),
        (
            b"response.completed",
            '"response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":9,"output_tokens":3}}',
        ),
    ]
)

Make = Callable[[], StreamDecoder]
Outcome = tuple[list[Event], ProviderError | None]


def openai() -> StreamDecoder:
    return StreamDecoder(ChunkReader(1))


def anthropic() -> StreamDecoder:
    return StreamDecoder(MessageReader())


def responses() -> StreamDecoder:
    return StreamDecoder(ResponseReader())


RECORDED = [(openai, OPENAI), (openai, TOOLS), (openai, MIXED), (anthropic, ANTHROPIC), (responses, RESPONSES)]


def decode(decoder: StreamDecoder, *chunks: bytes) -> Outcome:
    """The events, and the error that ended them if one did."""
    events: list[Event] = []
    try:
        for piece in chunks:
            events += decoder.feed(piece)
        events += decoder.end()
    except ProviderError as error:
        return events, error
    return events, None


def told(outcome: Outcome) -> tuple[list[Event], str | None]:
    events, error = outcome
    return events, None if error is None else f"{type(error).__name__}: {error.message}"


@pytest.mark.parametrize(("make", "stream"), RECORDED)
def test_every_split_in_two_gives_the_same_events(make: Make, stream: bytes) -> None:
    whole = told(decode(make(), stream))
    assert whole[1] is None
    for at in range(1, len(stream)):
        assert told(decode(make(), stream[:at], stream[at:])) == whole


@pytest.mark.parametrize(("make", "stream"), RECORDED)
def test_byte_by_byte_gives_the_same_events(make: Make, stream: bytes) -> None:
    assert told(decode(make(), *(stream[at : at + 1] for at in range(len(stream))))) == told(decode(make(), stream))


@given(st.sampled_from(RECORDED), st.lists(st.integers(0, 2_000), max_size=30), st.integers(0, 2_000), st.booleans())
def test_any_split_of_any_beginning_with_or_without_an_error_gives_the_same_events(
    recorded: tuple[Make, bytes], cuts: list[int], length: int, has_error: bool
) -> None:
    make, stream = recorded
    if has_error:
        stream = stream[:length] + b'\n\ndata: {"error":{"message":"no"},"type":"error"}\n\n' + stream[length:]
    else:
        stream = stream[:length]
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert told(decode(make(), *chunks)) == told(decode(make(), stream))


@pytest.mark.parametrize(("make", "stream"), RECORDED)
def test_the_raw_bytes_of_all_events_are_the_stream_without_done(make: Make, stream: bytes) -> None:
    events, _ = decode(make(), stream)
    raw = b"".join(event.raw for event in events)
    assert stream.startswith(raw)
    assert stream[len(raw) :] == (b"data: [DONE]\n\n" if make is openai else b"")


@pytest.mark.parametrize(("make", "stream"), RECORDED)
def test_a_stream_cut_anywhere_is_never_complete_before_its_finish(make: Make, stream: bytes) -> None:
    whole, _ = decode(make(), stream)
    for length in range(len(stream)):
        events, error = decode(make(), stream[:length])
        if error is None:
            assert "".join(event.text for event in events) == "".join(event.text for event in whole)
            assert any(event.finish for event in events)
            assert make is openai or b"message_stop" in stream[:length] or b"response.completed" in stream[:length]
        else:
            assert isinstance(error, StreamCut)


@pytest.mark.parametrize(
    "bad",
    [
        b'data: {"choices":[{"delta":{"content":"lost\n\n',
        b"data: \xff\xfe\n\n",
        b"data: 7\n\n",
        b"data:\n\n",
        b"event: ping\n\n",
        b"junk\n\n",
    ],
)
def test_a_bad_event_in_the_middle_goes_no_further_and_harms_nothing(bad: bytes) -> None:
    at = OPENAI.index(b": OPENROUTER")
    events, error = decode(openai(), OPENAI[:at] + bad + OPENAI[at:])
    assert error is None
    assert "".join(event.text for event in events) == "Grüß dich 👋"
    assert b"".join(event.raw for event in events) == OPENAI[: -len(b"data: [DONE]\n\n")]


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"choices":[{"delta":{"content":"lost\n\n',
        b'data: {"x":"\xff","choices":[{"index":0,"delta":{"content":"a\xe2\x80"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\r\n\r\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\r\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]}}],"service_tier":"flex"}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":["a"]}}],"usage":{"prompt_tokens":"many"}}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}\n\n',
        b'data: {"error":{"message":"no"}}\n\n',
        b"data: 7\n\n",
        b"data: \n\n",
        b"data: [DONE]\n\n",
        b"data: " + b"7" * FRAME_LIMIT + b"\n\n",
    ],
)
@pytest.mark.parametrize("make", [openai, anthropic, responses])
def test_an_event_that_comes_alone_is_what_it_is_among_others(make: Make, odd: bytes) -> None:
    stream = {openai: OPENAI, anthropic: ANTHROPIC, responses: RESPONSES}[make]
    frames = [each + b"\n\n" for each in stream.split(b"\n\n")[:-1]]
    frames[3:3] = [odd]
    assert told(decode(make(), *frames)) == told(decode(make(), b"".join(frames)))


def test_an_event_of_a_kind_that_is_new_to_us_is_passed_on() -> None:
    new = b'event: new\ndata: {"type":"new","choices":7}\n\n'
    at = OPENAI.index(b": OPENROUTER")
    events, _ = decode(openai(), OPENAI[:at] + new + OPENAI[at:])
    assert new in [event.raw for event in events]


def test_what_is_not_utf8_in_an_event_is_replaced_as_the_standard_has_it() -> None:
    decoder = openai()
    odd = b': \xff\ndata: {"x":"\xff","choices":[{"index":0,"delta":{"content":"a\xe2\x80"}}]}\n\n'
    [event] = decoder.feed(odd)
    assert (event.text, event.raw) == ("a\ufffd", odd.decode(errors="replace").encode())


def test_a_whole_answer_that_is_not_utf8_is_an_invalid_response() -> None:
    decoder = WholeDecoder(read_completion)
    decoder.feed(b'{"x":"\xff","choices":[{"index":0,"message":{"content":"a"}}]}')
    with pytest.raises(InvalidResponse, match="not UTF-8"):
        decoder.end()


def test_comments_before_the_first_event_wait_for_it_and_junk_is_lost() -> None:
    decoder = openai()
    assert decoder.feed(b": OPENROUTER PROCESSING\n\n") == ()
    assert decoder.feed(b"data: junk\n\n") == ()
    assert decoder.feed(b'data: {"choices":7}\n\n') == ()
    [event] = decoder.feed(chunk(b'[{"index":0,"delta":{"content":"a"}}]'))
    assert event.raw.startswith(b": OPENROUTER PROCESSING\n\ndata: {")
    assert event.text == "a"


def test_comments_after_it_are_passed_on_at_once() -> None:
    decoder = openai()
    decoder.feed(chunk(b'[{"index":0,"delta":{"content":"a"}}]'))
    assert decoder.feed(b": still here\n\n") == (Event(raw=b": still here\n\n"),)


def test_events_without_blank_lines_between_them_are_read_line_by_line() -> None:
    events, error = decode(openai(), OPENAI.replace(b"\n\n", b"\n"))
    assert error is None
    assert "".join(event.text for event in events) == "Grüß dich 👋"
    assert all(event.raw.endswith(b"}\n\n") for event in events)


def test_a_failure_waits_for_the_events_before_it() -> None:
    decoder = openai()
    both = chunk(b'[{"index":0,"delta":{"content":"a"}}]') + b'data: {"error":{"message":"out of memory"}}\n\n'
    [event] = decoder.feed(both)
    assert event.text == "a"
    with pytest.raises(ProviderFailed, match="out of memory"):
        decoder.feed(b"data: x\n\n")
    with pytest.raises(ProviderFailed, match="out of memory"):
        decoder.end()


def test_an_error_beside_what_cannot_be_read_is_still_an_error() -> None:
    decoder = openai()
    decoder.feed(chunk(b'[{"index":0,"delta":{"content":"a"}}]'))
    with pytest.raises(ProviderFailed, match="out of memory"):
        decoder.feed(b'data: {"choices":7,"error":{"message":"out of memory"}}\n\n')


def test_an_error_as_the_first_event_is_raised_at_once() -> None:
    with pytest.raises(ProviderFailed):
        openai().feed(b'data: {"error":{"message":"overloaded"}}\n\n')


def test_a_line_over_the_limit_is_an_invalid_response() -> None:
    decoder = openai()
    assert decoder.feed(b"data: " + b"x" * (FRAME_LIMIT - 6)) == ()
    with pytest.raises(InvalidResponse, match="1,048,576 bytes"):
        decoder.feed(b"x")


@pytest.mark.parametrize("start", [b":", b"data: ", b""])
def test_junk_without_end_is_an_invalid_response(start: bytes) -> None:
    decoder = openai()
    half = start + b"x" * (FRAME_LIMIT // 2) + b"\n\n"
    assert decoder.feed(half) == ()
    with pytest.raises(InvalidResponse, match="without an answer"):
        decoder.feed(half)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", StreamCut),
        (b"da", StreamCut),
        (b'data: {"id":"x","cho', StreamCut),
        (b": wait\n\n", StreamCut),
        (b"data: [DONE]\n\n", InvalidResponse),
        (b"data: junk\n\ndata: [DONE]\n\n", InvalidResponse),
        (b"<!DOCTYPE html>\n\n<html>503</html>\n\n", InvalidResponse),
        (b'{"choices":[]}', InvalidResponse),
        (b'{"error":{"message":"no such model"}}', ProviderFailed),
        (b'{\n\n"error": "no such model"}', ProviderFailed),
    ],
)
def test_a_body_without_events_is_told_for_what_it_is(body: bytes, kind: type[ProviderError]) -> None:
    events, error = decode(openai(), body)
    assert events == []
    assert type(error) is kind


@pytest.mark.parametrize(("make", "stream"), RECORDED)
def test_what_follows_the_end_mark_is_not_read(make: Make, stream: bytes) -> None:
    more = b'data: {"error":{"message":"too late"},"type":"error"}\n\ndata: {"type":"ping"}\n\n'
    assert told(decode(make(), stream + more)) == told(decode(make(), stream))


def test_a_whole_answer_over_the_limit_is_an_invalid_response() -> None:
    decoder = WholeDecoder(read_completion)
    piece = bytes(1 << 20)
    for _ in range(BODY_LIMIT >> 20):
        decoder.feed(piece)
    with pytest.raises(InvalidResponse, match="32 MiB"):
        decoder.feed(b"x")
