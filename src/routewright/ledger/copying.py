"""A whole ledger from one database into another, of the same kind or not: every row of every table, in pages.

How far a copy has come is written in the transaction that brings the rows, so one that was cut off goes on where it
was. What is appended (events, requests, …) comes first; whatever the database makes of that by itself meanwhile is then
replaced by what the source has. The source is only read.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from routewright.errors import LedgersDiffer
from routewright.ledger.database import Database, Row, Table, Transaction, Value
from routewright.ledger.sealed_rows import Pause, content_of
from routewright.ledger.seals import open_days

PAGE = 1_000
APPENDED = ("events", "requests", "outcomes", "embeddings", "comparisons", "unread")
"""What comes first; of every other table the source's rows replace what is there."""
_OWN = frozenset({"copied_tables"})
"""What a database has for itself."""
_KEYS: Mapping[str, tuple[str, ...]] = {"unread": ("payload",)}
"""Of tables that have a primary key in one kind of database only."""
_WHOLE = ""
"""The name under which a copy is noted that is complete."""

Told = Callable[[int], None]
"""Told how many rows were copied."""


class Copied(Struct, frozen=True, kw_only=True):
    """A complete copy."""

    rows: Mapping[str, int]
    """By table."""


def copy_ledger(source: Database, target: Database, told: Told = lambda rows: None, page: int = PAGE) -> Copied:
    """Copy, or go on copying, and compare both at the end; nobody may write to either meanwhile.

    `page` is how many rows one transaction brings.

    Raises LedgersDiffer when `target` has rows that are not from here, or at the end is not what `source` is, and
    StoreUnavailable: then say it again.
    """
    tables = _tables(source, target)
    _require_own_copy(source, target)
    for table in tables:
        _copy(source, target, table, told, page)
    for table in tables:
        target.continue_numbering(table)
    counts = {table.name: _compared(source, target, table) for table in tables}
    _compare_days(source, target, lambda: told(0))
    with target.transaction() as transaction:
        transaction.execute("DELETE FROM copied_tables")
        columns = ("name", "source", "rows", "is_done")
        transaction.insert("copied_tables", columns, [(_WHOLE, source.name, sum(counts.values()), 1)])
    return Copied(rows=counts)


def _tables(source: Database, target: Database) -> list[Table]:
    """What is copied, in this order. Raises LedgersDiffer when a table is not there, or is another one."""
    there = {table.name: table for table in target.tables()}
    found = {table.name: table for table in source.tables() if table.name not in _OWN}
    for table in found.values():
        if table.name not in there or set(table.columns) - set(there[table.name].columns):
            raise LedgersDiffer(
                f"{target.name} has no such table {table.name} as {source.name}",
                hint="open both with the same version of routewright first",
            )
    first = [found[name] for name in APPENDED]
    return first + [table for table in found.values() if table.name not in APPENDED]


def _require_own_copy(source: Database, target: Database) -> None:
    """Raises LedgersDiffer when rows would be laid over those of another ledger."""
    begun = target.read("SELECT name, source FROM copied_tables")
    if any(row["name"] == _WHOLE for row in begun):
        raise LedgersDiffer(
            f"{target.name} has a complete copy of {begun[0]['source']} already",
            hint="name it in routewright.toml; to copy once more, empty it first",
        )
    if any(row["source"] != source.name for row in begun):
        raise LedgersDiffer(f"{target.name} has part of a copy of {begun[0]['source']}, not of {source.name}")
    if not begun and any(target.read(f"SELECT 1 AS it FROM {name} LIMIT 1") for name in APPENDED):  # noqa: S608 our own
        raise LedgersDiffer(
            f"{target.name} has rows of its own, and two ledgers cannot become one", hint="name an empty database"
        )


# ---- copying ----------------------------------------------------------------------------------------------------


def _copy(source: Database, target: Database, table: Table, told: Told, page: int) -> None:
    begun = target.read("SELECT after, is_done FROM copied_tables WHERE name = ?", table.name)
    if begun and begun[0]["is_done"]:
        return
    if not begun:
        with target.transaction() as transaction:
            if table.name not in APPENDED:
                transaction.execute(f"DELETE FROM {table.name}")  # noqa: S608 our own name
            columns = ("name", "source", "rows", "is_done")
            transaction.insert("copied_tables", columns, [(table.name, source.name, 0, 0)])
    after = _key_from(begun[0]["after"]) if begun else None
    for rows in _pages(source, table, after, page):
        with target.transaction() as transaction:
            transaction.insert(table.name, table.columns, [tuple(row.values()) for row in rows])
            _note(transaction, table, rows)
        told(len(rows))
    with target.transaction() as transaction:
        transaction.execute("UPDATE copied_tables SET is_done = 1 WHERE name = ?", table.name)


def _note(transaction: Transaction, table: Table, rows: Sequence[Row]) -> None:
    after = _key_text([rows[-1][column] for column in _key(table)])
    transaction.execute(
        "UPDATE copied_tables SET after = ?, rows = rows + ? WHERE name = ?", after, len(rows), table.name
    )


def _pages(source: Database, table: Table, after: Sequence[Value] | None, page: int) -> Iterator[list[Row]]:
    key = _key(table)
    columns, order = _quoted(table.columns), _quoted(key)
    above = f"WHERE ({order}) > ({', '.join('?' * len(key))})"
    while True:
        condition = "" if after is None else above
        sql = f"SELECT {columns} FROM {table.name} {condition} ORDER BY {order} LIMIT {page}"  # noqa: S608 of the schema
        rows = source.read(sql, *(after or ()))
        if not rows:
            return
        yield rows
        after = [rows[-1][column] for column in key]


def _key(table: Table) -> tuple[str, ...]:
    return _KEYS.get(table.name) or table.key or table.columns


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _key_text(key: Sequence[Value]) -> str:
    """A key as JSON; bytes as a list of their base64."""
    plain = [[b64encode(part).decode()] if isinstance(part, bytes) else part for part in key]
    return msgspec.json.encode(plain).decode()


def _key_from(text: str | None) -> list[Value] | None:
    if text is None:
        return None
    key = msgspec.json.decode(text, type=list[str | int | float | list[str] | None])
    return [b64decode(part[0]) if isinstance(part, list) else part for part in key]


# ---- comparing --------------------------------------------------------------------------------------------------


def _compared(source: Database, target: Database, table: Table) -> int:
    """How many rows both have. Raises LedgersDiffer when that is not the same, or a sum of money is not."""
    money = [column for column in table.columns if column.endswith("_nanousd")]
    sums = "".join(f', CAST(sum("{column}") AS BIGINT) AS "{column}"' for column in money)
    sql = f"SELECT count(*) AS rows_there{sums} FROM {table.name}"  # noqa: S608 of the schema
    theirs, ours = source.read(sql)[0], target.read(sql)[0]
    for name, value in theirs.items():
        if ours[name] != value:
            raise _differ(source, target, f"{table.name}: {name} is {ours[name]}, it should be {value}")
    return int(theirs["rows_there"])


def _compare_days(source: Database, target: Database, pause: Pause) -> None:
    """Every day with rows, sealed or not, has the same hash in both."""
    seals = "SELECT day, supplement, content_hash FROM day_seals WHERE pruned_at_ns IS NULL AND chain_hash IS NOT NULL"
    for seal in source.read(f"{seals} ORDER BY number"):
        if content_of(target, seal["day"], seal["supplement"], pause).digest != seal["content_hash"]:
            raise _differ(source, target, f"{seal['day']} does not match its seal")
    for day in open_days(source):
        if content_of(source, day, 0, pause) != content_of(target, day, 0, pause):
            raise _differ(source, target, f"{day} has other rows")


def _differ(source: Database, target: Database, what: str) -> LedgersDiffer:
    return LedgersDiffer(
        f"{target.name} is not what {source.name} is: {what}",
        hint="somebody wrote to one of them meanwhile, or their chain is broken: `routewright ledger verify` tells; "
        "then copy into an empty database",
    )
