import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision.calibration import (
    Isotonic,
    Platt,
    Promise,
    choices_at,
    fit_calibration,
    fit_isotonic,
    fit_platt,
    threshold_for,
)
from routewright.decision.evaluation import calibration_error
from routewright.decision.odds import FloatArray, logit


def drawn(rates: FloatArray, seed: int = 1) -> FloatArray:
    return (np.random.default_rng(seed).random(rates.shape) < rates).astype(float)


# ---- scores -------------------------------------------------------------------------------------------------------


def test_sigmoid_finds_the_slope_and_bias_that_were_drawn_from() -> None:
    scores = np.random.default_rng(2).uniform(0.05, 0.95, 20_000)
    fitted = fit_platt(scores, drawn(1 / (1 + np.exp(-(0.5 * logit(scores) + 0.7)))))
    assert (fitted.slope, fitted.bias) == pytest.approx((0.5, 0.7), abs=0.05)


def test_isotonic_curve_by_hand() -> None:
    fitted = fit_isotonic(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert fitted.scores.tolist() == pytest.approx([0.1, 0.25, 0.4])
    assert fitted.probabilities.tolist() == pytest.approx([0.25, 0.5, 0.75])


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60))
def test_calibration_never_turns_scores_round(pairs: list[tuple[float, float]]) -> None:
    scores, outcomes = np.array(pairs).T
    for fit in (fit_isotonic(scores, outcomes), fit_calibration(scores, outcomes)):
        probabilities = fit.of(np.linspace(0, 1, 50))
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        if isinstance(fit, Isotonic):
            assert (np.diff(probabilities) >= -1e-12).all()


def test_better_way_is_chosen_by_outcomes_held_back() -> None:
    scores = np.random.default_rng(3).random(4_000)
    steps = drawn(np.where(scores < 0.5, 0.1, 0.9))
    assert isinstance(fit_calibration(scores, steps), Isotonic)


def test_few_outcomes_get_the_sigmoid() -> None:
    scores = np.linspace(0.1, 0.9, 9)
    assert isinstance(fit_calibration(scores, (scores > 0.5).astype(float)), Platt)


def test_calibration_makes_a_confident_score_honest() -> None:
    truth = np.random.default_rng(4).uniform(0.2, 0.8, 6_000)
    boasted = np.clip(0.5 + 2 * (truth - 0.5), 0.01, 0.99)
    came = drawn(truth)
    fitted = fit_calibration(boasted[:3_000], came[:3_000])
    before, after = boasted[3_000:], fitted.of(boasted[3_000:])
    assert calibration_error(after, came[3_000:]) < calibration_error(before, came[3_000:]) / 2


# ---- promises -----------------------------------------------------------------------------------------------------

PROMPTS = 2_000


def weak_and_strong(seed: int = 5) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Success of two models that is known exactly, what came, and what it cost: the weak one knows the easy half."""
    rng = np.random.default_rng(seed)
    is_easy = rng.random(PROMPTS) < 0.5
    success = np.stack([np.where(is_easy, 0.95, 0.2), np.full(PROMPTS, 0.95)], axis=1)
    return success, drawn(success, seed), np.tile([1.0, 10.0], (PROMPTS, 1))


def test_cheapest_that_reaches_the_floor_is_chosen_and_else_the_most_probable() -> None:
    success = np.array([[0.6, 0.9], [0.9, 0.8], [0.2, 0.1]])
    cost = np.array([[1.0, 2.0]] * 3)
    assert choices_at(0.7, success, cost).tolist() == [1, 0, 0]
    assert choices_at(1.0, success, cost).tolist() == [1, 0, 0]
    assert choices_at(0.0, success, cost).tolist() == [0, 0, 0]


def test_floor_that_keeps_the_promise_saves_on_what_is_easy() -> None:
    success, scores, costs = weak_and_strong()
    kept = threshold_for(Promise(1, 0.05), success, costs, scores, costs, np.random.default_rng(1))
    assert kept is not None
    assert 0.2 < kept.floor <= 0.95
    assert kept.shares[0] == pytest.approx(0.5, abs=0.05)
    assert kept.saved == pytest.approx(0.45, abs=0.05)
    assert kept.quality >= kept.promised
    assert kept.slack >= 0


def test_promise_is_refused_when_what_was_expected_does_not_come() -> None:
    success, scores, costs = weak_and_strong()
    scores[:, 0] = 0
    assert threshold_for(Promise(1, 0.02), success, costs, scores, costs, np.random.default_rng(1)) is None


def test_few_prompts_keep_no_tight_promise_even_when_nothing_went_wrong() -> None:
    success, costs = np.full((20, 2), 0.9), np.tile([1.0, 10.0], (20, 1))
    scores = np.ones((20, 2))
    assert threshold_for(Promise(1, 0.02), success, costs, scores, costs, np.random.default_rng(1)) is None
    success, costs, scores = (np.tile(each, (20, 1)) for each in (success, costs, scores))
    assert threshold_for(Promise(1, 0.02), success, costs, scores, costs, np.random.default_rng(1)) is not None


def test_floor_without_a_saving_is_no_answer() -> None:
    success, scores, costs = weak_and_strong()
    assert threshold_for(Promise(0, 0.02), success, costs, scores, costs, np.random.default_rng(1)) is None


def test_promise_is_broken_no_more_often_than_was_said() -> None:
    broken = 0
    for seed in range(60):
        success, scores, costs = weak_and_strong(seed)
        part = slice(0, 300)
        kept = threshold_for(
            Promise(1, 0.1), success[part], costs[part], scores[part], costs[part], np.random.default_rng(seed)
        )
        if kept is not None:
            choices = choices_at(kept.floor, success, costs)
            truth = success[np.arange(PROMPTS), choices].mean()
            broken += truth < 0.9 * 0.95
    assert broken <= 6  # 3 are expected at 95 %; more than 6 of 60 are less probable than 1 in 30
