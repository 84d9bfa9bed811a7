"""What attempts cost, posted to the budgets that they were held against: in the transaction that stores their ends.

So a cost is posted exactly once, as its event is stored exactly once. It is spent by everybody, and out of the grant of
the process that held it; a process may be dead by then, and a budget not even known here yet: then its row is made.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.ledger.database import Row, Transaction
from routewright.ledger.ledger import Charge
from routewright.ledger.windows import WindowRow, lease_nanousd, lock, write

_SETTLE = """
INSERT INTO grants (budget, starts_ns, boot, settled_nanousd) VALUES (?, ?, ?, ?)
ON CONFLICT (budget, starts_ns, boot) DO UPDATE
    SET settled_nanousd = grants.settled_nanousd + excluded.settled_nanousd
RETURNING granted_nanousd, settled_nanousd
"""

_charges = msgspec.json.Decoder(tuple[Charge, ...])


class _Bill(Struct):
    """What a batch posts to one window."""

    costs: defaultdict[str, int]
    """Nano-USD by the process that held it."""
    overruns: int = 0


def post(transaction: Transaction, new_events: str) -> None:
    """Post the costs among the events that this transaction has just stored, and that were not there before.

    `new_events` is what stands after FROM for their rows. An attempt that cost more than was held for it is an overrun:
    it is posted in full, counted, and freezes every hard budget it counts against. Attempts that cost nothing, and
    released ones, leave everything as it is: their process may use its grant again. Windows are locked in the order of
    their charges.
    """
    bills = _bills(transaction.execute(_costs(new_events)))
    for charge in sorted(bills, key=lambda charge: (charge.budget, charge.starts_ns)):
        bill = bills[charge]
        row = _posted(lock(transaction, charge.budget, charge.starts_ns), bill)
        # of soft budgets too: one may become hard, and what its processes have spent must not count as granted as well
        settled = sum(_settle(transaction, charge, boot, cost) for boot, cost in sorted(bill.costs.items()))
        write(transaction, replace(row, leased_nanousd=row.leased_nanousd - settled).excused())


def _costs(new_events: str) -> str:
    """Sums by who held and against what: one row for many attempts, as a rule."""
    return f"""
SELECT e.charges, e.boot, CAST(sum(e.cost_nanousd) AS BIGINT) AS cost_nanousd,
       count(*) FILTER (WHERE e.cost_nanousd > e.held_nanousd) AS overruns
FROM {new_events} AS e
WHERE e.kind = 'settled' AND e.cost_nanousd > 0 AND e.charges <> '[]'
GROUP BY e.charges, e.boot
"""  # noqa: S608 of our own constants


def _bills(rows: Iterable[Row]) -> dict[Charge, _Bill]:
    bills: dict[Charge, _Bill] = {}
    for row in rows:
        for charge in _charges.decode(row["charges"]):
            bill = bills.setdefault(charge, _Bill(defaultdict(int)))
            bill.costs[row["boot"]] += row["cost_nanousd"]
            bill.overruns += row["overruns"]
    return bills


def _posted(row: WindowRow, bill: _Bill) -> WindowRow:
    return replace(
        row,
        posted_nanousd=row.posted_nanousd + sum(bill.costs.values()),
        overruns=row.overruns + bill.overruns,
        is_frozen=row.is_frozen or (row.is_hard and bill.overruns > 0),
    )


def _settle(transaction: Transaction, charge: Charge, boot: str, cost_nanousd: int) -> int:
    """Take a cost out of a process's grant; how much less it may spend by that."""
    row = transaction.execute(_SETTLE, charge.budget, charge.starts_ns, boot, cost_nanousd)[0]
    granted, settled = row["granted_nanousd"], row["settled_nanousd"]
    return lease_nanousd(granted, settled - cost_nanousd) - lease_nanousd(granted, settled)
