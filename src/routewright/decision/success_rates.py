"""Success, counted: how often answers turned out well, by model, tier, kind of work, check and time, and how surely.

Of one answer, several may say how it turned out. Where all are looked at together, the most trusted is believed, as in
learning; by source or check, each has its own count. A score between 0 and 1 counts as that part of a success.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Literal, TypeAlias

from msgspec import Struct

from routewright.route import KindShare

Aspect: TypeAlias = Literal["model", "tier", "kind", "source", "check", "day", "week"]
"""What success can be told by; days and weeks (from Monday) are UTC, when the outcome was told."""

SURE = 1.96
"""Standard deviations of a normal distribution that 95 % lie within."""
UNKNOWN = "(none)"


class Told(Struct, frozen=True, kw_only=True, gc=False):
    """One opinion of one answer, beside what the request was."""

    request_id: str
    at_ns: int
    model: str
    tier: str | None
    kinds: tuple[KindShare, ...]
    """Most probable first; empty if nobody knows."""
    source: str
    check: str
    """The name of the check; empty for all other sources."""
    score: float


class Success(Struct, frozen=True, kw_only=True):
    """How well answers of one group turned out."""

    keys: tuple[str, ...]
    outcomes: int
    rate: float
    """The mean score, 0 to 1."""
    low: float
    high: float
    """Ends of the 95 % interval of the rate."""


def wilson(rate: float, outcomes: int) -> tuple[float, float]:
    """The 95 % score interval of a rate (E. B. Wilson, 1927), of at least one outcome.

    Scores between 0 and 1 vary less than failures and successes of the same mean, so it is then wider than need be.
    """
    square = SURE * SURE
    middle = (rate + square / (2 * outcomes)) / (1 + square / outcomes)
    half = SURE / (1 + square / outcomes) * sqrt(rate * (1 - rate) / outcomes + square / (4 * outcomes * outcomes))
    return max(0.0, middle - half), min(1.0, middle + half)


def success_by(
    told: Iterable[Told], aspects: Sequence[Aspect], most_trusted_last: Sequence[str]
) -> tuple[Success, ...]:
    """Success in each group of these aspects, in the order of their names; of opinions in the order they were told.

    By check, only checks are looked at.
    """
    scores: dict[tuple[str, ...], list[float]] = {}
    for each in believed(told, most_trusted_last, aspects):
        scores.setdefault(tuple(_READ[aspect](each) for aspect in aspects), []).append(each.score)
    return tuple(_success(keys, its) for keys, its in sorted(scores.items()))


def believed(
    told: Iterable[Told], most_trusted_last: Sequence[str], aspects: Sequence[Aspect] = ()
) -> tuple[Told, ...]:
    """Of opinions, in the order they were told, the one of each answer that counts; by source or check, of each."""
    opinions: dict[tuple[str, ...], Told] = {}
    for each in told:
        if "check" in aspects and not each.check:
            continue
        key = _judged(each, aspects)
        before = opinions.get(key)
        if before is None or most_trusted_last.index(each.source) >= most_trusted_last.index(before.source):
            opinions[key] = each
    return tuple(opinions.values())


def _judged(told: Told, aspects: Sequence[Aspect]) -> tuple[str, ...]:
    """What there is one opinion of: an answer, or what one source or check says of it."""
    source = told.source if "source" in aspects else ""
    return told.request_id, told.model, source, told.check if "check" in aspects else ""


def _success(keys: tuple[str, ...], scores: Sequence[float]) -> Success:
    rate = sum(scores) / len(scores)
    low, high = wilson(rate, len(scores))
    return Success(keys=keys, outcomes=len(scores), rate=rate, low=low, high=high)


def _day(told: Told) -> str:
    return f"{datetime.fromtimestamp(told.at_ns // 10**9, UTC):%Y-%m-%d}"


def _week(told: Told) -> str:
    day = datetime.fromtimestamp(told.at_ns // 10**9, UTC)
    return f"{day - timedelta(days=day.weekday()):%Y-%m-%d}"


_READ: Mapping[Aspect, Callable[[Told], str]] = {
    "model": lambda told: told.model,
    "tier": lambda told: told.tier or UNKNOWN,
    "kind": lambda told: told.kinds[0].kind if told.kinds else UNKNOWN,
    "source": lambda told: told.source,
    "check": lambda told: told.check,
    "day": _day,
    "week": _week,
}
