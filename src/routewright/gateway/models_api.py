"""What models there are, and `/v1/route`, which decides and calls nobody."""

from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.catalog.registry import VIRTUAL_MODELS, Registry, model_not_found
from routewright.decision.permission import NOT_ALLOWED, is_restricted, may_ask
from routewright.dialects.anthropic_messages import VERSION_HEADER
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.gateway.generation import read_call
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.route import Route
from routewright.tenant import Tenant

_encode = msgspec.json.Encoder().encode


class RouteOnly:
    """`POST /v1/route`: the decision for a chat body, explained."""

    def __init__(self, engine: Engine, dialect: Downstream) -> None:
        self._engine = engine
        self._dialect = dialect

    async def __call__(self, request: Request, send: Send) -> None:
        call = await read_call(request, self._engine, self._dialect)
        await respond(send, 200, [JSON_TYPE], _encode(shown_to(call.tenant, self._engine.route(call))))


def shown_to(tenant: Tenant, route: Route) -> Route:
    """A decision as a key's holder may see it: what the key may not use does not exist for it."""
    if not is_restricted(tenant):
        return route
    shown = tuple(each for each in route.candidates if not each.reason.startswith(NOT_ALLOWED))
    baseline = route.baseline_model if route.baseline_model in [each.model for each in shown] else None
    return replace(route.with_candidates(shown), baseline_model=baseline)


class Models:
    """`GET /v1/models` and `GET /v1/models/{id}`: virtual models, the registry's, aliases and every deployment.

    Only those that the caller's key may ask for. In Anthropic's form for a client that shows to speak its dialect.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, request: Request, send: Send) -> None:
        registry, tenant = self._engine.registry, request.caller.tenant
        models = {entry["id"]: entry for entry in _model_list(registry)}
        if is_restricted(tenant):
            models = {name: entry for name, entry in models.items() if may_ask(tenant, name, registry)}
        listed: dict[str, Any] = {"object": "list"}
        if VERSION_HEADER.encode() in request.headers:
            models = {name: _in_anthropics_form(name, registry) for name in models}
            listed = {"first_id": next(iter(models), None), "last_id": next(reversed(models), None), "has_more": False}
        name = request.path.removeprefix("/v1/models").lstrip("/")
        if not name:
            await respond(send, 200, [JSON_TYPE], _encode({**listed, "data": list(models.values())}))
        elif name in models:
            await respond(send, 200, [JSON_TYPE], _encode(models[name]))
        else:
            raise model_not_found(name)


def _in_anthropics_form(name: str, registry: Registry) -> dict[str, Any]:
    """When a model was made is not known here, and of a virtual one not what it takes either."""
    model = registry.find(name)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": None if model is None else model.context_window,
        "max_tokens": None if model is None else model.max_output_tokens,
    }


def _model_list(registry: Registry) -> list[dict[str, Any]]:
    names = [(name, "routewright") for name in VIRTUAL_MODELS]
    names += [(alias, "routewright") for alias in registry.aliases]
    names += [(model.name, model.deployments[0].provider) for model in registry.models.values() if model.deployments]
    names += [(deployment.id, deployment.provider) for deployment in registry.deployments.values()]
    return [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in dict(names).items()]
