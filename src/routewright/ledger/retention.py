"""Retention: raw rows of days long past go, in small batches; what reports read and what proves the past stays.

Only sealed days go, and only where there are roll-ups: seals, roll-ups and budget windows are never touched, nor is a
hold that is open. A day's seal says when its rows went, and its hash stays in the chain.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from routewright.ledger.database import Database
from routewright.ledger.sealed_rows import DAY_NS, SECTIONS, Pause, Section, day_of, start_of
from routewright.ledger.sqlite import SqliteDatabase

SMALLEST_BATCH, LARGEST_BATCH = 16, 4_096
LONGEST_S = 0.05
"""How long others may have to wait for a batch."""

_DUE = """
SELECT number, day, supplement, rows FROM day_seals
WHERE day < ? AND chain_hash IS NOT NULL AND pruned_at_ns IS NULL ORDER BY number LIMIT 1
"""
_DUE_ROWS = """
SELECT count(*) AS days, coalesce(sum(rows), 0) AS rows, min(day) AS first, max(day) AS last FROM day_seals
WHERE day < ? AND chain_hash IS NOT NULL AND pruned_at_ns IS NULL
"""
_MARK = "UPDATE day_seals SET pruned_at_ns = ? WHERE number = ?"
_IS_OPEN = "EXISTS (SELECT 1 FROM open_holds AS o WHERE o.attempt_id = e.attempt_id)"
_APPENDED = ("outcomes", "embeddings", "comparisons")


class Due(Struct, frozen=True, kw_only=True):
    """What would be deleted."""

    seals: int
    rows: int
    """Events and requests; outcomes and vectors of those days go as well."""
    first_day: str | None
    last_day: str | None


class Pruned(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    days: tuple[str, ...]
    rows: int


class _Deletion(NamedTuple):
    """One kind of rows of a seal: `sql` deletes at most as many as its last binding says, and returns one for each."""

    sql: str
    bindings: tuple[str | int, ...]


def due(database: Database, before_day: str) -> Due:
    """What `prune` would delete. Raises StoreUnavailable."""
    row = database.read(_DUE_ROWS, before_day)[0]
    return Due(seals=row["days"], rows=row["rows"], first_day=row["first"], last_day=row["last"])


def can_prune(database: Database) -> bool:
    """Whether there are roll-ups to report from. Raises StoreUnavailable."""
    return bool(database.read("SELECT is_made FROM rollups_made")[0]["is_made"])


def oldest_kept(now_ns: int, retention_days: int) -> str:
    """The first day (UTC) of which raw rows are kept."""
    return day_of(max(0, now_ns - retention_days * DAY_NS))


def prune(
    database: Database, before_day: str, now_ns: int, *, monotonic: Callable[[], float], pause: Pause = lambda: None
) -> Pruned:
    """Delete the raw rows of all sealed days before `before_day`, oldest seal first.

    `pause` is called after each batch. `monotonic` gives seconds, by which batches are kept short. It goes on where an
    earlier call was interrupted. Raises StoreUnavailable.
    """
    days: list[str] = []
    count, batch = 0, SMALLEST_BATCH
    while seals := database.read(_DUE, before_day):
        seal = seals[0]
        for deletion in _deletions(seal["day"], seal["supplement"]):
            is_left = True
            while is_left:
                began = monotonic()
                with database.transaction() as transaction:
                    gone = len(transaction.execute(deletion.sql, *deletion.bindings, batch))
                count, is_left = count + gone, gone >= batch
                batch = _next_batch(batch, monotonic() - began)
                pause()
        with database.transaction() as transaction:
            transaction.execute(_MARK, now_ns, seal["number"])
        days.append(seal["day"])
    return Pruned(days=tuple(dict.fromkeys(days)), rows=count)


def _next_batch(batch: int, took_s: float) -> int:
    """Half as many after one that took too long, twice as many after one that was quick."""
    if took_s > LONGEST_S / 2:
        return max(SMALLEST_BATCH, batch // 2)
    return min(LARGEST_BATCH, batch * 2) if took_s < LONGEST_S / 8 else batch


def _deletions(day: str, supplement: int) -> list[_Deletion]:
    starts_ns = start_of(day)
    ends_ns = starts_ns + DAY_NS
    if supplement:
        return [_Deletion(_late(section), (day, supplement)) for section in SECTIONS]
    return [
        *(_Deletion(_early(section), (starts_ns, ends_ns)) for section in SECTIONS),
        *(_Deletion(_appended(table), (ends_ns,)) for table in _APPENDED),
    ]


def _early(section: Section) -> str:
    """The rows of a day that no supplement has."""
    chosen = f"""
    SELECT e.{section.row_id} FROM {section.table} AS e
    WHERE {section.condition} AND e.at_ns >= ? AND e.at_ns < ?{_closed(section)}
      AND NOT EXISTS (SELECT 1 FROM late_rows WHERE row_id = e.{section.row_id} AND row_kind = {section.kind})
    LIMIT ?"""  # noqa: S608 of our own constants
    return _delete(section, chosen)


def _late(section: Section) -> str:
    """The rows of a supplement."""
    chosen = f"""
    SELECT e.{section.row_id} FROM late_rows AS l JOIN {section.table} AS e ON e.{section.row_id} = l.row_id
    WHERE l.day = ? AND l.supplement = ? AND l.row_kind = {section.kind} AND {section.condition}{_closed(section)}
    LIMIT ?"""  # noqa: S608 of our own constants
    return _delete(section, chosen)


def _closed(section: Section) -> str:
    return f" AND NOT {_IS_OPEN}" if section.table == "events" else ""


def _delete(section: Section, chosen: str) -> str:
    same_kind = section.condition.replace("e.", "")
    return f"DELETE FROM {section.table} WHERE {section.row_id} IN ({chosen}) AND {same_kind} RETURNING 1 AS gone"  # noqa: S608 of our own constants


def _appended(table: str) -> str:
    """Rows in the order in which they came, as far as they are old: no index on their time is needed."""
    return f"""
    DELETE FROM {table} WHERE sequence IN (
        SELECT sequence FROM (SELECT sequence, at_ns FROM {table} ORDER BY sequence LIMIT {LARGEST_BATCH}) AS oldest
        WHERE at_ns < ? LIMIT ?) RETURNING 1 AS gone"""  # noqa: S608 of our own constants


def free_bytes(database: Database) -> int:
    """What a file has free inside for new rows; 0 for PostgreSQL, which vacuums by itself. Raises StoreUnavailable."""
    if not isinstance(database, SqliteDatabase):
        return 0
    pages = database.read("SELECT freelist_count AS n FROM pragma_freelist_count")[0]["n"]
    return int(pages) * int(database.read("SELECT page_size AS n FROM pragma_page_size")[0]["n"])
