"""OpenAI's chat answers into events: `chat.completion.chunk` streams and whole `chat.completion` objects.

Only the fields that we need are decoded; the rest passes by as bytes. What imitators of the API do differently (usage
in the last content chunk, `reasoning` for `reasoning_content`, no `[DONE]`, content as a list of parts) is read too.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from routewright.dialects.provider_errors import Said, said_in, sanitised
from routewright.dialects.service_tiers import told
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidResponse, ProviderError, ProviderFailed, StreamCut
from routewright.reply import Event, FinishReason, ToolCallDelta
from routewright.usage import Usage

_DONE = b"[DONE]"
_NULL = Raw(b"null")

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_BROKEN = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons of some providers that mean: the provider broke the answer off."""


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Content(Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


_NOTHING = _Content()


class _Logprobs(Struct, gc=False):
    content: Raw = _NULL


class _Choice(Struct, gc=False):
    index: int = 0
    logprobs: Raw = _NULL
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    """vLLM's word for which stop sequence it was."""


class _Chunk(Struct, gc=False):
    """A chunk of a stream, or a whole completion: they differ in `delta` and `message`."""

    id: str | None = None
    object: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    service_tier: Any = None
    usage: Raw = _NULL
    error: Raw = _NULL


class _Failure(Struct, gc=False):
    error: Raw = _NULL


class _CachedDetails(Struct, gc=False):
    audio_tokens: int | None = None


class _PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens_details: _CachedDetails | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _Counts(Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's word for cached tokens."""


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_failure = msgspec.json.Decoder(_Failure).decode
_decode_logprobs = msgspec.json.Decoder(_Logprobs).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode


def read_usage(raw: bytes | Raw) -> Usage | None:
    """The provider's counts in our disjoint form; None for counts that are missing or cannot be."""
    if raw == _NULL:
        return None
    try:
        counts = _decode_counts(raw)
        return _disjoint(counts).plausible()
    except (*UNREADABLE, ValueError):
        return None


def _disjoint(counts: _Counts) -> Usage:
    prompt = counts.prompt_tokens_details or _PromptDetails()
    cached = prompt.cached_tokens or counts.prompt_cache_hit_tokens or 0
    written = min(prompt.cache_write_tokens or 0, counts.prompt_tokens - cached)
    completion = counts.completion_tokens_details or _CompletionDetails()
    reasoning = completion.reasoning_tokens or 0
    output = counts.completion_tokens
    # xAI and some others count reasoning beside the completion instead of within it; the total tells.
    if counts.total_tokens != counts.prompt_tokens + output + reasoning and reasoning <= output:
        output -= reasoning
    if not prompt.audio_tokens and not completion.audio_tokens:
        return Usage(
            input=counts.prompt_tokens - cached - written,
            cache_read=cached,
            cache_write=written,
            output=output,
            reasoning=reasoning,
        )
    return _with_sound(prompt, completion, counts.prompt_tokens, cached, written, output, reasoning)


def _with_sound(
    prompt: _PromptDetails,
    completion: _CompletionDetails,
    sent: int,
    cached: int,
    written: int,
    output: int,
    reasoning: int,
) -> Usage:
    """Sound is counted within the prompt and the completion, and cached sound within both sound and what is cached."""
    heard, spoken = prompt.audio_tokens or 0, completion.audio_tokens or 0
    by_kind = prompt.cached_tokens_details or _CachedDetails()
    # Where nobody says how much of what is cached is sound: no more than must be, as cached sound is the cheaper one.
    least = max(0, cached + written + heard - sent)
    heard_again = least if by_kind.audio_tokens is None else by_kind.audio_tokens
    return Usage(
        input=sent - cached - written - (heard - heard_again),
        cache_read=cached - heard_again,
        cache_write=written,
        output=output - spoken,
        reasoning=reasoning,
        audio_input=heard - heard_again,
        audio_cache_read=heard_again,
        audio_output=spoken,
    )


def _fails(data: bytes) -> bool:
    """Whether a chunk that cannot be read says at least that something failed."""
    try:
        return _decode_failure(data).error != _NULL
    except UNREADABLE:
        return False


class ChunkReader:
    """Reads the chunks of one streamed answer with this many choices."""

    def __init__(self, choices: int) -> None:
        self.is_done = False
        self._unfinished = set(range(choices))

    def read(self, raw: bytes, data: bytes) -> Sequence[Event] | None:
        """The events of a chunk; None if it cannot be read. Raises ProviderFailed for one that reports a failure."""
        if data.startswith(_DONE):
            self.is_done = True
            return ()
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE:
            if _fails(data):
                raise _reported(said_in(data)) from None
            return None
        if chunk.error != _NULL or chunk.object == "error":
            raise _reported(said_in(data))
        choices = chunk.choices
        if not choices:
            return (_bare_event(raw, chunk, read_usage(chunk.usage)),)
        if len(choices) == 1 and (event := _plain_event(raw, chunk, choices[0])) is not None:
            return (event,)
        for choice in choices:
            if choice.finish_reason:
                self._unfinished.discard(choice.index)
        return _events(raw, chunk, choices, read_usage(chunk.usage))

    def is_whole(self) -> bool:
        """Every choice has its finish reason: some servers leave out `[DONE]`."""
        return not self._unfinished

    def failure_in(self, body: bytes) -> ProviderError | None:
        """The failure that a plain JSON body reports where a stream was asked for."""
        return _reported(said_in(body)) if body.lstrip().startswith(b"{") and b'"error"' in body else None


def read_completion(body: bytes) -> tuple[Event, ...]:
    """The event of a whole answer, and one without bytes for every further choice.

    Raises InvalidResponse, and ProviderFailed for a failure that the body reports.
    """
    try:
        whole = _decode_chunk(body)
    except UNREADABLE:
        raise InvalidResponse("the provider's answer is not the JSON of a chat completion, or cut off") from None
    if whole.error != _NULL or whole.object == "error":
        raise _reported(said_in(body))
    if not whole.choices:
        raise InvalidResponse("the provider's answer has no choices in it")
    for choice in whole.choices:
        choice.finish_reason = choice.finish_reason or "stop"
    return _events(body, whole, whole.choices, read_usage(whole.usage))


def _events(raw: bytes, chunk: _Chunk, choices: list[_Choice], usage: Usage | None) -> tuple[Event, ...]:
    """One event for each choice; bytes and usage go with the first."""
    first = _event(raw, chunk, choices[0], usage, is_usage_odd=usage is None and chunk.usage != _NULL)
    if len(choices) == 1:
        return (first,)
    return (first, *(_event(b"", chunk, choice, None) for choice in choices[1:]))


def _event(raw: bytes, chunk: _Chunk, choice: _Choice, usage: Usage | None, *, is_usage_odd: bool = False) -> Event:
    content = choice.delta or choice.message or _NOTHING
    text = content.content or ""
    reasoning = content.reasoning_content or content.reasoning or ""
    if isinstance(text, list):
        text, reasoning = _text_in_parts(text)
    return Event(
        raw=raw,
        text=text,
        reasoning=reasoning,
        refusal=content.refusal or "",
        tool_calls=_tool_calls(content) if content.tool_calls or content.function_call else (),
        logprobs=None if choice.logprobs == _NULL else _logprobs(choice.logprobs),
        choice=choice.index,
        finish=_finish(choice.finish_reason) if choice.finish_reason else None,
        stop_sequence=choice.stop_reason if isinstance(choice.stop_reason, str) else "",
        usage=usage,
        is_usage_odd=is_usage_odd,
        model=chunk.model or "",
        provider_id=chunk.id or "",
        service_tier=told(chunk.service_tier) if chunk.service_tier else "",
    )


def _plain_event(raw: bytes, chunk: _Chunk, choice: _Choice) -> Event | None:
    """The event of a chunk with nothing in it but text, as in nearly every one; None for any other.

    To ask for the few things that may be in it costs less than an event with a field for each.
    """
    content = choice.delta
    if (
        content is None
        or content.content.__class__ is not str
        or choice.finish_reason
        or content.reasoning_content
        or content.reasoning
        or content.refusal
        or content.tool_calls
        or content.function_call
        or choice.stop_reason
        or choice.logprobs != _NULL
        or chunk.usage != _NULL
        or chunk.service_tier
    ):
        return None
    return Event(
        raw=raw, text=content.content, choice=choice.index, model=chunk.model or "", provider_id=chunk.id or ""
    )


def _bare_event(raw: bytes, chunk: _Chunk, usage: Usage | None) -> Event:
    """A chunk without choices: usage, or something of the provider's own."""
    is_usage_only = chunk.usage != _NULL
    return Event(
        raw=raw,
        usage=usage,
        is_usage_odd=is_usage_only and usage is None,
        is_usage_only=is_usage_only,
        model=chunk.model or "",
        provider_id=chunk.id or "",
        service_tier=told(chunk.service_tier) if chunk.service_tier else "",
    )


def _tool_calls(content: _Content) -> tuple[ToolCallDelta, ...]:
    if content.function_call is not None:
        return (_tool_call(0, "", content.function_call),)
    return tuple(
        _tool_call(position if call.index is None else call.index, call.id or "", call.function)
        for position, call in enumerate(content.tool_calls or ())
    )


def _tool_call(index: int, call_id: str, function: _Function | None) -> ToolCallDelta:
    if function is None:
        return ToolCallDelta(index, call_id)
    return ToolCallDelta(index, call_id, function.name or "", function.arguments or "")


def _text_in_parts(parts: list[Any]) -> tuple[str, str]:
    """Text and reasoning of content that comes as a list of parts, as Mistral's does."""
    text, reasoning = "", ""
    for part in parts:
        match part:
            case {"type": "text", "text": str(words)}:
                text += words
            case {"type": "thinking", "thinking": list(inner)}:
                reasoning += _text_in_parts(inner)[0]
    return text, reasoning


def _logprobs(logprobs: Raw) -> Raw | None:
    """None for what is not the list it should be: the words count without it."""
    try:
        content = bytes(_decode_logprobs(logprobs).content)
    except UNREADABLE:
        return None
    return Raw(content) if content.startswith(b"[") and content != b"[]" else None


def _finish(reason: str) -> FinishReason:
    if reason in _BROKEN:
        raise StreamCut(f"the provider broke the answer off ({reason})")
    return _FINISH.get(reason, "stop")


def _reported(said: Said) -> ProviderFailed:
    told = sanitised(said.message) or "no reason given"
    status = int(said.code) if said.code.isdecimal() and len(said.code) == 3 else None
    return ProviderFailed(f"the provider reported an error in its answer: {told}", provider_status=status)
