"""Anthropic's answers into events: message streams and whole messages.

Usage comes twice: what was read with `message_start`, what was written (and sometimes all of it again) with
`message_delta`. The counts are cumulative, so the last word on each holds and nothing is added up.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from routewright.dialects.anthropic_thinking import redacted_seal
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.service_tiers import told
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidResponse, ProviderError
from routewright.reply import Event, FinishReason, ToolCallDelta
from routewright.usage import Usage

_NULL = Raw(b"null")
_EMPTY = (b"null", b"{}", b"")

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that each type of error has when it does not come within a 200; any other is a 500."""


class _StopDetails(Struct, gc=False):
    explanation: str | None = None


class _Delta(Struct, gc=False):
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None


class _Block(Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = _NULL


class _Message(Struct, gc=False):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None
    usage: Raw = _NULL


class _Frame(Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = _NULL


class _CacheCreation(Struct, gc=False):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class _OutputDetails(Struct, gc=False):
    thinking_tokens: int = 0


class _ServerTools(Struct, gc=False):
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None


class _Counts(Struct, gc=False):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: Any = None
    speed: Any = None
    server_tool_use: _ServerTools | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode


class _Tally:
    """The counts so far."""

    def __init__(self) -> None:
        self.has_output = False
        """The counts that came last say what was generated."""
        self.is_odd = False
        """Counts came that cannot be."""
        self._counts = _Counts()

    def update(self, raw: Raw) -> Usage | None:
        """The usage as it stands with these counts; None, and they are forgotten, if they are missing or cannot be."""
        try:
            told = msgspec.structs.asdict(_decode_counts(raw))
            counts = replace(self._counts, **{name: count for name, count in told.items() if count is not None})
            usage = _disjoint(counts).plausible()
        except (*UNREADABLE, ValueError):
            self.is_odd |= raw != _NULL
            return None
        self._counts = counts
        self.has_output = told["output_tokens"] is not None
        return usage

    @property
    def service_tier(self) -> str:
        """How the message is served, as far as that was said: fast mode is a tier of its own."""
        return told(self._counts.speed) or told(self._counts.service_tier)

    @property
    def unpriced(self) -> str:
        """What is charged for beside tokens: searches. Fetching a page costs its tokens only."""
        tools = self._counts.server_tool_use
        return f"{tools.web_search_requests} web searches" if tools and tools.web_search_requests else ""


def _disjoint(counts: _Counts) -> Usage:
    if counts.input_tokens is None or counts.output_tokens is None:
        raise ValueError("no usage without both counts")
    by_lifetime = counts.cache_creation or _CacheCreation()
    written_1h = by_lifetime.ephemeral_1h_input_tokens
    written = counts.cache_creation_input_tokens
    if written is None:
        written = written_1h + by_lifetime.ephemeral_5m_input_tokens
    thinking = (counts.output_tokens_details or _OutputDetails()).thinking_tokens
    return Usage(
        input=counts.input_tokens,
        cache_read=counts.cache_read_input_tokens or 0,
        cache_write=written - written_1h,
        cache_write_1h=written_1h,
        output=counts.output_tokens - thinking,
        reasoning=thinking,
    )


class MessageReader:
    """Reads the frames of one streamed message."""

    def __init__(self) -> None:
        self.is_done = False
        self._has_begun = False
        self._tally = _Tally()
        self._tools: dict[int, int] = {}
        """Index of a content block → index of the tool call in it."""
        self._without_arguments: set[int] = set()

    def read(self, raw: bytes, data: bytes) -> Sequence[Event] | None:
        """The event of a frame; None if there is nothing in it. Raises ProviderError for one that reports a failure."""
        try:
            frame = _decode_frame(data)
        except UNREADABLE:
            return None
        match frame.type:
            case "content_block_delta" if frame.delta is not None:
                return (self._delta(raw, frame.index, frame.delta),)
            case "content_block_start" if frame.content_block is not None:
                return (self._block(raw, frame.index, frame.content_block),)
            case "content_block_stop":
                return (self._block_end(raw, frame.index),)
            case "message_start" if frame.message is not None:
                message = frame.message
                self._has_begun = True
                usage = self._tally.update(message.usage)
                return (
                    Event(
                        raw=raw,
                        usage=usage,
                        is_usage_odd=self._tally.is_odd,
                        is_usage_partial=True,  # its output is the first token or none, whatever is to come
                        model=message.model,
                        provider_id=message.id,
                        service_tier=self._tally.service_tier,
                    ),
                )
            case "message_delta":
                return (self._message_delta(raw, frame.delta or _Delta(), frame.usage),)
            case "message_stop":
                self.is_done = True
                return (Event(raw=raw),) if self._has_begun else ()
            case "error":
                raise reported_failure(data)
            case _:
                return None

    def is_whole(self) -> bool:
        """Never: `message_stop` is not left out."""
        return False

    def failure_in(self, body: bytes) -> ProviderError | None:
        """The failure that a plain JSON body reports where a stream was asked for."""
        return reported_failure(body) if body.lstrip().startswith(b"{") and b'"error"' in body else None

    def _delta(self, raw: bytes, index: int, delta: _Delta) -> Event:
        if not delta.partial_json or index not in self._tools:
            return Event(raw=raw, text=delta.text, reasoning=delta.thinking, seal=delta.signature)
        self._without_arguments.discard(index)
        return Event(raw=raw, tool_calls=(ToolCallDelta(self._tools[index], arguments=delta.partial_json),))

    def _block(self, raw: bytes, index: int, block: _Block) -> Event:
        if block.type != "tool_use":
            return Event(raw=raw, text=block.text, reasoning=block.thinking, seal=_seal(block))
        self._tools[index] = len(self._tools)
        arguments = _arguments(block)
        if not arguments:
            self._without_arguments.add(index)
        return Event(raw=raw, tool_calls=(ToolCallDelta(self._tools[index], block.id, block.name, arguments),))

    def _block_end(self, raw: bytes, index: int) -> Event:
        """A call of a tool without parameters comes without arguments, which is not JSON to anybody else."""
        if index not in self._without_arguments:
            return Event(raw=raw)
        self._without_arguments.discard(index)
        return Event(raw=raw, tool_calls=(ToolCallDelta(self._tools[index], arguments="{}"),))

    def _message_delta(self, raw: bytes, delta: _Delta, usage: Raw) -> Event:
        counted = self._tally.update(usage)
        return Event(
            raw=raw,
            refusal=_refusal(delta.stop_details),
            finish=_finish(delta.stop_reason),
            stop_sequence=delta.stop_sequence or "",
            usage=counted,
            is_usage_odd=self._tally.is_odd,
            is_usage_partial=counted is not None and not self._tally.has_output,
            service_tier=self._tally.service_tier,
            unpriced=self._tally.unpriced,
        )


def read_message(body: bytes) -> tuple[Event, ...]:
    """The events of a whole message: one for each of its thoughts, and one for the rest; the first has the bytes.

    Raises InvalidResponse, and ProviderError for a failure that the body reports.
    """
    try:
        message = _decode_message(body)
    except UNREADABLE:
        raise InvalidResponse("the provider's answer is not the JSON of a message, or cut off") from None
    if message.type == "error":
        raise reported_failure(body)
    if message.content is None:
        raise InvalidResponse("the provider's answer has no content in it")
    calls = [block for block in message.content if block.type == "tool_use"]
    tally = _Tally()
    thoughts = [
        Event(reasoning=block.thinking, seal=_seal(block))
        for block in message.content
        if block.thinking or _seal(block)
    ]
    rest = Event(
        text="".join(block.text for block in message.content if block.type == "text"),
        refusal=_refusal(message.stop_details),
        tool_calls=tuple(
            ToolCallDelta(index, call.id, call.name, _arguments(call) or "{}") for index, call in enumerate(calls)
        ),
        finish=_finish(message.stop_reason or "end_turn"),
        stop_sequence=message.stop_sequence or "",
        usage=tally.update(message.usage),
        is_usage_odd=tally.is_odd,
        model=message.model,
        provider_id=message.id,
        service_tier=tally.service_tier,
        unpriced=tally.unpriced,
    )
    first, *others = (*thoughts, rest)
    return replace(first, raw=body), *others


def reported_failure(body: bytes) -> ProviderError:
    """Our error for `{"type": "error", …}` that came within a 200: as if it had come with its own status."""
    said = said_in(body)
    return provider_error(_STATUSES.get(said.kind, 500), {}, said, now_s=0)


def _seal(block: _Block) -> str:
    """By which the provider knows the thought in a block that brings it whole."""
    return block.signature or (redacted_seal(block.data) if block.type == "redacted_thinking" else "")


def _arguments(block: _Block) -> str:
    """The arguments of a call that brings them whole; empty when they are still to come."""
    text = bytes(block.input)
    return "" if text in _EMPTY else text.decode()


def _finish(reason: str | None) -> FinishReason | None:
    return None if reason is None else _FINISH.get(reason, "stop")


def _refusal(details: _StopDetails | None) -> str:
    return (details.explanation or "") if details is not None else ""
