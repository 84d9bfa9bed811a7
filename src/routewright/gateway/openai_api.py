"""The OpenAI-compatible face: `/v1/chat/completions`, `/v1/models`, and `/v1/route`, which decides and calls nobody."""

import asyncio
from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.registry import VIRTUAL_MODELS, Registry
from routewright.clock import Clock
from routewright.decision.permission import NOT_ALLOWED, is_restricted, may_ask
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import DeadlineExceeded, ModelNotFound, ProviderError, ShuttingDown
from routewright.gateway.headers import answer_headers, limit_headers, read_options, read_session
from routewright.gateway.http import JSON_TYPE, STREAM_HEADERS, Departure, RawHeaders, Request, Send, respond
from routewright.reply import Reply

_encode = msgspec.json.Encoder().encode


class ChatCompletions:
    """`POST /v1/chat/completions`, streamed or not."""

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


class RouteOnly:
    """`POST /v1/route`: the decision for a chat body, explained."""

    def __init__(self, engine: Engine, dialect: Downstream) -> None:
        self._engine = engine
        self._dialect = dialect

    async def __call__(self, request: Request, send: Send) -> None:
        call = await read_call(request, self._engine, self._dialect)
        route = self._engine.route(call)
        if is_restricted(call.tenant):  # what the key may not use does not exist for it
            shown = tuple(each for each in route.candidates if not each.reason.startswith(NOT_ALLOWED))
            baseline = route.baseline_model if route.baseline_model in [each.model for each in shown] else None
            route = replace(route, candidates=shown, baseline_model=baseline)
        await respond(send, 200, [JSON_TYPE], _encode(route))


class Models:
    """`GET /v1/models` and `GET /v1/models/{id}`: virtual models, the registry's, aliases and every deployment.

    Only those that the caller's key may ask for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, request: Request, send: Send) -> None:
        registry, tenant = self._engine.registry, request.caller.tenant
        models = {entry["id"]: entry for entry in _model_list(registry)}
        if is_restricted(tenant):
            models = {name: entry for name, entry in models.items() if may_ask(tenant, name, registry)}
        name = request.path.removeprefix("/v1/models").lstrip("/")
        if not name:
            await respond(send, 200, [JSON_TYPE], _encode({"object": "list", "data": list(models.values())}))
        elif name in models:
            await respond(send, 200, [JSON_TYPE], _encode(models[name]))
        else:
            raise ModelNotFound(f"no model is called {name!r}", param="model", hint="GET /v1/models lists them")


async def read_call(request: Request, engine: Engine, dialect: Downstream) -> Call:
    """The call a request means. Raises CallerError."""
    options = read_options(request.headers)
    body = await request.body(engine.settings.server.max_body_bytes)
    call = dialect.read(body, request_id=request.id, options=options)
    session = read_session(request.headers)
    return replace(call, session=session or call.session, tenant=request.caller.tenant)


def _model_list(registry: Registry) -> list[dict[str, Any]]:
    names = [(name, "routewright") for name in VIRTUAL_MODELS]
    names += [(alias, "routewright") for alias in registry.aliases]
    names += [(model.name, model.deployments[0].provider) for model in registry.models.values() if model.deployments]
    names += [(deployment.id, deployment.provider) for deployment in registry.deployments.values()]
    return [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in dict(names).items()]
