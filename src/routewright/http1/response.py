"""One connection to a provider, and the responses that come over it, one after the other.

httptools parses; `Connection` has the socket, `Response` what one request is told. Pieces are handed on as they come,
and waited for by nothing but a future: no task, no queue. Of a body that is relayed, not even that is woken before its
end: what a read brought is taken before the event loop turns again.
"""

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Protocol, cast

import httptools

from routewright.errors import ConnectionLost, InvalidResponse, ProviderError, StreamCut

BUFFERED_BYTES_MAX: Final = 128 * 1024
"""Bytes of a body that may wait for `next`. Beyond it nothing more is read, and so, through TCP, the provider pauses.

A thousand clients that do not read are as many times this; twice as much is no faster.
"""
READ_BYTES: Final = 64 * 1024
"""At most so many at a time are read of a socket."""
JOINED_BYTES: Final = 16 * 1024
"""A body up to this is sent in one piece with its head."""
_LINE_BYTES = len(b": \r\n")


class Home(Protocol):
    """Where connections belong when they are not busy."""

    buffer: bytearray
    """What is read goes through this, `READ_BYTES` at a time: one for all, as reading and parsing are one step."""
    max_header_bytes: int
    loop: asyncio.AbstractEventLoop

    def take_back(self, connection: "Connection") -> None:
        """It is free for another request."""
        ...

    def forget(self, connection: "Connection") -> None:
        """It is closed, or about to be."""
        ...


class Response:
    """A `transport.WireResponse`, and how it comes to be."""

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_answered = False
        """Status and headers are there."""
        self.is_ended = False
        self._connection = connection
        self._loop = connection.loop
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._error: ProviderError | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        """Who takes what comes while `relay` waits."""

    async def answered(self) -> None:
        """Wait for status and headers."""
        while not self.is_answered:
            if self._error is not None:
                raise self._error
            await self._news()

    async def next(self) -> bytes:
        """See `WireResponse.next`. What came since the last call comes as one."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_ended:
                return b""
            await self._news()
        return self._gathered()

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """See `WireResponse.relay`. What comes in one read is taken as one, and at once."""
        while True:
            if self._pieces:
                if not take(self._gathered()):
                    return False
            elif self._error is not None:
                raise self._error
            elif self.is_ended:
                return True
            else:
                self._take = take
                try:
                    if not await self._news():
                        return False
                finally:
                    self._take = None

    def abort(self) -> None:
        """See `WireResponse.abort`."""
        if not self.is_ended:
            self._connection.drop()
            self.end(StreamCut(f"the call to {self._connection.peer} was dropped by us before its answer was complete"))

    def wake(self) -> None:
        """There is something new for whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def add(self, data: bytes) -> bool:
        """What a read brought of the body; False when there had better come no more for now.

        It is taken now, or whoever waits is woken.
        """
        waiter, take = self._waiter, self._take
        if take is None or waiter is None or waiter.done():
            self._pieces.append(data)
            self._buffered_bytes += len(data)
            self.wake()
            return self._buffered_bytes < BUFFERED_BYTES_MAX
        try:
            if not take(data):
                waiter.set_result(False)
        except Exception as error:  # noqa: BLE001 - it is raised where the relay is awaited
            waiter.set_exception(error)
        return True

    def end(self, error: ProviderError | None) -> None:
        """There will be no more of it."""
        self.is_ended = True
        self._error = error
        self.wake()

    async def _news(self) -> bool:
        """Wait for something new; False when whoever takes it has enough. To cancel it is to abort."""
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def _gathered(self) -> bytes:
        """All that is there."""
        pieces, self._pieces = self._pieces, []
        if self._buffered_bytes >= BUFFERED_BYTES_MAX and not self.is_ended:
            self._connection.go_on()
        self._buffered_bytes = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _NotHttp(Exception):
    """Raised to the parser by its own callbacks, which it tells of in its own words."""


class Connection(asyncio.BufferedProtocol):
    """A socket to a provider; at most one request at a time is on it."""

    def __init__(self, home: Home, peer: str) -> None:
        self.peer = peer
        self.loop = home.loop
        self.idle_since = 0.0
        self._home = home
        self._max_header_bytes = home.max_header_bytes
        self._buffer = memoryview(home.buffer)
        self._poll = select.poll()
        self._response: Response | None = None
        self._head: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        """At most so long is the head, as long as it is read."""
        self._body: list[bytes] = []
        """What this read brought of it."""
        self._defect = ""
        self._ends_with_connection = False
        self._stays_open = False
        self.on_body: Final = self._body.append
        """Called by the parser."""
        self._parser = httptools.HttpResponseParser(self)

    # ---- for whoever has a request

    def ask(self, head: bytes, body: bytes) -> Response:
        """Send a request; the response is told everything that comes of it."""
        response = self._response = Response(self)
        self._head_bytes = 0
        self._stays_open = False
        if len(body) <= JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return response

    @property
    def is_stale(self) -> bool:
        """Whether the other side has closed it, or said something unasked, while it was idle."""
        return self._transport.is_closing() or bool(self._poll.poll(0))

    def go_on(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def cut(self) -> None:
        """Close it at once, and tell whoever waits for something of it."""
        if self._response is None:
            self.drop()
        else:
            self._response.abort()

    def drop(self) -> None:
        """Close it at once, whatever was on it."""
        self._response = None
        self._home.forget(self)
        self._transport.abort()

    # ---- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open, and its peer trusted if it has to be."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._poll.register(sock.fileno(), select.POLLIN)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """So much has come."""
        response = self._response
        if response is None:
            self.drop()  # nobody asked for anything
            return
        self._head_bytes += count
        try:
            self._parser.feed_data(self._buffer[:count])
        except httptools.HttpParserUpgrade:
            self._defect = "it changes the protocol"
        except httptools.HttpParserError as error:
            self._defect = self._defect or str(error)
        if self._body:
            data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body.clear()
            if not response.add(data) and not response.is_ended:
                self._transport.pause_reading()
        if self._head_bytes > self._max_header_bytes and not response.is_answered:
            self._defect = self._defect or self._too_large()
        if response.is_ended:
            self._free()
        elif self._defect:
            self.drop()
            response.end(InvalidResponse(f"what {self.peer} answered is not valid HTTP: {self._defect}"))

    def _free(self) -> None:
        """The response is over; the connection can be used again if nothing speaks against it."""
        self._response = None
        transport = self._transport
        if self._defect or not self._stays_open or transport.get_write_buffer_size():
            self.drop()
        else:
            transport.resume_reading()
            self._home.take_back(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The other side closed it, or we did."""
        response, self._response = self._response, None
        self._home.forget(self)
        if response is None or response.is_ended:
            return
        if self._ends_with_connection and error is None:
            response.end(None)
            return
        reason = str(error or "the other side closed it")
        if response.is_answered:
            response.end(StreamCut(f"the answer of {self.peer} broke off: {reason}"))
        else:
            response.end(ConnectionLost(f"the connection to {self.peer} broke before any answer: {reason}"))

    # ---- called by the parser

    def on_message_begin(self) -> None:
        """The first byte of a status line."""
        self._head = []
        if self._response is None or self._response.is_ended:
            self._refuse("more came than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which nobody reads."""
        self._head.append((name, value))

    def on_headers_complete(self) -> None:
        """All of a head, be it of the answer proper or of one that announces it."""
        status = self._parser.get_status_code()
        response = self._response
        if response is None or status < 200:
            return
        head, most = self._head, self._max_header_bytes
        if self._head_bytes > most and sum(len(name) + len(value) + _LINE_BYTES for name, value in head) > most:
            self._refuse(self._too_large())
        headers = {_name(name): value.decode("latin-1").strip() for name, value in head}
        if len(headers) != len(head) and _disagree([value for name, value in head if _name(name) == "content-length"]):
            self._refuse("it has two different content-lengths")
        is_measured, is_chunked = "content-length" in headers, "transfer-encoding" in headers
        if is_measured and is_chunked:
            self._refuse("it is chunked and has a content-length, too")
        self._ends_with_connection = not (is_measured or is_chunked)
        response.status, response.headers, response.is_answered = status, headers, True
        response.wake()

    def on_message_complete(self) -> None:
        """The end of a body, or of a head that only announces the answer."""
        if self._response is not None and self._response.is_answered:
            self._stays_open = self._parser.should_keep_alive()
            self._response.end(None)

    def _refuse(self, defect: str) -> None:
        self._defect = defect
        raise _NotHttp

    def _too_large(self) -> str:
        return f"its headers are larger than {self._max_header_bytes} bytes"


@lru_cache(maxsize=1000)
def _name(raw: bytes) -> str:
    """A header's, in lower case."""
    return raw.decode("latin-1").lower()


def _disagree(values: Sequence[bytes]) -> bool:
    return len({value.strip() for value in values}) > 1
