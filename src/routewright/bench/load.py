"""Clients that are light enough to measure with: raw sockets, requests written beforehand, answers read by httptools.

Closed loop: every connection sends its next request when it has its answer. Open loop: requests go out at a fixed rate
whatever the answers do, so that a slow server cannot slow down those who measure it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Self, cast

import httptools
from msgspec import Struct

from routewright.bench.processes import Child

PATH = "/v1/chat/completions"
MOST_CONNECTIONS = 256
_TAIL_BYTES = 32
_TOLD_BYTES = 500


class Load(Struct, frozen=True):
    """What is sent, in turn, and what the body of a proper answer ends with."""

    bodies: tuple[bytes, ...]
    ending: bytes
    headers: tuple[str, ...] = ()
    """Further lines of the head, one or several for a request, in turn."""


class Run(Struct, frozen=True):
    """What came back."""

    latencies_s: tuple[float, ...]
    """From when a request was due until its answer was complete."""
    pieces: int
    """HTTP chunks, or parts of whole bodies, in which all the answers came."""


class Clients:
    """Connections to one server, kept alive: `async with Clients(…) as clients: await clients.closed_loop(…)`."""

    def __init__(self, server: Child, *, patience_s: float) -> None:
        self._server = server
        self._patience_s = patience_s
        self._idle: deque[_Connection] = deque()
        self._all: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for connection in self._all:
            connection.close()

    async def closed_loop(self, load: Load, count: int, *, concurrency: int) -> Run:
        """Have `count` requests answered, `concurrency` of them always in flight. Raises BenchFailed."""
        await self._connect(concurrency)
        requests = cycle(self._written(load))
        left = iter(range(count))

        def send_next(connection: _Connection) -> None:
            if next(left, None) is None:
                self._idle.append(connection)
            else:
                connection.ask(next(requests), tally, time.perf_counter())

        tally = _Tally(self._server, load.ending, count, send_next)
        for connection in [self._idle.popleft() for _ in range(concurrency)]:
            send_next(connection)
        return await tally.complete(self._patience_s)

    async def open_loop(self, load: Load, count: int, *, per_s: int) -> Run:
        """Send `count` requests, `per_s` each second, over as many connections as that takes. Raises BenchFailed."""
        requests = cycle(self._written(load))
        tally = _Tally(self._server, load.ending, count, self._idle.append)
        start = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / per_s - time.perf_counter()))
            due = time.perf_counter()
            if tally.is_over:
                break
            await self._connect(1)
            self._idle.popleft().ask(next(requests), tally, due)
        return await tally.complete(self._patience_s)

    async def _connect(self, wanted: int) -> None:
        """Open connections until so many are idle."""
        loop = asyncio.get_running_loop()
        while len(self._idle) < wanted:
            if len(self._all) >= MOST_CONNECTIONS:
                raise self._server.failure(
                    f"leaves {MOST_CONNECTIONS} requests unanswered at the same time",
                    hint="this machine is too slow, or too busy, for this rate",
                )
            try:
                _, connection = await loop.create_connection(_Connection, self._server.host, self._server.port)
            except OSError as error:
                raise self._server.failure(f"takes no connections: {error.strerror}") from error
            self._all.append(connection)
            self._idle.append(connection)

    def _written(self, load: Load) -> Sequence[bytes]:
        place = f"{self._server.host}:{self._server.port}"
        head = f"POST {PATH} HTTP/1.1\r\nhost: {place}\r\ncontent-type: application/json\r\n".encode()
        whole = [b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) for body in load.bodies]
        if not load.headers:
            return whole
        lines = [f"\r\n{line}\r\n".encode() for line in load.headers]
        return [each.replace(b"\r\n", line, 1) for line, each in zip(lines, cycle(whole), strict=False)]


class _Tally:
    """Counts the answers of one run, checks each, and fails with the first that is not as it should be."""

    def __init__(self, server: Child, ending: bytes, count: int, then: "Callable[[_Connection], None]") -> None:
        self._server = server
        self._ending = ending
        self._count = count
        self._then = then
        self._latencies_s: list[float] = []
        self._pieces = 0
        self._is_complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        return self._is_complete.done()

    async def complete(self, patience_s: float) -> Run:
        """Wait until all have come."""
        try:
            await asyncio.wait_for(self._is_complete, patience_s)
        except TimeoutError:
            answered = f"{len(self._latencies_s)} of {self._count} requests"
            raise self._server.failure(f"answered {answered} within {patience_s:g} s") from None
        return Run(tuple(self._latencies_s), self._pieces)

    def answered(self, connection: "_Connection", status: int, body: "_Body", latency_s: float) -> None:
        if self._is_complete.done():
            return
        if status != 200:
            self.failed(f"answered with status {status}: {body.told}")
            return
        if not body.end.endswith(self._ending):
            self.failed(f"gave an answer without its end: {body.told}")
            return
        self._latencies_s.append(latency_s)
        self._pieces += body.pieces
        self._then(connection)
        if len(self._latencies_s) == self._count:
            self._is_complete.set_result(None)

    def failed(self, how: str) -> None:
        if not self._is_complete.done():
            self._is_complete.set_exception(self._server.failure(how))


class _Body:
    """What is kept of an answer's body: how many pieces it had, its start, its end."""

    __slots__ = ("end", "pieces", "start")

    def __init__(self) -> None:
        self.pieces = 0
        self.start = self.end = b""

    def add(self, piece: bytes) -> None:
        self.pieces += 1
        self.start = self.start or piece
        self.end = piece if len(piece) >= _TAIL_BYTES else (self.end + piece)[-_TAIL_BYTES:]

    @property
    def told(self) -> str:
        """For a message."""
        return (self.start[:_TOLD_BYTES] + b" ... " + self.end[-_TAIL_BYTES:]).decode(errors="replace")


class _Connection(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self) -> None:
        self._tally: _Tally | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes, tally: _Tally, due: float) -> None:
        """Send a request; `tally` is told how it ended. `due` is when it should have gone out, by `perf_counter`."""
        self._tally = tally
        self._due = due
        self._body = _Body()
        if self._transport.is_closing():
            tally.failed("does not keep its connections alive")
        else:
            self._transport.write(request)

    def close(self) -> None:
        self._tally = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"answered with what is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"dropped a connection before its answer was complete ({error or 'closed'})")

    def on_body(self, piece: bytes) -> None:
        self._body.add(piece)

    def on_message_complete(self) -> None:
        tally, self._tally = self._tally, None
        if tally is not None:
            tally.answered(self, self._parser.get_status_code(), self._body, time.perf_counter() - self._due)

    def _fail(self, how: str) -> None:
        if self._tally is not None:
            self._tally.failed(how)
