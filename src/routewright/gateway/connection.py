"""One client's connection: uvicorn's HTTP, with the limits and the strictness that it leaves to others.

Added to it: bounds on what a head and a connection may cost (size, number, time), a head that two readers could read in
two ways is refused (request smuggling), trailers are not headers, who does not read is cut, and errors have our shape.
What comes in one piece, as nearly all requests do, is never timed: a timer is set only for what is not complete yet.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from routewright.errors import CallerError, HeadTooLarge, InvalidHttp, Overloaded, RequestTimeout, RoutewrightError

OVERLOAD_PAUSE_S = 1.0
MOST_HEADERS = 100
MOST_TARGET_BYTES = 8192
MOST_PIPELINED = 16
BODY_PACE_S, BODY_PACE_BYTES = 10.0, 1024
WRITE_STALL_S = 60.0
MOST_DISCARDED_BYTES = 16 * 1024 * 1024
"""Read, and thrown away, of a body that was refused: most clients look at the answer when all is sent."""


class Limits(Struct, frozen=True):
    """What a connection may cost us."""

    max_connections: int
    max_connections_per_address: int
    max_header_bytes: int
    """Of a head in all; also of whatever comes without being part of a body, such as trailers."""
    header_timeout_s: float
    """For a head, from its first byte; for the first one from the connection on."""
    body_pace_s: float = BODY_PACE_S
    body_pace_bytes: int = BODY_PACE_BYTES
    """A body that brings fewer bytes than this in that time is given up."""
    write_stall_s: float = WRITE_STALL_S
    """A client that takes nothing for so long is cut."""


class Entrance:
    """What all connections share: their limits, how many there are, and how one is refused.

    `write_refusal` makes the whole answer to a request that never became one.
    """

    def __init__(self, limits: Limits, write_refusal: Callable[[RoutewrightError], bytes]) -> None:
        self.limits = limits
        self.write_refusal = write_refusal
        self._by_address: Counter[str] = Counter()

    def admit(self, address: str) -> None:
        """Count one more. Raises Overloaded."""
        most_here = self.limits.max_connections_per_address
        if self._by_address.total() >= self.limits.max_connections:
            raise Overloaded("too many connections are open", retry_after_s=OVERLOAD_PAUSE_S)
        if self._by_address[address] >= most_here:
            raise Overloaded(f"{most_here} connections from this address are open", retry_after_s=OVERLOAD_PAUSE_S)
        self._by_address[address] += 1

    def leave(self, address: str) -> None:
        """One that was admitted has ended."""
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class Connection(HttpToolsProtocol):
    """A connection within the limits of its entrance."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        entrance: Entrance,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._entrance = entrance
        self._limits = entrance.limits
        self._address: str | None = None
        self._is_between = True
        """Nothing of a message has come that is not complete."""
        self._is_in_head = True
        self._is_deaf = False
        """Whatever else comes is not looked at."""
        self._idle_bytes = 0
        """Since a message began, or the last piece of a body."""
        self._arrived = 0
        self._discarded = 0
        self._refusal: CallerError | None = None
        self._sender_watch: asyncio.TimerHandle | None = None
        self._reader_watch: asyncio.TimerHandle | None = None
        self._unread = 0

    # ---- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take it in, or refuse it where there are too many."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        try:
            self._entrance.admit(address)
        except Overloaded as error:
            self._refuse(error)
            return
        self._address = address
        self._watch_sender()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, whoever ended it."""
        self._stop_watching_sender()
        self._stop_watching_reader()
        if self._address is not None:
            self._entrance.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes: of a head, of a body, of several requests."""
        if self._is_deaf:
            return
        self._is_between = False
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._is_between or self._is_deaf:
            return
        self._arrived += len(data)
        if self._idle_bytes > self._limits.max_header_bytes:
            self._refuse(self._too_large())
        elif self._sender_watch is None:
            self._watch_sender()
        if not self._is_in_head and self.cycle.response_complete:
            self._discard(len(data))

    # ---- what the parser finds --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._is_between = False
        self._idle_bytes = 0

    def on_headers_complete(self) -> None:
        """A whole head: refused, or on its way to the application."""
        try:
            self._check_head()
        except CallerError as error:
            self._refusal = error  # the parser wraps what is raised within it
            raise
        super().on_headers_complete()
        self._is_in_head = False
        self._stop_watching_sender()
        self.headers = []  # what comes from here on are trailers, which no part of us may take for headers
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        super().on_message_complete()
        self._is_between = self._is_in_head = True
        self._stop_watching_sender()

    def send_400_response(self, msg: str) -> None:
        """The parser gave up, for a reason of its own or one of ours."""
        self._refuse(self._refusal or InvalidHttp("this is not HTTP/1.1 as RFC 9112 has it"))

    def _unsupported_upgrade_warning(self) -> None:
        """A request to change the protocol is answered in this one; the connection ends with the answer."""
        self._is_deaf = True

    def _check_head(self) -> None:
        """Raises InvalidHttp, HeadTooLarge."""
        headers = self.headers
        size = len(self.url) + sum([len(name) + len(value) for name, value in headers])
        if size > self._limits.max_header_bytes or len(headers) > MOST_HEADERS or len(self.url) > MOST_TARGET_BYTES:
            raise self._too_large()
        names = [name for name, _ in headers]
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise InvalidHttp(f"HTTP/{version} is not spoken here")
        hosts = names.count(b"host")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise InvalidHttp("a request has one Host header")
        if b"transfer-encoding" in names:
            _check_encoding(dict(headers)[b"transfer-encoding"], version)
        if not self.url.startswith(b"/"):
            _check_target(self.url, dict(headers).get(b"host"))
        if self.parser.should_upgrade() and (b"transfer-encoding" in names or b"content-length" in names):
            raise InvalidHttp("only HTTP/1.1 is spoken here", hint="have the client use it, without an Upgrade header")
        if len(self.pipeline) >= MOST_PIPELINED:
            raise InvalidHttp(f"more than {MOST_PIPELINED} requests wait for their turn")

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(
            f"a request's head has at most {self._limits.max_header_bytes:,} bytes, {MOST_TARGET_BYTES:,} of them its "
            f"target, and {MOST_HEADERS} headers",
            hint="server.max_header_bytes raises the first of these",
        )

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > MOST_DISCARDED_BYTES:
            self.transport.abort()

    # ---- refusing ---------------------------------------------------------------------------------------------

    def _refuse(self, error: RoutewrightError) -> None:
        """Say so where the client can still understand it, and end the connection."""
        self._is_deaf = True
        self._stop_watching_sender()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or (self._is_in_head and cycle.response_complete):
            self.transport.write(self._entrance.write_refusal(error))
        elif self._is_in_head:  # the good request before it is answered first
            cycle.keep_alive = False
            self.flow.resume_reading()  # so that its client's departure is noticed
            return
        elif not cycle.response_started and not self.pipeline:
            self.transport.write(self._entrance.write_refusal(error))
        self.transport.close()

    # ---- clients that send slowly, or do not read ---------------------------------------------------------------

    def _watch_sender(self) -> None:
        self._arrived = 0
        pause_s = self._limits.header_timeout_s if self._is_in_head else self._limits.body_pace_s
        self._sender_watch = self.loop.call_later(pause_s, self._look_at_sender)

    def _look_at_sender(self) -> None:
        if self.flow.read_paused or (not self._is_in_head and self._arrived >= self._limits.body_pace_bytes):
            self._watch_sender()
        elif self._is_between:
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"the {'head' if self._is_in_head else 'body'} came too slowly"))

    def _stop_watching_sender(self) -> None:
        if self._sender_watch is not None:
            self._sender_watch.cancel()
            self._sender_watch = None

    def pause_writing(self) -> None:
        """The client takes less than we send: whoever writes waits, and so does the provider."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It takes more again."""
        super().resume_writing()
        self._stop_watching_reader()

    def _watch_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reader_watch = self.loop.call_later(self._limits.write_stall_s, self._look_at_reader)

    def _look_at_reader(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_watching_reader(self) -> None:
        if self._reader_watch is not None:
            self._reader_watch.cancel()
            self._reader_watch = None


def _check_encoding(encoding: bytes, version: str) -> None:
    if encoding.lower() != b"chunked" or version == "1.0":
        raise InvalidHttp("of transfer encodings, only chunked is understood, and only in HTTP/1.1")


def _check_target(target: bytes, host: bytes | None) -> None:
    """A whole address as target is for proxies; it is taken where it says what the Host header says."""
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() not in (b"http", b"https") or rest.partition(b"/")[0] != host:
        raise InvalidHttp("the target is not a path of this server", hint="this is a gateway, not a proxy")
