"""Where an answer is asked for: one handler for every dialect that clients speak."""

import asyncio

from msgspec.structs import replace

from routewright.call import Call
from routewright.clock import Clock
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import DeadlineExceeded, ProviderError, ShuttingDown
from routewright.gateway.headers import answer_headers, limit_headers, read_options, read_session
from routewright.gateway.http import JSON_TYPE, STREAM_HEADERS, Departure, RawHeaders, Request, Send, respond
from routewright.reply import Reply


class Generation:
    """A request for an answer, streamed or not, in the dialect of its address."""

    def __init__(self, engine: Engine, dialect: Downstream, clock: Clock) -> None:
        self._engine = engine
        self._dialect = dialect
        self._clock = clock

    async def __call__(self, request: Request, send: Send) -> None:
        call = await read_call(request, self._engine, self._dialect)
        async with Departure(request.receive):
            reply = await self._engine.ask(call)
            try:
                await (self._stream if call.stream else self._whole)(request, reply, send)
            finally:
                reply.close()

    async def _whole(self, request: Request, reply: Reply, send: Send) -> None:
        if reply.attempt.deployment.dialect == self._dialect.name:
            body = b"".join([event.raw async for event in reply])
        else:
            body = self._dialect.write_answer(reply, await reply.read(), self._now_s())
        await respond(send, 200, [JSON_TYPE, *self._headers(request, reply)], body)

    async def _stream(self, request: Request, reply: Reply, send: Send) -> None:
        """Headers go out with the first event; from then on a failure is an error event, never an end mark."""
        writer = self._dialect.writer(reply, self._now_s())
        headers = [*STREAM_HEADERS, *self._headers(request, reply)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while events := await reply.next():
                if data := writer.write(events):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            last = writer.end(reply)
        except (ProviderError, DeadlineExceeded) as error:
            last = writer.fail(error)
        except asyncio.CancelledError:  # the client left, and does not see this; or the process ends, and it does
            reply.close()
            last = writer.fail(ShuttingDown("the gateway ended before this answer was complete"))
            await send({"type": "http.response.body", "body": last})
            raise
        await send({"type": "http.response.body", "body": last})

    def _headers(self, request: Request, reply: Reply) -> RawHeaders:
        return [*answer_headers(request, reply), *limit_headers(self._engine.standing(request.caller.tenant))]

    def _now_s(self) -> int:
        return self._clock.time_ns() // 1_000_000_000


async def read_call(request: Request, engine: Engine, dialect: Downstream) -> Call:
    """The call a request means. Raises CallerError."""
    options = read_options(request.headers)
    body = await request.body(engine.settings.server.max_body_bytes)
    call = dialect.read(body, request_id=request.id, options=options)
    session = read_session(request.headers)
    return replace(call, session=session or call.session, tenant=request.caller.tenant)
