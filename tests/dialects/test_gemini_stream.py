"""Gemini's answers, streamed and whole, into events."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.dialects.decoding import StreamDecoder
from routewright.dialects.gemini_stream import AnswerReader, read_usage
from routewright.errors import (
    CredentialRefused,
    InvalidResponse,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    StreamCut,
)
from routewright.reply import Event, ToolCallDelta
from routewright.usage import Usage

COUNTS = {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}


def chunk(*parts: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": index}
    if finish is not None:
        candidate["finishReason"] = finish
    return msgspec.json.encode({"candidates": [candidate], "modelVersion": "gemini-3.8-flash", **more})


def framed(*chunks: bytes) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % each for each in chunks)


def read(*chunks: bytes, choices: int = 1) -> list[Event]:
    """The events of a whole stream."""
    decoder = StreamDecoder(AnswerReader("0199-a", choices))
    return [*decoder.feed(framed(*chunks)), *decoder.end()]


def said(events: list[Event]) -> list[Event]:
    """The events without their bytes."""
    return [msgspec.structs.replace(event, raw=b"") for event in events]


def whole(body: bytes, choices: int = 1) -> tuple[Event, ...]:
    return AnswerReader("0199-a", choices).read_whole(body)


# ---- content ----------------------------------------------------------------------------------------------------


def test_text_thoughts_and_who_answered_are_read() -> None:
    events = read(
        chunk({"text": "hm", "thought": True}, responseId="r1", usageMetadata={"promptTokenCount": 12}),
        chunk({"text": "Hi"}, finish="STOP", usageMetadata=COUNTS),
    )
    assert [(event.reasoning, event.text, event.finish) for event in events] == [("hm", "", None), ("", "Hi", "stop")]
    assert (events[0].model, events[0].provider_id) == ("gemini-3.8-flash", "r1")
    assert [(event.usage, event.is_usage_partial) for event in events] == [
        (Usage(input=12), True),
        (Usage(input=12, output=5), False),
    ]


def test_signatures_keep_the_place_they_stand_at() -> None:
    call = {"functionCall": {"id": "a1", "name": "f", "args": {"x": 1}}}
    events = read(
        chunk({"text": "hm", "thought": True, "thoughtSignature": "S0"}),
        chunk({"functionCall": {"name": "g"}}, {**call, "thoughtSignature": "S1"}),
        chunk({"text": "", "thoughtSignature": "S2"}, finish="STOP"),
    )
    assert [event.seal for event in events] == ["thought:S0", "", "call1:S1", "text:S2"]
    assert [event.tool_calls for event in events if event.tool_calls] == [
        (ToolCallDelta(0, "call_0199a_0_0", "g", "{}"),),
        (ToolCallDelta(1, "a1", "f", '{"x":1}'),),
    ]


def test_an_answer_with_calls_ends_in_calls() -> None:
    [event] = read(chunk({"functionCall": {"name": "f"}}, finish="STOP"))
    assert event.finish == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("NEW_WORD", "stop")],
)
def test_why_it_ended(reason: str, finish: str) -> None:
    body = chunk({"text": "a"}, finish=reason)
    [event] = whole(body)
    assert (event.finish, event.text, event.raw) == (finish, "a", body)


def test_what_a_filter_says_is_the_refusal() -> None:
    filtered = {"candidates": [{"finishReason": "SAFETY", "finishMessage": "not that"}]}
    [event] = whole(msgspec.json.encode(filtered))
    assert (event.finish, event.refusal) == ("content_filter", "not that")


@pytest.mark.parametrize("told", [{}, {"blockReasonMessage": "not that"}])
def test_a_blocked_prompt_is_a_refusal_and_an_answer(told: dict[str, str]) -> None:
    feedback = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT", **told}}
    body = msgspec.json.encode({**feedback, "usageMetadata": {"promptTokenCount": 9}})
    for events in (whole(body), read(body)):
        [event] = events
        assert event.finish == "content_filter"
        assert event.refusal == (
            told.get("blockReasonMessage") or "the provider blocked the prompt (PROHIBITED_CONTENT)"
        )
        assert (event.usage, event.is_usage_partial) == (Usage(input=9), False)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL"])
def test_what_is_no_answer_is_cut(reason: str) -> None:
    with pytest.raises(StreamCut, match=reason):
        whole(chunk(finish=reason))
    with pytest.raises(StreamCut, match=reason):
        read(chunk(finish=reason))


def test_every_candidate_is_a_choice() -> None:
    body = {"candidates": [{"content": {"parts": [{"text": t}]}, "index": i} for i, t in enumerate("ab")]}
    ends = [chunk(finish="STOP", index=0), chunk(finish="STOP", index=1)]
    events = read(msgspec.json.encode(body), *ends, choices=2)
    assert [(event.choice, event.text) for event in events if event.text] == [(0, "a"), (1, "b")]
    with pytest.raises(StreamCut):
        read(msgspec.json.encode(body), ends[1], choices=2)


def test_logprobs_come_in_the_form_of_a_chat() -> None:
    token, other = {"token": "é", "logProbability": -0.5}, {"token": "e", "logProbability": -1.5}
    result = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token, other]}]}
    body = {"candidates": [{"content": {"parts": [{"text": "é"}]}, "finishReason": "STOP", "logprobsResult": result}]}
    [event] = whole(msgspec.json.encode(body))
    assert event.logprobs is not None
    shown = {"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]}
    assert msgspec.json.decode(event.logprobs) == [
        {**shown, "top_logprobs": [shown, {"token": "e", "logprob": -1.5, "bytes": [101]}]}
    ]


# ---- usage --------------------------------------------------------------------------------------------------------


def test_counts_become_disjoint() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 157,
    }
    usage = read_usage(msgspec.Raw(msgspec.json.encode(counts)))
    assert usage == Usage(input=67, cache_read=40, output=30, reasoning=20)
    assert usage.total == 157


def test_sound_is_counted_apart() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 30,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 50}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}, {"modality": "TEXT", "tokenCount": 25}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
    }
    usage = read_usage(msgspec.Raw(msgspec.json.encode(counts)))
    assert usage == Usage(input=25, cache_read=25, output=20, audio_input=35, audio_cache_read=15, audio_output=10)
    assert usage.total == 130


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"promptTokenCount": -1},
        {"promptTokenCount": 5, "cachedContentTokenCount": 9},
        {"promptTokenCount": 5, "candidatesTokenCount": 2_000_000_000},
        {"promptTokenCount": "many"},
    ],
)
def test_counts_that_cannot_be_are_none(counts: dict[str, Any]) -> None:
    assert read_usage(msgspec.Raw(msgspec.json.encode(counts))) is None


# ---- endings --------------------------------------------------------------------------------------------------------

STREAM = framed(
    chunk({"text": "Grüße", "thought": True}, usageMetadata={"promptTokenCount": 12}),
    chunk({"text": "a\n\nb"}),
    chunk({"functionCall": {"name": "f", "args": {"s": "€\r\n"}}, "thoughtSignature": "S1="}),
    chunk({"text": ""}, finish="STOP", usageMetadata=COUNTS),
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_every_chunk_split_gives_the_same_events(cuts: list[int]) -> None:
    decoder, bounds = StreamDecoder(AnswerReader("1", 1)), [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[begin:end] for begin, end in pairwise(bounds)]
    events = [event for piece in pieces for event in decoder.feed(piece)] + [*decoder.end()]
    at_once = StreamDecoder(AnswerReader("1", 1))
    assert events == [*at_once.feed(STREAM), *at_once.end()]
    assert b"".join(event.raw for event in events) == STREAM


@given(st.integers(0, len(STREAM) - 8))
def test_a_stream_cut_before_its_end_is_never_complete(length: int) -> None:
    decoder = StreamDecoder(AnswerReader("1", 1))
    with pytest.raises(ProviderError):  # noqa: PT012 - where it is found out depends on the cut
        decoder.feed(STREAM[:length])
        decoder.end()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"candidates": []}', chunk({"text": "a"})])
def test_a_whole_answer_that_is_none_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        whole(body)


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (503, [], ProviderFailed),
        (429, [{"retryDelay": "3s"}], ProviderOverloaded),
        (400, [{"reason": "API_KEY_INVALID"}], CredentialRefused),
        (0, [], ProviderFailed),
    ],
)
def test_a_failure_within_a_200_is_one(code: int, details: list[Any], error: type[ProviderError]) -> None:
    body = msgspec.json.encode({"error": {"code": code, "status": "X", "message": "no", "details": details}})
    with pytest.raises(error):
        whole(body)
    with pytest.raises(error):
        read(body)
    plain = StreamDecoder(AnswerReader("1", 1))
    plain.feed(b"[" + body + b"]")
    with pytest.raises(error):
        plain.end()
