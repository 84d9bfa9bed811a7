"""Day seals: a chain of hashes over the days that are over, by which a later change of any row is noticed.

A day is closed an hour after its end: rows that come later (the journal of a process that was dead for long) are noted
in `late_rows`, in the transaction that brings them, and go into a numbered supplement. So it is always known which
rows a seal stands for. Hashing goes in pages without a lock, after the closing; a day that was closed and not hashed,
because the process died, is hashed by whoever comes next, with the same result.

Who brings rows and who closes a day take turns (`Transaction.take_turn`), so nothing falls between the two. Which days
are closed is asked of the database and not of a clock: that of whoever closed one may have been ahead.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from routewright.ledger.database import Database, Row, Transaction, Value
from routewright.ledger.rows import Insert
from routewright.ledger.sealed_rows import DAY_NS, REQUEST, Content, Pause, content_of, day_of, start_of

GRACE_NS = DAY_NS // 24
"""From the end of a day to its closing: what living processes still hold arrives within seconds."""
MOST_LATE_ROWS = 50_000
"""Of one supplement; more make several."""
GENESIS = hashlib.sha256(b"routewright day seals 1").hexdigest()
"""What the first seal follows."""

_SEALS = "SELECT * FROM day_seals WHERE number > ? ORDER BY number LIMIT 1000"
_LAST = "SELECT * FROM day_seals ORDER BY number DESC LIMIT 1"
_LAST_DAY = "SELECT max(day) AS day FROM day_seals WHERE supplement = 0"
_UNHASHED = "SELECT * FROM day_seals WHERE chain_hash IS NULL ORDER BY number LIMIT 1"
_CHAIN_HASH = "SELECT chain_hash FROM day_seals WHERE number = ?"
_FIRST_ROWS = (
    "SELECT min(at_ns) AS at_ns FROM events WHERE kind = 'reserved' AND at_ns >= ?",
    "SELECT min(at_ns) AS at_ns FROM events WHERE kind <> 'reserved' AND at_ns >= ?",
    "SELECT min(at_ns) AS at_ns FROM requests WHERE at_ns >= ?",
)
_CLOSE = """
INSERT INTO day_seals (number, day, supplement, closed_at_ns)
SELECT coalesce(max(number), 0) + 1, ?, ?, ? FROM day_seals
"""
_FINISH = """
UPDATE day_seals SET rows = ?, content_hash = ?, previous_hash = ?, chain_hash = ?, sealed_at_ns = ?
WHERE number = ? AND chain_hash IS NULL
"""
_LATE_DAY = "SELECT min(day) AS day FROM late_rows WHERE supplement IS NULL"
_NEXT_SUPPLEMENT = "SELECT coalesce(max(supplement), 0) + 1 AS number FROM day_seals WHERE day = ?"
_ASSIGN = f"""
UPDATE late_rows SET supplement = ? WHERE (row_id, row_kind) IN (
    SELECT row_id, row_kind FROM late_rows WHERE day = ? AND supplement IS NULL
    ORDER BY at_ns, row_id, row_kind LIMIT {MOST_LATE_ROWS})
"""  # noqa: S608 of our own constants
_HAS_EVENT = "SELECT 1 AS found FROM events WHERE attempt_id = ? AND kind = ?"
_HAS_REQUEST = "SELECT 1 AS found FROM requests WHERE request_id = ?"


class Seal(Struct, frozen=True, kw_only=True):
    """One link of the chain."""

    number: int
    day: str
    supplement: int
    """0 for the day itself, then one for each group of rows that came after it was closed."""
    rows: int
    content_hash: str
    previous_hash: str
    chain_hash: str
    sealed_at_ns: int
    pruned_at_ns: int | None
    """When its rows were deleted."""


class Arrival(NamedTuple):
    """A row about to be brought into the ledger."""

    row_id: str
    kind: str
    at_ns: int


def link(previous_hash: str, day: str, supplement: int, content: Content) -> str:
    """The hash of a seal."""
    text = f"{previous_hash}\n{day}\n{supplement}\n{content.rows}\n{content.digest}\n"
    return hashlib.sha256(text.encode()).hexdigest()


# ---- who brings rows --------------------------------------------------------------------------------------------


def arrivals(rows: Mapping[Insert, Sequence[tuple[Value, ...]]], before_ns: int) -> list[Arrival]:
    """The events and requests of before a moment, among rows about to be inserted."""
    found: list[Arrival] = []
    for insert, its in rows.items():
        if insert.table not in ("events", "requests"):
            continue
        at = insert.columns.index("at_ns")
        row_id = insert.columns.index("attempt_id" if insert.table == "events" else "request_id")
        for row in its:
            at_ns = row[at]
            if isinstance(at_ns, int) and at_ns < before_ns:
                kind = row[0] if insert.table == "events" else REQUEST
                found.append(Arrival(str(row[row_id]), str(kind), at_ns))
    return found


def note_late(transaction: Transaction, rows: Mapping[Insert, Sequence[tuple[Value, ...]]]) -> None:
    """Note which rows come too late for their day's seal.

    To be called before they are inserted, by who has taken the turn. What is there already is no news, and so not late.
    """
    last_day = transaction.execute(_LAST_DAY)[0]["day"]
    if last_day is None:
        return
    closed_until_ns = start_of(last_day) + DAY_NS
    late = [each for each in arrivals(rows, closed_until_ns) if not _is_there(transaction, each)]
    if late:
        columns = ("row_id", "row_kind", "at_ns", "day")
        transaction.insert("late_rows", columns, [(*each, day_of(each.at_ns)) for each in late])


def _is_there(transaction: Transaction, arrival: Arrival) -> bool:
    if arrival.kind == REQUEST:
        return bool(transaction.execute(_HAS_REQUEST, arrival.row_id))
    return bool(transaction.execute(_HAS_EVENT, arrival.row_id, arrival.kind))


# ---- who seals --------------------------------------------------------------------------------------------------


def seal_due(database: Database, now_ns: int, pause: Pause = lambda: None) -> list[Seal]:
    """Seal every complete day that is not sealed yet, and what came late for older ones; returns the new seals.

    `pause` is called after each page of rows. It may be called by several processes at once. Raises StoreUnavailable.
    """
    made = list(_hash_closed(database, now_ns, pause))
    while _close_next_day(database, now_ns) or _close_supplement(database, now_ns):
        made += _hash_closed(database, now_ns, pause)
    return made


def _close_next_day(database: Database, now_ns: int) -> bool:
    """Close the first day after the last closed one that has rows and is over; False if there is none."""
    last_day = database.read(_LAST_DAY)[0]["day"]
    day = next(open_days(database), None)
    if day is None or start_of(day) + DAY_NS + GRACE_NS > now_ns:
        return False
    with database.transaction() as transaction:
        transaction.take_turn()
        if transaction.execute(_LAST_DAY)[0]["day"] == last_day:  # else another process was faster
            transaction.execute(_CLOSE, day, 0, now_ns)
    return True


def open_days(database: Database) -> Iterator[str]:
    """The days with rows that are not closed, in order. Raises StoreUnavailable."""
    last_day = database.read(_LAST_DAY)[0]["day"]
    from_ns = 0 if last_day is None else start_of(last_day) + DAY_NS
    while True:
        found = [database.read(sql, from_ns)[0]["at_ns"] for sql in _FIRST_ROWS]
        firsts = [at_ns for at_ns in found if at_ns is not None]
        if not firsts:
            return
        day = day_of(min(firsts))
        yield day
        from_ns = start_of(day) + DAY_NS


def _close_supplement(database: Database, now_ns: int) -> bool:
    """Make a supplement of the late rows of the first day that has some; False if there are none."""
    if database.read(_LATE_DAY)[0]["day"] is None:
        return False
    with database.transaction() as transaction:
        transaction.take_turn()
        day = transaction.execute(_LATE_DAY)[0]["day"]
        if day is not None:
            number = transaction.execute(_NEXT_SUPPLEMENT, day)[0]["number"]
            transaction.execute(_ASSIGN, number, day)
            transaction.execute(_CLOSE, day, number, now_ns)
    return True


def _hash_closed(database: Database, now_ns: int, pause: Pause) -> list[Seal]:
    """Hash what is closed and not hashed yet, in the order of the chain."""
    made: list[Seal] = []
    while rows := database.read(_UNHASHED):
        closed = rows[0]
        content = content_of(database, closed["day"], closed["supplement"], pause)
        previous = _previous_hash(database, closed["number"])
        chain_hash = link(previous, closed["day"], closed["supplement"], content)
        values = (content.rows, content.digest, previous, chain_hash, now_ns, closed["number"])
        with database.transaction() as transaction:
            transaction.execute(_FINISH, *values)
        made += seals_after(database, closed["number"] - 1)[:1]
    return made


def _previous_hash(database: Database, number: int) -> str:
    rows = database.read(_CHAIN_HASH, number - 1)
    return str(rows[0]["chain_hash"]) if rows else GENESIS


# ---- who looks --------------------------------------------------------------------------------------------------


def seals_after(database: Database, number: int) -> Sequence[Seal]:
    """Up to 1,000 finished seals, in the order of the chain. Raises StoreUnavailable."""
    return [_seal(row) for row in database.read(_SEALS, number) if row["chain_hash"] is not None]


def last_seal(database: Database) -> Seal | None:
    """The end of the chain, if it has begun and is not just being made longer."""
    rows = database.read(_LAST)
    return _seal(rows[0]) if rows and rows[0]["chain_hash"] is not None else None


def _seal(row: Row) -> Seal:
    return Seal(**{name: row[name] for name in Seal.__struct_fields__})
