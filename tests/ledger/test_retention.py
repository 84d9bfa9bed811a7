from itertools import count

import pytest

from ledger_rows import DAY_NS, absorb, day, generated
from routewright.ledger.database import Database
from routewright.ledger.ledger import LedgerEvent, Reserved, encode_event
from routewright.ledger.retention import (
    LARGEST_BATCH,
    LONGEST_S,
    SMALLEST_BATCH,
    Due,
    _next_batch,
    can_prune,
    due,
    free_bytes,
    oldest_kept,
    prune,
)
from routewright.ledger.seals import GRACE_NS, seal_due, seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import NOON, settled

NOW_NS = day(5) * DAY_NS + GRACE_NS


@pytest.fixture
def database(store: Store) -> Database:
    absorb(store, generated(2_000))
    return store.database


def counts(database: Database, after_ns: int = 0) -> dict[str, int]:
    tables = ("events", "requests", "outcomes", "embeddings", "comparisons")
    return {
        table: database.read(f"SELECT count(*) AS n FROM {table} WHERE at_ns >= ?", after_ns)[0]["n"]  # noqa: S608
        for table in tables
    }


def prune_before(database: Database, before: str, quick: bool = True) -> tuple[str, ...]:
    ticks = count(step=0 if quick else 1)
    return prune(database, before, NOW_NS, monotonic=lambda: float(next(ticks))).days


@pytest.mark.parametrize("quick", [True, False])
def test_sealed_days_go_whole_and_later_ones_stay(database: Database, quick: bool) -> None:
    seal_due(database, NOW_NS)
    kept, spent = counts(database, day(3) * DAY_NS), Store(database).spend("day")
    assert due(database, "2026-11-03").last_day == "2026-11-02"
    assert prune_before(database, "2026-11-03", quick) == ("2026-11-01", "2026-11-02")
    assert counts(database) == kept
    assert Store(database).spend("day") == spent, "reports read on"
    assert [seal.pruned_at_ns for seal in seals_after(database, 0)] == [NOW_NS, NOW_NS, None]
    assert prune_before(database, "2026-11-03", quick) == ()
    assert due(database, "2026-11-03") == Due(seals=0, rows=0, first_day=None, last_day=None)


def test_how_many_rows_went_is_told(database: Database) -> None:
    seal_due(database, NOW_NS)
    before = sum(counts(database).values())
    pruned = prune(database, "2026-11-03", NOW_NS, monotonic=lambda: 0.0)
    assert pruned.rows == before - sum(counts(database).values()) > 0


@pytest.mark.parametrize(
    ("batch", "took_s", "following"),
    [
        (4 * SMALLEST_BATCH, LONGEST_S * 0.51, 2 * SMALLEST_BATCH),
        (4 * SMALLEST_BATCH, LONGEST_S / 2, 4 * SMALLEST_BATCH),
        (4 * SMALLEST_BATCH, LONGEST_S / 8, 4 * SMALLEST_BATCH),
        (4 * SMALLEST_BATCH, LONGEST_S * 0.12, 8 * SMALLEST_BATCH),
        (SMALLEST_BATCH, LONGEST_S, SMALLEST_BATCH),
        (LARGEST_BATCH, 0.0, LARGEST_BATCH),
    ],
)
def test_a_batch_is_as_large_as_the_time_allows(batch: int, took_s: float, following: int) -> None:
    assert _next_batch(batch, took_s) == following


def test_what_is_not_sealed_stays(database: Database) -> None:
    before = counts(database)
    assert prune_before(database, "2026-12-01") == ()
    assert counts(database) == before


def test_open_holds_stay_for_ever(database: Database) -> None:
    hold = Reserved(
        attempt_id="open", request_id="r", at_ns=NOON, boot="b", model="m", deployment="p/m", cause="first",
        amount_nanousd=1, price_version="v",
    )  # fmt: skip
    store = Store(database)
    store.absorb([encode_event(hold)])
    seal_due(database, NOW_NS)
    prune_before(database, "2026-12-01")
    assert store.open_holds() == [hold]
    assert counts(database) == {"events": 1, "requests": 0, "outcomes": 0, "embeddings": 0, "comparisons": 0}


def test_late_rows_go_with_their_own_supplement(database: Database) -> None:
    seal_due(database, NOW_NS)
    late: list[LedgerEvent] = [settled(f"late-{number}") for number in range(40)]
    absorb(Store(database), late)
    prune_before(database, "2026-11-02")
    assert counts(database)["events"] == counts(database, day(2) * DAY_NS)["events"] + 40
    (seal,) = seal_due(database, NOW_NS)
    assert (seal.supplement, seal.rows) == (1, 40)
    prune_before(database, "2026-11-02")
    assert counts(database)["events"] == counts(database, day(2) * DAY_NS)["events"]


def test_an_interrupted_pruning_goes_on(database: Database) -> None:
    seal_due(database, NOW_NS)
    kept = counts(database, day(2) * DAY_NS)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(database, "2026-11-02", NOW_NS, monotonic=lambda: 0.0, pause=stop)
    assert counts(database) != kept
    prune_before(database, "2026-11-02")
    assert counts(database) == kept


def test_days_are_counted_back_from_now(database: Database) -> None:
    assert oldest_kept(NOON, 1) == "2026-10-31"
    assert oldest_kept(NOON, 36_500) == "1970-01-01"
    assert can_prune(database)


def test_what_a_file_has_free_is_told_and_a_server_looks_after_itself(database: Database) -> None:
    before = free_bytes(database)
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM events")
    size = database.read("SELECT page_size AS n FROM pragma_page_size")[0]["n"] if is_sqlite(database) else 0
    freed = free_bytes(database) - before
    assert freed >= 20 * size, "of two thousand rows"
    assert freed % (size or 1) == 0
    assert (freed > 0) == is_sqlite(database)


def is_sqlite(database: Database) -> bool:
    return isinstance(database, SqliteDatabase)
