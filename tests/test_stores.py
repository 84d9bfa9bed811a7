import builtins
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from databases import PostgresServer
from desk import Desk
from entries import absorb, settled
from routewright.errors import LedgerUnavailable, SettingsError, StoreUnavailable
from routewright.ledger.postgres import PostgresDatabase
from routewright.stores import ledger_file, open_redis, open_store
from terminal import Terminal

NOBODY_THERE = "postgresql://ann:very-secret@127.0.0.1:1/ledger?connect_timeout=1"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_without_an_address_the_ledger_is_a_file(desk: Desk) -> None:
    settings = desk.load()
    assert ledger_file(settings) == settings.ledger.path / "ledger.db"
    with closing(open_store(settings)) as store:
        absorb(store, settled("a1"))
    with closing(open_store(settings, read_only=True)) as store:
        assert store.totals().attempts == 1


@pytest.mark.parametrize("written", ["ADDRESS", "env:LEDGER", "${LEDGER}"])
def test_an_address_is_written_out_or_referred_to(desk: Desk, postgres_server: PostgresServer, written: str) -> None:
    address = postgres_server.new_schema()
    desk.write(f'[ledger]\ndatabase_url = "{written.replace("ADDRESS", address)}"')
    settings = desk.load({"LEDGER": address})
    assert ledger_file(settings) is None
    with closing(open_store(settings)) as store:
        absorb(store, settled("a1"))
    with closing(open_store(settings, read_only=True)) as store:
        assert store.totals().attempts == 1
        with pytest.raises(LedgerUnavailable, match="reading only"):
            absorb(store, settled("a2"))


@pytest.mark.parametrize(
    ("environ", "told"),
    [({}, "LEDGER is not set"), ({"LEDGER": "mysql://ann:very-secret@db"}, "env:LEDGER does not hold an address")],
)
def test_a_reference_to_no_address_is_refused(desk: Desk, environ: Mapping[str, str], told: str) -> None:
    desk.write('[ledger]\ndatabase_url = "env:LEDGER"')
    with pytest.raises(SettingsError, match=told) as raised:
        desk.load(environ)
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("written", ["mysql://ann:very-secret@db/x", "ann:very-secret@db", "very-secret"])
def test_what_is_no_address_is_refused_without_being_quoted(desk: Desk, written: str) -> None:
    desk.write(f'[ledger]\ndatabase_url = "{written}"')
    with pytest.raises(SettingsError, match=r"ledger\.database_url: this is neither an address nor") as raised:
        desk.load()
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "arguments", [("config", "show"), ("config", "show", "--origin", "--json"), ("report",), ("ledger", "tail")]
)
def test_a_password_is_never_shown(terminal: Terminal, arguments: Sequence[str]) -> None:
    terminal.settings(f'[ledger]\ndatabase_url = "{NOBODY_THERE}"')
    result = terminal.run(*arguments)
    assert "postgresql://ann:***@127.0.0.1:1/ledger" in result.output
    assert "very-secret" not in result.output


def test_an_address_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError, match="not the address of a database") as raised:
        PostgresDatabase("postgresql://ann:very-secret%zz@db/x")
    assert "very-secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(StoreUnavailable, match=r"ledger postgresql://ann:\*\*\*@.* does not answer: .*refused"):
        PostgresDatabase(NOBODY_THERE)


def test_a_missing_driver_is_said_with_the_command_that_helps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without_postgres(name: str, *rest: object) -> object:
        if name == "routewright.ledger.postgres":
            raise ImportError("No module named 'psycopg'")
        return plain(name, *rest)  # type: ignore[arg-type]

    desk.write(f'[ledger]\ndatabase_url = "{NOBODY_THERE}"')
    monkeypatch.setattr(builtins, "__import__", without_postgres)
    with pytest.raises(SettingsError, match="psycopg is missing") as raised:
        open_store(desk.load())
    assert raised.value.hint == "pip install 'routewright[postgres]'"


def test_a_missing_redis_package_is_said_with_the_command_that_helps(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write('[redis]\nurl = "redis://host/0"')
    monkeypatch.setitem(sys.modules, "routewright.shared.connection", None)
    with pytest.raises(SettingsError, match="the redis package is missing") as raised:
        open_redis(desk.load())
    assert raised.value.hint == "pip install 'routewright[redis]'"


@pytest.mark.parametrize("written", ["http://ann:very-secret@host", "host:6379"])
def test_what_is_no_address_of_redis_is_refused(desk: Desk, written: str) -> None:
    desk.write(f'[redis]\nurl = "{written}"')
    with pytest.raises(SettingsError, match=r'redis\.url: this is neither.*"redis://') as raised:
        desk.load()
    assert "very-secret" not in str(raised.value)


def test_the_address_of_redis_may_be_referred_to_and_need_not_be_there(desk: Desk) -> None:
    desk.write('[redis]\nurl = "env:SHARED"')
    assert open_redis(desk.load({"SHARED": "redis://127.0.0.1:1/0"})) is not None
    desk.write("")
    assert open_redis(desk.load()) is None


def test_the_whole_program_works_on_postgresql(terminal: Terminal, postgres_server: PostgresServer) -> None:
    terminal.settings(f'[ledger]\ndatabase_url = "{postgres_server.new_schema()}"')
    asked = terminal.run("ask", "--simulate", "Say hello")
    assert asked.exit_code == 0, asked.output
    assert "1 request" in terminal.run("report").output
    assert terminal.run("ledger", "tail", "--json").output.count('"request_id"') == 1
    assert "✓ PostgreSQL: postgresql://postgres@/postgres has the ledger" in terminal.run("doctor").output


def test_doctor_says_when_postgresql_does_not_answer(terminal: Terminal) -> None:
    terminal.settings(f'[ledger]\ndatabase_url = "{NOBODY_THERE}"')
    output = terminal.run("doctor").output
    assert "✗ PostgreSQL: the ledger postgresql://ann:***@127.0.0.1:1/ledger does not answer" in output
    assert "very-secret" not in output


def test_s11_a_ledger_of_another_version_ends_the_program_with_78(terminal: Terminal) -> None:
    import apsw

    terminal.ledger.parent.mkdir(parents=True)
    with closing(apsw.Connection(str(terminal.ledger))) as connection:
        connection.pragma("user_version", 999)
    result = terminal.run("report")
    assert (result.exit_code, "error[E408]" in result.output) == (78, True)
