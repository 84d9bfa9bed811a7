import cProfile
from typing import Any

import pytest

from builders import route
from routewright.catalog.registry import Tier
from routewright.errors import ProviderFailed, RoutewrightError, Unauthorized
from routewright.layers.tally import Tally, outcome_class
from routewright.ledger.ledger import RequestRecorded
from routewright.reply import AttemptReport
from routewright.route import Verdict
from routewright.usage import Usage

REPORT = AttemptReport(
    attempt_id="a",
    model="swift",
    deployment="acme/swift",
    cause="first",
    outcome="complete",
    cost_nanousd=7,
    usage=Usage(input=100, reasoning=2),
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


def row(outcome: str = "complete", **fields: Any) -> RequestRecorded:
    told: dict[str, Any] = {
        "request_id": "r",
        "at_ns": 0,
        "dialect": "openai_chat",
        "requested_model": "auto",
        "model": "swift",
        "tier": "bulk",
        "confidence": None,
        "reason": "",
        "outcome": outcome,
        "cost_nanousd": 7,
        "is_estimated": False,
        "baseline_model": "dear",
        "baseline_cost_nanousd": 70,
        "attempts": 1,
        "stream": True,
        "total_ms": 200,
        "overhead_us": 300,
        "route": route(),
    }
    return RequestRecorded(**{**told, **fields})


def test_requests_attempts_tokens_and_money_are_counted() -> None:
    tally = Tally()
    for _ in range(3):
        tally.request(row(), 0.2)
        tally.attempt(REPORT)
    tally.request(row("rate_limited", model=None, tier=None, baseline_model=None, route=None), 0.001)
    assert tally.requests == {("swift", "bulk", "complete"): 3, ("", "", "refused"): 1}
    assert tally.attempts == {("acme/swift", "first", "complete"): 3}
    assert tally.cost_nanousd == {"swift": 21}
    assert tally.baseline_cost_nanousd == {"dear": 210}
    assert tally.tokens == {("swift", "input"): 300, ("swift", "reasoning"): 6}
    courses = dict(tally.durations.courses())
    assert courses["swift"].count == 3
    assert courses["swift"].sum == pytest.approx(0.6)
    assert courses[""].count == 1


def test_a_decision_is_told_by_how_its_tier_was_come_by() -> None:
    tally = Tally()
    verdict = Verdict(tier=Tier.BULK, confidence=0.6, reason="short", classifier="heuristic@1")
    for decided in (
        route(verdict=None, policy="canary@12"),
        route(verdict=verdict, tier=Tier.BULK, policy="canary@12"),
        route(verdict=verdict, tier=Tier.STANDARD, policy="canary@12"),
    ):
        tally.request(row(route=decided), 0.1)
    assert tally.decisions == {
        ("canary", "standard", "named"): 1,
        ("canary", "bulk", "trusted"): 1,
        ("canary", "standard", "moved"): 1,
    }


def test_counting_is_a_few_calls() -> None:
    tally, over = Tally(), row()

    def count() -> None:
        tally.request(over, 0.2)
        tally.attempt(REPORT)

    count()
    profile = cProfile.Profile()
    profile.runcall(count)
    assert sum(entry.callcount for entry in profile.getstats()) < 15
