"""`POST /v1/feedback`: whoever used an answer says how well it turned out, so that routing can learn from it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from routewright.call import JsonObject
from routewright.catalog.registry import LONGEST_NAME, model_not_found
from routewright.decision.permission import is_restricted, may_ask
from routewright.dialects.fields import boolean, number, required_text, text
from routewright.dialects.strict_json import read_object
from routewright.engine import Engine
from routewright.errors import InvalidRequest, OperatorError, RequestNotFound
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.ids import is_uuid7
from routewright.tenant import Tenant

PayerOf: TypeAlias = Callable[[str], Awaitable[Tenant | None]]
"""Who pays for the request of an id; None for an unknown one. Raises OperatorError when that cannot be told now."""

_NAMES = ("request_id", "score", "good", "comment", "correction", "model")


class Feedback:
    """Takes `{"request_id": …, "score": 0 to 1}`, or `"good": true` or `false`.

    And, if there is more to say, `"comment"`, `"correction"`, and `"model"` if the answer was another's.
    """

    def __init__(self, engine: Engine, payer_of: PayerOf) -> None:
        self._engine = engine
        self._payer_of = payer_of

    async def __call__(self, request: Request, send: Send) -> None:
        engine = self._engine
        fields = read_object(await request.body(engine.settings.server.max_body_bytes))
        for name in fields:
            if name not in _NAMES:
                shown = name[:LONGEST_NAME]
                raise InvalidRequest(f"{shown} is not known here", param=shown, hint=f"there are {', '.join(_NAMES)}")
        model, tenant = text(fields, "model") or "", request.caller.tenant
        if model and is_restricted(tenant) and not may_ask(tenant, model, engine.registry):
            raise model_not_found(model)
        request_id = required_text(fields, "request_id")
        score, comment, correction = read_score(fields), text(fields, "comment"), text(fields, "correction")
        if is_uuid7(request_id) and not await self._may_judge(tenant, request_id):
            raise RequestNotFound(
                f"no request {request_id} is recorded",
                param="request_id",
                hint="its id is in the answer's header x-routewright-request-id",
            )
        outcome_id = engine.observe(request_id, score, model=model, comment=comment or "", correction=correction or "")
        await respond(send, 202, [JSON_TYPE], msgspec.json.encode({"recorded": True, "outcome_id": outcome_id}))

    async def _may_judge(self, tenant: Tenant, request_id: str) -> bool:
        """Whether there was such a request, and of the same key or team; where nobody can tell now, yes."""
        try:
            payer = await self._payer_of(request_id)
        except OperatorError:
            return True  # the journal takes what the store cannot; an outcome without a request is counted nowhere
        return payer is not None and (not tenant.key or tenant.key == payer.key or tenant.team == payer.team != "")


def read_score(fields: JsonObject) -> float:
    """The one opinion in these fields, as a score from 0 to 1. Raises InvalidRequest for none, and for two."""
    score, good = number(fields, "score", 0, 1), boolean(fields, "good")
    if score is not None and good is not None:
        raise InvalidRequest("score and good are two opinions", param="good", hint="send one of them")
    if score is not None:
        return score
    if good is not None:
        return float(good)
    raise InvalidRequest(
        "an opinion is required", param="score", hint="send a score from 0 to 1, or good: true or false"
    )
