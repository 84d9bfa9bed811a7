"""The ledger beside a provider's own export: what differs, by day, model and class of token, and why. Pure.

A difference is explained by causes that are seen in the data, each with the amount it accounts for, and never by one
that merely might be. What no cause accounts for stays, and is said to be unexplained.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from routewright.exports import CLASSES, Export
from routewright.usage import Usage

MONEY = "money"
"""In place of a class of tokens: nano-USD."""

_FOLDED = (
    ("audio_cache_read", "cache_read"),
    ("audio_input", "input"),
    ("audio_output", "output"),
    ("cache_write_1h", "cache_write"),
    ("cache_write", "input"),
    ("cache_read", "input"),
)
"""Where the tokens of a class are in an export that does not count it apart."""


class Why(StrEnum):
    """The causes that are known."""

    ESTIMATED = "estimated"
    """Attempts whose provider did not report: their tokens are a bound."""
    CRASHED = "crashed or open"
    """Attempts of a process that died, or that are not over: nobody knows their tokens."""
    BOUNDARY = "day boundary"
    """The same amount is missing on one day and too much on the next: midnight, or a time zone."""
    UNKNOWN_MODEL = "model not in the ledger"
    """Nobody called it through routewright in that time."""
    OTHER_KEYS = "other keys"
    """The export has several keys, and more than is in the ledger."""
    NOT_ROUTED = "requests not in the ledger"
    """The provider counts more requests than there were attempts."""
    ROUNDING = "rounding"
    """The export rounds each of its rows."""
    PRICE_VERSION = "price version"
    """At today's list prices the same tokens cost what the export says."""
    SERVICE_TIER = "service tier"
    """In another service tier the same tokens cost what the export says."""


class Cause(Struct, frozen=True):
    """Why a part of a difference is there."""

    why: Why
    amount: int
    """Tokens, or nano-USD: with the sign of the difference."""
    detail: str


class Recorded(Struct, frozen=True, kw_only=True):
    """An attempt in the ledger, as far as a provider could know of it."""

    day: str
    """UTC, when it was sent."""
    model: str
    usage: Usage
    cost_nanousd: int
    list_nanousd: Mapping[str, int] = {}
    """Service tier → what the tokens cost at today's list prices; empty is the tier it was served in."""
    is_estimated: bool = False
    is_unknown: bool = False
    """Its process died, or it is not over: the cost is what is held, and there are no tokens."""


class Cell(Struct, kw_only=True):
    """One model on one day, on both sides."""

    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    nanousd: int = 0
    attempts: int = 0
    estimated: int = 0
    estimated_tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    estimated_nanousd: int = 0
    unknown: int = 0
    unknown_nanousd: int = 0
    list_nanousd: dict[str, int] = field(default_factory=dict)
    exported_tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    exported_nanousd: int = 0
    exported_requests: int | None = None
    rounding_nanousd: int = 0
    keys: set[str] = field(default_factory=set)
    tiers: set[str] = field(default_factory=set)


class Difference(Struct, kw_only=True):
    """One number on both sides."""

    day: str
    model: str
    measure: str
    """A class of tokens, or `MONEY`."""
    exported: int
    recorded: int
    causes: list[Cause] = field(default_factory=list)

    @property
    def difference(self) -> int:
        """What the export has more."""
        return self.exported - self.recorded

    @property
    def unexplained(self) -> int:
        """What no cause accounts for."""
        return self.difference - sum(cause.amount for cause in self.causes)


class Reconciliation(Struct, frozen=True, kw_only=True):
    """Both sides, compared."""

    provider: str
    first_day: str
    last_day: str
    compared: int
    """Numbers that were compared."""
    differences: tuple[Difference, ...]
    """Those that differ, in order of day and model."""

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Those of which something stays unexplained."""
        return tuple(each for each in self.differences if each.unexplained)


class Comparison:
    """Takes in both sides, and then says what differs."""

    def __init__(self, export: Export, name_of: Callable[[str], str]) -> None:
        """`name_of` gives the one name for all that a provider calls a model."""
        self._export = export
        self._classes = export.classes
        self._cells: dict[tuple[str, str], Cell] = {}
        self.days = sorted({row.day for row in export.rows})
        for row in export.rows:
            cell = self._cell(row.day, name_of(row.model))
            for name, count in row.tokens.items():
                cell.exported_tokens[name] += count
            cell.exported_nanousd += row.cost_nanousd or 0
            cell.rounding_nanousd += (row.resolution_nanousd + 1) // 2
            if row.requests is not None:
                cell.exported_requests = (cell.exported_requests or 0) + row.requests
            cell.keys |= {row.key} if row.key else set()
            cell.tiers.add(row.service_tier)

    def add(self, recorded: Recorded) -> None:
        """An attempt of the ledger; one outside the days of the export is left out."""
        if not self.days or not self.days[0] <= recorded.day <= self.days[-1]:
            return
        cell = self._cell(recorded.day, recorded.model)
        cell.attempts += 1
        cell.nanousd += recorded.cost_nanousd
        for tier, cost in recorded.list_nanousd.items():
            cell.list_nanousd[tier] = cell.list_nanousd.get(tier, 0) + cost
        tokens = self._folded(recorded.usage)
        for name, count in tokens.items():
            cell.tokens[name] += count
        if recorded.is_unknown:
            cell.unknown += 1
            cell.unknown_nanousd += recorded.cost_nanousd
        elif recorded.is_estimated:
            cell.estimated += 1
            cell.estimated_nanousd += recorded.cost_nanousd
            for name, count in tokens.items():
                cell.estimated_tokens[name] += count

    def result(self) -> Reconciliation:
        """What differs, and why."""
        measures = self._classes or (MONEY,)
        found = [
            _difference(day, model, measure, cell)
            for (day, model), cell in sorted(self._cells.items())
            for measure in measures
        ]
        differing = [each for each in found if each.difference]
        known = {model for (_, model), cell in self._cells.items() if cell.attempts}
        for each in differing:
            _explain(each, self._cells[each.day, each.model])
        _explain_boundaries(differing)
        for each in differing:
            _explain_excess(each, self._cells[each.day, each.model], is_known=each.model in known)
        return Reconciliation(
            provider=self._export.provider,
            first_day=self.days[0] if self.days else "",
            last_day=self.days[-1] if self.days else "",
            compared=len(found),
            differences=tuple(differing),
        )

    def _cell(self, day: str, model: str) -> Cell:
        return self._cells.setdefault((day, model), Cell())

    def _folded(self, usage: Usage) -> dict[str, int]:
        """The tokens as the export would count them."""
        tokens = {name: getattr(usage, name) for name in CLASSES}
        tokens["output"] += usage.reasoning
        for name, into in _FOLDED:
            if name not in self._classes:
                tokens[into] += tokens[name]
                tokens[name] = 0
        return tokens


def _difference(day: str, model: str, measure: str, cell: Cell) -> Difference:
    is_money = measure == MONEY
    return Difference(
        day=day,
        model=model,
        measure=measure,
        exported=cell.exported_nanousd if is_money else cell.exported_tokens[measure],
        recorded=cell.nanousd if is_money else cell.tokens[measure],
    )


def _explain(each: Difference, cell: Cell) -> None:
    """By what is seen on that day alone."""
    if each.measure == MONEY:
        _explain_prices(each, cell)
    bound = cell.estimated_nanousd if each.measure == MONEY else cell.estimated_tokens[each.measure]
    if each.unexplained < 0 and bound:
        detail = f"{cell.estimated} attempts without a report, taken at their bound"
        _take(each, Why.ESTIMATED, -min(-each.unexplained, bound), detail)
    if cell.unknown and each.unexplained:
        detail = f"{cell.unknown} attempts whose tokens nobody knows"
        if each.measure != MONEY:
            _take(each, Why.CRASHED, max(0, each.unexplained), detail)
        elif each.unexplained < 0:
            _take(each, Why.CRASHED, -min(-each.unexplained, cell.unknown_nanousd), detail)


def _explain_prices(each: Difference, cell: Cell) -> None:
    rounding = cell.rounding_nanousd
    if abs(each.unexplained) > rounding:
        for tier, cost in cell.list_nanousd.items():
            if abs(each.exported - cost) <= rounding and cost != each.recorded:
                why = Why.SERVICE_TIER if tier else Why.PRICE_VERSION
                detail = f"billed as {tier}" if tier else "today's list prices are others than those it was settled at"
                _take(each, why, cost - each.recorded, detail)
                break
    if each.unexplained and abs(each.unexplained) <= rounding:
        _take(each, Why.ROUNDING, each.unexplained, "each row of the export is rounded")


def _explain_boundaries(differing: Sequence[Difference]) -> None:
    """What is missing on a day and too much on one beside it."""
    left = {(each.model, each.measure, each.day): each for each in differing}
    for each in differing:
        tomorrow = (date.fromisoformat(each.day) + timedelta(days=1)).isoformat()
        other = left.get((each.model, each.measure, tomorrow))
        if other is None or each.unexplained * other.unexplained >= 0:
            continue
        moved = min(abs(each.unexplained), abs(other.unexplained))
        sign = 1 if each.unexplained > 0 else -1
        _take(each, Why.BOUNDARY, sign * moved, f"the other way around on {tomorrow}")
        _take(other, Why.BOUNDARY, -sign * moved, f"the other way around on {each.day}")


def _explain_excess(each: Difference, cell: Cell, *, is_known: bool) -> None:
    """What the export has and the ledger has not."""
    if each.unexplained <= 0:
        return
    rest = each.unexplained
    if not is_known:
        _take(each, Why.UNKNOWN_MODEL, rest, "not called through routewright in that time, or under another name")
    elif cell.exported_requests is not None and cell.exported_requests > cell.attempts:
        missing = cell.exported_requests - cell.attempts
        _take(each, Why.NOT_ROUTED, rest, f"{missing} requests more than attempts: they came another way")
    elif len(cell.keys) > 1:
        _take(each, Why.OTHER_KEYS, rest, f"the export has {len(cell.keys)} keys: name ours with --api-key")


def _take(each: Difference, why: Why, amount: int, detail: str) -> None:
    if amount:
        each.causes.append(Cause(why, amount, detail))


def only_key(export: Export, key: str) -> Export:
    """The rows of one key."""
    return replace(export, rows=tuple(row for row in export.rows if row.key == key))
