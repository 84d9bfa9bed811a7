"""HTTP/1.1 by libcurl's multi interface, driven by the running event loop: for where a proxy is in between.

`_Driver` tells libcurl when a socket is ready; `_Exchange` turns its callbacks into a response that is awaited piece by
piece. libcurl looks names up itself here, or leaves them to the proxy (docs/decisions/0004-outgoing-http.md).
"""

import asyncio
import re
import select
import selectors
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pycurl  # type: ignore[import-untyped]

from routewright.dialects.wire import WireRequest
from routewright.errors import (
    ConnectFailed,
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    ProviderError,
    StreamCut,
    TlsFailed,
)
from routewright.http1.pool import IDLE_CONNECTION_MAX_S, IDLE_CONNECTIONS_MAX
from routewright.http1.pulled import Pulled
from routewright.http1.response import BUFFERED_BYTES_MAX

_NOT_IN_A_HEADER = re.compile(r"[\r\n\0]")

_ENDS = (pycurl.PRIMARY_IP, pycurl.LOCAL_IP, pycurl.PRIMARY_PORT, pycurl.LOCAL_PORT)
"""What names a connection, in the order in which libcurl tells it to a callback."""

_UNTRUSTED = {pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE}
_NOT_HTTP = {
    pycurl.E_UNSUPPORTED_PROTOCOL,  # HTTP/0.9: no status line
    pycurl.E_FTP_WEIRD_SERVER_REPLY,
    pycurl.E_WRITE_ERROR,  # refused by our own callback
    pycurl.E_BAD_CONTENT_ENCODING,
    100,  # CURLE_TOO_LARGE, which pycurl does not name
}


class Libcurl:
    """A `Transport` of one event loop, by the proxies of the environment, which libcurl knows all kinds of."""

    def __init__(self, max_connections: int, max_header_bytes: int, ca_file: str | None) -> None:
        """See `HttpTransport`."""
        self._max_header_bytes = max_header_bytes
        self._driver = _Driver(max_connections, ca_file)

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> "_Exchange":
        """See `Transport.send`."""
        peer = urlsplit(request.url).netloc.rpartition("@")[2]
        exchange = _Exchange(self._driver, peer, self._max_header_bytes)
        self._driver.start(exchange, request, connect_timeout_s)
        await exchange.answered()
        return exchange

    async def close(self) -> None:
        """See `Transport.close`."""
        await self._driver.close()


class _Exchange(Pulled):
    """One request and its response: libcurl's callbacks on one side, a `WireResponse` on the other."""

    def __init__(self, driver: "_Driver", peer: str, max_header_bytes: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.handle: Any = None
        self.is_stale = False
        """The pool gave it a connection that was closed already: nothing was sent, so another will do."""
        self._driver = driver
        self._peer = peer
        self._max_header_bytes = max_header_bytes
        self._may_be_sent = False
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._defect = ""
        self._is_answered = False
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._is_paused = False
        self._is_ended = False
        self._error: ProviderError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def answered(self) -> None:
        """Wait for status and headers."""
        while not self._is_answered:
            if self._error is not None:
                raise self._error
            await self._change()

    async def next(self) -> bytes:
        """See `WireResponse.next`. What came since the last call comes as one."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_ended:
                return b""
            await self._change()
        pieces, self._pieces, self._buffered_bytes = self._pieces, [], 0
        if self._is_paused and not self._is_ended:
            self._is_paused = False
            self.handle.pause(pycurl.PAUSE_CONT)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def abort(self) -> None:
        """See `WireResponse.abort`."""
        if not self._is_ended:
            self._driver.drop(self)
            self._end(StreamCut(f"the call to {self._peer} was dropped by us before its answer was complete"))

    async def _change(self) -> None:
        self._waiter = self._driver.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end(self, error: ProviderError | None) -> None:
        self._is_ended = True
        self._error = error
        self.handle = None  # the handle holds our callbacks: without this, a cycle for the garbage collector
        self._wake()

    # ---- called by libcurl

    def on_connected(self, *ends: str | int) -> int:
        """There is a connection between these ends, new or from the pool; unless we object, the request goes out now.

        When libcurl asks a second time, it has lost a pooled connection before any answer and would repeat the request
        on another. The provider may have done the work, and bill it, so that is refused: others decide about a retry.
        """
        if self._may_be_sent:
            self._defect = "the other side closed it"
            return int(pycurl.PREREQFUNC_ABORT)
        self.is_stale = self._driver.is_stale(ends)
        self._may_be_sent = not self.is_stale
        return int(pycurl.PREREQFUNC_OK if self._may_be_sent else pycurl.PREREQFUNC_ABORT)

    def on_header(self, line: bytes) -> int:
        """A line of a head: the status line, a header, or the empty line at its end. Answers how much was accepted."""
        if not self._may_be_sent or self._is_answered:
            return len(line)  # a proxy's answer to CONNECT, or a trailer
        self._head.append(line)
        self._head_bytes += len(line)
        if self._head_bytes > self._max_header_bytes:
            self._defect = f"its headers are larger than {self._max_header_bytes} bytes"
        elif line in (b"\r\n", b"\n"):
            self._read_head()
        return 0 if self._defect else len(line)

    def _read_head(self) -> None:
        status_line, *lines, _ = self._head
        self._head = []
        self.status = int(status_line.split()[1])  # libcurl has checked its form
        if self.status < 200:
            return  # the head of the answer proper follows
        for line in lines:
            self._keep_header(line.decode("latin-1"))
        if "content-length" in self.headers and "transfer-encoding" in self.headers:
            self._defect = "it is chunked and has a content-length, too"
        self._is_answered = not self._defect
        self._wake()

    def _keep_header(self, line: str) -> None:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if not colon or not name or name != name.strip():
            self._defect = "a header line is malformed"
        elif name == "content-length" and self.headers.get(name, value) != value:
            self._defect = "it has two different content-lengths"
        self.headers[name] = value

    def on_piece(self, piece: bytes) -> int:
        """Bytes of the body. Answers how much was accepted."""
        if self._buffered_bytes >= BUFFERED_BYTES_MAX:
            self._is_paused = True
            return int(pycurl.WRITEFUNC_PAUSE)  # libcurl keeps this piece and brings it again
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)
        self._wake()
        return len(piece)

    def on_done(self, code: int, reason: str) -> None:
        """The transfer is over; `code` is libcurl's, 0 when all went well."""
        self._end(self._translate(code, reason))

    def _translate(self, code: int, reason: str) -> ProviderError | None:
        """Our error for libcurl's."""
        if code == 0 and self._is_answered:
            return None
        reason = self._defect or reason
        if code in _UNTRUSTED and not self._may_be_sent:
            return TlsFailed(f"no trusted connection to {self._peer}: {reason}")
        if not self._may_be_sent:
            return ConnectFailed(f"no connection to {self._peer}: {reason}")
        if code == 0 or code in _NOT_HTTP:
            return InvalidResponse(f"what {self._peer} answered is not valid HTTP: {reason}")
        if not self._is_answered:
            return ConnectionLost(f"the connection to {self._peer} broke before any answer: {reason}")
        return StreamCut(f"the answer of {self._peer} broke off: {reason}")


class _Driver:
    """Drives libcurl: its sockets stand in one selector, which the event loop watches as if it were one socket.

    Cheaper than to give each socket to the loop, which libcurl would have us do and undo with every request; and
    `close` can run in a thread.
    """

    def __init__(self, max_connections: int, ca_file: str | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._template = _template(ca_file)
        self._exchanges: dict[Any, _Exchange] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sockets = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._idle: dict[tuple[str | int, ...], int] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, min(max_connections, IDLE_CONNECTIONS_MAX))
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_interest)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self.loop.add_reader(self._sockets.fileno(), self._on_ready)

    def start(self, exchange: _Exchange, request: WireRequest, connect_timeout_s: float) -> None:
        """Set the request going; `exchange` hears of everything that comes of it."""
        handle = self._template.duphandle()
        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)
        handle.setopt(pycurl.HTTPHEADER, _header_lines(request.headers))
        handle.setopt(pycurl.POSTFIELDS, request.body)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(connect_timeout_s * 1000)))  # 0 would mean 300 s
        handle.setopt(pycurl.PREREQFUNCTION, exchange.on_connected)
        handle.setopt(pycurl.HEADERFUNCTION, exchange.on_header)
        handle.setopt(pycurl.WRITEFUNCTION, exchange.on_piece)
        exchange.handle = handle
        self._run(exchange)
        self._act(pycurl.SOCKET_TIMEOUT, 0)  # else it is sent a turn of the event loop later, behind all that is ready

    def _run(self, exchange: _Exchange) -> None:
        self._multi.add_handle(exchange.handle)
        self._exchanges[exchange.handle] = exchange

    def drop(self, exchange: _Exchange) -> None:
        """Forget a running exchange and close its connection."""
        del self._exchanges[exchange.handle]
        self._multi.remove_handle(exchange.handle)

    async def close(self) -> None:
        """Abort what is in flight and close every connection."""
        for exchange in list(self._exchanges.values()):
            exchange.abort()
        self.loop.remove_reader(self._sockets.fileno())
        self._on_timer(-1)
        await asyncio.to_thread(self._multi.close)  # behind a proxy, it waits for lookups of its name
        self._sockets.close()

    def _on_interest(self, interest: int, fd: int, _multi: object, _data: object) -> None:
        events = interest & 3  # POLL_IN and POLL_OUT equal EVENT_READ and EVENT_WRITE; POLL_REMOVE is 4
        if fd not in self._watched:
            if events:
                self._sockets.register(fd, events)
                self._watched.add(fd)
        elif events:
            self._sockets.modify(fd, events)
        else:
            self._sockets.unregister(fd)
            self._watched.remove(fd)

    def _on_timer(self, timeout_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms >= 0:
            self._timer = self.loop.call_later(timeout_ms / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _on_ready(self) -> None:
        for key, events in self._sockets.select(0):
            self._act(key.fd, events)  # CSELECT_IN and CSELECT_OUT equal EVENT_READ and EVENT_WRITE, too

    def _act(self, fd: int, events: int) -> None:
        _, running = self._multi.socket_action(fd, events)
        if running < len(self._exchanges):
            self._collect()

    def _collect(self) -> None:
        _, succeeded, failed = self._multi.info_read()
        for handle in succeeded:
            self._note_idle(handle)
        for handle, code, reason in [*((handle, 0, "") for handle in succeeded), *failed]:
            self._multi.remove_handle(handle)
            exchange = self._exchanges.pop(handle)
            if exchange.is_stale:
                exchange.is_stale = False
                self._run(exchange)  # libcurl has closed the stale connection, so this comes to an end
            else:
                exchange.on_done(code, reason)

    def _note_idle(self, handle: Any) -> None:
        fd = handle.getinfo(pycurl.ACTIVESOCKET)
        if fd < 0:
            return  # it is closed
        if len(self._idle) >= IDLE_CONNECTIONS_MAX:
            self._idle.clear()  # most are closed since, libcurl does not say which; an open one is just not checked
        self._idle[tuple(map(handle.getinfo, _ENDS))] = fd

    def is_stale(self, ends: tuple[str | int, ...]) -> bool:
        """Whether the other side has closed this connection, or said something unasked, while it was idle.

        libcurl checks that once a second only; else it finds out when nobody can tell if the request was processed.
        """
        fd = self._idle.pop(ends, None)
        if fd is None:
            return False
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))


def _template(ca_file: str | None) -> Any:
    """A handle with all that every request has in common; each takes a copy."""
    handle = pycurl.Curl()
    handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # so that aborting a call closes its socket
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.FOLLOWLOCATION, 0)
    handle.setopt(pycurl.SSL_VERIFYPEER, 1)
    handle.setopt(pycurl.SSL_VERIFYHOST, 2)
    handle.setopt(pycurl.MAXAGE_CONN, IDLE_CONNECTION_MAX_S)
    handle.setopt(pycurl.TCP_NODELAY, 1)
    handle.setopt(pycurl.TCP_KEEPALIVE, 1)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.USERAGENT, "routewright")
    authorities = ca_file or ssl.get_default_verify_paths().cafile  # obeys SSL_CERT_FILE, which libcurl does not
    if authorities is not None:
        handle.setopt(pycurl.CAINFO, authorities)
        handle.unsetopt(pycurl.CAPATH)  # beside it, libcurl would read the file for each connection instead of once
    return handle


def _header_lines(headers: Mapping[str, str]) -> list[bytes]:
    """The headers in libcurl's form: `name;` is an empty one, and `Expect:` keeps it from waiting for 100 Continue."""
    lines = [
        f"{name}: {value}" if value else f"{name};"
        for name, value in headers.items()
        if name.lower() != "accept-encoding"
    ]
    if _NOT_IN_A_HEADER.search("".join(lines)):
        raise InvalidRequest("a header meant for the provider contains a line break; remove the line break")
    return [line.encode() for line in (*lines, "accept-encoding: identity", "Expect:")]
