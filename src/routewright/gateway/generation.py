"""Where an answer is asked for: one handler for every dialect that clients speak."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from msgspec import structs

from routewright.call import Call
from routewright.clock import Clock
from routewright.dialects.wire import Downstream, EventWriter
from routewright.engine import Engine
from routewright.errors import DeadlineExceeded, ProviderError, ShuttingDown
from routewright.gateway.aliases import with_own_model
from routewright.gateway.headers import (
    answer_headers,
    limit_headers,
    read_aside,
    read_options,
)
from routewright.gateway.http import (
    IS_CUT,
    JSON_TYPE,
    NO_WAIT,
    STREAM_HEADERS,
    Caps,
    Departure,
    RawHeaders,
    Request,
    Send,
    respond,
)
from routewright.reply import Event, Reply
from routewright.tenant import WhenLeft


class Memory(Protocol):
    """What a dialect keeps of its answers, so that a request can go on from one of them."""

    def resume(self, call: Call) -> Call:
        """The call with what was said before it. Raises CallerError."""
        ...

    def keep(self, call: Call, sent: bytes) -> None:
        """Keep an answer: its whole body, or how its stream ended."""
        ...


class _NoMemory:
    def resume(self, call: Call) -> Call:
        return call

    def keep(self, call: Call, sent: bytes) -> None:
        """Nothing is kept."""


NO_MEMORY = _NoMemory()


class Generation:
    """A request for an answer, streamed or not, in the dialect of its address."""

    def __init__(
        self, engine: Engine, dialect: Downstream, clock: Clock, finishing: set[Departure], memory: Memory = NO_MEMORY
    ) -> None:
        """`finishing` has the answers of all dialects that are read on although their clients have left."""
        self._engine = engine
        self._dialect = dialect
        self._clock = clock
        self._finishing = finishing
        self._memory = memory

    async def __call__(self, request: Request, send: Send) -> None:
        call = self._memory.resume(await read_call(request, self._engine, self._dialect))
        with self._departure(request) as departure:
            request.work.reply = reply = await self._engine.ask(call)
            try:
                if call.stream:
                    await self._stream(request, call, reply, send, departure)
                else:
                    await self._whole(request, call, reply, send)
            finally:
                reply.close()

    def _departure(self, request: Request) -> Departure:
        """What is done when the client leaves, by its key or the settings."""
        server = self._engine.settings.server
        if (request.caller.tenant.when_left or server.when_left) == WhenLeft.CANCEL:
            return Departure(request)
        caps = Caps(server.when_left_seconds, server.when_left_bytes, server.when_left_at_once)
        return Departure(request, caps, self._finishing)

    async def _whole(self, request: Request, call: Call, reply: Reply, send: Send) -> None:
        if reply.speaks(self._dialect.name):
            body = await _raw(reply)
        else:
            body = self._dialect.write_answer(reply, await reply.read(), self._now_s())
        self._memory.keep(call, body)
        await respond(send, 200, [JSON_TYPE, *self._headers(request, reply)], body)

    async def _stream(self, request: Request, call: Call, reply: Reply, send: Send, departure: Departure) -> None:
        """Headers go out with the first event; from then on a failure is an error event, never an end mark."""
        writer = self._dialect.writer(reply, self._now_s())
        headers = [*STREAM_HEADERS, *self._headers(request, reply)]
        await send({"status": 200, "headers": headers})
        is_cut, passage = True, _Passage(writer, send, departure)
        try:
            while not await reply.relay(passage.take):
                await passage.unsent
            last, is_cut = writer.end(reply), False
            self._memory.keep(call, last)
        except (ProviderError, DeadlineExceeded) as error:
            last = writer.fail(error)
        except asyncio.CancelledError:  # the client left, and does not see this; or we end it, and it does
            reply.close()
            last = writer.fail(request.work.error or ShuttingDown("the gateway ended before this answer was complete"))
            await send({"body": last, IS_CUT: True})
            raise
        await send({"body": last, IS_CUT: is_cut})

    def _headers(self, request: Request, reply: Reply) -> RawHeaders:
        return [*answer_headers(request, reply), *limit_headers(self._engine.standing(request.caller.tenant))]

    def _now_s(self) -> int:
        return self._clock.time_ns() // 1_000_000_000


class _Passage:
    """From a reply to its client: what has arrived is sent at once, for as long as the client takes it."""

    def __init__(self, writer: EventWriter, send: Send, departure: Departure) -> None:
        self.unsent: Awaitable[None] = NO_WAIT
        """What is to be awaited before more is taken."""
        self._write = writer.write
        self._send = send
        self._departure = departure

    def take(self, events: tuple[Event, ...]) -> bool:
        """See `Reply.relay`. Raises ClientLeft."""
        data = self._write(events)
        if not data:
            return True
        if self._departure.is_counting:
            self._departure.passed(len(data))
        self.unsent = unsent = self._send(data)
        return unsent is NO_WAIT


async def _raw(reply: Reply) -> bytes:
    """All its bytes."""
    raw: list[bytes] = []

    def take(events: tuple[Event, ...]) -> bool:
        raw.extend([event.raw for event in events])
        return True

    await reply.relay(take)
    return b"".join(raw)  # of a single one, as it is as a rule, no copy


async def read_call(request: Request, engine: Engine, dialect: Downstream) -> Call:
    """The call a request means. Raises CallerError."""
    aside, options = read_aside(request), read_options(request.headers)
    body = await request.body(engine.settings.server.max_body_bytes)
    request.work.body_bytes = len(body)
    call = dialect.read(body, request_id=request.id, options=options)
    return structs.replace(
        with_own_model(call, engine.registry),
        headers=aside.headers,
        session=aside.session or call.session,
        tenant=request.caller.tenant,
        trace=aside.trace,
    )
