from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from databases import open_database
from entries import released, reserved, settled
from routewright.ledger.accounts import close_what_crashed
from routewright.ledger.budgets import ALL_TIME, Budget, Grant, Period, Scope, Window
from routewright.ledger.database import Database, Row, Table, Transaction, Value
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import Charge, LedgerEvent, encode_event
from routewright.ledger.store import Store
from routewright.testing import FakeClock

LIMIT = 1000
HOUR = 3_600 * 10**9
DAY = 24 * HOUR
TODAY = Window(10 * DAY, 11 * DAY)
TOTAL = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=LIMIT, period=Period.FOREVER)
DAILY = replace(TOTAL, period=Period.DAY)
CHARGE = Charge("all", 0)


class TimedDatabase:
    """A database whose time stands still until it is told to go on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = database.name
        self.now_ns = "(SELECT now_ns FROM test_time)"
        with self.transaction() as transaction:
            transaction.execute("CREATE TABLE test_time (now_ns BIGINT NOT NULL)")
            transaction.execute("INSERT INTO test_time VALUES (1000000000)")

    def advance(self, seconds: int) -> None:
        with self.transaction() as transaction:
            transaction.execute("UPDATE test_time SET now_ns = now_ns + ?", seconds * 10**9)

    def transaction(self) -> AbstractContextManager[Transaction]:
        return self._database.transaction()

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        return self._database.read(sql, *bindings)

    def read_plain(self, sql: str, *bindings: Value) -> Sequence[tuple[Any, ...]]:
        return self._database.read_plain(sql, *bindings)

    def member(self, column: str, name: str) -> str:
        return self._database.member(column, name)

    def elements(self, column: str, name: str) -> str:
        return self._database.elements(column, name)

    def tables(self) -> Sequence[Table]:
        return self._database.tables()

    def continue_numbering(self, table: Table) -> None:
        self._database.continue_numbering(table)

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def database(place: Path | str) -> Iterator[TimedDatabase]:
    opened = TimedDatabase(open_database(place))
    yield opened
    opened.close()


@pytest.fixture
def escrow(database: TimedDatabase) -> DatabaseEscrow:
    return DatabaseEscrow(database)


@pytest.fixture
def absorb(database: TimedDatabase) -> Callable[..., None]:
    store = Store(database)

    def absorb(*events: LedgerEvent) -> None:
        store.absorb([encode_event(event) for event in events])

    return absorb


def claim(
    escrow: DatabaseEscrow,
    boot: str,
    granted: int = 0,
    needed: int = 0,
    *,
    budget: Budget = TOTAL,
    window: Window = ALL_TIME,
) -> Grant:
    return escrow.claim(budget, window, boot=boot, granted_nanousd=granted, needed_nanousd=needed)


def row_of(database: Database, budget: str = "all", starts_ns: int = 0) -> Row:
    (row,) = database.read("SELECT * FROM budget_windows WHERE budget = ? AND starts_ns = ?", budget, starts_ns)
    return row


def give(escrow: DatabaseEscrow, boot: str, amount: int, *, beside: int = 0) -> None:
    """Have a process be granted exactly so much, beside what others have."""
    limit = replace(TOTAL, limit_nanousd=beside + amount)
    assert claim(escrow, boot, needed=amount, budget=limit).granted_nanousd == amount


# ---- who is granted how much


def test_a_process_alone_is_granted_all_there_is(escrow: DatabaseEscrow) -> None:
    grant = claim(escrow, "a", needed=10)
    assert grant == Grant(
        granted_nanousd=LIMIT,
        posted_nanousd=0,
        leased_nanousd=LIMIT,
        is_frozen=False,
        is_wanted_elsewhere=False,
        lasts_s=30.0,
    )


def test_a_process_alone_is_granted_all_before_it_needs_any(escrow: DatabaseEscrow) -> None:
    assert claim(escrow, "a").granted_nanousd == LIMIT


def test_a_budget_of_nothing_grants_nothing(escrow: DatabaseEscrow) -> None:
    assert claim(escrow, "a", needed=1, budget=replace(TOTAL, limit_nanousd=0)).granted_nanousd == 0


def test_what_cannot_be_granted_is_wanted_elsewhere_until_it_is(escrow: DatabaseEscrow) -> None:
    claim(escrow, "a", needed=10)
    assert claim(escrow, "b", needed=20).granted_nanousd == 0
    given_back = claim(escrow, "a", granted=10, needed=10)
    assert (given_back.granted_nanousd, given_back.is_wanted_elsewhere) == (10, True)
    assert claim(escrow, "b", needed=20).granted_nanousd == 20 + (LIMIT - 30) // 2
    assert not claim(escrow, "a", granted=10, needed=10).is_wanted_elsewhere


def test_beside_others_a_process_gets_a_fair_share_ahead(escrow: DatabaseEscrow) -> None:
    for boot in ("a", "b", "c"):
        give(escrow, boot, 0)
    assert claim(escrow, "d", needed=400).granted_nanousd == 400 + 600 // 4


def test_beside_others_who_needs_nothing_gets_nothing_ahead(escrow: DatabaseEscrow) -> None:
    give(escrow, "a", 10)
    assert claim(escrow, "b").granted_nanousd == 0
    assert claim(escrow, "a", granted=10, needed=10).granted_nanousd == 10


def test_what_is_needed_is_granted_in_full_however_many_share(escrow: DatabaseEscrow) -> None:
    give(escrow, "a", 1)
    assert claim(escrow, "b", needed=LIMIT - 1).granted_nanousd == LIMIT - 1


def test_a_part_is_granted_where_the_whole_does_not_fit(escrow: DatabaseEscrow) -> None:
    give(escrow, "a", 300)
    grant = claim(escrow, "b", needed=900)
    assert grant.granted_nanousd == 700
    assert claim(escrow, "a", granted=300, needed=300).is_wanted_elsewhere


def test_no_part_is_taken_from_a_rival_whose_need_fits(escrow: DatabaseEscrow) -> None:
    claim(escrow, "a", needed=LIMIT)
    claim(escrow, "b", needed=400)
    claim(escrow, "c", needed=900)
    claim(escrow, "a", granted=500, needed=500)
    assert claim(escrow, "c", needed=900).granted_nanousd == 0
    assert claim(escrow, "b", needed=400).granted_nanousd == 400


def test_of_several_that_wait_one_gets_all_parts(escrow: DatabaseEscrow) -> None:
    for count, boot in enumerate("abc"):
        give(escrow, boot, 4, beside=4 * count)
    narrow = replace(TOTAL, limit_nanousd=12)
    granted = {boot: claim(escrow, boot, granted=4, needed=10, budget=narrow).granted_nanousd for boot in "abc"}
    assert granted == {"a": 4, "b": 4, "c": 4}
    assert claim(escrow, "c", needed=10, budget=narrow).granted_nanousd == 0
    assert claim(escrow, "b", needed=10, budget=narrow).granted_nanousd == 0
    assert claim(escrow, "a", needed=10, budget=narrow).granted_nanousd == 10


def test_a_smaller_grant_named_gives_the_difference_back(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    claim(escrow, "a", needed=10)
    claim(escrow, "b", needed=10)
    claim(escrow, "a", granted=10, needed=10)
    assert row_of(database)["leased_nanousd"] == 10


def test_an_answer_that_was_lost_is_mended_by_the_next_call(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    first = claim(escrow, "a", needed=10)
    assert claim(escrow, "a", needed=10) == first
    assert row_of(database)["leased_nanousd"] == LIMIT


def test_a_claim_that_changes_nothing_writes_nothing_until_half_its_time_is_over(
    escrow: DatabaseEscrow, database: TimedDatabase
) -> None:
    first = claim(escrow, "a", needed=10)
    database.advance(10)
    assert claim(escrow, "a", granted=LIMIT, needed=10) == replace(first, lasts_s=20.0)
    database.advance(5)
    assert claim(escrow, "a", granted=LIMIT, needed=10) == first
    database.advance(10)
    assert claim(escrow, "a", granted=LIMIT, needed=10).lasts_s == 20.0


@pytest.mark.parametrize("is_hard", [True, False])
def test_looking_at_a_budget_locks_nobody_out(escrow: DatabaseEscrow, database: TimedDatabase, is_hard: bool) -> None:
    budget = replace(TOTAL, is_hard=is_hard)
    first = claim(escrow, "a", budget=budget)
    with database.transaction() as transaction:
        transaction.execute("UPDATE budget_windows SET overruns = overruns")
        assert claim(escrow, "a", granted=first.granted_nanousd, budget=budget) == first


def test_s06_a_grant_that_the_database_has_lost_is_noted_again(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    give(escrow, "b", 10)
    give(escrow, "a", 790, beside=10)
    told = claim(escrow, "b", granted=500, needed=600)
    assert (told.granted_nanousd, told.is_wanted_elsewhere) == (500, True)
    assert row_of(database)["excess_nanousd"] == 500 + 790 - LIMIT


def test_a_lowered_limit_grants_nothing_and_asks_for_what_is_not_held(
    escrow: DatabaseEscrow, database: TimedDatabase
) -> None:
    claim(escrow, "a", needed=600)
    lowered = replace(TOTAL, limit_nanousd=700)
    grant = claim(escrow, "a", granted=LIMIT, needed=LIMIT + 1, budget=lowered)
    assert (grant.granted_nanousd, grant.is_wanted_elsewhere) == (LIMIT, True)
    assert row_of(database)["excess_nanousd"] == 300
    grant = claim(escrow, "a", granted=600, needed=600, budget=lowered)
    assert (grant.granted_nanousd, grant.is_wanted_elsewhere) == (700, False)
    assert row_of(database)["excess_nanousd"] == 0


def test_of_a_soft_budget_nothing_is_granted_and_all_is_posted(
    escrow: DatabaseEscrow, absorb: Callable[..., None], database: TimedDatabase
) -> None:
    soft = replace(TOTAL, is_hard=False)
    assert claim(escrow, "a", needed=10, budget=soft).granted_nanousd == 0
    absorb(settled("1", boot="a", cost_nanousd=2 * LIMIT, held_nanousd=900, charges=(CHARGE,)))
    grant = claim(escrow, "a", budget=soft)
    assert (grant.posted_nanousd, grant.leased_nanousd, grant.is_frozen) == (2 * LIMIT, 0, False)
    assert row_of(database)["overruns"] == 1
    assert database.read("SELECT granted_nanousd, settled_nanousd FROM grants") == [
        {"granted_nanousd": 0, "settled_nanousd": 2 * LIMIT}
    ], "when it becomes hard, it must be known whose spending that was"


def test_windows_are_rows_of_their_own(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    claim(escrow, "a", needed=10, window=TODAY)
    tomorrow = Window(11 * DAY, 12 * DAY)
    assert claim(escrow, "a", needed=10, window=tomorrow).granted_nanousd == LIMIT
    before = row_of(database, starts_ns=TODAY.starts_ns)
    assert (before["leased_nanousd"], before["ends_ns"]) == (LIMIT, TODAY.ends_ns)


# ---- dying


def test_an_expired_grant_counts_on_and_nobody_waits_for_its_process(
    escrow: DatabaseEscrow, database: TimedDatabase
) -> None:
    give(escrow, "a", 600)
    assert claim(escrow, "b", granted=0, needed=LIMIT).granted_nanousd == 400
    assert claim(escrow, "c", needed=10).is_wanted_elsewhere
    database.advance(31)
    grant = claim(escrow, "c", needed=10)
    assert (grant.granted_nanousd, grant.leased_nanousd, grant.is_wanted_elsewhere) == (0, LIMIT, False)
    assert claim(escrow, "c", needed=10, window=TODAY).granted_nanousd == LIMIT


def test_a_claim_renews_a_grant(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    give(escrow, "a", 600)
    database.advance(29)
    claim(escrow, "a", granted=600, needed=600, budget=replace(TOTAL, limit_nanousd=600))
    database.advance(29)
    assert claim(escrow, "b", needed=10).granted_nanousd == 10 + 390 // 2


def test_t01_a_grant_lasts_no_longer_when_the_databases_clock_is_set_back(
    escrow: DatabaseEscrow, database: TimedDatabase
) -> None:
    claim(escrow, "a", needed=10)
    database.advance(-3600)
    assert claim(escrow, "a", granted=LIMIT, needed=10).lasts_s == 30.0
    database.advance(10)
    assert claim(escrow, "a", granted=LIMIT, needed=10).lasts_s == 20.0, "it was noted anew"


def test_what_a_dead_process_had_is_free_once_it_is_forgotten(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    claim(escrow, "a", needed=10)
    claim(escrow, "a", needed=10, window=TODAY)
    escrow.forget(frozenset({"a", "nobody"}))
    escrow.forget(frozenset({"a"}))
    assert database.read("SELECT * FROM grants") == []
    assert row_of(database)["leased_nanousd"] == row_of(database, starts_ns=TODAY.starts_ns)["leased_nanousd"] == 0
    assert claim(escrow, "b", needed=LIMIT).granted_nanousd == LIMIT


def test_forgetting_makes_good_for_a_lowered_limit(escrow: DatabaseEscrow, database: TimedDatabase) -> None:
    claim(escrow, "a", needed=10)
    claim(escrow, "a", granted=LIMIT, needed=0, budget=replace(TOTAL, limit_nanousd=100))
    escrow.forget(frozenset({"a"}))
    assert row_of(database)["excess_nanousd"] == 0


def test_forgetting_nobody_does_nothing(escrow: DatabaseEscrow) -> None:
    escrow.forget(frozenset())


def test_s04_what_a_dead_process_had_open_is_taken_out_of_its_grant(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    hold = reserved("1", boot="a", charges=(CHARGE,), team="research", key="k", tags=("t",), tier="bulk")
    absorb(hold)
    store = Store(database)
    store.absorb(list(close_what_crashed(store.pending(set), FakeClock())))
    row = row_of(database)
    assert (row["posted_nanousd"], row["leased_nanousd"], row["overruns"]) == (900, 100, 0)
    found = store.request("r1")
    assert found is not None
    closed = found.attempts[0].close
    assert closed is not None
    assert (closed.boot, closed.team, closed.key, closed.tags, closed.tier) == ("a", "research", "k", ("t",), "bulk")
    escrow.forget(frozenset({"a"}))
    assert claim(escrow, "b").granted_nanousd == 100


def test_what_arrives_of_a_forgotten_process_is_posted_all_the_same(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    escrow.forget(frozenset({"a"}))
    claim(escrow, "b")
    absorb(settled("1", boot="a", held_nanousd=900, charges=(CHARGE,)))
    row = row_of(database)
    assert (row["posted_nanousd"], row["leased_nanousd"], row["excess_nanousd"]) == (700, LIMIT, 700)


# ---- posting


def test_a_cost_moves_from_what_is_leased_to_what_is_posted(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    absorb(reserved("1", boot="a", charges=(CHARGE,)))
    absorb(settled("1", boot="a", held_nanousd=900, charges=(CHARGE,)))
    row = row_of(database)
    assert (row["posted_nanousd"], row["leased_nanousd"], row["excess_nanousd"]) == (700, LIMIT - 700, 0)
    assert claim(escrow, "a", granted=700, needed=LIMIT).granted_nanousd == LIMIT


def test_a_released_attempt_posts_nothing(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    before = row_of(database)
    free = settled("2", boot="a", cost_nanousd=0, held_nanousd=0, charges=(CHARGE,))
    unpriced = settled("3", boot="a", cost_nanousd=None, charges=(CHARGE,))
    absorb(released("1", boot="a", held_nanousd=900, charges=(CHARGE,)), free, unpriced, settled("4", boot="a"))
    assert row_of(database) == before


def test_e3_a_batch_delivered_twice_posts_once(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    one = settled("1", boot="a", held_nanousd=700, charges=(CHARGE, Charge("team", DAY)))
    absorb(one, one)
    absorb(one)
    absorb(one, settled("1", boot="a", cost_nanousd=1, held_nanousd=700, charges=(CHARGE,)))
    assert row_of(database)["posted_nanousd"] == row_of(database, "team", DAY)["posted_nanousd"] == 700
    assert row_of(database)["leased_nanousd"] == LIMIT - 700


def test_m02_a_cost_is_posted_to_the_window_in_which_it_was_held(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900, window=TODAY)
    claim(escrow, "a", needed=900, window=Window(11 * DAY, 12 * DAY))
    absorb(settled("1", boot="a", at_ns=12 * DAY, held_nanousd=900, charges=(Charge("all", TODAY.starts_ns),)))
    assert row_of(database, starts_ns=TODAY.starts_ns)["posted_nanousd"] == 700
    assert row_of(database, starts_ns=11 * DAY)["posted_nanousd"] == 0


def test_m04_an_overrun_is_posted_in_full_and_freezes_the_budget(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    give(escrow, "a", 600)
    absorb(settled("1", boot="a", held_nanousd=600, charges=(CHARGE,)))
    frozen = claim(escrow, "a", granted=600, needed=800)
    assert frozen.is_frozen
    assert (frozen.granted_nanousd, frozen.posted_nanousd, frozen.leased_nanousd) == (700, 700, 0)
    assert claim(escrow, "b", needed=1).granted_nanousd == 0
    assert row_of(database)["overruns"] == 1
    escrow.thaw("all")
    assert claim(escrow, "b", needed=1).granted_nanousd == 1 + 299 // 2
    assert not claim(escrow, "a", granted=600, needed=700).is_frozen


def test_m04_an_overrun_beyond_the_limit_is_excess(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900)
    absorb(settled("1", boot="a", cost_nanousd=LIMIT + 5, held_nanousd=900, charges=(CHARGE,)))
    row = row_of(database)
    assert (row["posted_nanousd"], row["leased_nanousd"], row["excess_nanousd"]) == (LIMIT + 5, 0, 5)


def test_what_was_posted_to_a_budget_before_its_first_claim_is_kept(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    absorb(settled("1", boot="a", cost_nanousd=400, held_nanousd=400, charges=(CHARGE,)))
    assert claim(escrow, "a", granted=500, needed=500).posted_nanousd == 400


def test_an_overrun_before_the_first_claim_freezes_too(escrow: DatabaseEscrow, absorb: Callable[..., None]) -> None:
    absorb(settled("1", boot="a", cost_nanousd=400, held_nanousd=300, charges=(CHARGE,)))
    assert claim(escrow, "a", needed=500).is_frozen


# ---- what was there before the budget


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        (Scope.TOTAL, ""),
        (Scope.KEY, "k1"),
        (Scope.TEAM, "research"),
        (Scope.TAG, 'say "hé"'),
        (Scope.MODEL, "small"),
        (Scope.CAUSE, "judge"),
    ],
)
def test_the_first_claim_counts_what_was_spent_and_is_open_already(
    escrow: DatabaseEscrow, absorb: Callable[..., None], scope: Scope, subject: str
) -> None:
    mine: dict[str, Any] = {"key": "k1", "team": "research", "tags": ("x", 'say "hé"'), "cause": "judge"}
    other: dict[str, Any] = {"key": "k2", "team": "sales", "tags": ("say",), "model": "large", "cause": "first"}
    absorb(
        reserved("1", at_ns=TODAY.starts_ns, **mine),
        settled("1", at_ns=TODAY.starts_ns + 5, cost_nanousd=100, **mine),
        settled("late", at_ns=11 * DAY - 1, cost_nanousd=10, **mine),
        settled("unpriced", at_ns=TODAY.starts_ns + 5, cost_nanousd=None, **mine),
        reserved("open", at_ns=TODAY.starts_ns + 5, amount_nanousd=50, **mine),
        reserved("open, unpriced", at_ns=TODAY.starts_ns + 5, amount_nanousd=None, **mine),
        settled("yesterday", at_ns=TODAY.starts_ns - 1, **mine),
        settled("tomorrow", at_ns=11 * DAY, **mine),
        reserved("open since yesterday", at_ns=TODAY.starts_ns - 1, **mine),
        reserved("open tomorrow", at_ns=11 * DAY, **mine),
        released("free", at_ns=TODAY.starts_ns + 5, **mine),
        settled("another's", at_ns=TODAY.starts_ns + 5, cost_nanousd=1, **other),
        reserved("another's, open", at_ns=TODAY.starts_ns + 5, amount_nanousd=2, **other),
    )
    budget = Budget(name="b", scope=scope, subject=subject, limit_nanousd=LIMIT, period=Period.DAY)
    expected = 160 + (3 if scope is Scope.TOTAL else 0)
    for _ in range(2):
        grant = claim(escrow, "a", needed=1, budget=budget, window=TODAY)
        assert (grant.posted_nanousd, grant.leased_nanousd) == (expected, LIMIT - expected)


def test_the_first_claim_of_a_purse_counts_every_cause_that_it_pays_for(
    escrow: DatabaseEscrow, absorb: Callable[..., None]
) -> None:
    absorb(
        settled("1", at_ns=TODAY.starts_ns + 5, cost_nanousd=100, cause="shadow"),
        settled("2", at_ns=TODAY.starts_ns + 5, cost_nanousd=10, cause="comparison"),
        settled("3", at_ns=TODAY.starts_ns + 5, cost_nanousd=1, cause="judge"),
        reserved("open", at_ns=TODAY.starts_ns + 5, amount_nanousd=50, cause="comparison"),
    )
    budget = Budget(name="b", scope=Scope.CAUSE, subject="shadow", limit_nanousd=LIMIT, period=Period.DAY)
    assert claim(escrow, "a", budget=budget, window=TODAY).posted_nanousd == 160


def test_a_tag_is_told_from_one_that_looks_like_it(escrow: DatabaseEscrow, absorb: Callable[..., None]) -> None:
    absorb(settled("1", tags=("a", "b")), settled("2", tags=("A",)))
    for subject in (",", "b,", "", "aA"):
        budget = Budget(
            name=f"tag {subject}", scope=Scope.TAG, subject=subject, limit_nanousd=LIMIT, period=Period.FOREVER
        )
        assert claim(escrow, "a", budget=budget).posted_nanousd == 0


def test_what_is_charged_to_the_budget_is_not_counted_twice(
    escrow: DatabaseEscrow, database: TimedDatabase, absorb: Callable[..., None]
) -> None:
    elsewhere = (Charge("other", 0), Charge("all", DAY))
    absorb(
        settled("1", boot="a", cost_nanousd=100, held_nanousd=100, charges=(CHARGE,)),
        reserved("2", boot="a", amount_nanousd=70, charges=(CHARGE, Charge("other", 0))),
        settled("3", boot="a", cost_nanousd=30, held_nanousd=100, charges=elsewhere),
        reserved("4", boot="a", amount_nanousd=7, charges=elsewhere),
    )
    assert claim(escrow, "a", granted=70, needed=70).posted_nanousd == 137
    absorb(settled("2", boot="a", cost_nanousd=60, held_nanousd=70, charges=(CHARGE, Charge("other", 0))))
    assert row_of(database)["posted_nanousd"] == 197


def test_m02_a_later_window_of_a_budget_owes_nothing_for_the_one_before(
    escrow: DatabaseEscrow, absorb: Callable[..., None]
) -> None:
    tomorrow = Window(11 * DAY, 12 * DAY)
    claim(escrow, "a", needed=900, budget=DAILY, window=TODAY)
    today = (Charge("all", TODAY.starts_ns),)
    absorb(
        settled("1", boot="a", at_ns=11 * DAY, cost_nanousd=400, held_nanousd=400, charges=today),
        reserved("2", boot="a", at_ns=11 * DAY, amount_nanousd=500, charges=today),
    )
    assert claim(escrow, "a", needed=900, budget=DAILY, window=tomorrow).posted_nanousd == 0


def test_a_budget_that_was_away_for_a_while_counts_again_what_was_spent(
    escrow: DatabaseEscrow, absorb: Callable[..., None]
) -> None:
    claim(escrow, "a", needed=900, budget=DAILY, window=TODAY)
    absorb(settled("1", at_ns=12 * DAY, cost_nanousd=400))
    assert claim(escrow, "a", needed=900, budget=DAILY, window=Window(12 * DAY, 13 * DAY)).posted_nanousd == 400


FEBRUARY = Window(31 * DAY, 59 * DAY)


@pytest.mark.parametrize(
    ("period", "window"),
    [
        (Period.FOREVER, ALL_TIME),
        (Period.WEEK, Window(25 * DAY, 32 * DAY)),
        (Period.WEEK, Window(32 * DAY, 39 * DAY)),
        (Period.DAY, Window(30 * DAY, 31 * DAY)),
        (Period.DAY, Window(31 * DAY, 32 * DAY)),
        (Period.DAY, Window(40 * DAY, 41 * DAY)),
        (Period.MONTH, Window(31 * DAY - HOUR, 59 * DAY - HOUR)),
    ],
)
def test_a_budget_whose_period_or_time_zone_is_changed_counts_what_was_spent_in_the_new_one(
    escrow: DatabaseEscrow, absorb: Callable[..., None], period: Period, window: Window
) -> None:
    before = replace(TOTAL, period=period)
    claim(escrow, "a", needed=900, budget=before, window=window)
    charges = (Charge("all", window.starts_ns),)
    absorb(settled("1", boot="a", at_ns=40 * DAY, cost_nanousd=400, held_nanousd=400, charges=charges))
    absorb(reserved("2", boot="a", at_ns=40 * DAY, amount_nanousd=70, charges=(Charge("all", 40 * DAY),)))
    month = replace(TOTAL, period=Period.MONTH)
    for _ in range(2):
        assert claim(escrow, "b", needed=1, budget=month, window=FEBRUARY).posted_nanousd == 470
