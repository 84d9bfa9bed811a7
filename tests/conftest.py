"""Fixtures for tests of several packages."""

import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from databases import PostgresServer, open_database
from routewright.ledger.store import Store

# An example that takes long is no failure: how busy the machine is must not decide a test. Timings are benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL for the whole session; the reason is told where it cannot start."""
    try:
        server = PostgresServer()
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no PostgreSQL can be started here: {error}")
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | str]:
    """Each call gives a place for one more ledger: a path of SQLite, or an address of PostgreSQL."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.new_schema
    numbers = count(1)
    return lambda: tmp_path / f"ledger-{next(numbers)}.db"


@pytest.fixture
def place(new_place: Callable[[], Path | str]) -> Path | str:
    """A place for a ledger in either database."""
    return new_place()


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    """An empty ledger in either database."""
    opened = Store(open_database(place))
    yield opened
    opened.close()
