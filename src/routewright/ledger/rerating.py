"""What history would have cost at other prices: computed anew from the recorded tokens, beside the ledger.

The original entries are never touched. They are read in pages, so that any length of history fits in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Model
from routewright.catalog.served import Priced, priced
from routewright.catalog.sources import PriceTable
from routewright.ledger.billing import priced_usage
from routewright.ledger.database import Database, Row
from routewright.ledger.ledger import NANOSECONDS
from routewright.usage import Usage

PAGE = 5_000
"""Attempts that are read, and written, at once."""
MOST_NAMES = 10_000
"""Combinations of model, place and answering model that are remembered; beyond it, all are looked up again."""

_PAGE = """
SELECT e.sequence, e.attempt_id, e.at_ns, coalesce(h.at_ns, e.at_ns) AS held_ns, e.model, e.deployment, e.served_model,
       e.price_version, e.service_tier, e.outcome, e.is_estimated, e.cost_nanousd, e.input, e.cache_read, e.cache_write,
       e.cache_write_1h, e.output, e.reasoning, coalesce(e.audio_input, 0) AS audio_input,
       coalesce(e.audio_cache_read, 0) AS audio_cache_read, coalesce(e.audio_output, 0) AS audio_output
FROM events AS e LEFT JOIN events AS h ON h.attempt_id = e.attempt_id AND h.kind = 'reserved'
WHERE e.kind = 'settled' AND e.sequence > ? AND e.at_ns >= ? AND e.at_ns < ?
ORDER BY e.sequence LIMIT ?
"""
_VIEWS = "SELECT * FROM rerated_views ORDER BY name"
_DAY_NS = 86_400 * NANOSECONDS
_BESIDE = f"""
SELECT e.model, e.at_ns - e.at_ns % {_DAY_NS} AS day_ns, count(*) AS attempts,
       sum(CASE WHEN kept.price_version IS NULL OR kept.price_version = e.price_version THEN 1 ELSE 0 END) AS kept,
       CAST(sum(coalesce(e.cost_nanousd, 0)) AS BIGINT) AS before_nanousd,
       CAST(sum(coalesce(kept.cost_nanousd, e.cost_nanousd, 0)) AS BIGINT) AS after_nanousd,
       sum(CASE WHEN kept.attempt_id IS NULL AND e.cost_nanousd IS NOT NULL THEN 1 ELSE 0 END) AS missing
FROM events AS e LEFT JOIN rerated AS kept ON kept.attempt_id = e.attempt_id AND kept.view = ?
WHERE e.kind = 'settled' AND e.at_ns >= ? AND e.at_ns < ?
GROUP BY e.model, e.at_ns - e.at_ns % {_DAY_NS} ORDER BY 2, 1
"""  # noqa: S608 of our own constants


class Settlement(Struct, frozen=True, kw_only=True):
    """A settled attempt, as far as its price goes."""

    sequence: int
    attempt_id: str
    at_ns: int
    held_ns: int
    """When it was held: the moment whose prices it was settled at."""
    model: str
    deployment: str
    served_model: str
    price_version: str
    service_tier: str
    outcome: str
    is_estimated: bool
    cost_nanousd: int | None
    usage: Usage

    @property
    def day(self) -> str:
        """UTC, like `2026-03-01`."""
        return datetime.fromtimestamp(self.at_ns // NANOSECONDS, UTC).date().isoformat()


class View(Struct, frozen=True, kw_only=True):
    """A kept recomputation."""

    name: str
    at_ns: int
    prices: str
    """Which prices, in words."""
    since_ns: int
    until_ns: int


class Line(Struct, kw_only=True):
    """Attempts of one model on one day, at both prices."""

    model: str
    day: str
    attempts: int = 0
    kept: int = 0
    """Attempts that the other prices do not know, or that have no tokens to price: they cost what they did."""
    before_nanousd: int = 0
    after_nanousd: int = 0


Pricing: TypeAlias = Callable[[Settlement], tuple[int, str] | None]
"""What an attempt would cost, in nano-USD, and by which price version; None where the other prices do not know it."""


class Rerating(Struct, frozen=True):
    """History at other prices, by model and day, in the order of days."""

    lines: tuple[Line, ...]

    @property
    def total(self) -> Line:
        """All of it."""
        return Line(
            model="total",
            day="",
            attempts=sum(line.attempts for line in self.lines),
            kept=sum(line.kept for line in self.lines),
            before_nanousd=sum(line.before_nanousd for line in self.lines),
            after_nanousd=sum(line.after_nanousd for line in self.lines),
        )


class Beside(Struct, frozen=True):
    """What the ledger says now, beside what is kept in a view."""

    view: View
    rerating: Rerating
    missing: int
    """Attempts with a cost that the view knows nothing of, as they are of another time: they cost what they did."""


class TablePricing:
    """A `Pricing` by a price table, and by the operator's own prices where the models have such."""

    def __init__(self, models: Mapping[str, Model], table: PriceTable, as_of: int | None = None) -> None:
        """`models` are by name, built with `table`; `as_of` (midnight, UTC epoch seconds) is the day whose prices hold
        for all, each at its own time of day; without it every attempt has the prices of its own day."""
        self._models = models
        self._table = table
        self._as_of = as_of
        self._known: dict[tuple[str, str, str], Priced | None] = {}

    def __call__(self, settlement: Settlement) -> tuple[int, str] | None:
        key = settlement.model, settlement.deployment, settlement.served_model
        if key not in self._known:
            if len(self._known) >= MOST_NAMES:
                self._known.clear()
            self._known[key] = self._look_up(*key)
        found = self._known[key]
        if found is None:
            return None
        moment = settlement.held_ns // NANOSECONDS
        if self._as_of is not None:
            moment = self._as_of + moment % 86_400
        return priced_usage(found.tariff, settlement.usage, moment, settlement.service_tier), found.version

    def _look_up(self, name: str, deployment: str, served: str) -> Priced | None:
        model = self._models.get(name)
        tariff = model.tariff if model else None
        usual = Priced(tariff, model.price_version) if model and tariff else None
        if model and usual and model.origins.get("price") != self._table.source:
            return usual
        provider, _, upstream = deployment.partition("/")
        asked = self._table.lookup(provider, upstream)
        if asked is None:
            return usual
        answered = self._table.lookup(provider, served) if served else None
        return priced(answered) or priced(asked) or usual


class VersionPricing:
    """A `Pricing` by one price version, for the attempts of the model that it was first met under."""

    def __init__(self, version: Priced, models: frozenset[str]) -> None:
        """`models` are the names it stands for: ours, or those of deployments."""
        self._version = version
        self._models = models

    def __call__(self, settlement: Settlement) -> tuple[int, str] | None:
        if settlement.model not in self._models and settlement.deployment not in self._models:
            return None
        moment = settlement.held_ns // NANOSECONDS
        cost = priced_usage(self._version.tariff, settlement.usage, moment, settlement.service_tier)
        return cost, self._version.version


def settlements(database: Database, since_ns: int, until_ns: int) -> Iterator[list[Settlement]]:
    """The settled attempts from `since_ns` up to, not including, `until_ns`, in pages. Raises StoreUnavailable."""
    after = 0
    while rows := database.read(_PAGE, after, since_ns, until_ns, PAGE):
        page = [_settlement(row) for row in rows]
        yield page
        after = page[-1].sequence


def rerate(
    database: Database, pricing: Pricing, *, since_ns: int, until_ns: int, keep_as: View | None = None
) -> Rerating:
    """Price history anew; with `keep_as`, what came of it is kept under that name in place of what was kept before.

    Raises StoreUnavailable; a view that was being kept is then not listed.
    """
    lines: dict[tuple[str, str], Line] = {}
    if keep_as is not None:
        drop_view(database, keep_as.name)
    for page in settlements(database, since_ns, until_ns):
        priced_page = [(settlement, _price(pricing, settlement)) for settlement in page]
        for settlement, found in priced_page:
            key = settlement.day, settlement.model
            line = lines.setdefault(key, Line(model=settlement.model, day=settlement.day))
            _count(line, settlement, found)
        if keep_as is not None:
            _keep(database, keep_as.name, priced_page)
    if keep_as is not None:
        with database.transaction() as transaction:
            transaction.insert("rerated_views", View.__struct_fields__, [msgspec.structs.astuple(keep_as)])
    return Rerating(tuple(lines[key] for key in sorted(lines)))


def views(database: Database) -> list[View]:
    """What is kept, by name. Raises StoreUnavailable."""
    return [View(**row) for row in database.read(_VIEWS)]


def beside(database: Database, name: str, since_ns: int, until_ns: int) -> Beside | None:
    """The settled attempts of a time beside a view; None if there is none of that name. Raises StoreUnavailable.

    Kept are here those that the view has at the same price version, or not at all.
    """
    view = next((view for view in views(database) if view.name == name), None)
    if view is None:
        return None
    lines, missing = [], 0
    for row in database.read(_BESIDE, name, since_ns, until_ns):
        missing += row.pop("missing")
        day = datetime.fromtimestamp(row.pop("day_ns") // NANOSECONDS, UTC).date().isoformat()
        lines.append(Line(day=day, **row))
    return Beside(view, Rerating(tuple(lines)), missing)


def drop_view(database: Database, name: str) -> bool:
    """Forget a view; False if there was none of that name. Raises StoreUnavailable."""
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM rerated WHERE view = ?", name)
        return bool(transaction.execute("DELETE FROM rerated_views WHERE name = ? RETURNING name", name))


def _price(pricing: Pricing, settlement: Settlement) -> tuple[int, str] | None:
    """A crashed attempt was settled at its hold, and nobody knows its tokens: it stays as it is."""
    return None if settlement.outcome == "crashed" else pricing(settlement)


def _count(line: Line, settlement: Settlement, found: tuple[int, str] | None) -> None:
    before = settlement.cost_nanousd or 0
    line.attempts += 1
    line.kept += found is None
    line.before_nanousd += before
    line.after_nanousd += before if found is None else found[0]


def _keep(database: Database, view: str, page: list[tuple[Settlement, tuple[int, str] | None]]) -> None:
    rows = []
    for settlement, found in page:
        cost, version = found or (settlement.cost_nanousd, settlement.price_version)
        if cost is not None:
            rows.append((view, settlement.attempt_id, cost, version))
    if rows:
        with database.transaction() as transaction:
            transaction.insert("rerated", ("view", "attempt_id", "cost_nanousd", "price_version"), rows)


def _settlement(row: Row) -> Settlement:
    return msgspec.convert({**row, "is_estimated": bool(row["is_estimated"]), "usage": row}, Settlement)
