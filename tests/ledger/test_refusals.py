from datetime import UTC, datetime

import pytest

from routewright.ledger.budgets import Budget, Period, Refusal, Scope
from routewright.ledger.ledger import NANOSECONDS, Charge
from routewright.ledger.refusals import budget_exceeded, hold_refused

ENDS_NS = int(datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp()) * NANOSECONDS


def refusal(period: Period = Period.MONTH, *, elsewhere: int = 0, is_frozen: bool = False) -> Refusal:
    return Refusal(
        budget=Budget(
            name="team", scope=Scope.TEAM, subject="a", limit_nanousd=10_000_000_000, period=period,
            time_zone="Europe/Berlin",
        ),
        charge=Charge("team", 0),
        ends_ns=None if period is Period.FOREVER else ENDS_NS,
        spent_nanousd=9_500_000_001,
        held_nanousd=400_000_000,
        elsewhere_nanousd=elsewhere,
        asked_nanousd=1_230_000,
        is_frozen=is_frozen,
    )  # fmt: skip


def test_a_refusal_names_the_budget_its_amounts_to_the_nano_dollar_and_when_it_resets() -> None:
    refused = hold_refused(refusal())
    assert refused.message == (
        'budget "team" of $10.00 per month has no room for $0.00123, the most that this request may cost: '
        "$9.500000001 spent, $0.40 held; it resets at 2026-12-01T00:00:00+01:00"
    )
    assert refused.details == {
        "name": "team",
        "period": "month",
        "limit_nanousd": 10_000_000_000,
        "spent_nanousd": 9_500_000_001,
        "held_nanousd": 400_000_000,
        "asked_nanousd": 1_230_000,
        "resets_at": "2026-12-01T00:00:00+01:00",
        "is_frozen": False,
    }


def test_what_other_processes_have_is_told_where_it_is_known() -> None:
    told = budget_exceeded(refusal(elsewhere=25 * 10**7)).message
    assert "$0.40 held and $0.25 granted to other processes; it resets" in told


def test_a_budget_for_ever_does_not_reset() -> None:
    refused = budget_exceeded(refusal(Period.FOREVER))
    assert "of $10.00 in all has no room for $0.00123" in refused.message
    assert refused.message.endswith("; it does not reset")
    assert refused.details is not None
    assert refused.details["resets_at"] is None


@pytest.mark.parametrize(
    ("is_frozen", "message", "hint"),
    [
        (True, 'budget "team" is frozen: an attempt cost more', "`routewright budgets thaw team`"),
        (False, "has no room for $0.00123", "raise its limit, or ask for fewer output tokens"),
    ],
)
def test_the_hint_is_what_helps(is_frozen: bool, message: str, hint: str) -> None:
    refused = budget_exceeded(refusal(is_frozen=is_frozen))
    assert message in refused.message
    assert hint in (refused.hint or "")
