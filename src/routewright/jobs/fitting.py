"""How many questions of a job fit into what it may spend, at a time: each holds the dearest that it can cost."""

from msgspec import Struct

from routewright.call import Attempt, Call, Cause, Routed
from routewright.decision.holds import affordable_output_tokens, hold_nanousd, most_output_tokens
from routewright.decision.tokens import upper_bound_tokens
from routewright.engine import Engine


class Fit(Struct, frozen=True, kw_only=True):
    """Of questions like one that was looked at."""

    model: str
    """Which is asked first."""
    longest_tokens: int
    """How long its answer can be."""
    wanted: int
    """So many are to be asked at a time."""
    at_a_time: int
    """So many fit, if they are asked like that."""
    tokens_for_all: int | None
    """With answers no longer than this, as many fit as are wanted; None if that is not possible."""


def fit_of(engine: Engine, call: Call, *, room_nanousd: int, wanted: int, now_s: int) -> Fit | None:
    """How questions like this one fit into what is left.

    None where the length of answers is said already, and for a model without a price. Raises CallerError.
    """
    if call.max_output_tokens is not None:
        return None
    route = engine.route(call)
    model = engine.registry.models[route.chosen.model]
    attempt = Attempt(
        id=call.id,
        routed=Routed(call, route),
        model=model,
        deployment=model.deployments[0],
        number=1,
        cause=Cause.FIRST,
        is_last_model=True,
    )
    tokens_ub, each_nanousd = upper_bound_tokens(call), room_nanousd // wanted
    held_nanousd = hold_nanousd(attempt, tokens_ub, now_s)
    if not held_nanousd:
        return None
    return Fit(
        model=model.name,
        longest_tokens=most_output_tokens(attempt),
        wanted=wanted,
        at_a_time=room_nanousd // held_nanousd,
        tokens_for_all=affordable_output_tokens(attempt, tokens_ub, now_s, room_nanousd=each_nanousd, least=1),
    )
