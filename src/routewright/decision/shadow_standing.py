"""How another model does beside the one that answered, over many requests: wins, losses, ties, cost and time.

Where people have rated both answers of a request, a judge's habits are corrected by them (A. Angelopoulos et al.,
"Prediction-powered inference", Science 382, 2023): what the judge says on all, plus by how much people differ from it
where both have spoken.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import fmean, median, variance

from msgspec import Struct

from routewright.decision.success_rates import SURE, wilson
from routewright.ledger.ledger import ComparisonRecorded

LEAST_RATED = 10
"""Requests of which people have rated both answers, below which a judge is not corrected: so few say nothing of it."""
_VALUES = {"win": 1.0, "tie": 0.0, "loss": -1.0}

Ratings = Mapping[tuple[str, str], float]
"""(request id, model) → what people say of its answer, from 0 to 1."""


class Share(Struct, frozen=True):
    """A part of the comparisons that were decided, with its 95 % interval."""

    count: int
    rate: float
    low: float
    high: float


class ShadowStanding(Struct, frozen=True, kw_only=True):
    """One shadow beside one model that answered."""

    model: str
    shadow: str
    comparisons: int
    same: int
    """They said the same."""
    undecided: int
    """They differ, and nobody has judged."""
    failed: int
    """The shadow gave no answer."""
    wins: Share | None
    """None where nothing was decided, as in the next three."""
    losses: Share | None
    ties: Share | None
    preference: tuple[float, float, float] | None
    """Wins less losses, of what was decided, from -1 to 1, with its 95 % interval; corrected, where `rated` says so."""
    rated: int
    """Requests of which people rated both answers; at least LEAST_RATED correct the judge."""
    cost_nanousd: int
    """Of answers with a price on both sides, as the next."""
    shadow_cost_nanousd: int
    judge_cost_nanousd: int
    median_ms: float | None
    """None where no shadow answered, as the next."""
    shadow_median_ms: float | None


def standings(comparisons: Iterable[ComparisonRecorded], ratings: Ratings) -> tuple[ShadowStanding, ...]:
    """One for each pair of models, by the shadow's name."""
    pairs: dict[tuple[str, str], list[ComparisonRecorded]] = {}
    for each in comparisons:
        pairs.setdefault((each.shadow, each.model), []).append(each)
    return tuple(_standing(its, ratings) for _, its in sorted(pairs.items()))


def _standing(its: Sequence[ComparisonRecorded], ratings: Ratings) -> ShadowStanding:
    decided = [each for each in its if each.result in _VALUES]
    answered = [each for each in its if each.result != "failed"]
    priced = [each for each in answered if each.cost_nanousd is not None and each.shadow_cost_nanousd is not None]
    people = {each.comparison_id: said for each in decided if (said := _people_say(each, ratings)) is not None}
    return ShadowStanding(
        model=its[0].model,
        shadow=its[0].shadow,
        comparisons=len(its),
        same=sum(each.is_same for each in its),
        undecided=sum(each.result == "different" for each in its),
        failed=len(its) - len(answered),
        wins=_share(decided, "win"),
        losses=_share(decided, "loss"),
        ties=_share(decided, "tie"),
        preference=_preference(decided, people),
        rated=len(people),
        cost_nanousd=sum(each.cost_nanousd or 0 for each in priced),
        shadow_cost_nanousd=sum(each.shadow_cost_nanousd or 0 for each in priced),
        judge_cost_nanousd=sum(each.judge_cost_nanousd or 0 for each in its),
        median_ms=median(each.total_ms for each in answered) if answered else None,
        shadow_median_ms=median(each.shadow_ms for each in answered) if answered else None,
    )


def _people_say(comparison: ComparisonRecorded, ratings: Ratings) -> float | None:
    """Which answer people prefer, as the shadow's win (1), tie or loss (-1); None where they have not rated both."""
    given = ratings.get((comparison.request_id, comparison.model))
    other = ratings.get((comparison.request_id, comparison.shadow))
    if given is None or other is None:
        return None
    return float((other > given) - (other < given))


def _share(decided: Sequence[ComparisonRecorded], result: str) -> Share | None:
    if not decided:
        return None
    count = sum(each.result == result for each in decided)
    low, high = wilson(count / len(decided), len(decided))
    return Share(count, count / len(decided), low, high)


def _preference(
    decided: Sequence[ComparisonRecorded], people: Mapping[str, float]
) -> tuple[float, float, float] | None:
    if len(decided) < 2:
        return None
    said = [_VALUES[each.result] for each in decided]
    mean, spread = fmean(said), variance(said) / len(said)
    if len(people) >= LEAST_RATED:
        differences = [
            people[each.comparison_id] - _VALUES[each.result] for each in decided if each.comparison_id in people
        ]
        mean += fmean(differences)
        spread += variance(differences) / len(differences)
    half = SURE * sqrt(spread)
    return max(-1.0, min(1.0, mean)), max(-1.0, mean - half), min(1.0, mean + half)
