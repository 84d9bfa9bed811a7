"""Our replies in Anthropic's form: whole messages, streams and error bodies.

A reply that came from a provider of this dialect is passed on as the bytes that came, and nothing is added to it.
"""

from collections.abc import Iterator

import msgspec

from routewright.call import JsonObject, Thinking
from routewright.dialects.anthropic_thinking import DIALECT, write_thinking
from routewright.dialects.anthropic_writing import tool_id, tool_input
from routewright.dialects.bill import told_cost, told_usage
from routewright.dialects.refusals import details_of, words_of
from routewright.dialects.seals import wrapped
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import RoutewrightError
from routewright.reply import Answer, Event, FinishReason, Receipt, Reply, ToolCallDelta
from routewright.usage import Usage

_STOP = b"event: message_stop\n"

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_encode = msgspec.json.Encoder().encode


# ---- errors -----------------------------------------------------------------------------------------------------


def write_error(error: RoutewrightError, request_id: str) -> bytes:
    """The error body."""
    told = {"type": _type(error.http_status), "message": words_of(error), **details_of(error)}
    return _encode({"type": "error", "error": told, "request_id": request_id})


def _type(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


# ---- a whole answer -----------------------------------------------------------------------------------------------


def write_message(reply: Reply, answer: Answer) -> bytes:
    """The message for an answer that came in another dialect."""
    content = [write_thinking(thought) for thought in answer.thinking]
    if words := answer.text + answer.refusal:
        content.append({"type": "text", "text": words})
    content += [
        {
            "type": "tool_use",
            "id": _call_id(reply, index, call.id),
            "name": call.name,
            "input": tool_input(call.arguments),
        }
        for index, call in enumerate(answer.tool_calls)
    ]
    end = _end(answer.finish, answer.stop_sequence, answer.refusal, has_calls=bool(answer.tool_calls))
    return _encode({**_head(reply), "content": content, **end, "usage": _final_usage(reply, reply.receipt)})


def _head(reply: Reply) -> JsonObject:
    return {
        "id": f"msg_{reply.attempt.call.id.replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": reply.served_model or reply.attempt.model.name,
    }


def _end(finish: FinishReason | None, stop_sequence: str, refusal: str, *, has_calls: bool) -> JsonObject:
    """Why it ended; a client goes by `tool_use`, so a provider that says `stop` beside its calls is corrected."""
    end: JsonObject = {"stop_reason": "end_turn", "stop_sequence": None}
    if refusal or finish == "content_filter":
        details = {"type": "refusal", "category": None, "explanation": refusal or None}
        end |= {"stop_reason": "refusal", "stop_details": details}
    elif finish == "length":
        end["stop_reason"] = "max_tokens"
    elif has_calls:
        end["stop_reason"] = "tool_use"
    elif stop_sequence:
        end = {"stop_reason": "stop_sequence", "stop_sequence": stop_sequence}
    return end


def _call_id(reply: Reply, index: int, call_id: str) -> str:
    """An id in the letters that are allowed here; one of our own where a provider gave none."""
    return tool_id(call_id) if call_id else f"toolu_{reply.attempt.call.id.replace('-', '')}_{index}"


def _write_usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input + usage.audio_input + usage.audio_cache_read,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output_total,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def _final_usage(reply: Reply, receipt: Receipt | None) -> JsonObject:
    usage, is_estimated = told_usage(reply, receipt)
    return _write_usage(usage) | told_cost(receipt, is_estimated=is_estimated)


# ---- streams ------------------------------------------------------------------------------------------------------


class PassingWriter:
    """Passes on a stream of this dialect, byte for byte.

    Its end mark waits until the reply has ended: a client that leaves when it has seen that would else seem to give up.
    """

    def __init__(self, reply: Reply) -> None:
        self._request_id = reply.attempt.call.id
        self._end = b""

    def write(self, events: tuple[Event, ...]) -> bytes:
        """The events' own bytes."""
        if events[-1].raw.startswith(_STOP):
            *events_before, last = events
            self._end = last.raw
            return b"".join([event.raw for event in events_before])
        return events[0].raw if len(events) == 1 else b"".join([event.raw for event in events])

    def end(self, reply: Reply) -> bytes:
        """`message_stop`, as it came."""
        return self._end

    def fail(self, error: RoutewrightError) -> bytes:
        """The error event."""
        return _frame_error(error, self._request_id)


class TranslatingWriter:
    """Writes a stream that came in another dialect as a message, one block after the other."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._dialect = reply.attempt.deployment.dialect
        self._index = -1
        """Of the block that was begun last."""
        self._open = ""
        """Its type, while it is open."""
        self._has_begun = False
        self._calls = CallSequence()
        self._has_calls = False
        self._held: list[Event] = []
        """What was said between the pieces of a call."""
        self._refusal = ""
        self._stop_sequence = ""

    def write(self, events: tuple[Event, ...]) -> bytes:
        """What each event adds to the message; the first of all opens it."""
        frames = [] if self._has_begun else [self._start()]
        for event in events:
            if not event.choice:
                frames += self._frames(event)
        return b"".join(frames)

    def end(self, reply: Reply) -> bytes:
        """What is still open is closed; then why it ended, usage and cost, and `message_stop`."""
        frames = [] if self._has_begun else [self._start()]
        frames += self._closing_calls()
        for event in self._held:
            frames += self._frames(event)
        frames += self._close()
        end = _end(reply.finish, self._stop_sequence, self._refusal, has_calls=self._has_calls)
        frames.append(_frame("message_delta", {"delta": end, "usage": _final_usage(reply, reply.receipt)}))
        frames.append(_frame("message_stop", {}))
        return b"".join(frames)

    def fail(self, error: RoutewrightError) -> bytes:
        """The error event."""
        return _frame_error(error, self._reply.attempt.call.id)

    def _start(self) -> bytes:
        """The input is an estimate, until the end tells what was counted."""
        self._has_begun = True
        usage = _write_usage(self._reply.usage or Usage(input=self._reply.route.input_tokens)) | {"output_tokens": 0}
        end = {"stop_reason": None, "stop_sequence": None}
        return _frame("message_start", {"message": {**_head(self._reply), "content": [], **end, "usage": usage}})

    def _frames(self, event: Event) -> Iterator[bytes]:
        if self._open == "tool_use" and not event.tool_calls and _says_something(event) and not self._calls.is_whole():
            self._held.append(event)
            return
        if event.reasoning:
            yield from self._within("thinking", {"thinking": "", "signature": ""})
            yield self._delta("thinking_delta", "thinking", event.reasoning)
        if event.seal:
            yield from self._seal(event.seal)
        if words := event.text or event.refusal:
            yield from self._within("text", {"text": ""})
            yield self._delta("text_delta", "text", words)
        for call in event.tool_calls:
            self._has_calls = True
            for is_new, piece in self._calls.add(call):
                yield from self._call(piece, is_new=is_new)
        self._refusal += event.refusal
        self._stop_sequence = event.stop_sequence or self._stop_sequence

    def _within(self, kind: str, block: JsonObject) -> Iterator[bytes]:
        """A block of this type is open after it."""
        if self._open != kind:
            yield from self._closing_calls()
            yield self._begin(kind, block)

    def _seal(self, seal: str) -> Iterator[bytes]:
        if self._open == "thinking":
            yield from self._close(wrapped(seal, self._dialect))
            return
        block = write_thinking(Thinking("", seal, self._dialect))
        yield from self._within("redacted_thinking", {"data": block["data"]})
        yield from self._close()

    def _call(self, piece: ToolCallDelta, *, is_new: bool) -> Iterator[bytes]:
        if is_new:
            yield from self._close()
            identity = _call_id(self._reply, piece.index, piece.id)
            yield self._begin("tool_use", {"id": identity, "name": piece.name, "input": {}})
        if piece.arguments:
            yield self._delta("input_json_delta", "partial_json", piece.arguments)

    def _closing_calls(self) -> Iterator[bytes]:
        """What waited of the calls, and the end of the block that is open."""
        for is_new, piece in self._calls.flush():
            yield from self._call(piece, is_new=is_new)
        yield from self._close()

    def _begin(self, kind: str, block: JsonObject) -> bytes:
        self._index += 1
        self._open = kind
        return _frame("content_block_start", {"index": self._index, "content_block": {"type": kind, **block}})

    def _delta(self, kind: str, field: str, words: str) -> bytes:
        return _frame("content_block_delta", {"index": self._index, "delta": {"type": kind, field: words}})

    def _close(self, signature: str = "") -> Iterator[bytes]:
        """The end of the open block, if one is; a thought ends with a signature."""
        if self._open == "thinking":
            yield self._delta("signature_delta", "signature", signature or wrapped("", self._dialect))
        if self._open:
            yield _frame("content_block_stop", {"index": self._index})
        self._open = ""


class CallSequence:
    """Puts the pieces of parallel calls one call after the other, as blocks of a message are never open together.

    Pieces of another call wait until the arguments of the one that is begun are whole, or the calls are over.
    """

    def __init__(self) -> None:
        self._current: int | None = None
        self._arguments: list[str] = []
        self._over: set[int] = set()
        self._waiting: list[ToolCallDelta] = []

    def add(self, piece: ToolCallDelta) -> Iterator[tuple[bool, ToolCallDelta]]:
        """The pieces that can go out now, each with whether it begins a call."""
        if piece.index in self._over:  # its arguments were whole already
            return
        if piece.index != self._current and not self.is_whole():
            self._waiting.append(piece)
            return
        yield self._take(piece)
        while self._waiting and self.is_whole():
            yield from self._next()

    def flush(self) -> Iterator[tuple[bool, ToolCallDelta]]:
        """All that waits; the calls so far are over."""
        while self._waiting:
            yield from self._next()
        if self._current is not None:
            self._over.add(self._current)
            self._current = None

    def _next(self) -> Iterator[tuple[bool, ToolCallDelta]]:
        index = self._waiting[0].index
        mine = [piece for piece in self._waiting if piece.index == index]
        self._waiting = [piece for piece in self._waiting if piece.index != index]
        for piece in mine:
            yield self._take(piece)

    def _take(self, piece: ToolCallDelta) -> tuple[bool, ToolCallDelta]:
        is_new = piece.index != self._current
        if is_new:
            if self._current is not None:
                self._over.add(self._current)
            self._current = piece.index
            self._arguments.clear()
        self._arguments.append(piece.arguments)
        return is_new, piece

    def is_whole(self) -> bool:
        """Whether the call that was begun last has all of its arguments; true when there is none."""
        if self._current is None:
            return True
        if not self._arguments[-1].rstrip().endswith("}"):  # most pieces do not end an object: no need to read all
            return False
        try:
            msgspec.json.decode("".join(self._arguments))
        except UNREADABLE:
            return False
        return True


def _says_something(event: Event) -> bool:
    return bool(event.text or event.reasoning or event.seal or event.refusal)


def _frame(kind: str, fields: JsonObject) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


def _frame_error(error: RoutewrightError, request_id: str) -> bytes:
    return b"event: error\ndata: %b\n\n" % write_error(error, request_id)


def stream_writer(reply: Reply) -> PassingWriter | TranslatingWriter:
    """The writer for a reply: by the dialect it came in."""
    return PassingWriter(reply) if reply.speaks(DIALECT) else TranslatingWriter(reply)
