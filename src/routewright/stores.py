"""From the settings to the stores they name: the one place that knows which databases there are."""

from pathlib import Path
from typing import TYPE_CHECKING

from routewright.errors import SettingsError
from routewright.ledger.database import Database
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.secret import Secret
from routewright.settings import Settings

if TYPE_CHECKING:  # it needs the redis package, which is not always installed
    from routewright.shared.connection import Connection

SQLITE_FILE = "ledger.db"
LOOK_LIMIT_S = 5.0
"""For one question of the dashboard; PostgreSQL has a limit of its own."""


def ledger_file(settings: Settings) -> Path | None:
    """Where the ledger is if it is a file, whether there is one yet or not; None if it is in PostgreSQL."""
    return settings.ledger.path / SQLITE_FILE if settings.database is None else None


def open_store(settings: Settings, *, read_only: bool = False) -> Store:
    """The store of the settings, made or brought up to date if need be.

    `read_only` opens what is there, beside whoever writes to it, and changes nothing. Raises LedgerUnavailable when
    this routewright must not use it, StoreUnavailable when it cannot be opened now, SettingsError when what it takes is
    not installed or the address is none.
    """
    return Store(open_database(settings, read_only=read_only))


def open_to_look(settings: Settings) -> Store:
    """The same, to read it for people who look: beside all else that reads, and within a time limit for a question."""
    path = ledger_file(settings)
    if path is not None:
        return Store(SqliteDatabase(path, read_only=True, read_limit_s=LOOK_LIMIT_S))
    return open_store(settings, read_only=True)


def open_database(settings: Settings, *, read_only: bool = False) -> Database:
    """The same without the store's verbs, for those that have tables of their own."""
    path = ledger_file(settings)
    if path is not None:
        return SqliteDatabase(path, read_only=read_only)
    assert settings.database is not None
    return _postgres(settings.database, read_only=read_only)


def _postgres(url: Secret, *, read_only: bool) -> Database:
    try:
        from routewright.ledger.postgres import PostgresDatabase
    except ImportError as error:
        raise SettingsError(
            f"ledger.database_url: the ledger is in PostgreSQL, and psycopg is missing ({error})",
            hint="pip install 'routewright[postgres]'",
        ) from error
    return PostgresDatabase(url, read_only=read_only)


def open_redis(settings: Settings) -> "Connection | None":
    """The connection to the Redis of the settings; None without one. It connects later, so Redis need not be there.

    Raises SettingsError when what it takes is not installed or the address is none.
    """
    if settings.shared is None:
        return None
    try:
        from routewright.shared.connection import Connection
    except ImportError as error:
        raise SettingsError(
            f"redis.url: the redis package is missing ({error})", hint="pip install 'routewright[redis]'"
        ) from error
    return Connection(settings.shared)
