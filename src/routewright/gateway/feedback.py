"""`POST /v1/feedback`: whoever used an answer says how well it turned out, so that routing can learn from it."""

import msgspec

from routewright.call import JsonObject
from routewright.catalog.registry import LONGEST_NAME, model_not_found
from routewright.decision.permission import is_restricted, may_ask
from routewright.dialects.fields import boolean, number, required_text, text
from routewright.dialects.strict_json import read_object
from routewright.engine import Engine
from routewright.errors import InvalidRequest
from routewright.gateway.http import JSON_TYPE, Request, Send, respond

_NAMES = ("request_id", "score", "good", "model")


class Feedback:
    """Takes `{"request_id": …, "score": 0 to 1}`, or `"good": true` or `false`; and `"model"`, if it was another's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, request: Request, send: Send) -> None:
        fields = read_object(await request.body(self._engine.settings.server.max_body_bytes))
        for name in fields:
            if name not in _NAMES:
                shown = name[:LONGEST_NAME]
                raise InvalidRequest(f"{shown} is not known here", param=shown, hint=f"there are {', '.join(_NAMES)}")
        model, tenant = text(fields, "model") or "", request.caller.tenant
        if model and is_restricted(tenant) and not may_ask(tenant, model, self._engine.registry):
            raise model_not_found(model)
        outcome_id = self._engine.observe(required_text(fields, "request_id"), read_score(fields), model=model)
        await respond(send, 202, [JSON_TYPE], msgspec.json.encode({"recorded": True, "outcome_id": outcome_id}))


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
