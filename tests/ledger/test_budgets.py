from datetime import UTC, datetime

import pytest

from routewright.ledger.budgets import ALL_TIME, NANOSECONDS, Period, Window, window_at


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
