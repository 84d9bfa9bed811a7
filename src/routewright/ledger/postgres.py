"""The database for several machines: PostgreSQL, through psycopg, which is imported only where this is.

One connection writes, one reads; each is made anew when it was lost. Rows are sent by COPY into a table of the
connection's own and inserted from there, which costs this process about 2 µs a row where a statement with its values
takes 40. So the connection must stay the same between transactions: a pooler has to be in its session mode.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg import errors as pg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row
from psycopg.types.numeric import IntLoader

from routewright.errors import LedgerUnavailable, SettingsError, StoreUnavailable
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
)
from routewright.secret import Secret, without_password

OLDEST_SERVER = 130000
"""PostgreSQL 13, as the server gives its version."""
LOCKS = 0x72770000
"""Our half of the numbers that advisory locks go by; the other half is the schema's, so that ledgers do not meet."""

_CONNECT: dict[str, str | int] = {
    "connect_timeout": 3,  # seconds; the journal and the next request can wait longer than any one try
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms; a server that is gone without a word is given up after so long
    "application_name": "routewright",
    "client_encoding": "utf8",
}
# The server gives up for us what takes too long: a statement, the wait for a lock, and a transaction whose process was
# stopped in the middle and would keep all others waiting. A commit must be on disk when it is answered.
_SESSION = b"""
SET statement_timeout = '10min';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '30s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_BUSY = ("too many clients", "too many connections", "remaining connection slots", "the database system is starting up")
_CONNECT_PAUSES_S = (0.2, 0.4)
"""Between tries while the server has no place; each half as long again, or half as long, by chance."""

_TRANSIENT = (
    psycopg.OperationalError,  # lost, refused, too slow, deadlock, serialization, out of space, shutting down
    psycopg.InterfaceError,  # the connection was closed under us
    psycopg.InternalError,  # damaged data; a standby that only reads, after a fail-over
    pg.InsufficientPrivilege,
)


# ---- values and SQL ---------------------------------------------------------------------------------------------


class _TruthAsNumber(Dumper):
    """The ledger keeps truth values as 0 and 1, as SQLite does."""

    oid = 20  # bigint

    def dump(self, obj: bool) -> Buffer:
        return b"1" if obj else b"0"


# The catalog itself: the views of information_schema look through all that the server has, which can be a lot.
_COLUMNS = """
SELECT t.relname AS table_name, c.attname AS column_name,
    coalesce(array_position(string_to_array(k.indkey::text, ' ')::int[], c.attnum::int), 0) AS key_place
FROM pg_class AS t
JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
LEFT JOIN pg_index AS k ON k.indrelid = t.oid AND k.indisprimary
WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') AND t.relname <> 'schema_version'
ORDER BY t.relname, c.attnum
"""
_NUMBERED = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = ? AND is_identity = 'YES'
"""

_ASKED = re.compile(r"'[^']*'|\?|%")
_WRITTEN = {"?": "%s", "%": "%%"}


@lru_cache(maxsize=256)
def in_psycopgs_words(sql: str) -> bytes:
    """`?` as `%s`; a literal % doubled; texts in quotes otherwise as they are."""
    return _ASKED.sub(lambda found: _WRITTEN.get(found[0]) or found[0].replace("%", "%%"), sql).encode()


def _quoted(names: Sequence[str]) -> str:
    """Columns by name, whatever words PostgreSQL keeps for itself (`user`)."""
    return ", ".join(f'"{name}"' for name in names)


# ---- connections ------------------------------------------------------------------------------------------------

Connection = psycopg.Connection[Row]


class _Line:
    """One connection, made anew when it was lost; for one thread at a time."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.busy = threading.Lock()
        self.own_tables: dict[str, list[str]] = {}
        """The tables of this connection's own that are there, with their columns."""
        self._connect = connect
        self._connection: Connection | None = None

    def get(self) -> Connection:
        """A connection that was there when it was last used."""
        if self._connection is None or self._connection.closed:
            self.own_tables.clear()
            self._connection = self._connect()
        return self._connection

    def execute_first(self, sql: bytes, bindings: Sequence[Value] = ()) -> psycopg.Cursor[Row]:
        """Run a statement that may be run twice: on a new connection if the old one turns out to be lost."""
        was_there, connection = self._connection is not None, self.get()
        try:
            return connection.execute(sql, bindings)
        except psycopg.OperationalError:
            if not was_there or not connection.closed:
                raise
            return self.get().execute(sql, bindings)

    def roll_back(self) -> None:
        """Leave whatever transaction there is; without its connection if that does not even answer to this."""
        if self._connection is None or self._connection.closed:
            return
        if self._connection.info.transaction_status is TransactionStatus.IDLE:
            return
        self.own_tables.clear()  # those made in this transaction go with it
        try:
            self._connection.execute(b"ROLLBACK")
        except psycopg.Error:
            self._connection.close()

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()


class _Statements:
    """Implements `Transaction`."""

    def __init__(self, connection: Connection, own_tables: dict[str, list[str]]) -> None:
        self._connection = connection
        self._own_tables = own_tables

    def execute(self, sql: str, *bindings: Value) -> list[Row]:
        """Run one statement and return its rows."""
        cursor = self._connection.execute(in_psycopgs_words(sql), bindings)
        return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Insert many rows by way of a table of this connection's own."""
        self._connection.execute(self._insertion(table, columns, rows).encode())

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> str:
        """The new rows are those that the insertion returns."""
        insertion = self._insertion(table, columns, rows)
        every = _quoted(self._own_table(f"new_{table}", table))
        sql = f"WITH new AS ({insertion} RETURNING {every}) INSERT INTO new_{table} ({every}) SELECT {every} FROM new"  # noqa: S608 our own names
        self._connection.execute(sql.encode())
        return f"new_{table}"

    def take_turn(self) -> None:
        """By an advisory lock, which the end of the transaction or of the connection gives back."""
        self._connection.execute(_lock("turn"))

    def _insertion(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> str:
        self._own_table(f"sent_{table}", table)
        named = _quoted(columns)
        with self._connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE sent_{table}".encode())
            with cursor.copy(f"COPY sent_{table} ({named}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        return f"INSERT INTO {table} ({named}) SELECT {named} FROM sent_{table} ON CONFLICT DO NOTHING"  # noqa: S608 our own names

    def _own_table(self, name: str, like: str) -> list[str]:
        """Have a table of this connection's own, empty at each commit, with the columns of another; returns these."""
        if name not in self._own_tables:
            columns = f"SELECT * FROM {like} WITH NO DATA"  # noqa: S608 our own name
            sql = f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ON COMMIT DELETE ROWS AS {columns}"
            self._connection.execute(sql.encode())
            own = self._connection.execute(f"SELECT * FROM {name}".encode())  # noqa: S608 our own name
            self._own_tables[name] = [column.name for column in own.description or ()]
        return self._own_tables[name]


def _lock(purpose: str) -> bytes:
    """SQL that waits for a lock until the end of the transaction; each ledger (a schema) has its own."""
    number = LOCKS + {"turn": 1, "migration": 2}[purpose]
    return f"SELECT pg_advisory_xact_lock({number}, hashtext(current_schema()))".encode()


# ---- schema -----------------------------------------------------------------------------------------------------


def migrate(connection: Connection, steps: Sequence[Migration], name: str) -> None:
    """Bring the schema up to date, in one transaction. Raises SchemaRefused if it is newer than this code, or fails."""
    newest = steps[-1].number
    if _version(connection) == newest:
        return
    with connection.transaction():
        connection.execute(b"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        connection.execute(_lock("migration"))
        version = _version(connection)  # again: another process may have been faster
        refuse_newer(name, version, newest)
        for step in steps:
            if step.number > version:
                try:
                    connection.execute(step.sql.encode())
                except (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError) as error:
                    raise migration_failed(name, step, error) from error
        _set_version(connection, newest)


def _version(connection: Connection) -> int:
    """The number of the last step that was taken; 0 where there is no ledger."""
    if connection.execute(b"SELECT to_regclass('schema_version') AS it").fetchall()[0]["it"] is None:
        return 0
    return int(connection.execute(b"SELECT coalesce(max(version), 0) AS it FROM schema_version").fetchall()[0]["it"])


def _set_version(connection: Connection, version: int) -> None:
    connection.execute(b"CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    connection.execute(b"DELETE FROM schema_version")
    connection.execute(b"INSERT INTO schema_version VALUES (%s)", (version,))


def _require_server(connection: Connection, name: str) -> None:
    """Raises LedgerUnavailable for a server or a database that cannot hold a ledger."""
    if (version := connection.info.server_version) < OLDEST_SERVER:
        raise LedgerUnavailable(
            f"the ledger {name} is in PostgreSQL {version // 10_000}; "
            f"{OLDEST_SERVER // 10_000} is the oldest that is supported: upgrade it"
        )
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise LedgerUnavailable(
            f"the ledger {name} is in a database for {encoding} texts only; "
            "make one for all of them: CREATE DATABASE routewright ENCODING 'UTF8' TEMPLATE template0"
        )


# ---- the database -----------------------------------------------------------------------------------------------


class PostgresDatabase:
    """Implements `Database` over a PostgreSQL server: one connection writes, one reads."""

    def __init__(
        self, url: Secret | str, *, read_only: bool = False, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Connect to `postgresql://USER:PASSWORD@HOST/DATABASE` and make or update the tables there.

        `read_only` connects to what is there, and changes nothing. `pause` waits between tries while the server has no
        place or is starting. Raises LedgerUnavailable when this routewright must not use it, SchemaRefused when its
        schema is not the one that this routewright knows, StoreUnavailable when it cannot be reached now.
        """
        text = url.reveal() if isinstance(url, Secret) else url
        self._name = without_password(text)
        self._address = _address(text, self._name)
        self._pause = pause
        self._is_read_only = read_only
        self._writer, self._reader = _Line(self._connect), _Line(self._connect_to_read)
        steps = migrations("postgres")
        with self._translated():
            line = self._reader if read_only else self._writer
            try:
                self._prepare(line.get(), steps)
            except BaseException:
                self.close()
                raise

    def _prepare(self, connection: Connection, steps: Sequence[Migration]) -> None:
        _require_server(connection, self._name)
        if not self._is_read_only:
            migrate(connection, steps, self._name)
            return
        version = _version(connection)
        refuse_newer(self._name, version, steps[-1].number)
        refuse_older(self._name, version, steps[-1].number)

    @property
    def name(self) -> str:
        """The address without its password."""
        return self._name

    @property
    def now_ns(self) -> str:
        """To the microsecond: when the statement began, also within a long transaction."""
        return "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS BIGINT) * 1000"

    def member(self, column: str, name: str) -> str:
        """By PostgreSQL's own operator."""
        return f"(CAST({column} AS JSON) ->> '{name}')"

    def elements(self, column: str, name: str) -> str:
        """By PostgreSQL's own function."""
        return f"json_array_elements_text(CAST({column} AS JSON)) AS {name} (value)"

    def close(self) -> None:
        """Let go of both connections."""
        self._writer.close()
        self._reader.close()

    @contextmanager
    def transaction(self) -> Iterator[_Statements]:
        """All or nothing; what it reads may be changed by others meanwhile unless it is locked, or updated, first."""
        if self._is_read_only:
            raise LedgerUnavailable(f"the ledger {self._name} was opened for reading only")
        with self._writer.busy, self._translated():
            self._writer.execute_first(b"BEGIN")
            connection = self._writer.get()
            try:
                yield _Statements(connection, self._writer.own_tables)
                self._commit(connection)
            finally:
                self._writer.roll_back()

    def _commit(self, connection: Connection) -> None:
        """PostgreSQL answers COMMIT of a transaction that has failed by rolling it back, and calls that no error."""
        if connection.execute(b"COMMIT").statusmessage != "COMMIT":
            raise StoreUnavailable(f"the ledger {self._name} took back a transaction in which a statement had failed")

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        """The rows of one query; asked once more if the connection was lost since the last one."""
        with self._reader.busy, self._translated():
            return self._reader.execute_first(in_psycopgs_words(sql), bindings).fetchall()

    def read_plain(self, sql: str, *bindings: Value) -> list[tuple[Any, ...]]:
        """The same, as tuples."""
        with self._reader.busy, self._translated():
            cursor = self._reader.execute_first(in_psycopgs_words(sql), bindings)
            plain = cast("psycopg.Cursor[tuple[Any, ...]]", cursor)
            plain.row_factory = tuple_row
            return plain.fetchall()

    def tables(self) -> list[Table]:
        """All tables of the ledger's schema but the one that notes its version."""
        return tables_of(self.read(_COLUMNS))

    def continue_numbering(self, table: Table) -> None:
        """Numbers given by the server do not look at those that were inserted."""
        for row in self.read(_NUMBERED, table.name):
            name = row["column_name"]
            highest = f"SELECT coalesce(max({name}), 0) + 1 FROM {table.name}"  # noqa: S608 names of the schema
            with self.transaction() as transaction:
                transaction.execute(
                    f"SELECT setval(pg_get_serial_sequence(?, ?), ({highest}), false)", table.name, name
                )

    def _connect_to_read(self) -> Connection:
        connection = self._connect()
        connection.execute(b"SET default_transaction_read_only = on")
        return connection

    def _connect(self) -> Connection:
        for pause_s in _CONNECT_PAUSES_S:
            try:
                return self._connect_once()
            except psycopg.OperationalError as error:
                if not any(words in str(error) for words in _BUSY):
                    raise
            self._pause(pause_s * random.uniform(0.5, 1.5))
        return self._connect_once()

    def _connect_once(self) -> Connection:
        # Prepared statements would outlive a migration by a newer process, and then fail.
        connection = psycopg.connect(self._address, autocommit=True, prepare_threshold=None, row_factory=dict_row)
        connection.adapters.register_dumper(bool, _TruthAsNumber)
        connection.adapters.register_loader("numeric", IntLoader)  # a sum of integers; never a fraction
        connection.execute(_SESSION)
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The one border where psycopg's errors become ours: these may pass; any other is a bug, and stays as it is."""
        try:
            yield
        except _TRANSIENT as error:
            reason = " ".join(str(error).split())
            raise StoreUnavailable(
                f"the ledger {self._name} does not answer: {reason}",
                hint="check PostgreSQL, the address and who else uses it",
            ) from error


def _address(url: str, name: str) -> str:
    """The address with our own limits, where it has none."""
    try:
        said: dict[str, Any] = conninfo_to_dict(url)
        return make_conninfo("", **{**_CONNECT, **said})
    except psycopg.ProgrammingError:  # its words may quote the password
        raise SettingsError(
            f"{name} is not the address of a database", hint="write it like postgresql://user:password@host/database"
        ) from None
