from collections.abc import Iterator
from pathlib import Path

import pytest

from databases import PostgresServer, open_database
from ledger_rows import DAY_NS, absorb, day, generated
from routewright.errors import LedgersDiffer
from routewright.ledger.copying import APPENDED, Copied, Told, copy_ledger
from routewright.ledger.database import Database
from routewright.ledger.exporting import FIELDS, pages
from routewright.ledger.ledger import Reserved, encode_event
from routewright.ledger.retention import prune
from routewright.ledger.seals import GRACE_NS, seal_due, seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import settled

NOW_NS = day(3) * DAY_NS + GRACE_NS
FOREVER_NS = 2**63 - 1
PAGE = 100
"""Small, so that few rows are many pages."""


WAYS = [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite")]


@pytest.fixture(params=WAYS, ids=" to ".join)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """A source and a target, each empty."""
    opened = [_open(kind, f"{number}.db", tmp_path, request) for number, kind in enumerate(request.param)]
    yield opened[0], opened[1]
    for database in opened:
        database.close()


def _open(kind: str, name: str, folder: Path, request: pytest.FixtureRequest) -> Database:
    if kind == "sqlite":
        return open_database(folder / name)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return open_database(server.new_schema())


@pytest.fixture
def source(both: tuple[Database, Database]) -> Database:
    return both[0]


@pytest.fixture
def target(both: tuple[Database, Database]) -> Database:
    return both[1]


def fill(database: Database, rows: int = 400) -> None:
    """Rows of all kinds, two days sealed, one of them with a supplement, and one open hold."""
    store = Store(database)
    absorb(store, generated(rows))
    hold = Reserved(
        attempt_id="open", request_id="r", at_ns=NOW_NS, boot="b", model="m", deployment="p/m", cause="first",
        amount_nanousd=1, price_version="v",
    )  # fmt: skip
    store.absorb([encode_event(hold), b'{"kind": "novelty"}', b'{"kind": "other novelty", "x": "\xc3\xa4"}'])
    seal_due(database, NOW_NS)
    absorb(store, [settled("late"), settled("later")])
    seal_due(database, NOW_NS)


def copy(source: Database, target: Database, told: Told = lambda rows: None) -> Copied:
    return copy_ledger(source, target, told, PAGE)


def exports(database: Database) -> dict[str, list[object]]:
    return {what: [row for page in pages(database, what, 0, FOREVER_NS) for row in page] for what in FIELDS}


def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    return {
        table.name: sorted(
            (tuple(sorted(row.items())) for row in database.read(f"SELECT * FROM {table.name}")),  # noqa: S608
            key=repr,
        )
        for table in database.tables()
        if table.name != "copied_tables"
    }


def test_every_row_of_every_table_arrives(source: Database, target: Database) -> None:
    fill(source, 2_000)
    copied = copy(source, target)
    assert everything(target) == everything(source)
    assert exports(target) == exports(source)
    assert all(copied.rows[name] for name in (*APPENDED, "open_holds", "day_seals", "late_rows"))
    assert Store(target).totals() == Store(source).totals()


def test_the_copy_goes_on_as_the_source_would(source: Database, target: Database) -> None:
    fill(source)
    copy(source, target)
    for database in (source, target):
        absorb(Store(database), [settled("next", at_ns=NOW_NS)])
        seal_due(database, NOW_NS + 2 * DAY_NS)
    assert seals_after(target, 0) == seals_after(source, 0)
    assert everything(target) == everything(source)


@pytest.mark.parametrize("cut_after", [1, 4, 9, 12])
def test_a_copy_that_was_cut_off_goes_on(source: Database, target: Database, cut_after: int) -> None:
    fill(source)
    parts: list[int] = []

    def cut(rows: int) -> None:
        parts.append(rows)
        if len(parts) == cut_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, cut)
    copy(source, target, cut)
    assert everything(target) == everything(source)
    assert sum(parts) == sum(map(len, everything(source).values())), "no row was copied twice"


def test_a_pruned_ledger_stays_one(source: Database, target: Database) -> None:
    fill(source)
    prune(source, "2026-11-02", NOW_NS, monotonic=lambda: 0.0)
    copy(source, target)
    assert everything(target) == everything(source)


def test_a_ledger_is_never_laid_over_another(source: Database, target: Database, tmp_path: Path) -> None:
    fill(source)
    absorb(Store(target), [settled("own")])
    before = everything(target)
    with pytest.raises(LedgersDiffer, match="rows of its own"):
        copy(source, target)
    assert everything(target) == before
    empty = SqliteDatabase(tmp_path / "empty.db")
    copy(source, empty)
    with pytest.raises(LedgersDiffer, match="complete copy"):
        copy(source, empty)
    empty.close()


def test_half_a_copy_is_continued_only_from_where_it_was_begun(
    source: Database, target: Database, tmp_path: Path
) -> None:
    fill(source)

    def cut(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, cut)
    other = SqliteDatabase(tmp_path / "other.db")
    with pytest.raises(LedgersDiffer, match="part of a copy"):
        copy(other, target)
    other.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE events SET cost_nanousd = 1 WHERE kind = 'settled' AND attempt_id = 'late-attempt-1'", "cost_nanousd"),
        ("DELETE FROM outcomes WHERE sequence = 1", "outcomes: rows_there"),
        ("UPDATE requests SET model = 'x' WHERE at_ns < 1793577600000000000", "2026-11-01 does not match its seal"),
        ("UPDATE requests SET model = 'x' WHERE at_ns >= 1793664000000000000", "2026-11-03 has other rows"),
    ],
)  # fmt: skip
def test_a_copy_that_is_not_equal_is_told(source: Database, target: Database, change: str, told: str) -> None:
    fill(source)

    def change_one(rows: int) -> None:
        if not target.read("SELECT 1 AS it FROM copied_tables WHERE name = 'outcomes' AND is_done = 1"):
            return
        with target.transaction() as transaction:
            transaction.execute(change)
        monkey.clear()

    monkey = [change_one]
    with pytest.raises(LedgersDiffer, match=told):
        copy(source, target, lambda rows: monkey[0](rows) if monkey else None)


def test_a_table_that_the_target_does_not_have_is_told_before_anything_is_copied(
    source: Database, target: Database
) -> None:
    fill(source)
    with target.transaction() as transaction:
        transaction.execute("DROP TABLE unread")
    with pytest.raises(LedgersDiffer, match="no such table unread"):
        copy(source, target)
    assert target.read("SELECT 1 AS it FROM events") == []


def test_a_copy_that_was_cut_off_before_its_first_page_begins_there(source: Database, target: Database) -> None:
    fill(source)
    with target.transaction() as transaction:
        transaction.insert("copied_tables", ("name", "source", "rows", "is_done"), [("events", source.name, 0, 0)])
    copy(source, target)
    assert everything(target) == everything(source)


def test_a_copy_goes_on_behind_a_key_of_bytes(source: Database, target: Database) -> None:
    fill(source, 10)

    def cut(rows: int) -> None:
        if target.read("SELECT 1 AS it FROM unread"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_ledger(source, target, cut, page=1)
    assert len(everything(target)["unread"]) == 1
    copy(source, target)
    assert everything(target) == everything(source)
