"""One request of a client and its answer: handlers on one side, the bytes of HTTP/1.1 on the other.

The head of an answer waits for the first of its body, so that both are one write; a piece of a stream is one write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from http import HTTPStatus
from typing import Any

from routewright.gateway.http import NO_WAIT, ClientLeft, Message, RawHeaders

MOST_WAITING_BYTES = 64 * 1024
"""Of a body that nobody has read yet; beyond it no more is taken from the socket."""
JOINED_BYTES = 16 * 1024
"""A body up to this is copied behind its head, so that both are one piece."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_LAST_CHUNK = b"0\r\n\r\n"


class Flow:
    """Whether a connection is read from and written to now."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.is_reading = True
        self.is_writable = True
        """There is room for more."""
        self._transport = transport
        self._writable: asyncio.Event | None = None
        """While the client takes less than we send."""

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        if self.is_reading:
            self.is_reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if not self.is_reading:
            self.is_reading = True
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Whoever writes had better wait."""
        if self._writable is None:
            self.is_writable, self._writable = False, asyncio.Event()

    def resume_writing(self) -> None:
        """Or need not any more."""
        if self._writable is not None:
            self._writable.set()
            self.is_writable, self._writable = True, None

    async def writable(self) -> None:
        """Wait until there is room for more, or the connection is gone."""
        if self._writable is not None:
            await self._writable.wait()


class Exchange:
    """A request whose head has come, as the `Client` who sent it; and its answer."""

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: Flow,
        *,
        loop: asyncio.AbstractEventLoop,
        is_chunkable: bool,
        is_bodiless: bool,
        keeps_alive: bool,
        is_awaited: bool,
        common: bytes,
        on_complete: Callable[[], None],
    ) -> None:
        """`is_chunkable`: the client speaks HTTP/1.1; `is_bodiless`: it wants but a head; `is_awaited`: it sends the
        body only when told to; `common` are header lines of every answer."""
        self.keeps_alive = keeps_alive
        """The connection stays open after the answer."""
        self.has_more = True
        """Of the body not all has come."""
        self.is_begun = False
        self.is_complete = False
        """The answer is, whatever has become of the request's body."""
        self.has_left = False
        self._transport = transport
        self._flow = flow
        self._loop = loop
        self._is_awaited = is_awaited
        self._common = common
        self._on_complete = on_complete
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._news: asyncio.Future[None] | None = None
        """Of somebody who waits for more of the body."""
        self._left: Callable[[], None] | None = None
        self._head: bytes | None = None
        """Of an answer, as long as it is not sent."""
        self._is_chunkable = is_chunkable
        self._is_chunked = False
        self._is_streaming = False
        """The head is out, and whatever comes now is a chunk, until the last."""
        self._is_bodiless = is_bodiless
        self._bytes_due: int | None = None
        """What is missing of a body whose length was told; None where it was not."""

    # ---- the request, as the parser finds it

    def add(self, piece: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self._flow.pause_reading()
        if self._news is not None:
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.has_more = False
        if self._news is not None:
            self._wake()

    def leave(self) -> None:
        """The connection is gone."""
        if not self.is_complete:
            self.has_left, self._is_streaming = True, False
            self._wake()
            if self._left is not None:
                self._left()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # ---- for handlers

    def whole(self) -> bytes | None:
        """See `Client.whole`."""
        if self.has_more or self.has_left or self._is_awaited:
            return None
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)  # of a single one, as it often is, no copy

    async def read(self) -> bytes:
        """See `Client.read`."""
        if self._is_awaited and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._is_awaited = False
        while not (self.has_left or self.is_complete):
            if self._pieces:
                pieces, self._pieces, self._waiting_bytes = self._pieces, [], 0
                return b"".join(pieces)
            if not self.has_more:
                return b""
            self._flow.resume_reading()
            self._news = self._loop.create_future()
            await self._news
        raise ClientLeft

    def watch(self, left: Callable[[], None] | None) -> None:
        """See `Client.watch`."""
        self._left = left
        if left is not None:
            if self.has_left:
                left()
            else:
                self._flow.resume_reading()

    def send(self, message: Message) -> Awaitable[None]:
        """The head of the answer, a piece of its body, or all of it: at once, or when the client takes more again."""
        if not self._flow.is_writable and not self.has_left:
            return _Later(self, message)
        if self._is_streaming and isinstance(message, bytes) and message:
            self._transport.write(b"%x\r\n%b\r\n" % (len(message), message))
        else:
            self.send_now(message)
        return NO_WAIT

    async def send_later(self, message: Message) -> None:
        """Send it when there is room for it."""
        await self._flow.writable()
        self.send_now(message)

    def send_now(self, message: Message) -> None:
        """Send it, whether or not there is room for it."""
        if self.has_left:
            return
        if isinstance(message, bytes):
            self._write(self._framed(message, is_last=False), is_last=False)
            return
        body: bytes | None = message.get("body")
        if self.is_begun:
            self._write(self._framed(body or b"", is_last=True), is_last=True)
            return
        self._begin(message["status"], message["headers"], None if body is None else len(body))
        if body is not None:
            self._write(body, is_last=True)

    def _begin(self, status: int, headers: RawHeaders, size: int | None) -> None:
        """`size` of the body, where all of it is there."""
        self.is_begun, self._is_awaited = True, False
        lines = [*map(b": ".join, headers)]
        if size is None:
            self._bytes_due = next((int(value) for name, value in headers if name == b"content-length"), None)
        else:
            self._bytes_due = size
            lines.append(b"content-length: %d" % size)
        if status in _BODILESS:
            self._is_bodiless = True
        if self._bytes_due is None and not self._is_bodiless:
            self._is_chunked = self._is_chunkable
            self.keeps_alive = self.keeps_alive and self._is_chunked
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked")
        if not self.keeps_alive:
            lines.append(b"connection: close")
        told = b"\r\n".join([*lines, b"", b""])
        breaks = len(lines) + 1
        if told.count(b"\n") != breaks or told.count(b"\r") != breaks or b"\0" in told:
            raise ValueError("a header of an answer has a control character in it")
        self._head = b"".join((_STATUS_LINES[status], self._common, told))

    def _write(self, data: bytes, *, is_last: bool) -> None:
        if self._is_bodiless:
            data = b""
        if self._head is not None:
            head, self._head = self._head, None
            self._is_streaming = self._is_chunked and not self._is_bodiless
            if len(data) > JOINED_BYTES:
                self._transport.writelines((head, data))
            else:
                self._transport.write(head + data)
        elif data:
            self._transport.write(data)
        if is_last:
            self.is_complete, self._is_streaming = True, False
            if not self.keeps_alive:
                self._transport.close()
            self._on_complete()

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self.is_complete:
            raise ValueError("an answer goes on after its end")
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + _LAST_CHUNK if is_last else chunk
        if self._bytes_due is not None:
            self._bytes_due -= len(body)
            if self._bytes_due < 0 or (is_last and self._bytes_due):
                raise ValueError("an answer has another length than it said")
        return body


class _Later:
    """A message that waits for room. Nothing is begun before it is awaited, and who is cancelled may drop it."""

    def __init__(self, exchange: Exchange, message: Message) -> None:
        self._exchange = exchange
        self._message = message

    def __await__(self) -> Generator[Any, None, None]:
        return self._exchange.send_later(self._message).__await__()
