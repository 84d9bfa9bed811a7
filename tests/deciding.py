"""Decisions as tests make them: a small catalog, and `choose`, which selects with nothing in the way."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from builders import call, model, registry
from routewright.call import Call
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Capability, Model, Registry, Tier
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.features import extract
from routewright.decision.intent import Policy
from routewright.decision.selection import select
from routewright.route import Route, Sign, Verdict

NOW_S = 1_790_000_000
ALL = frozenset(Capability)


def priced(usd_per_million: int) -> PriceSchedule:
    """$1 means $1 per million tokens in, $2 out."""
    return PriceSchedule((Price(input=usd_per_million * 1_000_000, output=usd_per_million * 2_000_000),))


def of(tier: Tier, name: str, usd: int | None, **changes: Any) -> Model:
    """A model of a tier that can do everything; without a price for None."""
    changes = {"capabilities": ALL, "prices": None if usd is None else priced(usd)} | changes
    return model(name, tier=tier, **changes)


@cache  # it never changes, and some tests decide tens of thousands of times
def four_tiers() -> Registry:
    """Each tier at least once, dearer upwards, with some fallbacks."""
    return registry(
        of(Tier.BULK, "bulk", 1, fallbacks=("standard",)),
        of(Tier.STRUCTURED, "structured", 2, fallbacks=("bulk",)),
        of(Tier.STANDARD, "standard", 4, fallbacks=("complex",)),
        of(Tier.STANDARD, "standard-dear", 5),
        of(Tier.COMPLEX, "complex", 10),
        of(Tier.COMPLEX, "complex-dear", 20),
    )


def verdict(tier: Tier, confidence: float = 0.9) -> Verdict:
    """A sure one."""
    return Verdict(tier=tier, confidence=confidence, reason="because", classifier="test@1")


def choose(
    asked: Call | None = None,
    said: Verdict | None = None,
    among: Registry | None = None,
    *,
    policy: Policy | None = None,
    resting: Mapping[str, str] | None = None,
    ratios: Mapping[str, float] | None = None,
    uncarried: Mapping[str, str] | None = None,
    dropped: Mapping[str, tuple[str, ...]] | None = None,
    now_s: int = NOW_S,
    forecast: Forecast | None = None,
    warm: Mapping[str, int] | None = None,
    chance: float | None = 1.0,
    session: Sequence[Sign] = (),
    withdrawn: Mapping[str, str] | None = None,
) -> Route:
    """The route of a call (a plain one), with nothing in the way but what is given."""
    asked = asked or call()
    return select(
        asked,
        extract(asked),
        said,
        registry=among or four_tiers(),
        policy=policy or Policy(),
        now_s=now_s,
        token_ratios=ratios or {},
        resting=resting or {},
        cannot_carry=lambda dialect, _: (uncarried or {}).get(dialect),
        dropped_fields=lambda dialect, _: (dropped or {}).get(dialect, ()),
        forecast=forecast,
        warm=warm or {},
        chance=chance,
        session=session,
        withdrawn=withdrawn or {},
    )


def expecting(
    success: Mapping[str, float],
    doubt: float | Mapping[str, float] = 0.0,
    *,
    output_tokens: int = 100,
    waste: float = 1.0,
) -> Forecast:
    """A forecast of these successes, each with this doubt, or its own."""
    doubts = doubt if isinstance(doubt, Mapping) else dict.fromkeys(success, doubt)
    return Forecast.of_each(
        {name: Expectation(its, doubts.get(name, 0.0), 0, output_tokens, waste) for name, its in success.items()}
    )


def tried(route: Route) -> list[str]:
    """Names of the models in order of trial."""
    return [candidate.model for candidate in route.eligible]


def reasons(route: Route) -> dict[str, str]:
    """Why each model stands where it stands."""
    return {candidate.model: candidate.reason for candidate in route.candidates}
