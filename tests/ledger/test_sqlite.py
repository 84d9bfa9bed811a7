"""What is SQLite's own; what a store promises in either database is in test_store."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from databases import database_of
from entries import AT_ONCE, absorb, outcome, recorded, reserved, settled
from routewright.errors import LedgerUnavailable, SchemaRefused, StoreUnavailable
from routewright.ledger import sqlite
from routewright.ledger.database import Migration, migrations, whole_schema
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import encode_event
from routewright.ledger.rows import rows_of
from routewright.ledger.sqlite import SqliteDatabase, migrate, require_sqlite
from routewright.ledger.store import _ANSWERS, _OUTCOMES, _OUTCOMES_BY_REQUEST, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(SqliteDatabase(tmp_path / "ledger.db"))
    yield opened
    opened.close()


def writer_of(store: Store) -> apsw.Connection:
    """The connection that a test may hinder."""
    database = database_of(store)
    assert isinstance(database, SqliteDatabase)
    assert database._writer is not None
    return database._writer


@pytest.mark.parametrize(
    ("sql", "search"),
    [
        (_OUTCOMES, "SEARCH o USING INTEGER PRIMARY KEY (rowid>?)"),
        (_OUTCOMES_BY_REQUEST, "SEARCH o USING INDEX outcomes_by_request (request_id=?)"),
        (_ANSWERS, "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)"),
    ],
)
def test_learning_reads_only_what_is_new(store: Store, tmp_path: Path, sql: str, search: str) -> None:
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        plans = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1, 2))]
    assert search in plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]


def test_readers_go_on_while_a_batch_is_written(store: Store, tmp_path: Path) -> None:
    absorb(store, settled("a1"))
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as other:
        other.execute("BEGIN IMMEDIATE; DELETE FROM events")
        assert store.totals().attempts == 1
        other.execute("ROLLBACK")


# ---- opening


def test_the_file_is_private_and_durable(store: Store, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "ledger.db").stat().st_mode) == 0o600
    assert writer_of(store).pragma("journal_mode") == "wal"
    assert writer_of(store).pragma("synchronous") == 2


def test_opening_again_finds_everything(store: Store, tmp_path: Path) -> None:
    absorb(store, settled("a1"))
    again = Store(SqliteDatabase(tmp_path / "ledger.db"))
    assert again.totals() == store.totals()
    again.close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot open the ledger"):
        Store(SqliteDatabase(tmp_path / "file" / "ledger.db"))


def test_s11_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "ledger.db"))
    migrate(connection, migrations("sqlite"))
    newest = migrations("sqlite")[-1].number
    broken = [*migrations("sqlite"), Migration(newest + 1, "CREATE TABLE half (x); CREATE TABLE events (x)")]
    with pytest.raises(SchemaRefused, match="already exists"):
        migrate(connection, broken)
    assert connection.pragma("user_version") == newest
    assert not connection.table_exists(None, "half")
    migrate(connection, [*migrations("sqlite"), Migration(newest + 1, "CREATE TABLE whole (x)")])
    assert connection.pragma("user_version") == newest + 1
    connection.close()


def test_a_new_ledger_is_what_all_steps_make_one_by_one(tmp_path: Path) -> None:
    at_once, stepwise = tmp_path / "new.db", tmp_path / "old.db"
    SqliteDatabase(at_once).close()
    with closing(apsw.Connection(str(stepwise))) as connection:
        for number in range(1, len(migrations("sqlite")) + 1):
            migrate(connection, migrations("sqlite")[:number])
    assert inside(at_once) == inside(stepwise)


def test_steps_that_the_whole_does_not_have_yet_come_after_it(tmp_path: Path) -> None:
    whole = whole_schema("sqlite")
    one_more = Migration(whole.number + 1, "CREATE TABLE more (x)")
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        migrate(connection, [*migrations("sqlite"), one_more], whole)
        assert connection.pragma("user_version") == one_more.number
        assert connection.table_exists(None, "more")
        assert connection.table_exists(None, "events")


def inside(path: Path) -> tuple[object, ...]:
    """The version, all definitions, and all rows."""
    with closing(apsw.Connection(str(path))) as connection:
        defined = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
        rows = {
            name: connection.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 our own names
            for kind, name, _ in defined
            if kind == "table"
        }
        return connection.pragma("user_version"), defined, rows


def test_a_ledger_from_before_outcomes_keeps_what_it_has_and_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as connection:
        migrate(connection, migrations("sqlite")[:1])
        for insert, its in rows_of([encode_event(settled("a1")), encode_event(recorded("r1"))]).items():
            for row in its:
                insert_what_fits(connection, insert.table, dict(zip(insert.columns, row, strict=True)))
    with closing(Store(SqliteDatabase(path))) as store:
        assert store.totals().cost_nanousd == 700
        absorb(store, outcome(1))
        assert [(row.model, row.cost_nanousd) for row in store.outcomes(0)] == [("small", 700)]


def insert_what_fits(connection: apsw.Connection, table: str, row: dict[str, object]) -> None:
    """The columns that an older schema has."""
    there = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})") if name in row]
    sql = f"INSERT INTO {table} ({', '.join(there)}) VALUES ({', '.join('?' * len(there))})"  # noqa: S608 our own rows
    connection.execute(sql, [row[name] for name in there])


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
def test_an_sqlite_that_can_corrupt_is_refused(version: str) -> None:
    with pytest.raises(LedgerUnavailable, match="upgrade it with"):
        require_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.0", "4.0.0"])
def test_an_sqlite_without_that_bug_is_accepted(version: str) -> None:
    require_sqlite(version)


# ---- faults


def test_s01_a_full_store_keeps_events_in_the_journal_and_heals(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", pace=AT_ONCE)
    pages = writer_of(store).pragma("page_count")
    writer_of(store).pragma("max_page_count", pages)
    sent = [reserved(f"a{number}", boot=journal.boot) for number in range(300)]
    for event in sent:
        journal.append(encode_event(event))
    with pytest.raises(StoreUnavailable, match="full"):
        absorb(store, *sent)
    journal.start(store.absorb)
    writer_of(store).pragma("max_page_count", 100_000)
    journal.flush_blocking()
    assert store.pending(set) == sent
    journal.close()


def test_s02_a_locked_store_is_transient(store: Store, tmp_path: Path) -> None:
    writer_of(store).set_busy_timeout(0)
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            absorb(store, settled("a1"))
        backup.execute("ROLLBACK")
    absorb(store, settled("a1"))
    assert store.totals().attempts == 1


def test_r05_who_opens_a_ledger_waits_for_whoever_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_MS", 1)
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as maker, ThreadPoolExecutor(1) as thread:
        maker.pragma("journal_mode", "wal")
        maker.execute("BEGIN IMMEDIATE")
        opening = thread.submit(SqliteDatabase, path)
        assert not wait([opening], timeout=0.2).done
        maker.execute("COMMIT")
        with closing(opening.result(10)) as opened:
            maker.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"), opened.transaction():
                pass


class FailingSync(apsw.VFS):
    """A disk that fails one chosen sync."""

    def __init__(self) -> None:
        self.countdown = 0
        super().__init__("failing-sync", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 apsw's name
        return FailingSyncFile(self, name, flags)


class FailingSyncFile(apsw.VFSFile):
    def __init__(self, disk: FailingSync, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 apsw's name
        self.disk.countdown -= 1
        if self.disk.countdown == 0:
            raise apsw.IOError("the disk failed a sync")
        super().xSync(flags)


@pytest.fixture(scope="module")
def disk() -> Iterator[FailingSync]:
    vfs = FailingSync()
    yield vfs
    vfs.unregister()


@pytest.mark.parametrize("failing", range(1, 8))
def test_s03_after_a_failed_sync_the_file_is_read_afresh_and_nothing_is_lost_or_doubled(
    tmp_path: Path, disk: FailingSync, failing: int
) -> None:
    store = Store(SqliteDatabase(tmp_path / "ledger.db", vfs="failing-sync"))
    writer_of(store).pragma("wal_autocheckpoint", 1)
    disk.countdown = failing
    failures = 0
    for number in range(5):
        try:
            absorb(store, settled(f"a{number}"))
        except StoreUnavailable:
            failures += 1
            absorb(store, settled(f"a{number}"))
    assert disk.countdown <= 0, "the fault was never reached"
    assert failures == 1
    assert store.totals().attempts == 5
    store.close()


def test_s03_a_damaged_ledger_takes_no_more(store: Store, tmp_path: Path) -> None:
    absorb(store, *(settled(f"a{number}") for number in range(100)))
    store.close()
    path = tmp_path / "ledger.db"
    image = bytearray(path.read_bytes())
    image[4096:] = b"damage!!" * (len(image[4096:]) // 8)
    path.write_bytes(image)
    with pytest.raises(StoreUnavailable):
        Store(SqliteDatabase(path)).absorb([encode_event(settled("a1"))])


def test_s03_a_disk_that_failed_and_has_damaged_the_ledger_is_told_from_one_that_only_failed(
    tmp_path: Path, disk: FailingSync
) -> None:
    path = tmp_path / "ledger.db"
    store = Store(SqliteDatabase(path, vfs="failing-sync"))
    absorb(store, *(settled(f"a{number}") for number in range(500)))
    writer_of(store).wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    disk.countdown = 1
    with pytest.raises(StoreUnavailable):
        absorb(store, settled("b"))
    image = bytearray(path.read_bytes())
    image[len(image) // 4 : len(image) // 2] = bytes(len(image) // 2 - len(image) // 4)
    path.write_bytes(image)
    with pytest.raises(StoreUnavailable, match=r"is damaged \(") as refused:
        absorb(store, settled("b"))
    store.close()
    assert "restore it from a backup" in (refused.value.hint or "")
