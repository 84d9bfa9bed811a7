from datetime import UTC, datetime

import pytest

from routewright.ledger.budgets import ALL_TIME, Budget, Period, Position, Refusal, Scope, Window, window_at
from routewright.ledger.ledger import NANOSECONDS, Charge


def at(text: str) -> int:
    """UTC nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NANOSECONDS


@pytest.mark.parametrize(
    ("period", "zone", "now", "starts", "ends"),
    [
        (Period.DAY, "UTC", "2026-03-01T00:00:00", "2026-03-01", "2026-03-02"),
        (Period.DAY, "Europe/Berlin", "2026-03-29T10:00:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        (Period.DAY, "Europe/Berlin", "2026-10-25T10:00:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        (Period.DAY, "Asia/Kolkata", "2026-01-01T18:29:59", "2025-12-31T18:30", "2026-01-01T18:30"),
        (Period.WEEK, "UTC", "2026-11-29T23:59:59", "2026-11-23", "2026-11-30"),
        (Period.MONTH, "UTC", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        (Period.MONTH, "America/New_York", "2026-03-01T04:59:59", "2026-02-01T05:00", "2026-03-01T05:00"),
    ],
)
def test_windows_follow_the_calendar_of_their_time_zone(
    period: Period, zone: str, now: str, starts: str, ends: str
) -> None:
    assert window_at(period, zone, at(now)) == Window(at(starts), at(ends))


def test_a_window_begins_where_the_one_before_ends() -> None:
    first = window_at(Period.MONTH, "Europe/Lisbon", at("2026-03-15T12:00:00"))
    assert first.ends_ns is not None
    assert window_at(Period.MONTH, "Europe/Lisbon", first.ends_ns).starts_ns == first.ends_ns
    assert window_at(Period.MONTH, "Europe/Lisbon", first.ends_ns - 1) == first


def test_a_budget_for_ever_has_one_window() -> None:
    assert window_at(Period.FOREVER, "UTC", at("2026-01-01T00:00:00")) == ALL_TIME


TEAM = Budget(name="teams", scope=Scope.TEAM, limit_nanousd=100, period=Period.MONTH)
TOTAL = Budget(name="total", scope=Scope.TOTAL, limit_nanousd=100, period=Period.FOREVER)


def refusal(spent: int, held: int, asked: int, *, is_frozen: bool = False) -> Refusal:
    return Refusal(
        budget=TOTAL,
        charge=Charge("total", 0),
        ends_ns=None,
        spent_nanousd=spent,
        held_nanousd=held,
        asked_nanousd=asked,
        is_frozen=is_frozen,
    )


def test_without_a_subject_each_has_a_budget_for_itself_and_the_total_only_one() -> None:
    assert TEAM.is_for_each
    assert not TOTAL.is_for_each
    assert TEAM.of("research") == Budget(
        name="teams/research", scope=Scope.TEAM, subject="research", limit_nanousd=100, period=Period.MONTH
    )
    assert not TEAM.of("research").is_for_each


@pytest.mark.parametrize(
    ("refused", "is_final", "may_be_granted"),
    [
        (refusal(60, 0, 40), False, True),
        (refusal(60, 0, 41), True, False),
        (refusal(60, 30, 40), False, False),
        (refusal(30, 30, 40), False, True),
        (refusal(0, 0, 40, is_frozen=True), True, False),
    ],
    ids=["just fits", "too dear beside what is spent", "fits once a hold settles", "just fits beside holds", "frozen"],
)
def test_waiting_helps_while_only_holds_are_in_the_way_and_a_claim_where_nothing_is(
    refused: Refusal, is_final: bool, may_be_granted: bool
) -> None:
    assert (refused.is_final, refused.may_be_granted) == (is_final, may_be_granted)


def test_what_a_process_needs_is_what_it_has_used_and_what_waits() -> None:
    position = Position(
        charge=Charge("total", 0), budget=TOTAL, window=ALL_TIME,
        granted_nanousd=50, settled_nanousd=20, held_nanousd=7, wanted_nanousd=30,
    )  # fmt: skip
    assert position.used_nanousd == 27
    assert position.needed_nanousd == 57
