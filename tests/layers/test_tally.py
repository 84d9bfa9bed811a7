import timeit

import pytest

from routewright.errors import ProviderFailed, RoutewrightError, Unauthorized
from routewright.layers.tally import Tally, outcome_class
from routewright.reply import AttemptReport
from routewright.usage import Usage

REPORT = AttemptReport(
    attempt_id="a",
    model="swift",
    deployment="acme/swift",
    cause="first",
    outcome="complete",
    cost_nanousd=7,
    usage=Usage(),
    is_estimated=False,
)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("complete", "complete"),
        ("abandoned", "abandoned"),
        (Unauthorized.code, "refused"),
        ("rate_limited", "refused"),
        (ProviderFailed.code, "provider_failed"),
        ("ledger_unavailable", "failed"),
        (RoutewrightError.code, "failed"),
        ("never heard of", "failed"),
    ],
)
def test_outcomes_are_told_by_whose_they_are(outcome: str, kind: str) -> None:
    assert outcome_class(outcome) == kind


def test_requests_attempts_and_money_are_counted() -> None:
    tally = Tally()
    for _ in range(3):
        tally.request("swift", "bulk", "complete")
        tally.attempt(REPORT)
    tally.request("", "", "rate_limited")
    assert tally.requests == {("swift", "bulk", "complete"): 3, ("", "", "refused"): 1}
    assert tally.attempts == {("acme/swift", "first", "complete"): 3}
    assert tally.cost_nanousd == {"swift": 21}


def test_counting_takes_no_time_to_speak_of() -> None:
    tally = Tally()

    def count() -> None:
        tally.request("swift", "bulk", "complete")
        tally.attempt(REPORT)

    assert min(timeit.repeat(count, number=1000, repeat=5)) / 1000 < 20e-6  # a microsecond or so; 20 on a busy machine
