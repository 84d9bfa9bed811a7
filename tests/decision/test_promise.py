"""A promise is kept as often as it was said to be, on outcomes of which the truth is known."""

import math

import numpy as np
import pytest

from routewright.decision.odds import FloatArray
from routewright.decision.pledge import Pledge, Watch
from routewright.decision.promise import (
    Trials,
    fewest_outcomes,
    find,
    left_of,
    outcomes_for,
    proven,
)

WITHIN_2 = Pledge(within=0.02)
BASELINE_QUALITY = 0.8
RUNS = 300
BY_LUCK = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
"""A true rate of 5 % is exceeded so far once in a thousand times."""


def outcomes(rng: np.random.Generator, n: int, *, loss: float, differ: float = 0.2) -> tuple[FloatArray, FloatArray]:
    """Scores of a choice that is by `loss` worse in the mean, and of the baseline; `differ` of them are unrelated."""
    baseline = (rng.random(n) < BASELINE_QUALITY).astype(float)
    other = (rng.random(n) < BASELINE_QUALITY - loss / differ).astype(float)
    return np.where(rng.random(n) < differ, other, baseline), baseline


def trials(rng: np.random.Generator, n: int, *losses: float) -> Trials:
    """Policies of which each costs a tenth of the baseline less than the one before."""
    baseline = (rng.random(n) < BASELINE_QUALITY).astype(float)
    is_other = rng.random(n) < 0.2
    drawn = rng.random(n)
    scores = [np.where(is_other, drawn < BASELINE_QUALITY - 5 * loss, baseline) for loss in losses]
    costs = np.array([rng.uniform(0.5, 1.5, n) * (0.9 - at / 10) for at in range(len(losses))])
    return Trials(
        scores=np.array(scores, float),
        costs=costs,
        baseline_scores=baseline,
        baseline_costs=np.ones(n),
        worst=0.98,
    )


def test_a_promise_that_is_just_broken_is_proven_in_few_cases() -> None:
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(RUNS):
        left = left_of(WITHIN_2, *outcomes(rng, 600, loss=0.02 * BASELINE_QUALITY))
        passed += int(proven(left[None, 150:], WITHIN_2, worst=0.98, before=left[None, :150])[0])
    assert 0 < passed / RUNS <= BY_LUCK


def test_many_candidates_do_not_make_a_broken_promise_more_probable() -> None:
    rng = np.random.default_rng(2)
    losses = [0.002 * at for at in range(30)]
    """From the ninth on, the promise (0.016) is broken."""
    found = [find(trials(rng, 1_500, *losses), WITHIN_2).policy for _ in range(RUNS)]
    broken = [policy for policy in found if policy is not None and losses[policy] > 0.016]
    assert len(broken) / RUNS <= BY_LUCK
    assert sum(policy is not None for policy in found) > RUNS / 3


def test_with_many_outcomes_the_cheapest_that_keeps_it_is_found() -> None:
    found = find(trials(np.random.default_rng(3), 40_000, 0.0, 0.005, 0.010, 0.022), WITHIN_2)
    assert found.policy == 2
    assert found.saving is not None
    assert found.saving.value == pytest.approx(0.3, abs=0.01)
    assert found.saving.low < 0.3 < found.saving.high
    assert found.quality == pytest.approx(BASELINE_QUALITY - 0.010, abs=0.01)
    assert found.needed is None


def test_too_few_outcomes_prove_nothing_and_are_told_how_many_it_takes() -> None:
    found = find(trials(np.random.default_rng(4), 200, 0.0), WITHIN_2)
    assert found.policy is None
    assert found.saving is None
    assert found.needed is not None
    assert found.needed > 200


def test_what_keeps_no_promise_asks_for_no_more_outcomes() -> None:
    found = find(trials(np.random.default_rng(5), 5_000, 0.06), WITHIN_2)
    assert found.policy is None
    assert found.needed is None


def test_what_saves_nothing_is_not_proposed() -> None:
    dear = trials(np.random.default_rng(6), 5_000, 0.0)
    dear = Trials(
        scores=dear.scores,
        costs=dear.costs + 0.2,
        baseline_scores=dear.baseline_scores,
        baseline_costs=dear.baseline_costs,
        worst=0.98,
    )
    assert find(dear, WITHIN_2).policy is None


def test_so_many_outcomes_as_are_named_prove_it_as_often_as_is_said() -> None:
    rng = np.random.default_rng(7)
    left = left_of(WITHIN_2, *outcomes(rng, 200_000, loss=0.0))
    needed = outcomes_for(float(left.mean()), float((left**2).mean()), WITHIN_2, worst=0.98)
    runs = [find(trials(rng, needed, 0.0), WITHIN_2).policy for _ in range(100)]
    assert 0.65 <= sum(policy == 0 for policy in runs) / 100 <= 0.95


def test_even_a_policy_that_is_never_worse_needs_as_many_as_is_said() -> None:
    quality = 0.8
    fewest = fewest_outcomes(WITHIN_2, quality)
    assert fewest is not None
    assert fewest > 100
    for n, is_proven in ((fewest // 2, False), (fewest + 30, True)):
        # the same scores as the baseline's, and some of them at its worst believed in beforehand
        baseline = np.array(([1.0] * 4 + [0.0]) * (n // 5 + 1))[:n]
        same = Trials(
            scores=baseline[None], costs=np.full((1, n), 0.5), baseline_scores=baseline, baseline_costs=np.ones(n),
            worst=0.98,
        )  # fmt: skip
        assert (find(same, WITHIN_2).policy == 0) is is_proven


def test_weighted_outcomes_keep_the_promise_as_well() -> None:
    """Each score is seen with a chance of a quarter, and weighs four times as much then."""
    rng = np.random.default_rng(8)
    passed = 0
    for _ in range(RUNS):
        scores, baseline = outcomes(rng, 1_000, loss=0.02 * BASELINE_QUALITY)
        which = rng.random(1_000)
        left = left_of(WITHIN_2, np.where(which < 0.25, scores * 4, 0), np.where(which > 0.75, baseline * 4, 0))
        passed += int(proven(left[None, 250:], WITHIN_2, worst=4 * 0.98, before=left[None, :250])[0])
    assert passed / RUNS <= BY_LUCK


# ---- afterwards -----------------------------------------------------------------------------------------------------


def test_a_promise_that_just_holds_is_called_broken_in_few_cases_however_often_it_is_looked_at() -> None:
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(RUNS):
        watch = Watch(pledge=WITHIN_2)
        for _ in range(10):
            watch = watch.after(left_of(WITHIN_2, *outcomes(rng, 300, loss=0.02 * BASELINE_QUALITY)))
        alarms += watch.is_broken
    assert alarms / RUNS <= BY_LUCK


@pytest.mark.parametrize("good_before", [0, 2_000])
def test_a_promise_that_breaks_is_found_broken_after_a_long_good_time_too(good_before: int) -> None:
    rng = np.random.default_rng(10)
    watch = Watch(pledge=WITHIN_2).after(left_of(WITHIN_2, *outcomes(rng, good_before, loss=0.0)))
    assert not watch.is_broken
    watch = watch.after(left_of(WITHIN_2, *outcomes(rng, 600, loss=0.12)))
    assert watch.is_broken


def test_in_how_many_parts_outcomes_come_does_not_matter_to_the_evidence() -> None:
    left = left_of(WITHIN_2, *outcomes(np.random.default_rng(11), 350, loss=0.05))
    whole, parts = Watch(pledge=WITHIN_2).after(left), Watch(pledge=WITHIN_2)
    for at in range(0, 350, 7):
        parts = parts.after(left[at : at + 7])
    assert parts.outcomes == whole.outcomes == 350
    assert parts.most == pytest.approx(whole.most)
    assert parts.capital == pytest.approx(whole.capital)
