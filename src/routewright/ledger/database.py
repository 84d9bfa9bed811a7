"""What the ledger needs of a database: the same few verbs of SQLite and of PostgreSQL.

All SQL outside the two drivers is written once, in what both understand: `?` for a value, `ON CONFLICT`, `RETURNING`,
`FILTER`, integers for truth values. What they cannot agree on (how to open, lock, time and name errors, and the
`CREATE TABLE` texts) is in the drivers and in their folders of migrations.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from routewright.errors import SchemaRefused

MIGRATIONS = Path(__file__).parent / "migrations"

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = dict[str, Any]
"""A row by column name; `Any` because the database decides per value."""


class Table(NamedTuple):
    """A table as it stands in a database."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """The columns of its primary key, in their order there."""


class Transaction(Protocol):
    """Statements that count together, or not at all."""

    def execute(self, sql: str, *bindings: Value) -> list[Row]:
        """Run one statement and return its rows, if it has any."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Insert many rows; one that is there already, by any unique key, stays as it is. No other fault passes."""
        ...

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> str:
        """The same, for a table with row ids; returns what to write after FROM for the rows that were new.

        It is all that this transaction has put into the table in this way so far, and must be given a name (`AS`). Only
        for who has taken the turn.
        """
        ...

    def take_turn(self) -> None:
        """Wait until no other process is between its turn and its commit; to be called before anything is locked.

        So what such transactions insert is numbered in the order in which it is committed, and whoever reads on after
        a `sequence` misses nothing; and they cannot lock each other out.
        """
        ...


class Database(Protocol):
    """One database. Any thread may use it; a transaction waits until another of this process is over."""

    @property
    def name(self) -> str:
        """What messages call it: a path, or an address without its password."""
        ...

    @property
    def now_ns(self) -> str:
        """SQL for the database's own time: UTC nanoseconds since 1970, an integer."""
        ...

    def member(self, column: str, name: str) -> str:
        """SQL for the text under a name in a column's JSON object; NULL where there is none."""
        ...

    def elements(self, column: str, name: str) -> str:
        """What to write after FROM for the texts in a column's JSON list: a table `name` with a column `value`.

        It may stand to the right of a comma, after the table that has the column.
        """
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """All or nothing, durable when the block is left; alone from its first statement on the rows it locks.

        Raises StoreUnavailable, and has then changed nothing, unless the commit itself was cut off: that may have
        counted, so whatever is written must bear being written again. A deadlock, a time-out or a lost connection is
        not tried again here, as nobody else can run the block again: who holds what is to be written tries again.
        """
        ...

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        """The rows of one query, as of one moment. Raises StoreUnavailable."""
        ...

    def read_plain(self, sql: str, *bindings: Value) -> Sequence[tuple[Any, ...]]:
        """The same without the columns' names, in their order: for who reads thousands of rows."""
        ...

    def tables(self) -> Sequence[Table]:
        """All tables that hold data, by name; not what notes the schema's own version. Raises StoreUnavailable."""
        ...

    def continue_numbering(self, table: Table) -> None:
        """After rows were inserted with their numbers: number new ones above them. Raises StoreUnavailable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def tables_of(rows: Sequence[Row]) -> list[Table]:
    """Tables from the drivers' rows: one a column, with its `table_name`, `column_name` and `key_place` (0: none)."""
    columns: dict[str, list[str]] = {}
    keys: dict[str, dict[int, str]] = {}
    for row in rows:
        columns.setdefault(row["table_name"], []).append(row["column_name"])
        if row["key_place"]:
            keys.setdefault(row["table_name"], {})[row["key_place"]] = row["column_name"]
    return [
        Table(name, tuple(its), tuple(column for _, column in sorted(keys.get(name, {}).items())))
        for name, its in sorted(columns.items())
    ]


class Migration(NamedTuple):
    """One step of the schema, by its number."""

    number: int
    sql: str


def migrations(kind: str) -> list[Migration]:
    """Every step there is for one kind of database, in order: the `NNNN_words.sql` files of its folder."""
    found = [
        Migration(int(file.name[:4]), file.read_text("utf-8"))
        for file in (MIGRATIONS / kind).iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


def whole_schema(kind: str) -> Migration:
    """The steps up to a number in one, for a ledger that has nothing yet: tables as they are, and none altered.

    It is made of them (`tests/pages.py`), and begins with the number.
    """
    sql = (MIGRATIONS / f"{kind}.sql").read_text("utf-8")
    return Migration(int(sql.removeprefix("-- ").partition(":")[0]), sql)


def refuse_newer(name: str, version: int, newest: int) -> None:
    """Raises SchemaRefused for a schema that this code does not know."""
    if version > newest:
        raise SchemaRefused(
            f"the ledger {name} was written by a newer routewright (schema {version}, this one knows {newest})",
            hint="upgrade routewright, or choose another ledger",
        )


def refuse_older(name: str, version: int, newest: int) -> None:
    """Raises SchemaRefused for a schema that must be brought up to date first, by who only reads."""
    if version == 0:
        raise SchemaRefused(f"there is no ledger in {name} yet", hint="start `routewright serve`: it makes one")
    if version < newest:
        raise SchemaRefused(
            f"the ledger {name} was written by an older routewright (schema {version}, this one reads {newest})",
            hint="start `routewright serve` once: it brings the ledger up to date",
        )


def migration_failed(name: str, step: Migration, error: Exception) -> SchemaRefused:
    """What to say of a step that the database refused; it was taken back."""
    reason = str(error).partition("\n")[0]
    return SchemaRefused(
        f"the ledger {name} could not be brought to schema {step.number}: {reason}; it is as it was before",
        hint="see whether somebody else has changed its tables, and who may change them; or choose another ledger",
    )
