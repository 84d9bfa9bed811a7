"""OpenAI's responses into events: semantic event streams and whole `response` objects.

A stream ends with `response.completed` or `response.incomplete`, which has the usage; one that ends without has broken
off. Of all else only what words, thoughts and tool calls are made of is read; the rest passes by as bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.service_tiers import told
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidResponse, ProviderError
from routewright.reply import Event, FinishReason, ToolCallDelta
from routewright.usage import Usage

_NULL = Raw(b"null")
_NO_LOGPROBS = (b"null", b"[]")

_STATUSES = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "server_overloaded": 503,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
}
"""The status that each code of an error has when it comes within a 200; any other is a 500, but for pictures'."""

_UNPRICED = {
    "web_search_call": "web searches",
    "file_search_call": "file searches",
    "code_interpreter_call": "uses of a code interpreter",
    "image_generation_call": "pictures",
}
"""Tools that the provider runs and charges for."""


class _Part(Struct, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: Raw = _NULL


class _Item(Struct, gc=False):
    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    encrypted_content: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


class _IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class _Response(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    service_tier: Any = None
    usage: Raw = _NULL
    error: Raw = _NULL
    incomplete_details: _IncompleteDetails | None = None


class _Whole(_Response, gc=False):
    object: str | None = None
    output: list[Raw] | None = None


class _Frame(Struct, gc=False):
    type: str = ""
    output_index: int = 0
    summary_index: int = 0
    delta: str = ""
    arguments: str | None = None
    input: str | None = None
    logprobs: Raw = _NULL
    item: _Item | None = None
    response: _Response | None = None


class _InputDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class _Counts(Struct, gc=False):
    input_tokens: int
    output_tokens: int
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode


def read_usage(raw: bytes | Raw) -> Usage | None:
    """The provider's counts in our disjoint form; None for counts that are missing or cannot be."""
    try:
        counts = _decode_counts(raw)
        sent = counts.input_tokens_details or _InputDetails()
        cached = sent.cached_tokens or 0
        written = min(sent.cache_write_tokens or 0, counts.input_tokens - cached)
        reasoning = (counts.output_tokens_details or _OutputDetails()).reasoning_tokens or 0
        return Usage(
            input=counts.input_tokens - cached - written,
            cache_read=cached,
            cache_write=written,
            output=counts.output_tokens - reasoning,
            reasoning=reasoning,
        ).plausible()
    except (*UNREADABLE, ValueError):
        return None


class ResponseReader:
    """Reads the frames of one streamed response."""

    def __init__(self) -> None:
        self.is_done = False
        self._calls: dict[int, int] = {}
        """Index of an output item → index of the tool call in it."""
        self._without_arguments: set[int] = set()
        self._charged: dict[str, int] = {}

    def read(self, raw: bytes, data: bytes) -> Sequence[Event] | None:
        """The event of a frame; None if there is nothing in it. Raises ProviderError for one that reports a failure."""
        try:
            frame = _decode_frame(data)
        except UNREADABLE:
            return None
        match frame.type:
            case "response.output_text.delta":
                return (Event(raw=raw, text=frame.delta, logprobs=_logprobs(frame.logprobs)),)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return (self._arguments(raw, frame.output_index, frame.delta),)
            case "response.function_call_arguments.done" | "response.custom_tool_call_input.done":
                return (self._last_arguments(raw, frame.output_index, frame.arguments or frame.input),)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return (Event(raw=raw, reasoning=frame.delta),)
            case "response.reasoning_summary_part.added" if frame.summary_index:
                return (Event(raw=raw, reasoning="\n\n"),)
            case "response.refusal.delta":
                return (Event(raw=raw, refusal=frame.delta),)
            case "response.output_item.added" if frame.item is not None:
                return (self._begin(raw, frame.output_index, frame.item),)
            case "response.output_item.done" if frame.item is not None:
                return (self._end(raw, frame.output_index, frame.item),)
            case "error":
                raise reported_failure(data)
            case _ if frame.response is not None:
                return self._state(raw, frame.type, frame.response)
            case _:
                return None

    def is_whole(self) -> bool:
        """Never: the last event is not left out."""
        return False

    def failure_in(self, body: bytes) -> ProviderError | None:
        """The failure that a plain JSON body reports where a stream was asked for."""
        return reported_failure(body) if body.lstrip().startswith(b"{") and b'"error"' in body else None

    def _state(self, raw: bytes, kind: str, response: _Response) -> Sequence[Event] | None:
        if kind in ("response.created", "response.in_progress", "response.queued"):
            return (_head(raw, response),)
        if kind in ("response.failed", "response.cancelled"):
            raise _failure(response)
        if kind not in ("response.completed", "response.incomplete"):
            return None
        self.is_done = True
        return (
            replace(
                _head(raw, response),
                finish=_finish(response, has_calls=bool(self._calls)),
                usage=read_usage(response.usage),
                unpriced=_unpriced(self._charged),
            ),
        )

    def _begin(self, raw: bytes, index: int, item: _Item) -> Event:
        if item.type not in ("function_call", "custom_tool_call"):
            return Event(raw=raw)
        self._calls[index] = len(self._calls)
        arguments = item.arguments or item.input or ""
        if not arguments:
            self._without_arguments.add(index)
        delta = ToolCallDelta(self._calls[index], item.call_id or "", item.name or "", arguments)
        return Event(raw=raw, tool_calls=(delta,))

    def _arguments(self, raw: bytes, index: int, arguments: str) -> Event:
        if index not in self._calls:
            return Event(raw=raw)
        self._without_arguments.discard(index)
        return Event(raw=raw, tool_calls=(ToolCallDelta(self._calls[index], arguments=arguments),))

    def _last_arguments(self, raw: bytes, index: int, arguments: str | None) -> Event:
        """Some servers send them whole, and only with the event that ends them."""
        return (
            self._arguments(raw, index, arguments) if arguments and index in self._without_arguments else Event(raw=raw)
        )

    def _end(self, raw: bytes, index: int, item: _Item) -> Event:
        if item.type in _UNPRICED:
            self._charged[item.type] = self._charged.get(item.type, 0) + 1
        if item.type == "reasoning":  # only now is its seal complete
            return Event(raw=raw, seal=item.encrypted_content or "")
        if item.type in ("function_call", "custom_tool_call"):
            if index not in self._calls:
                return self._begin(raw, index, item)
            return self._last_arguments(raw, index, item.arguments or item.input)
        return Event(raw=raw)


def read_response(body: bytes) -> tuple[Event, ...]:
    """The events of a whole response, one for each item; the bytes go with the first.

    Raises InvalidResponse, and ProviderError for a failure that the body reports.
    """
    try:
        whole = _decode_whole(body)
    except UNREADABLE:
        raise InvalidResponse("the provider's answer is not the JSON of a response, or cut off") from None
    if whole.error != _NULL or whole.status in ("failed", "cancelled"):
        raise _failure(whole)
    if whole.output is None or whole.status in ("queued", "in_progress"):
        raise InvalidResponse("the provider's answer has no output in it")
    items = [item for each in whole.output if (item := _item(each)) is not None]
    calls = [item for item in items if item.type in ("function_call", "custom_tool_call")]
    charged = {kind: count for kind in _UNPRICED if (count := sum(item.type == kind for item in items))}
    return (
        _head(body, whole),
        *(event for item in items for event in _item_events(item)),
        Event(
            tool_calls=tuple(
                ToolCallDelta(index, call.call_id or "", call.name or "", call.arguments or call.input or "")
                for index, call in enumerate(calls)
            ),
            finish=_finish(whole, has_calls=bool(calls)),
            usage=read_usage(whole.usage),
            unpriced=_unpriced(charged),
        ),
    )


def _item(raw: Raw) -> _Item | None:
    """None for an item of a kind that is nobody's words."""
    try:
        return _decode_item(raw)
    except UNREADABLE:
        return None


def _item_events(item: _Item) -> Iterator[Event]:
    if item.type == "reasoning":
        words = "\n\n".join(part.text or "" for part in item.summary or item.content or ())
        yield Event(reasoning=words, seal=item.encrypted_content or "")
    elif item.type == "message":
        for part in item.content or ():
            yield Event(text=part.text or "", refusal=part.refusal or "", logprobs=_logprobs(part.logprobs))


def _head(raw: bytes, response: _Response) -> Event:
    return Event(
        raw=raw,
        model=response.model or "",
        provider_id=response.id or "",
        service_tier=told(response.service_tier) if response.service_tier else "",
    )


def _finish(response: _Response, *, has_calls: bool) -> FinishReason:
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_calls" if has_calls else "stop"


def _logprobs(raw: Raw) -> Raw | None:
    content = bytes(raw)
    return None if content in _NO_LOGPROBS else Raw(content)


def _unpriced(charged: dict[str, int]) -> str:
    return ", ".join(f"{count} {_UNPRICED[kind]}" for kind, count in charged.items())


def _failure(response: _Response) -> ProviderError:
    return reported_failure(b'{"error":%b}' % bytes(response.error if response.error != _NULL else Raw(b"{}")))


def reported_failure(body: bytes) -> ProviderError:
    """Our error for one that came within a 200: as if it had come with its own status."""
    said = said_in(body)
    default = 400 if "image" in said.code else 500
    return provider_error(_STATUSES.get(said.code) or _STATUSES.get(said.kind) or default, {}, said, now_s=0)
