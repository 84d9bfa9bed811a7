"""Budgets: who may spend how much, in which time. Plain values and calendar arithmetic; who keeps count is elsewhere.

A budget counts in windows: a day, a week, a month of its own time zone, or all time. A window that is over is never
touched again: the next one is another row, not a counter set back. An attempt belongs to the windows in which it was
held, whenever it is settled.

A process may admit against a hard budget only from what it has been *granted* of it (escrow): the sum of all grants and
of all that is posted never exceeds the limit, so each process decides alone, exactly, and without asking anybody.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from routewright.ledger.ledger import NANOSECONDS, Charge

KEY_BUDGETS = "key"
"""What the names of single keys' budgets begin with, before a slash. No budget of the settings is called so, else one
that each tag has for itself could be taken for a key's."""

BATCH_BUDGETS = "batch"
"""The same of single batches' budgets."""


class Scope(StrEnum):
    """What of an attempt a budget looks at."""

    TOTAL = "total"
    KEY = "key"
    TEAM = "team"
    TAG = "tag"
    MODEL = "model"
    CAUSE = "cause"
    """Why the attempt is made (`judge`, `summary`, `retry`, …): so that errands have a purse of their own.

    `shadow` pays for comparisons as well."""


class Period(StrEnum):
    """How long a budget lasts before the next one begins."""

    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"
    FOREVER = "forever"


class Budget(Struct, frozen=True, kw_only=True):
    """One budget of one subject."""

    name: str
    """As the settings call it; of a budget that each subject has for itself, with the subject: `teams/research`."""
    scope: Scope
    subject: str = ""
    """The key's id, the team, the tag, the model or the cause; empty for the total.

    Empty in any other scope: each subject has such a budget for itself, see `of`.
    """
    limit_nanousd: int
    period: Period
    time_zone: str = "UTC"
    is_hard: bool = True
    """Nothing is admitted beyond it; a soft one only raises alerts."""
    alerts_percent: tuple[int, ...] = (80, 100)
    """Shares of the limit that are told when they are reached."""

    @property
    def is_for_each(self) -> bool:
        """Each subject of the scope has one for itself; this one itself counts nothing."""
        return self.scope is not Scope.TOTAL and not self.subject

    def of(self, subject: str) -> "Budget":
        """A subject's own, of a budget for each."""
        return replace(self, name=f"{self.name}/{subject}", subject=subject)


class Window(Struct, frozen=True):
    """One period of a budget: UTC nanoseconds since 1970, from `starts_ns` up to, not including, `ends_ns`."""

    starts_ns: int
    ends_ns: int | None
    """None for a budget for ever."""


ALL_TIME = Window(0, None)


def zone_of(time_zone: str) -> tzinfo:
    """A time zone by its name; UTC is there on machines without any others too. Raises ZoneInfoNotFoundError."""
    if time_zone == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # it looks for the machine's zones when it is loaded

    return ZoneInfo(time_zone)


def window_at(period: Period, time_zone: str, now_ns: int) -> Window:
    """The window around a moment. Days begin at midnight where the clocks show `time_zone`, so some have 23 hours."""
    if period is Period.FOREVER:
        return ALL_TIME
    zone = zone_of(time_zone)
    day = datetime.fromtimestamp(now_ns // NANOSECONDS, zone).date()
    first, after = _bounds(period, day)
    return Window(_midnight_ns(first, zone), _midnight_ns(after, zone))


def _bounds(period: Period, day: date) -> tuple[date, date]:
    """The first day of the period around `day`, and the first after it."""
    if period is Period.DAY:
        return day, day + timedelta(days=1)
    if period is Period.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def _midnight_ns(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * NANOSECONDS


class Grant(Struct, frozen=True, kw_only=True):
    """How a budget stands in the database, and what this process has of it."""

    granted_nanousd: int
    """All that this process was ever granted in this window, what it has settled since included."""
    posted_nanousd: int
    """What everybody has spent in this window, as far as it has arrived."""
    leased_nanousd: int
    """What all processes together were granted and have not spent."""
    is_frozen: bool
    """An attempt cost more than was held for it: nothing is admitted until an operator has looked."""
    is_wanted_elsewhere: bool
    """Another process could not be granted what it needs, or more was promised than the limit now allows: whoever has
    more than it holds should give it back."""
    lasts_s: float
    """Nothing may be admitted from the grant later than this after its claim was begun, unless another one has renewed
    it. What was admitted before may run on."""


class Escrow(Protocol):
    """Where the grants of all processes are kept; every call is one transaction, and may be repeated."""

    def claim(self, budget: Budget, window: Window, *, boot: str, granted_nanousd: int, needed_nanousd: int) -> Grant:
        """Say what this process has, and ask for more.

        `granted_nanousd` is what it counts as its own: it takes the place of what was noted, so an answer that was lost
        is mended by the next call, and naming less gives the difference back. `needed_nanousd` is what it needs in all;
        it is granted that much, and more ahead if nobody else could want it, as far as the limit reaches. The first
        claim of a window by anybody counts what the store has of it already. Raises StoreUnavailable.
        """
        ...

    def forget(self, boots: frozenset[str]) -> None:
        """Give back what processes had that are dead and have nothing open or undrained. Raises StoreUnavailable."""
        ...


class WhenFull(StrEnum):
    """What can be done about a request whose hold does not fit."""

    WAIT = "wait"
    """For other holds to settle."""
    CHEAPER = "cheaper"
    """Take the first of the route's other models that fits."""
    SHORTEN = "shorten"
    """Allow a shorter answer."""
    REFUSE = "refuse"
    """Say so, with 402."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a hold does not fit: the tightest of its budgets."""

    budget: Budget
    charge: Charge
    ends_ns: int | None
    spent_nanousd: int
    """By everybody, as far as this process knows."""
    held_nanousd: int
    """What this process holds for attempts that are not over."""
    elsewhere_nanousd: int = 0
    """What other processes were granted and have not spent, when that was last heard of."""
    asked_nanousd: int
    """The hold that did not fit."""
    is_frozen: bool = False

    @property
    def is_final(self) -> bool:
        """What is spent leaves no room for it, or the budget is frozen: no waiting helps in this window."""
        return self.is_frozen or self.spent_nanousd + self.asked_nanousd > self.budget.limit_nanousd

    @property
    def may_be_granted(self) -> bool:
        """As far as this process knows, there is room that it was not granted: a claim may bring it."""
        in_use_nanousd = self.spent_nanousd + self.held_nanousd
        return not self.is_frozen and in_use_nanousd + self.asked_nanousd <= self.budget.limit_nanousd


class Position(Struct, frozen=True, kw_only=True):
    """What one process has of a budget's window, and what it needs."""

    charge: Charge
    budget: Budget
    window: Window
    granted_nanousd: int
    """All that it was ever granted, what it has settled since included."""
    settled_nanousd: int
    held_nanousd: int
    wanted_nanousd: int
    """The holds that wait for room, together."""

    @property
    def used_nanousd(self) -> int:
        """What it has settled and holds: the least that it can say it was granted."""
        return self.settled_nanousd + self.held_nanousd

    @property
    def needed_nanousd(self) -> int:
        """What it would have to be granted in all, for everything that waits to fit."""
        return self.used_nanousd + self.wanted_nanousd


class BudgetStanding(Struct, frozen=True, kw_only=True):
    """How a budget stands now, as far as this process knows."""

    budget: Budget
    window: Window
    spent_nanousd: int
    """By everybody, as far as it was heard of. Where no budget is hard that is only once, at the start."""
    held_nanousd: int
    """By this process."""
    remaining_nanousd: int
    """What is left of the limit after both; never below 0."""
    is_frozen: bool
