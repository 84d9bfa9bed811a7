"""What models there are, and `/v1/route`, which decides and calls nobody."""

from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.catalog.registry import VIRTUAL_MODELS, Registry
from routewright.decision.permission import NOT_ALLOWED, is_restricted, may_ask
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import ModelNotFound
from routewright.gateway.generation import read_call
from routewright.gateway.http import JSON_TYPE, Request, Send, respond

_encode = msgspec.json.Encoder().encode


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


def _model_list(registry: Registry) -> list[dict[str, Any]]:
    names = [(name, "routewright") for name in VIRTUAL_MODELS]
    names += [(alias, "routewright") for alias in registry.aliases]
    names += [(model.name, model.deployments[0].provider) for model in registry.models.values() if model.deployments]
    names += [(deployment.id, deployment.provider) for deployment in registry.deployments.values()]
    return [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in dict(names).items()]
