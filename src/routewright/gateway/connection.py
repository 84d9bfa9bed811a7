"""One client's connection: HTTP/1.1 as httptools reads it, with limits and with strictness.

Bounds on what a head and a connection may cost (size, number, time); a head that two readers could read in two ways is
refused (request smuggling), trailers are not headers, who does not read is cut, and errors have our shape.
What comes in one piece, as nearly all requests do, is never timed: a timer is set only for what is not complete yet.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from routewright.errors import CallerError, HeadTooLarge, InvalidHttp, Overloaded, RequestTimeout, RoutewrightError
from routewright.gateway.entrance import Entrance
from routewright.gateway.exchange import Exchange, Flow
from routewright.gateway.http import Handler, RawHeaders, Request, by_name
from routewright.gateway.known_head import KnownHead, parts

MOST_HEADERS = 100
MOST_TARGET_BYTES = 8192
MOST_PIPELINED = 16
MOST_LESSONS = 3
"""Of a connection: so many heads are looked at for what others may begin with; some clients never say the same."""
MOST_DISCARDED_BYTES = 16 * 1024 * 1024
"""Read, and thrown away, of a body that was refused: most clients look at the answer when all is sent."""


class Connection(asyncio.Protocol):
    """A connection within the limits of its entrance, hosted by uvicorn, which starts and ends servers."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        entrance: Entrance,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.exchange: Exchange | None = None
        """The request that came last."""
        self._answering: Exchange | None = None
        """The one that is answered now, or was last: those after it wait in the pipeline."""
        self._handler: Handler = config.loaded_app
        self._idle_s = config.timeout_keep_alive
        self._state = server_state
        self._entrance = entrance
        self._limits = entrance.limits
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # the good request before it is answered
        self._pipeline: deque[tuple[Request, Exchange]] = deque()
        self._known: KnownHead | None = None
        self._lessons_left = MOST_LESSONS
        self._url = b""
        self._headers: RawHeaders = []
        self._named: Mapping[bytes, bytes] = {}
        self._address: str | None = None
        self._is_between = True
        """Nothing of a message has come that is not complete."""
        self._is_in_head = True
        self._is_deaf = False
        """Whatever else comes is not looked at."""
        self._idle_bytes = 0
        """Since a message began, or the last piece of a body."""
        self._taken = 0
        """In the piece that is read now."""
        self._head_bytes = 0
        """At most so long is the head that is read now."""
        self._arrived = 0
        self._discarded = 0
        self._refusal: CallerError | None = None
        self._sender_watch: asyncio.TimerHandle | None = None
        self._reader_watch: asyncio.TimerHandle | None = None
        self._idle_watch: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._unread = 0

    # ---- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or refuse it where there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        self._flow = Flow(self._transport)
        self._state.connections.add(self)  # type: ignore[arg-type] # uvicorn knows its own only
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
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
        if self._idle_watch is not None:
            self._idle_watch.cancel()
        if self._address is not None:
            self._entrance.leave(self._address)
        self._state.connections.discard(self)
        if self._answering is not None:
            self._answering.leave()
        self._flow.resume_writing()

    def shutdown(self) -> None:
        """The server ends: what is being answered may come to its end."""
        if self.exchange is None or self.exchange.is_complete:
            self._transport.close()
        else:
            self.exchange.keeps_alive = False

    def data_received(self, data: bytes) -> None:
        """Some bytes: of a head, of a body, of several requests."""
        if self._is_deaf:
            return
        if self._known is not None and self._is_between and self._take_known(self._known, data):
            return
        is_whole = self._is_between
        self._is_between = False
        self._taken = count = len(data)
        self._idle_bytes += count
        self._head_bytes += count
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_deaf = True  # a request to change the protocol is answered in this one, and the connection ends
        except httptools.HttpParserError:
            self._refuse(self._refusal or InvalidHttp("this is not HTTP/1.1 as RFC 9112 has it"))
        if self._is_between or self._is_deaf:
            if is_whole and self._lessons_left:
                self._learn(data)
            return
        self._arrived += count
        if self._idle_bytes > self._limits.max_header_bytes:
            self._refuse(self._too_large())
        elif self._sender_watch is None:
            self._watch_sender()
        if not self._is_in_head and self.exchange is not None and self.exchange.is_complete:
            self._discard(count)

    # ---- what the parser finds --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._url = b""
        self._headers = []
        self._is_between = False
        self._idle_bytes = 0
        self._head_bytes = self._taken

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which nobody takes for one, as it comes when the head has been read."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A whole head: refused, or on its way to its handler."""
        headers, repeated = by_name(self._headers)
        self._named = headers
        version = self._parser.get_http_version()
        try:
            self._check_head(headers, repeated, version)
        except CallerError as error:
            self._refusal = error  # the parser wraps what is raised within it
            raise
        parser = self._parser
        method = parser.get_method().decode("ascii")
        stays = version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        exchange = self._exchange(method, headers, is_modern=version == "1.1", stays=stays)
        path, query = _split_target(self._url)
        request = Request(method, path, headers, exchange, repeated=repeated, query=query)
        self._is_in_head = False
        if self._sender_watch is not None:
            self._stop_watching_sender()
        before, self.exchange = self.exchange, exchange
        if before is None or before.is_complete:
            self._begin(request, exchange)
        else:
            self._flow.pause_reading()
            self._pipeline.append((request, exchange))

    def _exchange(self, method: str, headers: Mapping[bytes, bytes], *, is_modern: bool, stays: bool) -> Exchange:
        """`is_modern`: in HTTP/1.1; `stays`: its client wants the connection to."""
        return Exchange(
            self._transport,
            self._flow,
            loop=self.loop,
            is_chunkable=is_modern,
            is_bodiless=method == "HEAD",
            keeps_alive=self._entrance.keeps_alive and stays,
            is_awaited=b"expect" in headers and is_modern and headers[b"expect"].lower() == b"100-continue",
            common=self._entrance.common(self._state.default_headers),
            on_complete=self._answered,
        )

    def _begin(self, request: Request, exchange: Exchange) -> None:
        self._answering = exchange
        request.work.task = task = self.loop.create_task(self._answer(request, exchange))
        self._state.tasks.add(task)

    async def _answer(self, request: Request, exchange: Exchange) -> None:
        """In a task for each request: what cancels it, from wherever it comes, ends with it."""
        try:
            await self._handler(request, exchange.send)
        finally:
            self._state.tasks.discard(request.work.begin())
            if not (exchange.is_complete or exchange.has_left):
                self._transport.close()

    def _answered(self) -> None:
        if self._transport.is_closing():
            return
        self._flow.resume_reading()
        if self._pipeline:
            self._begin(*self._pipeline.popleft())
            return
        self._idle_since = self.loop.time()
        if self._idle_watch is None:
            self._idle_watch = self.loop.call_later(self._idle_s, self._look_if_idle)

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._idle_bytes = 0
        if self.exchange is not None and not self.exchange.is_complete:
            self.exchange.add(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._is_between = self._is_in_head = True
        if self._sender_watch is not None:
            self._stop_watching_sender()
        if self.exchange is not None:
            self.exchange.end()

    def _check_head(self, headers: Mapping[bytes, bytes], repeated: frozenset[bytes], version: str) -> None:
        """Raises InvalidHttp, HeadTooLarge."""
        url, most = self._url, self._limits.max_header_bytes
        if self._head_bytes > most and len(url) + sum(len(name) + len(value) for name, value in self._headers) > most:
            raise self._too_large()
        if len(self._headers) > MOST_HEADERS or len(url) > MOST_TARGET_BYTES:
            raise self._too_large()
        if version not in ("1.1", "1.0"):
            raise InvalidHttp(f"HTTP/{version} is not spoken here")
        if b"host" in repeated or (b"host" not in headers and version == "1.1"):
            raise InvalidHttp("a request has one Host header")
        encoding = headers.get(b"transfer-encoding")
        if encoding is not None:
            _check_encoding(encoding, version)
        if not url.startswith(b"/"):
            _check_target(url, headers.get(b"host"))
        if self._parser.should_upgrade() and (encoding is not None or b"content-length" in headers):
            raise InvalidHttp("only HTTP/1.1 is spoken here", hint="have the client use it, without an Upgrade header")
        if len(self._pipeline) >= MOST_PIPELINED:
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
            self._transport.abort()

    # ---- what need not be read again --------------------------------------------------------------------------

    def _learn(self, data: bytes) -> None:
        """Of a request that came in one piece: its head, if another may begin with the same one."""
        exchange, length = self.exchange, self._named.get(b"content-length")
        if exchange is None or not exchange.keeps_alive or length is None:
            return
        self._lessons_left -= 1
        if len(self._named) != len(self._headers) or b"expect" in self._named:
            return
        told = parts(data, length)
        if told is not None:
            method = self._parser.get_method().decode("ascii")
            self._known = KnownHead(method, *_split_target(self._url), self._named, *told)

    def _take_known(self, head: KnownHead, data: bytes) -> bool:
        """Whether it is another request with this head, which then is on its way to its handler."""
        if self.exchange is None or not self.exchange.is_complete:
            return False
        again = head.again(data)
        if again is None:
            return False
        length, body = again
        headers = {**head.headers, b"content-length": length}
        exchange = self.exchange = self._exchange(head.method, headers, is_modern=True, stays=True)
        exchange.add(body)
        exchange.end()
        self._begin(Request(head.method, head.path, headers, exchange, query=head.query), exchange)
        return True

    # ---- refusing ---------------------------------------------------------------------------------------------

    def _refuse(self, error: RoutewrightError) -> None:
        """Say so where the client can still understand it, and end the connection."""
        self._is_deaf = True
        self._stop_watching_sender()
        exchange = self.exchange
        if exchange is None or (self._is_in_head and exchange.is_complete):
            self._transport.write(self._entrance.write_refusal(error))
        elif self._is_in_head:  # the good request before it is answered first
            exchange.keeps_alive = False
            self._flow.resume_reading()  # so that its client's departure is noticed
            return
        elif not exchange.is_begun and not self._pipeline:
            self._transport.write(self._entrance.write_refusal(error))
        self._transport.close()

    # ---- clients that send slowly, or do not read ---------------------------------------------------------------

    def _watch_sender(self) -> None:
        self._arrived = 0
        pause_s = self._limits.header_timeout_s if self._is_in_head else self._limits.body_pace_s
        self._sender_watch = self.loop.call_later(pause_s, self._look_at_sender)

    def _look_at_sender(self) -> None:
        if not self._flow.is_reading or (not self._is_in_head and self._arrived >= self._limits.body_pace_bytes):
            self._watch_sender()
        elif self._is_between:
            self._transport.close()
        else:
            self._refuse(RequestTimeout(f"the {'head' if self._is_in_head else 'body'} came too slowly"))

    def _stop_watching_sender(self) -> None:
        if self._sender_watch is not None:
            self._sender_watch.cancel()
            self._sender_watch = None

    def _look_if_idle(self) -> None:
        """One timer for all the pauses between requests, which looks, when it goes off, whether it is too early."""
        self._idle_watch = None
        if self.exchange is not None and not self.exchange.is_complete:
            return  # the next one is set when it is
        left_s = self._idle_since + self._idle_s - self.loop.time()
        if left_s > 0:
            self._idle_watch = self.loop.call_later(left_s, self._look_if_idle)
        elif self._is_between:
            self._transport.close()

    def pause_writing(self) -> None:
        """The client takes less than we send: whoever writes waits, and so does the provider."""
        self._flow.pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It takes more again."""
        self._flow.resume_writing()
        self._stop_watching_reader()

    def _watch_reader(self) -> None:
        self._unread = self._transport.get_write_buffer_size()
        self._reader_watch = self.loop.call_later(self._limits.write_stall_s, self._look_at_reader)

    def _look_at_reader(self) -> None:
        if self._transport.get_write_buffer_size() < self._unread:
            self._watch_reader()
        else:
            self._transport.abort()

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


@lru_cache(maxsize=256)
def _split_target(target: bytes) -> tuple[str, bytes]:
    """Path, decoded, and query of a request's target. Raises ValueError or what the parser does for what is neither."""
    url = httptools.parse_url(target)
    return unquote(url.path.decode("ascii")), url.query or b""
