"""The time that the overview looks at, in days or weeks, by tier."""

from collections.abc import Sequence

from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.dashboard.view import Desk
from routewright.ledger.rollups import DAY_NS
from routewright.ledger.sealed_rows import day_of, start_of
from routewright.ledger.spending import Sums, added
from routewright.text import counted

MOST_DAYS = 31
"""More are shown by the week: as many weeks as end today."""
TIERS = (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)


class Span(Struct, frozen=True):
    """A day, or seven of them, by tier and in all."""

    name: str
    """The first day."""
    days: range
    """When each of its days begins: UTC nanoseconds since 1970."""
    tiers: dict[str, Sums]
    all: Sums


def read_spans(desk: Desk, first_ns: int, count: int) -> list[Span]:
    """All of them up to now, those without anything too: days, or weeks if there are many days."""
    length = 1 if count <= MOST_DAYS else 7
    found: list[dict[str, Sums]] = [{} for _ in range(0, count, length)]
    for (tier, day), sums in desk.ledger.sums(("tier", "day"), first_ns):
        at = (start_of(str(day)) - first_ns) // DAY_NS // length
        if at < len(found):  # what is dated in the future is not shown yet
            tiers = found[at]
            tiers[tier or ""] = tiers.get(tier or "", Sums()) + sums
    spans = []
    for at, tiers in enumerate(found):
        days = range(first_ns + at * length * DAY_NS, first_ns + (at + 1) * length * DAY_NS, DAY_NS)
        spans.append(Span(day_of(days.start), days, tiers, added(tiers.values())))
    return spans


def tiers_of(spans: Sequence[Span]) -> list[str]:
    """Those that occur, the cheapest first."""
    met = {tier for span in spans for tier in span.tiers}
    return [tier for tier in TIERS if tier in met] + sorted(met - set(TIERS))


def unit_of(spans: Sequence[Span]) -> str:
    """What one is called."""
    return "week" if len(spans[0].days) > 1 else "day"


def length_of(spans: Sequence[Span]) -> str:
    """All of it, in words."""
    return counted(sum(len(span.days) for span in spans), "day")
