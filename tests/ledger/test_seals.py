from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from databases import open_database
from ledger_rows import DAY_NS, day, generated
from routewright.ledger.database import Database, Transaction
from routewright.ledger.ledger import LedgerEvent, encode_event
from routewright.ledger.sealed_rows import content_of
from routewright.ledger.seals import GENESIS, GRACE_NS, last_seal, open_days, seal_due, seals_after
from routewright.ledger.store import Store
from terminal import NOON, request, settled

LONG_AFTER = day(5) * DAY_NS + GRACE_NS


@pytest.fixture
def database(store: Store) -> Database:
    return store.database


def absorb(database: Database, *events: LedgerEvent) -> None:
    Store(database).absorb([encode_event(event) for event in events])


def test_a_day_is_sealed_an_hour_after_its_end_and_not_before(database: Database) -> None:
    absorb(database, settled(), request())
    midnight_ns = NOON + DAY_NS // 2
    assert seal_due(database, midnight_ns + GRACE_NS - 1) == []
    (seal,) = seal_due(database, midnight_ns + GRACE_NS)
    assert (seal.day, seal.supplement, seal.rows, seal.previous_hash) == ("2026-11-01", 0, 2, GENESIS)
    assert seal_due(database, midnight_ns + GRACE_NS) == []
    assert last_seal(database) == seal


def test_each_seal_follows_the_one_before_and_days_without_rows_have_none(database: Database) -> None:
    absorb(database, settled(), settled("request-2", at_ns=NOON + 2 * DAY_NS))
    first, second = seal_due(database, LONG_AFTER)
    assert (first.day, second.day) == ("2026-11-01", "2026-11-03")
    assert second.previous_hash == first.chain_hash


def test_neither_the_order_of_arrival_nor_the_database_changes_a_seal(
    tmp_path: Path, new_place: Callable[[], Path | str]
) -> None:
    events = generated(400)
    chains = []
    for place in (tmp_path / "one", new_place()):
        database = open_database(place)
        absorb(database, *events)
        chains.append([seal.chain_hash for seal in seal_due(database, LONG_AFTER)])
        database.close()
        Random(1).shuffle(events)
    assert chains[0] == chains[1]
    assert len(chains[0]) == 3


def test_rows_of_one_moment_are_ordered_by_id(tmp_path: Path, new_place: Callable[[], Path | str]) -> None:
    events = [settled(f"Request-{number}" if number % 2 else f"request-{number}") for number in range(1200)]
    chains = []
    for place in (tmp_path / "one", new_place()):
        database = open_database(place)
        absorb(database, *events)
        (seal,) = seal_due(database, LONG_AFTER)
        chains.append(seal)
        database.close()
        events.reverse()
    assert chains[0] == chains[1]
    assert chains[0].rows == 1200


def test_what_comes_after_the_seal_goes_into_a_supplement(database: Database) -> None:
    absorb(database, settled())
    (first,) = seal_due(database, LONG_AFTER)
    absorb(database, settled(), settled("request-2"), request("request-2"))
    (second,) = seal_due(database, LONG_AFTER)
    assert (second.day, second.supplement, second.rows) == ("2026-11-01", 1, 2)
    assert second.previous_hash == first.chain_hash
    assert seals_after(database, 0) == [first, second]
    absorb(database, settled("request-3", at_ns=NOON - DAY_NS))
    (third,) = seal_due(database, LONG_AFTER)
    assert (third.day, third.supplement, third.rows) == ("2026-10-31", 1, 1)


def test_a_day_that_was_closed_and_not_hashed_is_hashed_by_the_next(database: Database) -> None:
    absorb(database, settled())

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_due(database, LONG_AFTER, die)
    assert last_seal(database) is None
    absorb(database, settled("request-2"))
    first, second = seal_due(database, LONG_AFTER)
    assert (first.supplement, first.rows, second.supplement, second.rows) == (0, 1, 1, 1)


def test_a_column_that_is_added_later_changes_no_seal(database: Database, new_place: Callable[[], Path | str]) -> None:
    other = open_database(new_place())
    for each in (database, other):
        absorb(each, settled())
    with other.transaction() as transaction:
        transaction.execute("ALTER TABLE events ADD COLUMN novelty TEXT NOT NULL DEFAULT ''")
        transaction.execute("ALTER TABLE events ADD COLUMN number INTEGER")
    assert seal_due(database, LONG_AFTER) == seal_due(other, LONG_AFTER)
    other.close()


def test_a_changed_amount_changes_the_seal(database: Database, new_place: Callable[[], Path | str]) -> None:
    other = open_database(new_place())
    absorb(database, settled())
    absorb(other, replace(settled(), cost_nanousd=2_000_001))
    assert seal_due(database, LONG_AFTER)[0].content_hash != seal_due(other, LONG_AFTER)[0].content_hash
    other.close()


@pytest.mark.parametrize("is_late", [False, True], ids=["a day", "a supplement"])
def test_what_another_process_closes_meanwhile_is_closed_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    absorb(database, settled())
    if is_late:
        seal_due(database, LONG_AFTER)
        absorb(database, settled("late"))
    transaction = database.transaction

    def overtaken() -> AbstractContextManager[Transaction]:
        monkeypatch.undo()
        assert len(seal_due(database, LONG_AFTER)) == 1, "by the other process"
        return transaction()

    monkeypatch.setattr(database, "transaction", overtaken)
    assert seal_due(database, LONG_AFTER) == []
    assert [seal.supplement for seal in seals_after(database, 0)] == ([0, 1] if is_late else [0])


def test_every_day_that_has_late_rows_gets_its_supplement_at_once(database: Database) -> None:
    absorb(database, settled(), settled("request-2", at_ns=NOON + DAY_NS))
    seal_due(database, LONG_AFTER)
    absorb(database, settled("late", at_ns=NOON + DAY_NS), settled("later"))
    made = seal_due(database, LONG_AFTER)
    assert [(seal.day, seal.supplement) for seal in made] == [("2026-11-01", 1), ("2026-11-02", 1)]


def test_what_is_of_the_next_day_is_not_late(database: Database) -> None:
    absorb(database, settled())
    seal_due(database, LONG_AFTER)
    midnight_ns = NOON + DAY_NS // 2
    absorb(database, settled("on time", at_ns=midnight_ns), settled("late", at_ns=midnight_ns - 1))
    assert [row["row_id"] for row in database.read("SELECT row_id FROM late_rows")] == ["late-attempt-1"]


def test_days_that_are_open_are_those_with_rows_after_the_last_seal(database: Database) -> None:
    assert list(open_days(database)) == []
    absorb(
        database, settled(), request("request-2", at_ns=NOON + DAY_NS), settled("request-3", at_ns=NOON + 3 * DAY_NS)
    )
    assert list(open_days(database)) == ["2026-11-01", "2026-11-02", "2026-11-04"]
    seal_due(database, NOON + DAY_NS)
    assert list(open_days(database)) == ["2026-11-02", "2026-11-04"]


def test_t01_what_comes_after_a_clock_that_is_ahead_has_closed_the_day_is_late(database: Database) -> None:
    noon_ns = NOON + 100 * 365 * DAY_NS  # by our own clock this day is far from over
    absorb(database, settled(at_ns=noon_ns))
    (first,) = seal_due(database, noon_ns + DAY_NS)
    absorb(database, settled("request-2", at_ns=noon_ns), request("request-2", at_ns=noon_ns))
    (second,) = seal_due(database, noon_ns + DAY_NS)
    assert (second.day, second.supplement, second.rows) == (first.day, 1, 2)
    assert content_of(database, first.day, 0, lambda: None) == (1, first.content_hash)
