"""Errands: small calls of our own, made on behalf of a request before it is answered.

An errand takes the way that the request itself takes, from fallback downward: so it has its own attempts, holds and
ledger rows, under the request's id, and its `Cause`. It is a help and never a condition. Nothing that befalls it is
raised: what became of it is a value, the text or the error.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Cause, Message, Options, Routed, Text
from routewright.catalog.registry import Tier
from routewright.clock import Clock
from routewright.errors import CallerError, DeadlineExceeded, InvalidResponse, RoutewrightError
from routewright.layers.service import Service
from routewright.route import Route

DIALECT = "errand"
"""What an errand's call says it was asked in; no client's."""


class Errand(Struct, frozen=True, kw_only=True):
    """What is to be found out, and what may be spent on it."""

    cause: Cause
    model: str = "auto"
    """Who is to do it, as in `Call.model`; of several models, the first choice is asked and no other."""
    tier: Tier | None = None
    """With `auto`: the tier whose cheapest model that can take the errand is asked. An errand is never classified."""
    order: str
    """What to do, as the system prompt."""
    prompt: str
    """What to do it with; text of others, which is never part of the order."""
    max_output_tokens: int
    limit_s: float
    """The longest it may take; never more than half of the time that the request has left."""


class Errands:
    """Plans errands and runs them."""

    def __init__(self, decide: Callable[[Call], Route], clock: Clock) -> None:
        """`decide` is the decision that requests get; raises CallerError."""
        self._decide = decide
        self._clock = clock

    def plan(self, errand: Errand, call: Call) -> Routed | CallerError:
        """The errand as a call with its route, not yet made: `routed.route.chosen` is who would do it."""
        left_s = call.deadline_at - self._clock.monotonic()
        asked = Call(
            id=call.id,
            dialect=DIALECT,
            trace=call.trace,
            model=errand.model,
            messages=(Message("system", (Text(errand.order),)), Message("user", (Text(errand.prompt),))),
            body={},
            max_output_tokens=errand.max_output_tokens,
            options=Options(tier=errand.tier, tags=call.options.tags, user=call.options.user),
            tenant=replace(call.tenant, models=(), tiers=()),  # who runs errands is the operator's choice
            priority=call.priority,
            deadline_at=self._clock.monotonic() + max(0.0, min(errand.limit_s, left_s / 2)),
        )
        try:
            route = self._decide(asked)
        except CallerError as error:
            return error
        return Routed(asked, route.with_candidates((route.chosen,)), errand.cause)

    async def run(self, planned: Routed, forward: Service[Routed]) -> str | RoutewrightError:
        """The text of the answer, or why there is none."""
        limit_s = planned.call.deadline_at - self._clock.monotonic()
        try:
            async with asyncio.timeout(limit_s):
                text = await _read_text(planned, forward)
        except TimeoutError:
            return DeadlineExceeded(f"the {planned.cause} was not there within {limit_s:.1f} s")
        except RoutewrightError as error:
            return error
        return text or InvalidResponse(f"{planned.route.chosen.model} wrote nothing")


async def _read_text(planned: Routed, forward: Service[Routed]) -> str:
    reply = await forward(planned)
    try:
        return "".join([event.text async for event in reply if not event.choice]).strip()
    finally:
        reply.close()
