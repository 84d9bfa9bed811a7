"""What is to be told of budgets: which crossings there are, and which of them were told, and in which way.

A crossing is claimed by a row that can be made only once, so of all processes one tells it, and a restart tells nothing
again. A process that dies between telling and noting it may have it told twice: never not at all.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec import Struct

from routewright.ledger.budgets import Budget, Period, Scope
from routewright.ledger.database import Database, Row
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.windows import WindowRow

TOLD_AFTER_ITS_END_NS = 3600 * NANOSECONDS
"""Attempts are settled after their window is over, too; what that reaches is still told for so long."""


class Way(StrEnum):
    """How an alert reaches somebody."""

    LOG = "log"
    WEBHOOK = "webhook"
    SLACK = "slack"


class Alert(Struct, frozen=True, kw_only=True):
    """A budget has reached a share of its limit, or an attempt cost more than was held for it; amounts in nano-USD."""

    budget: str
    scope: Scope
    subject: str
    period: Period
    starts_ns: int
    ends_ns: int | None
    percent: int
    """The share of the limit that was reached; 0 for overruns."""
    overruns: int
    """How many there were by then; 0 for a share of the limit."""
    is_frozen: bool
    """Nothing is admitted until an operator has looked."""
    spent_nanousd: int
    limit_nanousd: int
    at_ns: int
    """When it was noticed; UTC."""


Key: TypeAlias = tuple[str, int, int, int, str]


class Notice(Struct, frozen=True):
    """An alert to tell, in one way, by whoever took it."""

    alert: Alert
    way: Way

    @property
    def key(self) -> Key:
        """What names it in the database."""
        return (self.alert.budget, self.alert.starts_ns, self.alert.percent, self.alert.overruns, self.way.value)


def crossings(budget: Budget, row: WindowRow, now_ns: int) -> list[Alert]:
    """All that there is to tell of a budget in one window, told already or not."""
    spent, limit = row.posted_nanousd, budget.limit_nanousd
    reached = [percent for percent in sorted(set(budget.alerts_percent)) if spent and spent * 100 >= percent * limit]
    occasions = [(percent, 0) for percent in reached] + [(0, row.overruns)] * (row.overruns > 0)
    return [
        Alert(
            budget=budget.name,
            scope=budget.scope,
            subject=budget.subject,
            period=budget.period,
            starts_ns=row.starts_ns,
            ends_ns=row.ends_ns,
            percent=percent,
            overruns=overruns,
            is_frozen=row.is_frozen,
            spent_nanousd=spent,
            limit_nanousd=limit,
            at_ns=now_ns,
        )
        for percent, overruns in occasions
    ]


_WINDOWS = "SELECT * FROM budget_windows WHERE starts_ns <= ? AND (ends_ns IS NULL OR ends_ns > ?)"
_LEFT = """
SELECT alert, way FROM alerts WHERE delivered_at_ns IS NULL AND taken_until_ns <= {now}
ORDER BY budget, starts_ns, percent, overruns, way
"""
_TAKE = """
INSERT INTO alerts (budget, starts_ns, percent, overruns, way, alert, taken_until_ns)
VALUES (?, ?, ?, ?, ?, ?, {now} + ?)
ON CONFLICT (budget, starts_ns, percent, overruns, way) DO UPDATE SET taken_until_ns = excluded.taken_until_ns
    WHERE alerts.delivered_at_ns IS NULL AND alerts.taken_until_ns <= {now}
RETURNING budget
"""
_KEY = "budget = ? AND starts_ns = ? AND percent = ? AND overruns = ? AND way = ?"
_DELIVERED = f"UPDATE alerts SET delivered_at_ns = {{now}} WHERE {_KEY}"  # noqa: S608 of our own constants
_LET_GO = f"UPDATE alerts SET taken_until_ns = 0 WHERE {_KEY}"  # noqa: S608 of our own constants

_alert = msgspec.json.Decoder(Alert)


class AlertBook:
    """Which alerts were told, in the database. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        now = database.now_ns
        self._left, self._take, self._delivered = (sql.format(now=now) for sql in (_LEFT, _TAKE, _DELIVERED))

    def windows(self, now_ns: int) -> list[WindowRow]:
        """How all budgets stand in the windows around a moment, and in those that have just ended."""
        rows = self._database.read(_WINDOWS, now_ns, now_ns - TOLD_AFTER_ITS_END_NS)
        return msgspec.convert(rows, list[WindowRow], strict=False)

    def left(self) -> list[Notice]:
        """What is not told and nobody is at."""
        return [_notice(row) for row in self._database.read(self._left)]

    def take(self, notices: Collection[Notice], *, for_s: float) -> list[Notice]:
        """Those that nobody has told and nobody else is at: to be told by this process, within `for_s` seconds."""
        if not notices:
            return []
        with self._database.transaction() as transaction:
            return [
                notice
                for notice in sorted(notices, key=lambda notice: notice.key)
                if transaction.execute(
                    self._take, *notice.key, msgspec.json.encode(notice.alert).decode(), int(for_s * NANOSECONDS)
                )
            ]

    def delivered(self, notice: Notice) -> None:
        """It was told."""
        self._note(self._delivered, notice)

    def let_go(self, notice: Notice) -> None:
        """It could not be told: others may try."""
        self._note(_LET_GO, notice)

    def _note(self, sql: str, notice: Notice) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(sql, *notice.key)


def _notice(row: Row) -> Notice:
    return Notice(_alert.decode(row["alert"]), Way(row["way"]))


def due(budgets: Iterable[Budget], windows: Sequence[WindowRow], ways: Iterable[Way], now_ns: int) -> list[Notice]:
    """All crossings there are now, in every way; of budgets that nobody defines any more nothing is told."""
    defined = {budget.name: budget for budget in budgets}
    alerts = [
        alert
        for row in windows
        if (budget := defined.get(row.budget)) is not None
        for alert in crossings(budget, row, now_ns)
    ]
    return [Notice(alert, way) for way in ways for alert in alerts]
