"""The little of HTTP that handlers need: read bounded bodies, write answers, notice who left.

A framework here costs two to ten times as much as this file (docs/decisions/0009-raw-asgi.md), and ASGI between our own
protocol and our own application cost something, too (0056-a-seam-of-our-own.md).
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from msgspec import Struct, field

from routewright.access.keys import Caller
from routewright.errors import BodyTooLarge
from routewright.gateway.overload import Work

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
Message: TypeAlias = Mapping[str, Any] | bytes
"""A part of an answer: its head (`status`, `headers`), a piece of its body that another follows (mere bytes), its last
piece (`body`), or all of it in one, with `status`, `headers` and `body`, whose length need not be told."""
Send: TypeAlias = Callable[[Message], Awaitable[None]]


def header_text(value: bytes) -> str:
    """A wish's words: UTF-8 as in a body, so that a tag has one name wherever it is said; what is none, Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


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
NONE_REPEATED: frozenset[bytes] = frozenset()
_CLIENT_IDS = (b"x-request-id", b"x-client-request-id", b"helicone-request-id")
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Client(Protocol):
    """Who sent a request, while it is answered."""

    def whole(self) -> bytes | None:
        """All of the body, which is then read; None if it is not all here."""
        ...

    async def read(self) -> bytes:
        """What has come of the body since the last time, waited for; `b""` at its end. Raises ClientLeft."""
        ...

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have `left` called when the client has gone, be it before now; with None, nothing any more."""
        ...


class Kept:
    """A body that is all here already; whose it is may still leave."""

    def __init__(self, body: bytes = b"", client: Client | None = None) -> None:
        self._body = body
        self._client = client

    def whole(self) -> bytes | None:
        """See `Client.whole`."""
        body, self._body = self._body, b""
        return body

    async def read(self) -> bytes:
        """See `Client.read`."""
        body, self._body = self._body, b""
        return body

    def watch(self, left: Callable[[], None] | None) -> None:
        """See `Client.watch`."""
        if self._client is not None:
            self._client.watch(left)


class Request(Struct, frozen=True):
    """A request's head, and the way to its body."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    """Lower-case names; of a repeated header the last."""
    client: Client
    id: str = ""
    """By which the ledger knows it; ours, whatever the client calls it."""
    repeated: frozenset[bytes] = NONE_REPEATED
    """Names of headers that came more than once."""
    caller: Caller = NOBODY_YET
    """Who sent it, once that is known: the gateway's finding, never a field of the request."""
    query: bytes = b""
    """What stands after the `?` of the target."""
    work: Work = field(default_factory=Work)

    def __repr__(self) -> str:
        """Without its headers, one of which is a key."""
        return f"Request({self.method} {self.path!r}, {self.id})"

    def header(self, name: bytes) -> str | None:
        """A header's text, if it was sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def client_id(self) -> str | None:
        """The id by which the client wants to find this request again; echoed if harmless, never used as identity."""
        for name in _CLIENT_IDS:
            if value := self.headers.get(name):
                text = value.decode("latin-1")
                return text if _SAFE_ID.fullmatch(text) else None
        return None

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge as soon as it is known to be over `limit` bytes; ClientLeft."""
        body = self.client.whole()
        if body is None:
            return b"".join([piece async for piece in self.pieces(limit, "server.max_body_bytes")])
        _check_size(len(body), limit, "server.max_body_bytes")
        return body

    async def pieces(self, limit: int, setting: str) -> AsyncIterator[bytes]:
        """The body as it comes. Raises BodyTooLarge beyond `limit` bytes, which `setting` raises; ClientLeft."""
        declared = self.headers.get(b"content-length", b"")
        _check_size(int(declared) if declared.isdigit() else 0, limit, setting)
        size = 0
        while piece := await self.client.read():
            size += len(piece)
            _check_size(size, limit, setting)
            yield piece


Handler: TypeAlias = Callable[[Request, Send], Awaitable[None]]
"""What answers at an address."""


def _check_size(size: int, limit: int, setting: str) -> None:
    if size > limit:
        raise BodyTooLarge(f"the body is over {limit:,} bytes", hint=f"{setting} raises the bound")


def by_name(sent: RawHeaders) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """Headers by their names, of a repeated one the last; and the names of those that are repeated."""
    headers = dict(sent)
    if len(headers) == len(sent):
        return headers, NONE_REPEATED
    return headers, frozenset(name for name, times in Counter(name for name, _ in sent).items() if times > 1)


class ClientLeft(Exception):
    """The client closed its connection before it had its answer."""


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

    def __init__(self, request: Request, caps: Caps | None = None, finishing: "set[Departure] | None" = None) -> None:
        self._client = request.client
        self._task = request.work.begin()
        self._caps = caps
        self._finishing = set() if finishing is None else finishing
        self._bytes_left = 0
        self._timer: asyncio.TimerHandle | None = None
        self._has_left = False
        self.is_counting = False
        """The client has left, and what it would still have been sent is to be told by `passed`."""

    def __enter__(self) -> Self:
        self._client.watch(self._left)
        return self

    def _left(self) -> None:
        caps = self._caps
        if caps is None or len(self._finishing) >= caps.at_once:
            self._give_up()
            return
        self._finishing.add(self)
        self._bytes_left = caps.bytes
        self.is_counting = True
        self._timer = asyncio.get_running_loop().call_later(caps.seconds, self._give_up)

    def _give_up(self) -> None:
        self._has_left = True
        self._task.cancel()

    def passed(self, size: int) -> None:
        """So many more bytes are for the client that has left. Raises ClientLeft when they are too many."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise ClientLeft

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.watch(None)
        if self._timer is not None:
            self._timer.cancel()
            self._finishing.discard(self)
        if self._has_left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientLeft from error


class Gathered:
    """A `Send` that keeps the answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if isinstance(message, bytes):
            self.body += message
            return
        if "status" in message:
            self.status, self.headers = message["status"], message["headers"]
        self.body += message.get("body", b"")


def respond(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Awaitable[None]:
    """Send a whole answer."""
    return send({"status": status, "headers": headers, "body": body})


def whole_answer(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The bytes of an answer where there is no request that a server could answer."""
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])
