"""`Idempotency-Key`: a request that is sent again gets the answer of the first time, and is made once.

Of the same key, caller and body: while the first is being answered the others get 409; afterwards they get its answer,
byte for byte, for a day. With another body it is 422. An answer that failed, or broke off, or whose client left, is
forgotten, so that trying again is worth it. All of this is in the memory of one process.
"""

import re
from collections import OrderedDict
from collections.abc import Awaitable
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from routewright.clock import Clock
from routewright.engine import Engine
from routewright.errors import IdempotencyMismatch, InvalidRequest, RequestInProgress
from routewright.gateway.http import IS_CUT, Handler, Kept, Message, RawHeaders, Request, Send, respond

HEADER = b"idempotency-key"
KEPT_FOR_S = 86_400.0
MOST_ANSWERS = 1_000
MOST_ANSWER_BYTES = 1024 * 1024
MOST_BYTES = 64 * 1024 * 1024
"""Beyond these the oldest answers go, and their requests would be made again."""

_REPLAYED = (b"x-routewright-replayed", b"1")
_NAME = re.compile(r"[\x20-\x7e]{1,255}")


class Answer(Struct, frozen=True):
    """What was sent to the client; without a body when that was too long to be kept."""

    headers: RawHeaders
    body: bytes | None


class _Entry(Struct, frozen=True):
    digest: bytes
    begun_at: float
    answer: Answer | None = None
    """None while the request is being answered."""


class Answers:
    """The answers by caller and key, oldest first. `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._bytes = 0

    def begin(self, name: tuple[str, str], digest: bytes, now: float) -> Answer | None:
        """The answer there was; None if the request is to be made, which `keep` or `forget` must then follow.

        Raises RequestInProgress, IdempotencyMismatch.
        """
        self._drop_old(now)
        entry = self._entries.get(name)
        if entry is None:
            self._entries[name] = _Entry(digest, now)
            return None
        if entry.digest != digest:
            raise IdempotencyMismatch("this Idempotency-Key came before, with another body", hint="take a new key")
        if entry.answer is None:
            raise RequestInProgress("the request with this Idempotency-Key is being answered", hint="try again later")
        if entry.answer.body is None:
            raise RequestInProgress(
                f"the answer to this Idempotency-Key was over {MOST_ANSWER_BYTES:,} bytes and is not kept",
                hint="take a new key to have it made again",
            )
        return entry.answer

    def keep(self, name: tuple[str, str], answer: Answer) -> None:
        """The request was answered."""
        self._entries[name] = replace(self._entries[name], answer=answer)
        self._bytes += len(answer.body or b"")
        done = (name for name, entry in self._entries.items() if entry.answer is not None)
        while len(self._entries) > MOST_ANSWERS or self._bytes > MOST_BYTES:
            oldest = next(done, None)
            if oldest is None:
                return
            self.forget(oldest)
            done = (name for name, entry in self._entries.items() if entry.answer is not None)

    def forget(self, name: tuple[str, str]) -> None:
        """The request may be made again."""
        entry = self._entries.pop(name)
        if entry.answer is not None:
            self._bytes -= len(entry.answer.body or b"")

    def _drop_old(self, now: float) -> None:
        while self._entries:
            name, entry = next(iter(self._entries.items()))
            if entry.answer is None or entry.begun_at + KEPT_FOR_S > now:
                return
            self.forget(name)


class Idempotent:
    """Around a handler; a request without the header passes by."""

    def __init__(self, handler: Handler, engine: Engine, clock: Clock) -> None:
        self._handler = handler
        self._engine = engine
        self._clock = clock
        self._answers = Answers()

    def __call__(self, request: Request, send: Send) -> Awaitable[None]:
        """The handler's own awaitable where there is no key: what is around a stream costs every chunk of it."""
        key = request.headers.get(HEADER)
        return self._handler(request, send) if key is None else self._once(key.decode("latin-1"), request, send)

    async def _once(self, key: str, request: Request, send: Send) -> None:
        if HEADER in request.repeated or not _NAME.fullmatch(key):
            raise InvalidRequest("Idempotency-Key has 1 to 255 printable characters, once", param="Idempotency-Key")
        body = await request.body(self._engine.settings.server.max_body_bytes)
        name = (request.caller.tenant.key, key)
        kept = self._answers.begin(name, sha256(body).digest(), self._clock.monotonic())
        if kept is not None:
            assert kept.body is not None
            await respond(send, 200, [*kept.headers, _REPLAYED], kept.body)
            return
        copy = _Copy(send)
        try:
            await self._handler(replace(request, client=Kept(body, request.client)), copy)
        except BaseException:
            self._answers.forget(name)
            raise
        if copy.is_whole:
            self._answers.keep(name, copy.answer())
        else:
            self._answers.forget(name)


class _Copy:
    """A `Send` that keeps what passes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._headers: RawHeaders = []
        self._body: bytearray | None = bytearray()
        self.is_whole = False
        """Whether the answer came to its proper end."""

    def __call__(self, message: Message) -> Awaitable[None]:
        if isinstance(message, bytes):
            self._keep(message)
        else:
            if "headers" in message:
                self._headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
            if "body" in message:
                self.is_whole = not message.get(IS_CUT)
                self._keep(message["body"])
        return self._send(message)

    def _keep(self, piece: bytes) -> None:
        if self._body is not None:
            self._body += piece
            if len(self._body) > MOST_ANSWER_BYTES:
                self._body = None

    def answer(self) -> Answer:
        return Answer(self._headers, None if self._body is None else bytes(self._body))
