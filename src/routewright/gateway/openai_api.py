"""The OpenAI-compatible face: `/v1/chat/completions`, `/v1/models`, and `/v1/route`, which decides and calls nobody."""

from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.registry import VIRTUAL_MODELS, Registry
from routewright.clock import Clock
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import DeadlineExceeded, ModelNotFound, ProviderError
from routewright.gateway.headers import answer_headers, read_options, read_session
from routewright.gateway.http import JSON_TYPE, STREAM_HEADERS, Departure, Request, Send, respond
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
        await respond(send, 200, [JSON_TYPE, *answer_headers(request, reply)], body)

    async def _stream(self, request: Request, reply: Reply, send: Send) -> None:
        """Headers go out with the first event; from then on a failure is an error event, never an end mark."""
        writer = self._dialect.writer(reply, self._now_s())
        headers = [*STREAM_HEADERS, *answer_headers(request, reply)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while events := await reply.next():
                if data := writer.write(events):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            last = writer.end(reply)
        except (ProviderError, DeadlineExceeded) as error:
            last = writer.fail(error)
        await send({"type": "http.response.body", "body": last})

    def _now_s(self) -> int:
        return self._clock.time_ns() // 1_000_000_000


class RouteOnly:
    """`POST /v1/route`: the decision for a chat body, explained."""

    def __init__(self, engine: Engine, dialect: Downstream) -> None:
        self._engine = engine
        self._dialect = dialect

    async def __call__(self, request: Request, send: Send) -> None:
        call = await read_call(request, self._engine, self._dialect)
        await respond(send, 200, [JSON_TYPE], _encode(self._engine.route(call)))


class Models:
    """`GET /v1/models` and `GET /v1/models/{id}`: virtual models, the registry's, aliases and every deployment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, request: Request, send: Send) -> None:
        models = {entry["id"]: entry for entry in _model_list(self._engine.registry)}
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
    call = dialect.read(body, request_id=engine.mint_id(), options=options)
    session = read_session(request.headers)
    return replace(call, session=session) if session else call


def _model_list(registry: Registry) -> list[dict[str, Any]]:
    names = [(name, "routewright") for name in VIRTUAL_MODELS]
    names += [(alias, "routewright") for alias in registry.aliases]
    names += [(model.name, model.deployments[0].provider) for model in registry.models.values() if model.deployments]
    names += [(deployment.id, deployment.provider) for deployment in registry.deployments.values()]
    return [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in dict(names).items()]
