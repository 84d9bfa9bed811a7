"""Chat completions, streamed and whole, into events."""

from typing import Any

import msgspec
import pytest

from routewright.dialects.openai_stream import ChunkReader, read_completion, read_usage
from routewright.errors import InvalidResponse, ProviderError, ProviderFailed, StreamCut
from routewright.reply import Event, ToolCallDelta
from routewright.usage import Usage


def read(reader: ChunkReader | None = None, **fields: Any) -> Event:
    """The one event of a chunk with these fields."""
    data = msgspec.json.encode({"id": "chatcmpl-1", "model": "gpt-5-2025", **fields})
    events = (reader or ChunkReader(1)).read(b"raw", data)
    assert events is not None
    [event] = events
    return event


def delta(**fields: Any) -> Event:
    return read(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


# ---- chunks -----------------------------------------------------------------------------------------------------


def test_a_content_chunk_is_read() -> None:
    expected = Event(raw=b"raw", text="Hi", model="gpt-5-2025", provider_id="chatcmpl-1")
    assert delta(role="assistant", content="Hi", refusal=None, audio={"id": "x"}) == expected


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_has_two_names(field: str) -> None:
    assert delta(**{field: "hm", "content": None}).reasoning == "hm"


def test_refusals_are_read() -> None:
    assert delta(refusal="No.").refusal == "No."


def test_content_in_parts_is_read() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi"}]
    event = delta(content=parts)
    assert (event.reasoning, event.text) == ("hm", "Hi")


def test_tool_call_pieces_are_read() -> None:
    event = delta(
        tool_calls=[
            {"index": 1, "id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"a"'}},
            {"id": "c2", "function": {"name": "x"}},
            {"index": 3},
        ]
    )
    assert event.tool_calls == (
        ToolCallDelta(1, "c1", "now"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(2, "c2", "x"),
        ToolCallDelta(3),
    )


def test_the_old_function_call_is_a_tool_call() -> None:
    assert delta(function_call={"name": "now", "arguments": "{}"}).tool_calls == (ToolCallDelta(0, "", "now", "{}"),)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        (None, None),
        ("", None),
    ],
)
def test_finish_reasons(reason: str | None, finish: str | None) -> None:
    assert read(choices=[{"index": 0, "delta": {}, "finish_reason": reason}]).finish == finish


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
def test_a_finish_that_is_a_failure_cuts_the_stream(reason: str) -> None:
    with pytest.raises(StreamCut, match=reason):
        read(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])


def test_several_choices_in_a_chunk_share_its_bytes() -> None:
    reader = ChunkReader(2)
    choices = [{"index": index, "delta": {"content": text}} for index, text in ((1, "b"), (0, "a"))]
    events = reader.read(b"raw", msgspec.json.encode({"choices": choices}))
    assert events == (Event(raw=b"raw", text="b", choice=1), Event(text="a", choice=0))


def test_a_stream_is_whole_when_every_choice_has_finished() -> None:
    reader = ChunkReader(2)
    for index, is_whole in ((1, False), (0, True)):
        read(reader, choices=[{"index": index, "delta": {}, "finish_reason": "stop"}])
        assert reader.is_whole() == is_whole


def test_a_chunk_of_usage_alone_is_marked() -> None:
    event = read(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 3})
    assert (event.is_usage_only, event.usage) == (True, Usage(input=9, output=3))
    broken = read(choices=[], usage={"prompt_tokens": -9, "completion_tokens": 3})
    assert (broken.is_usage_only, broken.usage) == (True, None)


@pytest.mark.parametrize("fields", [{"choices": [], "usage": None}, {"choices": []}, {}])
def test_a_chunk_without_choices_or_usage_is_not(fields: dict[str, Any]) -> None:
    assert not read(**fields, prompt_filter_results=[]).is_usage_only


def test_usage_in_a_content_chunk_leaves_it_content() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    event = read(choices=[{"index": 0, "delta": {"content": "a"}}], usage=usage)
    assert (event.is_usage_only, event.usage, event.text) == (False, Usage(input=9, output=3), "a")


@pytest.mark.parametrize("end", [b"[DONE]", b"[DONE] "])
def test_the_end_mark_is_no_event(end: bytes) -> None:
    reader = ChunkReader(1)
    assert reader.read(b"raw", end) == ()
    assert reader.is_done


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"7", b'{"choices":5}', b'{"choices":[{"delta":{"content":5}}]}', b"\xff"]
)
def test_what_cannot_be_read_is_no_event(data: bytes) -> None:
    assert ChunkReader(1).read(b"raw", data) is None


@pytest.mark.parametrize(
    ("data", "message", "status"),
    [
        (b'{"error":{"message":"boom","code":503}}', "boom", 503),
        (b'{"error":{"message":"boom sk-abcdefgh1","type":"server_error"}}', "boom \\*\\*\\*", None),
        (b'{"error":"boom","choices":[]}', "boom", None),
        (b'{"object":"error","message":"boom","code":400}', "boom", 400),
        (b'{"error":{}}', "no reason given", None),
    ],
)
def test_a_reported_error_is_a_failure(data: bytes, message: str, status: int | None) -> None:
    with pytest.raises(ProviderFailed, match=message) as caught:
        ChunkReader(1).read(b"raw", data)
    assert caught.value.provider_status == status
    with pytest.raises(ProviderFailed, match=message):
        read_completion(data)


def test_a_null_error_is_none() -> None:
    assert read(choices=[{"index": 0, "delta": {"content": "a"}}], error=None).text == "a"


# ---- whole completions ------------------------------------------------------------------------------------------

COMPLETION = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1741570283,"model":"gpt-5-2025","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hi","reasoning_content":"hm","refusal":null,"annotations":[],'
    b'"tool_calls":[{"id":"c1","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,'
    b'"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29},'
    b'"service_tier":"default"}'
)


def test_a_whole_completion_is_one_event() -> None:
    assert read_completion(COMPLETION) == (
        Event(
            raw=COMPLETION,
            text="Hi",
            reasoning="hm",
            tool_calls=(ToolCallDelta(0, "c1", "now", "{}"),),
            finish="tool_calls",
            usage=Usage(input=19, output=10),
            model="gpt-5-2025",
            provider_id="chatcmpl-1",
        ),
    )


def test_further_choices_are_events_without_bytes() -> None:
    choices = [{"index": index, "message": {"content": text}, "finish_reason": None} for index, text in enumerate("ab")]
    body = msgspec.json.encode({"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    assert read_completion(body) == (
        Event(raw=body, text="a", finish="stop", usage=Usage(input=1, output=2)),
        Event(text="b", choice=1, finish="stop"),
    )


@pytest.mark.parametrize(
    "body",
    [COMPLETION[:-1], COMPLETION[:100], b"", b"<html>502</html>", b"{}", b'{"choices":[]}', b'{"choices":null}', b"[]"],
)
def test_a_body_that_is_no_completion_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_completion(body)


def test_a_completion_cut_anywhere_is_refused() -> None:
    for length in range(len(COMPLETION)):
        with pytest.raises(ProviderError):
            read_completion(COMPLETION[:length])


# ---- usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, Usage(input=9, output=3)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input=40, cache_read=60, output=30, reasoning=20),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            },
            Usage(input=10, cache_read=60, cache_write=30, output=5),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cache_write_tokens": 30}},
            Usage(cache_write=9, output=5),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
                "prompt_tokens_details": {"cached_tokens": 64},
            },
            Usage(input=36, cache_read=64, output=5),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            Usage(input=5, cache_read=4, output=5),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(input=9, output=5, reasoning=3),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 300}},
            Usage(input=9, output=5, reasoning=300),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": None,
                "completion_tokens_details": {},
            },
            Usage(input=9, output=5),
        ),
        (None, None),
        ({}, None),
        ([], None),
        ({"prompt_tokens": 9}, None),
        ({"prompt_tokens": 9, "completion_tokens": None}, None),
        ({"prompt_tokens": -1, "completion_tokens": 3}, None),
        ({"prompt_tokens": 9, "completion_tokens": -3}, None),
        ({"prompt_tokens": 10**12, "completion_tokens": 3}, None),
        ({"prompt_tokens": 9, "completion_tokens": 2**63}, None),
        ({"prompt_tokens": "9", "completion_tokens": 3}, None),
        ({"prompt_tokens": 9, "completion_tokens": True}, None),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 10}}, None),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": -1}}, None),
    ],
)
def test_counts_become_disjoint_or_are_ignored(counts: object, usage: Usage | None) -> None:
    assert read_usage(msgspec.json.encode(counts)) == usage


# ---- sound and service tiers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [
        ({"audio_tokens": 30}, {}, Usage(input=70, output=50, audio_input=30)),
        ({}, {"audio_tokens": 20}, Usage(input=100, output=30, audio_output=20)),
        (
            {"audio_tokens": 30, "cached_tokens": 40, "cached_tokens_details": {"audio_tokens": 10}},
            {"audio_tokens": 20, "reasoning_tokens": 5},
            Usage(
                input=40, cache_read=30, output=25, reasoning=5, audio_input=20, audio_cache_read=10, audio_output=20
            ),
        ),
        ({"audio_tokens": 30, "cached_tokens": 40}, {}, Usage(input=30, cache_read=40, output=50, audio_input=30)),
        (
            {"audio_tokens": 80, "cached_tokens": 40},
            {},
            Usage(cache_read=20, output=50, audio_input=60, audio_cache_read=20),
        ),
        (
            {"audio_tokens": 30, "cached_tokens": 0, "cached_tokens_details": {"audio_tokens": 0}},
            {},
            Usage(input=70, output=50, audio_input=30),
        ),
        ({"audio_tokens": 101}, {}, None),
        ({}, {"audio_tokens": 51}, None),
        ({"audio_tokens": -1}, {}, None),
    ],
)
def test_sound_is_counted_apart_and_every_token_once(
    prompt: object, completion: object, expected: Usage | None
) -> None:
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
    found = read_usage(msgspec.json.encode(counts))
    assert found == expected
    assert found is None or (found.input_total, found.output_total) == (100, 50)


@pytest.mark.parametrize(
    ("tier", "expected"), [("flex", "flex"), ("default", ""), (None, ""), (3, ""), ({"a": 1}, ""), ("auto", "")]
)
def test_an_answer_says_in_which_tier_it_was_served(tier: object, expected: str) -> None:
    assert read(choices=[{"index": 0, "delta": {"content": "a"}}], service_tier=tier).service_tier == expected
    assert read(choices=[], usage=None, service_tier=tier).service_tier == expected


@pytest.mark.parametrize(("said", "told"), [('"END"', "END"), ("null", ""), ("128001", "")])
def test_which_sequence_stopped_it_is_read_where_a_server_says_so(said: str, told: str) -> None:
    whole = '{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop","stop_reason":%s}]}'
    [event] = read_completion((whole % said).encode())
    assert event.stop_sequence == told
