"""What the ledger needs of a database: the same few verbs of SQLite and of PostgreSQL.

All SQL outside the two drivers is written once, in what both understand: `?` for a value, `ON CONFLICT`, `RETURNING`,
`FILTER`, integers for truth values. What they cannot agree on (how to open, lock, time and name errors, and the
`CREATE TABLE` texts) is in the drivers and in their folders of migrations.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from typing import Any, NamedTuple, Protocol, TypeAlias

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = dict[str, Any]
"""A row by column name; `Any` because the database decides per value."""


class Transaction(Protocol):
    """Statements that count together, or not at all."""

    def execute(self, sql: str, *bindings: Value) -> list[Row]:
        """Run one statement and return its rows, if it has any."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Insert many rows; one that is there already, by any unique key, stays as it is. No other fault passes."""
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

    def transaction(self) -> AbstractContextManager[Transaction]:
        """All or nothing, durable when the block is left; alone from its first statement on the rows it locks.

        Raises StoreUnavailable, and has then changed nothing, unless the commit itself was cut off: that may have
        counted, so whatever is written must bear being written again.
        """
        ...

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        """The rows of one query, as of one moment. Raises StoreUnavailable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Migration(NamedTuple):
    """One step of the schema, by its number."""

    number: int
    sql: str


def migrations(kind: str) -> list[Migration]:
    """Every step there is for one kind of database, in order: the `NNNN_words.sql` files of its folder."""
    folder = files("routewright.ledger") / "migrations" / kind
    found = [
        Migration(int(file.name[:4]), file.read_text("utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)
