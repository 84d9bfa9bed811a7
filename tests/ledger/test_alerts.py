from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from databases import open_database
from routewright.ledger.alerts import Alert, AlertBook, Notice, Way, crossings, due
from routewright.ledger.budgets import Budget, Period, Scope, Window
from routewright.ledger.database import Database
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.windows import WindowRow

HOUR = 3600 * 10**9
BUDGET = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=1000, period=Period.DAY, alerts_percent=(100, 50, 50))
ROW = WindowRow(
    budget="all",
    starts_ns=0,
    ends_ns=24 * HOUR,
    limit_nanousd=1000,
    posted_nanousd=0,
    leased_nanousd=0,
    excess_nanousd=0,
    overruns=0,
    is_hard=True,
    is_frozen=False,
    is_counted=True,
)
ALERT = Alert(
    budget="all",
    scope=Scope.TOTAL,
    subject="",
    period=Period.DAY,
    starts_ns=0,
    ends_ns=24 * HOUR,
    percent=50,
    overruns=0,
    is_frozen=False,
    spent_nanousd=500,
    limit_nanousd=1000,
    at_ns=7,
)
NOTICE = Notice(ALERT, Way.LOG)


@pytest.fixture
def open_book(place: Path | str) -> Iterator[Callable[[], AlertBook]]:
    """Each call opens the same book, as another process does."""
    opened: list[Database] = []

    def open_book() -> AlertBook:
        opened.append(open_database(place))
        return AlertBook(opened[-1])

    yield open_book
    for database in opened:
        database.close()


# ---- what there is to tell


@pytest.mark.parametrize(
    ("spent", "percents"), [(0, []), (499, []), (500, [50]), (999, [50]), (1000, [50, 100]), (5000, [50, 100])]
)
def test_each_share_that_is_reached_is_told_once(spent: int, percents: list[int]) -> None:
    alerts = crossings(BUDGET, replace(ROW, posted_nanousd=spent), 7)
    assert [alert.percent for alert in alerts] == percents


def test_an_alert_says_how_the_budget_stands() -> None:
    assert crossings(BUDGET, replace(ROW, posted_nanousd=500), 7) == [ALERT]


def test_a_budget_of_nothing_is_silent_until_something_is_spent() -> None:
    nothing = replace(BUDGET, limit_nanousd=0)
    assert crossings(nothing, ROW, 7) == []
    assert [alert.percent for alert in crossings(nothing, replace(ROW, posted_nanousd=1), 7)] == [50, 100]


@pytest.mark.parametrize("overruns", [1, 2])
def test_m04_overruns_are_told_with_their_count(overruns: int) -> None:
    (alert,) = crossings(BUDGET, replace(ROW, overruns=overruns, is_frozen=True), 7)
    assert (alert.percent, alert.overruns, alert.is_frozen) == (0, overruns, True)


def test_what_is_told_is_told_in_every_way_and_only_of_budgets_that_are_defined() -> None:
    row = replace(ROW, posted_nanousd=500)
    notices = due([BUDGET], [row, replace(row, budget="gone")], (Way.LOG, Way.SLACK), 7)
    assert notices == [Notice(ALERT, Way.LOG), Notice(ALERT, Way.SLACK)]


# ---- who tells it


def test_of_two_processes_one_takes_an_alert(open_book: Callable[[], AlertBook]) -> None:
    one, other = open_book(), open_book()
    assert one.take([NOTICE], for_s=60) == [NOTICE]
    assert other.take([NOTICE], for_s=60) == []
    assert other.left() == []


def test_an_alert_that_was_told_is_never_taken_again(open_book: Callable[[], AlertBook]) -> None:
    one = open_book()
    one.take([NOTICE], for_s=0)
    one.delivered(NOTICE)
    assert open_book().take([NOTICE], for_s=60) == []
    assert open_book().left() == []


def test_the_next_window_another_share_and_another_way_are_other_alerts(open_book: Callable[[], AlertBook]) -> None:
    book = open_book()
    others = [
        Notice(replace(ALERT, starts_ns=1), Way.LOG),
        Notice(replace(ALERT, percent=100), Way.LOG),
        Notice(replace(ALERT, percent=0, overruns=1), Way.LOG),
        Notice(replace(ALERT, percent=0, overruns=2), Way.LOG),
        Notice(ALERT, Way.WEBHOOK),
    ]
    book.take([NOTICE], for_s=60)
    assert sorted(book.take(others, for_s=60), key=str) == sorted(others, key=str)


def test_what_a_dead_process_had_taken_is_left_to_others(open_book: Callable[[], AlertBook]) -> None:
    open_book().take([NOTICE], for_s=0)
    book = open_book()
    assert book.left() == [NOTICE]
    assert book.take(book.left(), for_s=60) == [NOTICE]
    assert book.left() == []


def test_what_could_not_be_delivered_is_left_to_others(open_book: Callable[[], AlertBook]) -> None:
    book = open_book()
    book.take([NOTICE], for_s=60)
    book.let_go(NOTICE)
    assert book.left() == [NOTICE]


def test_taking_nothing_asks_nothing(open_book: Callable[[], AlertBook]) -> None:
    assert open_book().take([], for_s=60) == []


# ---- which windows


def test_windows_of_now_and_those_that_have_just_ended_are_looked_at(place: Path | str) -> None:
    database = open_database(place)
    escrow, book = DatabaseEscrow(database), AlertBook(database)
    for starts_ns, ends_ns in ((0, 24 * HOUR), (24 * HOUR, 48 * HOUR), (48 * HOUR, 72 * HOUR)):
        escrow.claim(BUDGET, Window(starts_ns, ends_ns), boot="a", granted_nanousd=0, needed_nanousd=0)
    endless = replace(BUDGET, name="endless")
    escrow.claim(endless, Window(0, None), boot="a", granted_nanousd=0, needed_nanousd=0)

    def looked_at(now_ns: int) -> set[tuple[str, int]]:
        return {(row.budget, row.starts_ns) for row in book.windows(now_ns)}

    assert looked_at(24 * HOUR) == {("all", 0), ("all", 24 * HOUR), ("endless", 0)}
    assert looked_at(25 * HOUR) == {("all", 24 * HOUR), ("endless", 0)}
    database.close()
