"""Replies as streams of semantic events.

One that came from a provider of this dialect is passed on as the bytes that came; only the last event gets the cost.
Any other is composed anew: each stretch of thinking, the words and each tool call are an item that begins, grows and
is done.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from routewright.call import JsonObject, ToolCall
from routewright.dialects.responses_answer import (
    begun,
    call_item,
    ending,
    failed,
    finished,
    item_id,
    message_item,
    reasoning_item,
    refusal_part,
    summary_part,
    text_part,
    with_cost,
)
from routewright.dialects.responses_items import DIALECT
from routewright.errors import RoutewrightError
from routewright.reply import Event, Reply, ToolCallDelta

_encode = msgspec.json.Encoder().encode


class _Numbered(Struct):
    sequence_number: int = -1


def _frame(kind: str, number: int, **members: Any) -> bytes:
    data = _encode({"type": kind, "sequence_number": number, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _failure(reply: Reply, error: RoutewrightError, created_s: int, number: int) -> bytes:
    """Both ways in which clients look for it: the response's own end, and the error that SDKs raise."""
    told = {"code": error.code, "message": error.message, "param": None}
    response = failed(reply, error, created_s)
    return _frame("response.failed", number, response=response) + _frame(
        "error", number + 1, **told, error={**told, "type": "api_error"}
    )


class PassingWriter:
    """Passes on a stream of this dialect, byte for byte but for the cost in its last event."""

    def __init__(self, reply: Reply, created_s: int) -> None:
        self._reply = reply
        self._created_s = created_s
        self._newest = b""
        self._kept = b""

    def write(self, events: tuple[Event, ...]) -> bytes:
        """The events' own bytes."""
        passed = []
        for event in events:
            if event.finish is not None:  # what it cost is known once the reply has closed
                self._kept = event.raw
            else:
                passed.append(event.raw)
                self._newest = event.raw or self._newest
        return b"".join(passed)

    def end(self, reply: Reply) -> bytes:
        """The provider's last event, with the cost."""
        return with_cost(self._kept, reply)

    def fail(self, error: RoutewrightError) -> bytes:
        """`response.failed` and `error`."""
        return _failure(self._reply, error, self._created_s, self._number() + 1)

    def _number(self) -> int:
        line = self._newest.rstrip(b"\n").rpartition(b"\n")[2].removeprefix(b"data:")
        try:
            return msgspec.json.decode(line, type=_Numbered).sequence_number
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return -1


class _Open(Struct):
    """An item that is growing."""

    id: str
    index: int
    pieces: list[str]


class _OpenMessage(_Open):
    refusal: list[str]
    logprobs: list[Raw]
    has_text: bool = False


class _OpenCall(_Open):
    call_id: str
    name: str


class TranslatingWriter:
    """Writes a stream that came in another dialect as semantic events."""

    def __init__(self, reply: Reply, created_s: int) -> None:
        self._reply = reply
        self._created_s = created_s
        self._number = -1
        self._output: list[JsonObject] = []
        self._thinking: _Open | None = None
        self._message: _OpenMessage | None = None
        self._calls: dict[int, _OpenCall] = {}

    def write(self, events: tuple[Event, ...]) -> bytes:
        """The events for these; the first of all are `response.created` and `response.in_progress`."""
        written = [] if self._number >= 0 else [self._state("response.created"), self._state("response.in_progress")]
        for event in events:
            if event.choice:
                continue
            if event.reasoning:
                written.append(self._think(event.reasoning))
            if event.seal:
                written.append(self._seal(event.seal))
            if event.text:
                written.append(self._say(event.text, event.logprobs))
            if event.refusal:
                written.append(self._refuse(event.refusal))
            written += map(self._call, event.tool_calls)
        return b"".join(written)

    def end(self, reply: Reply) -> bytes:
        """What is still open is done, and the response is completed, or incomplete."""
        written = self.write(()) + self._close()
        if not self._output:
            written += self._open_text() + self._close()
        for call in self._calls.values():
            written += self._end_call(call)
        response = finished(reply, self._output, self._created_s)
        return written + self._event(f"response.{response['status']}", response=response)

    def fail(self, error: RoutewrightError) -> bytes:
        """`response.failed` and `error`."""
        return _failure(self._reply, error, self._created_s, self._number + 1)

    def _event(self, kind: str, **members: Any) -> bytes:
        self._number += 1
        return _frame(kind, self._number, **members)

    def _state(self, kind: str) -> bytes:
        return self._event(kind, response=begun(self._reply, self._created_s))

    def _begin(self, item: JsonObject) -> bytes:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _done(self, index: int, item: JsonObject) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", output_index=index, item=item)

    def _close(self) -> bytes:
        """End the words or the thoughts that are open; tool calls may still grow side by side."""
        return self._end_thinking() + self._end_message()

    # ---- thoughts -----------------------------------------------------------------------------------------------

    def _think(self, text: str) -> bytes:
        written = b""
        if self._thinking is None:
            written = self._open_thinking()
            at = _at(self._thinking, "summary_index")
            written += self._event("response.reasoning_summary_part.added", **at, part=summary_part(""))
        assert self._thinking is not None
        self._thinking.pieces.append(text)
        return written + self._event(
            "response.reasoning_summary_text.delta", **_at(self._thinking, "summary_index"), delta=text
        )

    def _open_thinking(self) -> bytes:
        written = self._close()
        index = len(self._output)
        self._thinking = _Open(item_id("rs", self._reply, index), index, [])
        return written + self._begin(reasoning_item(self._thinking.id, "", "", self._reply))

    def _seal(self, seal: str) -> bytes:
        """Ends the thoughts that it seals; thoughts that the provider hides are their seal and nothing else."""
        written = self._open_thinking() if self._thinking is None else b""
        return written + self._end_thinking(seal)

    def _end_thinking(self, seal: str = "") -> bytes:
        thinking, self._thinking = self._thinking, None
        if thinking is None:
            return b""
        text, written = "".join(thinking.pieces), b""
        if thinking.pieces:
            at = _at(thinking, "summary_index")
            written = self._event("response.reasoning_summary_text.done", **at, text=text)
            written += self._event("response.reasoning_summary_part.done", **at, part=summary_part(text))
        return written + self._done(thinking.index, reasoning_item(thinking.id, text, seal, self._reply))

    # ---- words --------------------------------------------------------------------------------------------------

    def _say(self, text: str, logprobs: Raw | None) -> bytes:
        written = b"" if self._message is not None and self._message.has_text else self._open_text()
        assert self._message is not None
        self._message.pieces.append(text)
        if logprobs is not None:
            self._message.logprobs.append(logprobs)
        return written + self._event(
            "response.output_text.delta",
            **_at(self._message, "content_index"),
            delta=text,
            logprobs=[] if logprobs is None else logprobs,
        )

    def _refuse(self, refusal: str) -> bytes:
        written = self._open_message() if self._message is None else b""
        assert self._message is not None
        at = _at(self._message, "content_index", 1 if self._message.has_text else 0)
        if not self._message.refusal:
            written += self._event("response.content_part.added", **at, part=refusal_part(""))
        self._message.refusal.append(refusal)
        return written + self._event("response.refusal.delta", **at, delta=refusal)

    def _open_text(self) -> bytes:
        """Words after a refusal are a message of their own."""
        written = self._open_message()
        assert self._message is not None
        self._message.has_text = True
        at = _at(self._message, "content_index")
        return written + self._event("response.content_part.added", **at, part=text_part(""))

    def _open_message(self) -> bytes:
        written = self._close()
        index = len(self._output)
        self._message = _OpenMessage(item_id("msg", self._reply, index), index, [], [], [])
        return written + self._begin(message_item(self._message.id, (), "in_progress"))

    def _end_message(self) -> bytes:
        message, self._message = self._message, None
        if message is None:
            return b""
        written, parts = b"", []
        if message.has_text:
            part = text_part("".join(message.pieces), message.logprobs)
            at = _at(message, "content_index")
            written += self._event(
                "response.output_text.done", **at, text=part["text"], logprobs=part["logprobs"]
            ) + self._event("response.content_part.done", **at, part=part)
            parts.append(part)
        if message.refusal:
            part = refusal_part("".join(message.refusal))
            at = _at(message, "content_index", len(parts))
            written += self._event("response.refusal.done", **at, refusal=part["refusal"])
            written += self._event("response.content_part.done", **at, part=part)
            parts.append(part)
        return written + self._done(message.index, message_item(message.id, parts, ending(self._reply)))

    # ---- tool calls ---------------------------------------------------------------------------------------------

    def _call(self, delta: ToolCallDelta) -> bytes:
        written, call = b"", self._calls.get(delta.index)
        if call is None:
            written = self._close()
            index = len(self._output)
            call = _OpenCall(item_id("fc", self._reply, index), index, [], delta.id, delta.name)
            self._calls[delta.index] = call
            written += self._begin(call_item(call.id, ToolCall(call.call_id, call.name, ""), "in_progress"))
        if delta.arguments:
            call.pieces.append(delta.arguments)
            at = {"item_id": call.id, "output_index": call.index}
            written += self._event("response.function_call_arguments.delta", **at, delta=delta.arguments)
        return written

    def _end_call(self, call: _OpenCall) -> bytes:
        whole = ToolCall(call.call_id, call.name, "".join(call.pieces))
        at = {"item_id": call.id, "output_index": call.index}
        written = self._event("response.function_call_arguments.done", **at, name=whole.name, arguments=whole.arguments)
        return written + self._done(call.index, call_item(call.id, whole, ending(self._reply)))


def _at(item: _Open | None, of: str, part: int = 0) -> JsonObject:
    assert item is not None
    return {"item_id": item.id, "output_index": item.index, of: part}


def stream_writer(reply: Reply, created_s: int) -> PassingWriter | TranslatingWriter:
    """The writer for a reply: by the dialect it came in."""
    is_ours = reply.speaks(DIALECT)
    return PassingWriter(reply, created_s) if is_ours else TranslatingWriter(reply, created_s)
