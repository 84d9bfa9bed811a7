"""Escrow in the database: each process is granted a part of a hard budget, and decides alone within it.

Why the sum never exceeds the limit
-----------------------------------
A window's row has what everybody has spent (`posted`) and what processes were granted and have not spent (`leased`).
A grant is made under the row's lock, only as far as `posted + leased` stays within the limit, and a CHECK refuses any
other. A cost moves from `leased` to `posted`, so the sum stays; only a process that says so itself gives a grant back,
and it says so when nothing is held against that part. So whatever is admitted has been taken from the limit before.

Nothing is ever freed by guess. A grant that was not renewed in time has *expired*, and counts on: its process may have
spent it, and be unable to tell. A partitioned process, or one whose machine stands still, therefore overshoots nothing,
whatever it does and however wrong clocks are; its part is only not there for others. It is freed by `forget`, once the
process is dead (the lock of its journal is free) and all it wrote has arrived: then what it had open is settled at its
upper bound, and the rest of its grant was provably never used.

Expiry is the second line. A process must not admit from a grant later than `Grant.lasts_s` after it *began* to ask for
it; so when a machine is lost with its journal, and an operator has its grants forgotten by hand after that time,
nothing can be admitted from them any more. And a database that fell over to a replica which lacks the latest commits is
told by each process, within that time, what it really has.

What can exceed the limit is only what was promised before it was lowered, what providers charge beyond what was held
for it, and what a database has lost that had been granted. That is `excess`, and nothing is granted while there is any.
"""

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Cause
from routewright.ledger import rollups
from routewright.ledger.budgets import Budget, Grant, Scope, Window, window_at
from routewright.ledger.database import Database, Row, Transaction, Value
from routewright.ledger.ledger import JOB_HOLDS_LAST_NS, NANOSECONDS, Charge, is_job
from routewright.ledger.windows import WindowRow, lease_nanousd, lock, write

LASTS_S = 30.0
"""How long a grant may be used without being renewed."""

_NO_END_NS = 2**63 - 1

_MATCHES = {
    Scope.TOTAL: "? = ''",
    Scope.KEY: "e.key = ?",
    Scope.TEAM: "e.team = ?",
    Scope.TAG: "EXISTS (SELECT 1 FROM {tags} WHERE tag.value = ?)",
    Scope.MODEL: "e.model = ?",
    Scope.CAUSE: "e.cause = ?",
}
"""Whether an attempt is a budget's matter, for its subject."""
_DIMENSIONS = {scope: "all" if scope is Scope.TOTAL else scope.value for scope in Scope}
"""What roll-ups call it."""
_OPEN = """
SELECT e.charges, CAST(coalesce(sum(e.amount_nanousd), 0) AS BIGINT) AS amount_nanousd
FROM events AS e
WHERE e.attempt_id IN (SELECT attempt_id FROM open_holds) AND e.kind = 'reserved'
  AND e.at_ns >= ? AND e.at_ns < ? AND {matches}
GROUP BY e.charges
"""
_BESIDE = """
SELECT starts_ns, ends_ns, is_counted FROM budget_windows WHERE budget = ? AND starts_ns >= ? AND starts_ns <> ?
"""
_THAW = "UPDATE budget_windows SET is_frozen = 0 WHERE budget = ? AND is_frozen = 1"
_GRANTED = "SELECT boot, max(expires_ns) AS expires_ns FROM grants GROUP BY boot"
_GRANTED_TO = "SELECT DISTINCT budget, starts_ns FROM grants WHERE boot = ?"
_GRANTED_OF = "SELECT granted_nanousd FROM grants WHERE budget = ? AND starts_ns = ? AND boot = ?"
_SHARES_OF = "SELECT budget, starts_ns, granted_nanousd, settled_nanousd FROM grants WHERE boot = ?"
_HELD_BY = """
SELECT e.charges, CAST(coalesce(sum(e.amount_nanousd), 0) AS BIGINT) AS amount_nanousd
FROM events AS e
WHERE e.attempt_id IN (SELECT attempt_id FROM open_holds) AND e.kind = 'reserved' AND e.boot = ?
GROUP BY e.charges
"""
_DELETE = """
DELETE FROM grants WHERE budget = ? AND starts_ns = ? AND boot = ? RETURNING granted_nanousd, settled_nanousd
"""

_charges = msgspec.json.Decoder(tuple[Charge, ...])


class _Share(Struct, frozen=True, kw_only=True):
    """What one process has of a window."""

    boot: str
    granted_nanousd: int
    settled_nanousd: int
    wanted_nanousd: int
    left_ns: int
    """How long it lasts yet; not above 0 for one that has expired."""

    @property
    def lease_nanousd(self) -> int:
        return lease_nanousd(self.granted_nanousd, self.settled_nanousd)


class _Outcome(Struct, frozen=True, kw_only=True):
    """What a claim comes to."""

    row: WindowRow
    granted_nanousd: int
    wanted_nanousd: int
    is_wanted_elsewhere: bool

    def is_noted(self, row: WindowRow, share: _Share | None, lasts_ns: int) -> bool:
        """Whether all of it stands in the database already, and the grant for more than half of its time yet; for more
        than all of it, the database's clock was set back meanwhile."""
        if self.row != row or share is None or not lasts_ns < share.left_ns * 2 <= lasts_ns * 2:
            return False
        return (share.granted_nanousd, share.wanted_nanousd) == (self.granted_nanousd, self.wanted_nanousd)


class DatabaseEscrow:
    """Implements `Escrow`; `lasts_s` is how long a grant may be used without being renewed.

    A claim is one transaction of a few rows, or, while it would change nothing, one query: a process may look often.
    """

    def __init__(self, database: Database, *, lasts_s: float = LASTS_S) -> None:
        self._database = database
        self._lasts_ns = int(lasts_s * NANOSECONDS)
        tags = database.elements("e.tags", "tag")
        self._open = {scope: _OPEN.format(matches=matches.format(tags=tags)) for scope, matches in _MATCHES.items()}
        now = database.now_ns
        self._shares_sql = f"""
SELECT w.*, g.boot, g.granted_nanousd, g.settled_nanousd, g.wanted_nanousd, g.expires_ns - {now} AS left_ns
FROM budget_windows AS w LEFT JOIN grants AS g ON g.budget = w.budget AND g.starts_ns = w.starts_ns
WHERE w.budget = ? AND w.starts_ns = ?
"""  # noqa: S608 a constant of the driver
        self._grant_sql = f"""
INSERT INTO grants (budget, starts_ns, boot, granted_nanousd, wanted_nanousd, expires_ns)
VALUES (?, ?, ?, ?, ?, {now} + ?)
ON CONFLICT (budget, starts_ns, boot) DO UPDATE SET
    granted_nanousd = excluded.granted_nanousd, wanted_nanousd = excluded.wanted_nanousd,
    expires_ns = excluded.expires_ns
"""  # noqa: S608 a constant of the driver

    def claim(
        self,
        budget: Budget,
        window: Window,
        *,
        boot: str,
        granted_nanousd: int,
        needed_nanousd: int,
        is_exact: bool = False,
    ) -> Grant:
        """See `Escrow.claim`. Of a soft budget nothing is granted: it is only told how it stands.

        What does not fit whole is granted in part, unless another process waits for less. More than is needed is
        granted while nobody waits: all there is to a process that is alone, a fair share beside others; never with
        `is_exact`. While there is excess, every process is asked to give back what it does not hold.
        """
        known = self._database.read(self._shares_sql, budget.name, window.starts_ns)
        if known and known[0]["is_counted"]:
            row, shares = _row(known), _shares(known)
            mine = next((share for share in shares if share.boot == boot), None)
            outcome = _outcome(_adopted(row, budget, window), shares, boot, granted_nanousd, needed_nanousd, is_exact)
            if outcome.is_noted(row, mine, self._lasts_ns) and mine is not None:
                return _grant(outcome, mine.left_ns)
            if not budget.is_hard and outcome.row == row:
                return _grant(outcome, self._lasts_ns)
        with self._database.transaction() as transaction:
            outcome = self._claim(transaction, budget, window, boot, granted_nanousd, needed_nanousd, is_exact)
        return _grant(outcome, self._lasts_ns)

    def forget(self, boots: frozenset[str]) -> None:
        """See `Escrow.forget`. To forget a process twice, or one that had nothing, does nothing."""
        with self._database.transaction() as transaction:
            windows = {
                (row["budget"], row["starts_ns"]) for boot in boots for row in transaction.execute(_GRANTED_TO, boot)
            }
            for budget, starts_ns in sorted(windows):
                row = lock(transaction, budget, starts_ns)
                shares = [
                    share for boot in sorted(boots) for share in transaction.execute(_DELETE, budget, starts_ns, boot)
                ]
                freed = sum(lease_nanousd(share["granted_nanousd"], share["settled_nanousd"]) for share in shares)
                write(transaction, replace(row, leased_nanousd=row.leased_nanousd - freed).excused())

    def forget_all_but(self, boots_alive: Callable[[], AbstractSet[str]]) -> None:
        """Forget every process that is not among `boots_alive()`; who begins meanwhile is not taken for dead.

        A job is not a process: see `forget_old_jobs`. Raises StoreUnavailable.
        """
        known = {row["boot"] for row in self._database.read(_GRANTED)}
        if gone := {boot for boot in known if not is_job(boot)} - boots_alive():
            self.forget(frozenset(gone))

    def forget_old_jobs(self) -> None:
        """Forget every job that holds nothing and has asked for nothing for as long as holds of jobs last.

        One that is over was forgotten then; so one that nobody resumes takes nothing for ever. Raises StoreUnavailable.
        """
        oldest_ns = time.time_ns() - JOB_HOLDS_LAST_NS
        known = [row["boot"] for row in self._database.read(_GRANTED) if row["expires_ns"] < oldest_ns]
        gone = [boot for boot in known if is_job(boot) and not self._database.read(_HELD_BY, boot)]
        if gone:
            self.forget(frozenset(gone))

    def granted_nanousd(self, charge: Charge, boot: str) -> int:
        """What a process or a job was granted of a window so far, spent or not. Raises StoreUnavailable."""
        rows = self._database.read(_GRANTED_OF, charge.budget, charge.starts_ns, boot)
        return int(rows[0]["granted_nanousd"]) if rows else 0

    def unheld(self, boot: str) -> dict[Charge, int]:
        """Of what a process or a job was granted and has not spent, what no open hold stands on, in nano-USD.

        Raises StoreUnavailable.
        """
        shares = self._database.read(_SHARES_OF, boot)
        left = {
            Charge(row["budget"], row["starts_ns"]): lease_nanousd(row["granted_nanousd"], row["settled_nanousd"])
            for row in shares
        }
        for row in self._database.read(_HELD_BY, boot):
            for charge in _charges.decode(row["charges"]):
                if charge in left:
                    left[charge] = max(0, left[charge] - int(row["amount_nanousd"]))
        return left

    def thaw(self, budget: str) -> None:
        """An operator has looked: grant again of a budget that an overrun had frozen. Raises StoreUnavailable."""
        with self._database.transaction() as transaction:
            transaction.execute(_THAW, budget)

    def _claim(
        self,
        transaction: Transaction,
        budget: Budget,
        window: Window,
        boot: str,
        told: int,
        needed: int,
        is_exact: bool,
    ) -> _Outcome:
        row = lock(transaction, budget.name, window.starts_ns)
        is_counted = row.is_counted and row.ends_ns == window.ends_ns  # a day and its month begin at the same moment
        before = 0 if is_counted else self._spent_before(transaction, budget, window, row.posted_nanousd)
        row = _adopted(row, budget, window, spent_before=before)
        shares = _shares(transaction.execute(self._shares_sql, budget.name, window.starts_ns))
        outcome = _outcome(row, shares, boot, told, needed, is_exact)
        write(transaction, outcome.row)
        if budget.is_hard:
            bindings: Sequence[Value] = (budget.name, window.starts_ns, boot, outcome.granted_nanousd)
            transaction.execute(self._grant_sql, *bindings, outcome.wanted_nanousd, self._lasts_ns)
        return outcome

    def _spent_before(self, transaction: Transaction, budget: Budget, window: Window, charged_nanousd: int) -> int:
        """What was spent, and is held, in a window and was not charged to it, as the budget did not exist yet, or had
        another period or time zone.

        Roll-ups say it, so this takes no time: to the hour, and by when attempts ended, so a little too much rather
        than too little. If the budget was there in the window before, all that is spent in this one is charged to it,
        and what was charged to the other and ended later must not be counted again.
        """
        if _follows_another(transaction, budget, window):
            return 0
        starts_ns, ends_ns = window.starts_ns, _NO_END_NS if window.ends_ns is None else window.ends_ns
        dimension, charge = _DIMENSIONS[budget.scope], Charge(budget.name, starts_ns)
        spent = held = 0
        for subject in _subjects(budget):
            spent += rollups.cost_nanousd(transaction, dimension, subject, starts_ns, ends_ns)
            held += sum(
                int(row["amount_nanousd"])
                for row in transaction.execute(self._open[budget.scope], starts_ns, ends_ns, subject)
                if charge not in _charges.decode(row["charges"])  # those are posted when they close
            )
        return max(0, spent - charged_nanousd) + held


def _subjects(budget: Budget) -> Sequence[str]:
    """What the rows of the attempts say that a budget is for: it may pay for several causes."""
    if budget.scope is not Scope.CAUSE:
        return (budget.subject,)
    return [cause for cause in Cause if cause.purse == budget.subject]


def _follows_another(transaction: Transaction, budget: Budget, window: Window) -> bool:
    """Whether the budget's latest window beside this one is the one before it, by the same calendar."""
    if window.ends_ns is None:
        return False
    before = window_at(budget.period, budget.time_zone, window.starts_ns - 1)
    beside = transaction.execute(_BESIDE, budget.name, before.starts_ns, window.starts_ns)
    if len(beside) != 1 or beside[0]["starts_ns"] != before.starts_ns:
        return False
    return not beside[0]["is_counted"] or beside[0]["ends_ns"] == window.starts_ns  # unless claimed, it has no end yet


def _adopted(row: WindowRow, budget: Budget, window: Window, *, spent_before: int = 0) -> WindowRow:
    """A window's row with the budget as it is defined now."""
    was_overrun_unseen = not row.is_counted and row.overruns > 0
    return replace(
        row,
        ends_ns=window.ends_ns,
        limit_nanousd=budget.limit_nanousd,
        posted_nanousd=row.posted_nanousd + spent_before,
        is_hard=budget.is_hard,
        is_frozen=budget.is_hard and (row.is_frozen or was_overrun_unseen),
        is_counted=True,
    ).excused()


def _outcome(row: WindowRow, shares: Sequence[_Share], boot: str, told: int, needed: int, is_exact: bool) -> _Outcome:
    """What a process is granted that says it has `told` and needs `needed`; of a soft budget nothing more."""
    if not row.is_hard:
        return _Outcome(row=row, granted_nanousd=told, wanted_nanousd=0, is_wanted_elsewhere=False)
    settled = next((share.settled_nanousd for share in shares if share.boot == boot), 0)
    others = [share for share in shares if share.boot != boot]
    rivals = [share for share in others if share.left_ns > 0]
    leased_to_others = sum(share.lease_nanousd for share in others)
    row = replace(row, leased_nanousd=leased_to_others + lease_nanousd(told, settled)).excused()
    own = max(told, settled)  # after an overrun it has spent what it was never granted
    short = max(0, needed - own)
    is_waited_for = any(share.wanted_nanousd for share in rivals)
    given, ahead, wanted = 0, 0, 0
    if not row.is_frozen:
        given = _given(short, row.room_nanousd, boot, rivals)
        wanted = short - given
        if not is_exact and not wanted and not is_waited_for and (short or not rivals):
            ahead = max(0, row.room_nanousd - given) // (len(rivals) + 1)
    granted = own + given + ahead
    return _Outcome(
        # not excused again: the CHECK of the table stands behind this arithmetic
        row=replace(row, leased_nanousd=leased_to_others + lease_nanousd(granted, settled)),
        granted_nanousd=granted,
        wanted_nanousd=wanted,
        is_wanted_elsewhere=is_waited_for or row.excess_nanousd > 0,
    )


def _given(short: int, room: int, boot: str, rivals: Sequence[_Share]) -> int:
    """How much of what a process is short of it gets, of what there is room for.

    All of it, if it fits. A part of it only if no rival waits for less: else several that wait could each keep a part
    of what would be enough for one of them, for ever.
    """
    if short <= room:
        return short
    is_next = all((rival.wanted_nanousd, rival.boot) > (short, boot) for rival in rivals if rival.wanted_nanousd)
    return max(0, room) if is_next else 0


def _row(rows: Sequence[Row]) -> WindowRow:
    return msgspec.convert(rows[0], WindowRow, strict=False)


def _shares(rows: Sequence[Row]) -> list[_Share]:
    """Who has a part of a window; the query gives one row without a boot where nobody has."""
    return msgspec.convert([row for row in rows if row["boot"] is not None], list[_Share], strict=False)


def _grant(outcome: _Outcome, lasts_ns: int) -> Grant:
    return Grant(
        granted_nanousd=outcome.granted_nanousd,
        posted_nanousd=outcome.row.posted_nanousd,
        leased_nanousd=outcome.row.leased_nanousd,
        is_frozen=outcome.row.is_frozen,
        is_wanted_elsewhere=outcome.is_wanted_elsewhere,
        lasts_s=lasts_ns / NANOSECONDS,
    )
