"""The default database: one SQLite file, through apsw, which brings a current SQLite along.

Write-ahead logging lets readers go on while a batch is committed; `synchronous=FULL` makes every commit durable, so the
journal may forget what it has handed over.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.database import (
    Migration,
    Row,
    Table,
    Value,
    migration_failed,
    migrations,
    refuse_newer,
    refuse_older,
    tables_of,
    whole_schema,
)
from routewright.ledger.files import OS_FILES

OLDEST_SQLITE = (3, 51, 3)
"""Before it, a reset of the write-ahead log could corrupt a database that several connections use."""

_BUSY_MS = 1000  # the journal waits longer, with pauses; a commit that is only slow needs no second try
OPENING_BUSY_MS = 30_000  # somebody else may be making the file, or bringing a large one up to date
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_PAGE_BYTES = 16 * 1024
"""Of a new file. A request's row is half of SQLite's usual page, and each page is written twice: log and file."""
_CACHE_KIB = 8 * 1024
"""A batch's pages have room in it, and are written once."""

_COLUMNS = """
SELECT t.name AS table_name, c.name AS column_name, c.pk AS key_place
FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'
ORDER BY t.name, c.cid
"""

_LAST_ROWS = "CREATE TEMPORARY TABLE last_rows (table_name TEXT PRIMARY KEY, row_id INTEGER NOT NULL) WITHOUT ROWID"
_NOTE_LAST_ROW = """
INSERT INTO last_rows SELECT '{table}', coalesce(max(rowid), 0) FROM {table} WHERE true
ON CONFLICT (table_name) DO UPDATE SET row_id = excluded.row_id
"""
_NEW_ROWS = "(SELECT * FROM {table} WHERE rowid > (SELECT row_id FROM last_rows WHERE table_name = '{table}'))"
"""The number is not in the text, so that SQLite reads long statements over it once, and not anew for each batch."""

_STATEMENTS = 512  # the most there can be
"""Places for statements that SQLite has read. Each use takes a new place, and the oldest has to go for it: of the usual
hundred, a batch's insertions take so many that nothing lasts to the next batch."""

_STEPS_BETWEEN_LOOKS = 100_000
"""Of SQLite's machine, between looks at the time: a millisecond or two."""

ROWS_AT_ONCE = (64, 8, 1)
"""Rows of one statement: each hands the interpreter's lock over and takes it back, which the event loop feels."""


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing; who must wait for the file waits at the beginning, not half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # after some errors, a full disk among them, SQLite has rolled back itself
            connection.execute("ROLLBACK")


def migrate(connection: apsw.Connection, steps: Sequence[Migration], whole: Migration | None = None) -> None:
    """Bring the schema up to date, in one transaction. Raises SchemaRefused if it is newer than this code, or fails.

    An empty file gets what is in `whole` at once: one by one, the steps take longer than the rest of a start's SQL.
    """
    newest = steps[-1].number
    name = connection.filename
    if connection.pragma("user_version") == newest:
        return
    with _transaction(connection):
        version = connection.pragma("user_version")  # again: another process may have been faster
        refuse_newer(name, version, newest)
        begun = [whole] if whole is not None and version == 0 else []
        for step in (*begun, *steps):
            if step.number > version:
                version = step.number
                try:
                    connection.execute(step.sql)
                except apsw.SQLError as error:
                    raise migration_failed(name, step, error) from error
                connection.pragma("user_version", step.number)


def require_sqlite(version: str) -> None:
    """Raises LedgerUnavailable for a SQLite library that is too old to be trusted."""
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise LedgerUnavailable(
            f"SQLite {version} can corrupt a ledger (fixed in {oldest}); upgrade it with: pip install --upgrade apsw"
        )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The one border where apsw's errors become ours: these may pass; any other is a bug, and stays as it is."""
    try:
        yield
    except (
        apsw.BusyError,
        apsw.LockedError,
        apsw.FullError,
        apsw.IOError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.PermissionsError,
        apsw.ProtocolError,
        apsw.NoMemError,
        apsw.CorruptError,
        apsw.NotADBError,
        apsw.InterruptError,  # by our own time limit
    ) as error:
        raise StoreUnavailable(
            f"the ledger {path} does not answer: {error}", hint="check its disk and who uses it"
        ) from error


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=_STATEMENTS)
    connection.set_busy_timeout(_BUSY_MS)
    connection.pragma("page_size", _PAGE_BYTES)  # before anything is written
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
    connection.pragma("temp_store", "memory")
    connection.execute(_LAST_ROWS)
    return connection


def _opened(path: Path, vfs: str | None, steps: Sequence[Migration], whole: Migration) -> apsw.Connection:
    connection = _connect(path, vfs)
    connection.set_busy_timeout(OPENING_BUSY_MS)
    try:
        migrate(connection, steps, whole)
    except BaseException:
        connection.close(True)
        raise
    connection.set_busy_timeout(_BUSY_MS)
    return connection


def _create_private(path: Path) -> None:
    """What was asked and spent is nobody else's business. SQLite syncs the file's own directory, but none above it."""
    try:
        OS_FILES.make_directory(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"cannot open the ledger {path}: {error.strerror}", hint="check ledger.path and who may write there"
        ) from error


class _Statements:
    """Implements `Transaction`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._has_last_row: set[str] = set()
        """The tables of which this transaction has noted the row before the first that is new."""

    def execute(self, sql: str, *bindings: Value) -> list[Row]:
        """Run one statement and return its rows."""
        return _fetched(self._connection, sql, bindings)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Insert many rows, by statements of a fixed text, so that SQLite need not read it anew."""
        start = 0
        for size in ROWS_AT_ONCE:
            insertion = _insertion(table, columns, size)
            while start + size <= len(rows):
                self._connection.execute(insertion, tuple(chain.from_iterable(rows[start : start + size])))
                start += size

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> str:
        """The new rows are those above the highest row id: nobody else can write meanwhile."""
        if table not in self._has_last_row:
            self._connection.execute(_NOTE_LAST_ROW.format(table=table))
            self._has_last_row.add(table)
        self.insert(table, columns, rows)
        return _NEW_ROWS.format(table=table)

    def take_turn(self) -> None:
        """Nothing to wait for: a transaction has the file for itself."""


@cache
def _insertion(table: str, columns: Sequence[str], rows: int) -> str:
    """For so many rows. Unlike INSERT OR IGNORE, it lets no other fault of a row pass in silence."""
    row = f"({', '.join('?' * len(columns))})"
    named = ", ".join(f'"{column}"' for column in columns)
    into = f"INSERT INTO {table} ({named})"
    return f"{into} VALUES {', '.join([row] * rows)} ON CONFLICT DO NOTHING"


def _fetched(connection: apsw.Connection, sql: str, bindings: Sequence[Value]) -> list[Row]:
    cursor = connection.execute(sql, bindings)
    names: list[str] | None = None
    rows = []
    for row in cursor:
        names = names or [name for name, _ in cursor.get_description()]
        rows.append(dict(zip(names, row, strict=True)))
    return rows


class SqliteDatabase:
    """Implements `Database` over one file: one connection writes, one reads."""

    def __init__(
        self, path: Path, *, read_only: bool = False, vfs: str | None = None, read_limit_s: float | None = None
    ) -> None:
        """Open or create the ledger at `path`; `read_only` opens one that is there, and changes nothing of it.

        A question that takes longer than `read_limit_s` is broken off, with StoreUnavailable.

        `vfs` names another file layer for SQLite, as tests of disks have.

        Raises LedgerUnavailable when this routewright must not use it, SchemaRefused when its schema is not the one
        that this routewright knows, StoreUnavailable when it cannot be opened now.
        """
        require_sqlite(apsw.sqlite_lib_version())
        self._path = path
        self._vfs = vfs
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._is_suspect = False
        self._writer: apsw.Connection | None = None
        steps = migrations("sqlite")
        with _translated(path):
            if not read_only:
                _create_private(path)
                self._writer = _opened(path, vfs, steps, whole_schema("sqlite"))
            self._reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
            self._reader.set_busy_timeout(_BUSY_MS)
            if read_only:
                _require_schema(self._reader, steps[-1].number)
        self._read_limit_s = read_limit_s
        self._read_until = 0.0
        if read_limit_s is not None:
            self._reader.set_progress_handler(lambda: time.monotonic() > self._read_until, _STEPS_BETWEEN_LOOKS)

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def now_ns(self) -> str:
        """To the millisecond."""
        return "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000000"

    def member(self, column: str, name: str) -> str:
        """By SQLite's own operator."""
        return f"({column} ->> '$.{name}')"

    def elements(self, column: str, name: str) -> str:
        """By SQLite's own function."""
        return f"json_each({column}) AS {name}"

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[_Statements]:
        """All or nothing; alone in the file from its beginning."""
        with self._writing, _translated(self._path):
            writer = self._trusted_writer()
            try:
                with _transaction(writer):
                    yield _Statements(writer)
            except (apsw.IOError, apsw.CorruptError):
                self._is_suspect = True
                raise

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        """The rows of one query."""
        with self._to_read() as reader:
            return _fetched(reader, sql, bindings)

    def read_plain(self, sql: str, *bindings: Value) -> list[tuple[Any, ...]]:
        """The same, as tuples."""
        with self._to_read() as reader:
            return reader.execute(sql, bindings).fetchall()

    @contextmanager
    def _to_read(self) -> Iterator[apsw.Connection]:
        with self._reading, _translated(self._path):
            if self._read_limit_s is not None:
                self._read_until = time.monotonic() + self._read_limit_s
            yield self._reader

    def tables(self) -> list[Table]:
        """All tables that hold data, by name."""
        return tables_of(self.read(_COLUMNS))

    def continue_numbering(self, table: Table) -> None:
        """SQLite does by itself."""

    def _trusted_writer(self) -> apsw.Connection:
        """After a disk error nothing the connection remembers is trusted: read the file afresh, and look it over."""
        if self._writer is None:
            raise LedgerUnavailable(f"the ledger {self._path} was opened for reading only")
        if self._is_suspect:
            self._writer.close()
            self._writer = _connect(self._path, self._vfs)
            if (verdict := self._writer.pragma("quick_check", 1)) != "ok":
                raise StoreUnavailable(
                    f"the ledger {self._path} is damaged ({verdict})", hint="restore it from a backup"
                )
            self._is_suspect = False
        return self._writer


def _require_schema(connection: apsw.Connection, newest: int) -> None:
    """Reading only, an older schema cannot be brought up to date. Raises SchemaRefused."""
    version = connection.pragma("user_version")
    refuse_newer(connection.filename, version, newest)
    refuse_older(connection.filename, version, newest)
