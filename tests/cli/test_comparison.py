from typing import Any

from msgspec.structs import replace

from routewright.catalog.registry import Tier
from routewright.cli.comparison import Outcome, Side, agreement, compare


def outcome(prompt_id: str = "p1", **changes: Any) -> Outcome:
    plain = Outcome(
        prompt_id=prompt_id,
        label=Tier.BULK,
        guess=Tier.BULK,
        model="small",
        answered_by=Tier.BULK,
        succeeded=True,
        cost_nanousd=10,
        attempts=1,
        failovers=0,
        overhead_us=100,
    )
    return replace(plain, **changes)


def strongest(prompt_id: str = "p1", **changes: Any) -> Outcome:
    changes = {"guess": None, "model": "large", "answered_by": Tier.COMPLEX, "cost_nanousd": 100, **changes}
    return outcome(prompt_id, **changes)


def test_both_runs_stand_side_by_side_for_each_tier_and_for_all() -> None:
    result = compare(
        [outcome("p1"), outcome("p2", succeeded=False), outcome("p3", label=Tier.COMPLEX, cost_nanousd=30)],
        [strongest("p3", label=Tier.COMPLEX), strongest("p2"), strongest("p1")],
        seed=1,
        strongest_model="large",
    )
    assert [line.tier for line in result.lines] == [Tier.COMPLEX, Tier.BULK]
    hard, easy = result.lines
    assert (hard.prompts, hard.routed, hard.strongest) == (1, Side(1, 30), Side(1, 100))
    assert (easy.prompts, easy.routed, easy.strongest) == (2, Side(1, 20), Side(2, 200))
    assert (result.total.routed, result.total.strongest) == (Side(2, 50), Side(3, 300))
    assert result.total.saved_nanousd == 250


def test_routing_that_costs_more_saves_less_than_nothing() -> None:
    result = compare([outcome(cost_nanousd=150)], [strongest()], seed=1, strongest_model="large")
    assert result.total.saved_nanousd == -50


def test_agreement_is_of_the_classifier_whoever_answered() -> None:
    outcomes = [
        outcome("p1", answered_by=Tier.STANDARD),
        outcome("p2", guess=Tier.STANDARD),
        outcome("p3", guess=None, model=None, answered_by=None, succeeded=False),
    ]
    result = compare(outcomes, [strongest("p1"), strongest("p2"), strongest("p3")], seed=1, strongest_model="large")
    assert result.total.agreed == 1
    assert agreement(outcomes)[Tier.BULK] == {Tier.COMPLEX: 0, Tier.STANDARD: 1, Tier.STRUCTURED: 0, Tier.BULK: 1}


def test_trouble_on_the_way_is_counted() -> None:
    outcomes = [
        outcome("p1", attempts=3, failovers=1),
        outcome("p2"),
        outcome("p3", attempts=0, model=None, answered_by=None, succeeded=False, overhead_us=None),
    ]
    result = compare(outcomes, [strongest("p1"), strongest("p2"), strongest("p3")], seed=1, strongest_model="large")
    trouble = result.routed_trouble
    assert (trouble.attempts, trouble.retries, trouble.failovers, trouble.unanswered) == (4, 1, 1, 1)
    assert result.overhead_us_median == 100


def test_what_even_the_strongest_run_sent_elsewhere_is_told() -> None:
    others = [strongest("p1", model="middle"), strongest("p2"), strongest("p3", model=None, answered_by=None)]
    result = compare([outcome("p1"), outcome("p2"), outcome("p3")], others, seed=1, strongest_model="large")
    assert result.elsewhere == 1
