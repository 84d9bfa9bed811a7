import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_rows import DAY_NS, absorb, day, generated
from routewright.errors import StoreUnavailable
from routewright.housekeeping import DAYS_EVERY_S, NEIGHBOURS_EVERY_S, Housekeeping
from routewright.ledger.recovery import Recovered, Recovery
from routewright.ledger.seals import GRACE_NS, seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.testing import FakeClock

NOW_NS = day(5) * DAY_NS + GRACE_NS


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "ledger.db")
    absorb(Store(database), generated(300))
    yield database
    database.close()


class Neighbours(Recovery):
    """One whose looks are counted, and fail while they are told to."""

    def __init__(self) -> None:
        self.looks = self.looks_at_jobs = 0
        self.fails = False

    def look(self) -> Recovered:
        self.looks += 1
        if self.fails:
            raise StoreUnavailable("the ledger is busy")
        return Recovered()

    def settle_old_jobs(self) -> None:
        self.looks_at_jobs += 1


def keeping(database: SqliteDatabase, days: int = 0) -> tuple[Housekeeping, Neighbours, FakeClock]:
    clock, neighbours = FakeClock(NOW_NS), Neighbours()
    return Housekeeping(database, neighbours, clock, lambda: days), neighbours, clock


def rows(database: SqliteDatabase) -> int:
    return int(database.read("SELECT count(*) AS n FROM events")[0]["n"])


def test_days_that_are_over_are_sealed_and_nothing_is_deleted_unless_asked(database: SqliteDatabase) -> None:
    before = rows(database)
    housekeeping, neighbours, _ = keeping(database)
    housekeeping.keep_days()
    assert neighbours.looks_at_jobs == 1
    assert [seal.day for seal in seals_after(database, 0)] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert rows(database) == before


def test_what_is_older_than_it_is_kept_goes(database: SqliteDatabase) -> None:
    housekeeping, _, _ = keeping(database, days=2)
    housekeeping.keep_days()
    assert [seal.pruned_at_ns for seal in seals_after(database, 0)] == [NOW_NS, NOW_NS, None]
    assert (
        0
        < rows(database)
        == database.read("SELECT count(*) AS n FROM events WHERE at_ns >= ?", day(3) * DAY_NS)[0]["n"]
    )


def test_nothing_is_deleted_that_reports_would_miss(database: SqliteDatabase, caplog: pytest.LogCaptureFixture) -> None:
    with database.transaction() as transaction:
        transaction.execute("UPDATE rollups_made SET is_made = 0")
    before = rows(database)
    housekeeping, _, _ = keeping(database, days=1)
    housekeeping.keep_days()
    assert rows(database) == before
    assert "nothing is pruned" in caplog.text


def test_a_store_that_does_not_answer_is_asked_again_later(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    housekeeping, neighbours, _ = keeping(database)
    neighbours.fails = True
    housekeeping.look_at_neighbours()
    neighbours.fails = False
    housekeeping.look_at_neighbours()
    assert neighbours.looks == 2

    def refuse(*arguments: object) -> None:
        raise StoreUnavailable("the ledger is locked")

    monkeypatch.setattr(database, "read", refuse)
    housekeeping.keep_days()
    assert "not recovered yet: the ledger is busy" in caplog.text
    assert "not sealed or pruned now: the ledger is locked" in caplog.text


def test_it_stops_between_two_steps(database: SqliteDatabase) -> None:
    housekeeping, neighbours, _ = keeping(database)
    housekeeping.stop()
    housekeeping.keep_days()
    housekeeping.look_at_neighbours()
    assert not seals_after(database, 0)
    assert neighbours.looks == neighbours.looks_at_jobs == 0


def test_stopping_waits_for_the_step_that_runs(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    housekeeping, neighbours, _ = keeping(database)
    has_begun, may_end = threading.Event(), threading.Event()

    def look() -> Recovered:
        has_begun.set()
        may_end.wait()
        return Recovered()

    monkeypatch.setattr(neighbours, "look", look)
    looking = threading.Thread(target=housekeeping.look_at_neighbours)
    stopping = threading.Thread(target=housekeeping.stop)
    looking.start()
    has_begun.wait()
    stopping.start()
    stopping.join(0.05)
    assert stopping.is_alive()
    may_end.set()
    stopping.join()
    looking.join()


def test_neighbours_are_looked_at_often_and_days_seldom(database: SqliteDatabase) -> None:
    assert NEIGHBOURS_EVERY_S <= 5, "R03 promises ten seconds"
    assert DAYS_EVERY_S == 3600
