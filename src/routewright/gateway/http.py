"""The little of HTTP that the hot path needs, on raw ASGI: read bounded bodies, write answers, notice who left.

A framework here costs two to ten times as much as this file (docs/decisions/0009-raw-asgi.md).
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, MutableMapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeAlias

from msgspec import Struct, field

from routewright.access.keys import Caller
from routewright.errors import BodyTooLarge
from routewright.gateway.overload import Work

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class _NoWait:
    def __await__(self) -> Generator[None, None, None]:
        yield from ()


NO_WAIT = _NoWait()
"""What a `Send` may return that has sent by then, and takes more: to await it is allowed, and takes no time."""

JSON_TYPE = (b"content-type", b"application/json")
STREAM_HEADERS: RawHeaders = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

IS_CUT = "routewright.is_cut"
"""Key of an answer's last message: the stream broke off, whatever the end of it looks like in its dialect."""

NOBODY_YET = Caller()
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Request(Struct, frozen=True):
    """A request's head, and the way to its body."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    """Lower-case names; of a repeated header the last."""
    receive: Receive
    id: str = ""
    """By which the ledger knows it; ours, whatever the client calls it."""
    repeated: frozenset[bytes] = frozenset()
    """Names of headers that came more than once."""
    caller: Caller = NOBODY_YET
    """Who sent it, once that is known: the gateway's finding, never a field of the request."""
    query: bytes = b""
    """What stands after the `?` of the target."""
    work: Work = field(default_factory=Work)

    def __repr__(self) -> str:
        """Without its headers, one of which is a key."""
        return f"Request({self.method} {self.path!r}, {self.id})"

    @classmethod
    def of(cls, scope: Scope, receive: Receive, request_id: str) -> Self:
        """The request behind an ASGI scope, by the id that it is given."""
        sent: list[tuple[bytes, bytes]] = scope["headers"]
        headers = dict(sent)
        repeated = frozenset() if len(headers) == len(sent) else _repeated(name for name, _ in sent)
        query = scope.get("query_string", b"")
        return cls(scope["method"], scope["path"], headers, receive, request_id, repeated, query=query)

    def header(self, name: bytes) -> str | None:
        """A header's text, if it was sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def client_id(self) -> str | None:
        """The id by which the client wants to find this request again; echoed if harmless, never used as identity."""
        names = (b"x-request-id", b"x-client-request-id", b"helicone-request-id")
        text = next(filter(None, map(self.header, names)), "")
        return text if _SAFE_ID.fullmatch(text) else None

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge as soon as it is known to be over `limit` bytes."""
        pieces = [piece async for piece in self.pieces(limit, "server.max_body_bytes")]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, limit: int, setting: str) -> AsyncIterator[bytes]:
        """The body as it comes. Raises BodyTooLarge beyond `limit` bytes, which `setting` raises; ClientLeft."""
        declared = self.headers.get(b"content-length", b"")
        is_over = declared.isdigit() and int(declared) > limit
        size, has_more = 0, True
        while has_more and not is_over:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            piece: bytes = message.get("body", b"")
            size += len(piece)
            is_over = size > limit
            if not is_over:
                yield piece
            has_more = message.get("more_body", False)
        if is_over:
            raise BodyTooLarge(f"the body is over {limit:,} bytes", hint=f"{setting} raises the bound")


Handler: TypeAlias = Callable[[Request, Send], Awaitable[None]]
"""What answers at an address."""


def _repeated(names: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(name for name, times in Counter(names).items() if times > 1)


class ClientLeft(Exception):
    """The client closed its connection before it had its answer."""


WATCH_AFTER_S = 0.05
"""A request that is over before that is not watched: to begin and end watching costs more than to answer a little."""


class Caps(Struct, frozen=True):
    """How far an answer is read that nobody waits for any more."""

    seconds: float
    bytes: int
    """Of what the client would still have been sent."""
    at_once: int
    """So many answers of the gateway at a time."""


class Departure:
    """While entered, a client that leaves cancels the block, which then ends with ClientLeft.

    With `caps` the block goes on within them, as if the client were there; `finishing` has all of the gateway that do.
    """

    def __init__(self, receive: Receive, caps: Caps | None = None, finishing: "set[Departure] | None" = None) -> None:
        self._receive = receive
        self._caps = caps
        self._finishing = set() if finishing is None else finishing
        self._bytes_left = 0
        self._watch: asyncio.Future[Message] | None = None
        self._has_left = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)
        return self

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(self._receive())
        self._watch.add_done_callback(self._left)

    def _left(self, watch: "asyncio.Future[Message]") -> None:
        if watch.cancelled() or watch.exception() is not None or watch.result()["type"] != "http.disconnect":
            return
        caps = self._caps
        if caps is None or len(self._finishing) >= caps.at_once:
            self._give_up()
            return
        self._finishing.add(self)
        self._bytes_left = caps.bytes
        self._timer = asyncio.get_running_loop().call_later(caps.seconds, self._give_up)

    def _give_up(self) -> None:
        self._has_left = True
        self._task.cancel()

    def passed(self, size: int) -> None:
        """So many more bytes are for the client. Raises ClientLeft when it has left, and they are too many."""
        if self in self._finishing:
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise ClientLeft

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._finishing.discard(self)
        if self._watch is not None:
            self._watch.remove_done_callback(self._left)
            self._watch.cancel()
        if self._has_left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientLeft from error


async def respond(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


def whole_answer(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The bytes of an answer where there is no request that a server could answer."""
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])
