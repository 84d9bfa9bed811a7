"""How budgets stand in the database: the rows that grants and posted costs change, always under their lock.

A budget and the start of a period name one row of `budget_windows`. Whoever changes it, or a grant out of it, locks it
first; who needs several locks them in the order of `Charge`. So no two transactions ever wait for each other.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.ledger.database import Transaction


class WindowRow(Struct, frozen=True, kw_only=True):
    """How a budget stands in one window; amounts in nano-USD."""

    budget: str
    starts_ns: int
    ends_ns: int | None
    limit_nanousd: int
    posted_nanousd: int
    leased_nanousd: int
    excess_nanousd: int
    overruns: int
    is_hard: bool
    is_frozen: bool
    is_counted: bool

    @property
    def room_nanousd(self) -> int:
        """What may still be granted; below zero by what is in excess."""
        return self.limit_nanousd - self.posted_nanousd - self.leased_nanousd

    def excused(self) -> "WindowRow":
        """The same, with all that is beyond the limit taken as unavoidable: never to be called for a grant's sake."""
        return replace(self, excess_nanousd=max(0, -self.room_nanousd) if self.is_hard else 0)


# The update changes nothing: it is what locks the row, in SQLite and in PostgreSQL, and waits for who is making it.
_LOCK = """
INSERT INTO budget_windows (budget, starts_ns) VALUES (?, ?)
ON CONFLICT (budget, starts_ns) DO UPDATE SET overruns = budget_windows.overruns
RETURNING *
"""
_WRITE = """
UPDATE budget_windows
SET ends_ns = ?, limit_nanousd = ?, posted_nanousd = ?, leased_nanousd = ?, excess_nanousd = ?, overruns = ?,
    is_hard = ?, is_frozen = ?, is_counted = ?
WHERE budget = ? AND starts_ns = ?
"""


def lock(transaction: Transaction, budget: str, starts_ns: int) -> WindowRow:
    """How a budget stands, locked until the transaction ends; all zero, and made, if it has no row yet."""
    return msgspec.convert(transaction.execute(_LOCK, budget, starts_ns)[0], WindowRow, strict=False)


def write(transaction: Transaction, row: WindowRow) -> None:
    """Replace a row that is locked."""
    transaction.execute(
        _WRITE,
        row.ends_ns,
        row.limit_nanousd,
        row.posted_nanousd,
        row.leased_nanousd,
        row.excess_nanousd,
        row.overruns,
        int(row.is_hard),
        int(row.is_frozen),
        int(row.is_counted),
        row.budget,
        row.starts_ns,
    )


def lease_nanousd(granted_nanousd: int, settled_nanousd: int) -> int:
    """What a process may still spend of its grant. After an overrun it has spent more than it had: that is no debt."""
    return max(0, granted_nanousd - settled_nanousd)
