"""Gemini's answers into events: chunks of a stream, each a `GenerateContentResponse`, and whole ones, which are one.

There is no end mark: an answer is whole once every candidate has said why it ended. Counts are cumulative, so the last
ones hold; until the end they are not all of them.
"""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from routewright.dialects.gemini_errors import reported_failure
from routewright.dialects.gemini_thinking import TEXT, THOUGHT, call_place, sealed
from routewright.dialects.provider_errors import sanitised
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidResponse, ProviderError, StreamCut
from routewright.reply import Event, FinishReason, ToolCallDelta
from routewright.usage import Usage

_NULL = Raw(b"null")
_EMPTY = (b"null", b"{}")

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_BROKEN = frozenset(
    {
        "IMAGE_OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE",
        "OTHER", "TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL",
    }
)  # fmt: skip
"""Finish reasons that mean: this is no answer, another try may give one."""
_UNSAID = "FINISH_REASON_UNSPECIFIED"
_REASON = re.compile(r"[A-Z_]{1,64}")
_AUDIO = "AUDIO"


class _FunctionCall(Struct, gc=False):
    id: str | None = None
    name: str = ""
    args: Raw = _NULL


class _Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str = ""
    function_call: _FunctionCall | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Token(Struct, gc=False, rename="camel"):
    token: str = ""
    log_probability: float | None = None


class _TopTokens(Struct, gc=False):
    candidates: list[_Token] = []


class _Logprobs(Struct, gc=False, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_TopTokens] = []


class _Candidate(Struct, gc=False, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: Raw = _NULL


class _PromptFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Response(Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: Raw = _NULL
    model_version: str = ""
    response_id: str = ""
    error: Raw = _NULL


class _ModalityCount(Struct, gc=False, rename="camel"):
    modality: str = ""
    token_count: int = 0


class _Counts(Struct, gc=False, rename="camel"):
    prompt_token_count: int
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[_ModalityCount] | None = None
    cache_tokens_details: list[_ModalityCount] | None = None
    candidates_tokens_details: list[_ModalityCount] | None = None


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode
_decode_logprobs = msgspec.json.Decoder(_Logprobs).decode


# ---- usage --------------------------------------------------------------------------------------------------------


def read_usage(raw: Raw) -> Usage | None:
    """The provider's counts in our disjoint form; None for counts that are missing or cannot be."""
    try:
        return _disjoint(_decode_counts(raw)).plausible()
    except (*UNREADABLE, ValueError):
        return None


def _disjoint(counts: _Counts) -> Usage:
    """Within the prompt are what the cache gave and the sound; beside the candidates are the thoughts."""
    cached = counts.cached_content_token_count or 0
    heard, heard_again = _sound(counts.prompt_tokens_details), _sound(counts.cache_tokens_details)
    heard_now = max(0, heard - heard_again)
    spoken = _sound(counts.candidates_tokens_details)
    return Usage(
        input=counts.prompt_token_count - cached - heard_now + (counts.tool_use_prompt_token_count or 0),
        cache_read=cached - heard_again,
        output=(counts.candidates_token_count or 0) - spoken,
        reasoning=counts.thoughts_token_count or 0,
        audio_input=heard_now,
        audio_cache_read=heard_again,
        audio_output=spoken,
    )


def _sound(details: list[_ModalityCount] | None) -> int:
    return sum(each.token_count for each in details if each.modality == _AUDIO) if details else 0


# ---- an answer ------------------------------------------------------------------------------------------------------


class AnswerReader:
    """Reads the chunks of one answer, or all of it as one chunk."""

    def __init__(self, attempt_id: str, choices: int) -> None:
        """`attempt_id` makes ids of calls for models that give none; `choices` is how many candidates are awaited."""
        self.is_done = False
        self._attempt_id = attempt_id.replace("-", "")
        self._unfinished = set(range(choices))
        self._calls: dict[int, int] = {}
        """Candidate → how many calls it has made."""

    def read(self, raw: bytes, data: bytes) -> Sequence[Event] | None:
        """The events of a chunk; None if it cannot be read. Raises ProviderError for one that reports a failure."""
        try:
            response = _decode_response(data)
        except UNREADABLE:
            return None
        if response.error != _NULL:
            raise reported_failure(data)
        return self._events(raw, response)

    def read_whole(self, body: bytes) -> tuple[Event, ...]:
        """The events of a whole answer; the first has the bytes.

        Raises InvalidResponse, and ProviderError for a failure that the body reports.
        """
        events = self.read(body, body)
        if events is None:
            raise InvalidResponse("the provider's answer is not the JSON of a generated content, or cut off")
        if not any(event.finish for event in events):
            raise InvalidResponse("the provider's answer has no finished candidate in it")
        return tuple(events)

    def is_whole(self) -> bool:
        """Every candidate has its finish reason, or the prompt was blocked."""
        return not self._unfinished

    def failure_in(self, body: bytes) -> ProviderError | None:
        """The failure that a plain JSON body reports where a stream was asked for."""
        return reported_failure(body) if body.lstrip()[:1] in (b"{", b"[") and b'"error"' in body else None

    def _events(self, raw: bytes, response: _Response) -> list[Event]:
        events = [event for each in response.candidates or () for event in self._candidate(each)]
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason:
            self._unfinished.clear()
            told = sanitised(feedback.block_reason_message or "") or _blocked(feedback.block_reason)
            events.append(Event(refusal=told, finish="content_filter"))
        usage = None if response.usage_metadata == _NULL else read_usage(response.usage_metadata)
        first = Event(raw=raw) if not events else replace(events[0], raw=raw)
        events[:1] = [
            replace(
                first,
                usage=usage,
                is_usage_partial=usage is not None and bool(self._unfinished),
                is_usage_only=not events and usage is not None,
                model=response.model_version,
                provider_id=response.response_id,
            )
        ]
        return events

    def _candidate(self, candidate: _Candidate) -> list[Event]:
        """An event for each part; why it ended comes with the last of them."""
        index = candidate.index
        parts = candidate.content.parts if candidate.content is not None else None
        events = [self._part(index, part) for part in parts or ()]
        finish = self._finish(index, candidate.finish_reason)
        if candidate.logprobs_result != _NULL or finish is not None or not events:
            last = events.pop() if events else Event(choice=index)
            refusal = sanitised(candidate.finish_message or "") if finish == "content_filter" else ""
            logprobs = _logprobs(candidate.logprobs_result)
            events.append(replace(last, finish=finish, refusal=refusal, logprobs=logprobs))
        return events

    def _part(self, index: int, part: _Part) -> Event:
        signature = part.thought_signature
        if part.function_call is not None:
            number = self._calls.get(index, 0)
            self._calls[index] = number + 1
            call, seal = part.function_call, sealed(call_place(number), signature)
            return Event(choice=index, seal=seal, tool_calls=(self._call(index, number, call),))
        if part.thought:
            return Event(choice=index, reasoning=part.text or "", seal=sealed(THOUGHT, signature))
        return Event(choice=index, text=part.text or "", seal=sealed(TEXT, signature))

    def _call(self, index: int, number: int, call: _FunctionCall) -> ToolCallDelta:
        own = f"call_{self._attempt_id}_{index}_{number}"
        arguments = bytes(call.args)
        return ToolCallDelta(number, call.id or own, call.name, "{}" if arguments in _EMPTY else arguments.decode())

    def _finish(self, index: int, reason: str | None) -> FinishReason | None:
        if not reason or reason == _UNSAID:
            return None
        if reason in _BROKEN:
            raise StreamCut(f"the provider broke the answer off ({reason})")
        self._unfinished.discard(index)
        finish = _FINISH.get(reason, "stop")
        return "tool_calls" if finish == "stop" and self._calls.get(index) else finish


def _blocked(reason: str) -> str:
    return f"the provider blocked the prompt ({reason if _REASON.fullmatch(reason) else 'no reason given'})"


def _logprobs(raw: Raw) -> Raw | None:
    """In the form of a chat completion; None for what cannot be read: the words count without it."""
    if raw == _NULL:
        return None
    try:
        result = _decode_logprobs(raw)
    except UNREADABLE:
        return None
    tops = [[_logprob(token) for token in top.candidates] for top in result.top_candidates]
    tops += [[] for _ in result.chosen_candidates[len(tops) :]]
    content = [
        {**_logprob(token), "top_logprobs": top} for token, top in zip(result.chosen_candidates, tops, strict=False)
    ]
    return Raw(msgspec.json.encode(content)) if content else None


def _logprob(token: _Token) -> dict[str, object]:
    return {
        "token": token.token,
        "logprob": token.log_probability or 0.0,
        "bytes": list(token.token.encode(errors="surrogatepass")),
    }
