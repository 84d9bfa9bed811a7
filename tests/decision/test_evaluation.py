"""Measures of routing: worked out by hand where they are small, and as properties where they are not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision.evaluation import (
    ECE_BINS,
    SHARES,
    Measure,
    Outcomes,
    calibration_error,
    calibration_report,
    choices_by_price,
    choices_by_threshold,
    complete,
    cost_at,
    curve_report,
    frontier,
    gap_recovered,
    measure,
    merged,
    pair_report,
    quality_at,
    resamples,
    stability,
)
from routewright.decision.odds import FloatArray

SEEDS = st.integers(0, 10_000)


def once(prompts: int) -> FloatArray:
    """The data as they are, without samples."""
    return np.ones((1, prompts))


def pair(seed: int, prompts: int = 80) -> tuple[FloatArray, FloatArray]:
    """A weak and a better model, and always some gap."""
    rng = np.random.default_rng(seed)
    weak, strong = (rng.random(prompts) < 0.4).astype(float), (rng.random(prompts) < 0.8).astype(float)
    weak[0], strong[0], strong[1:20] = 0, 1, 1
    weak[1:20] = 0
    return weak, strong


def table(seed: int, prompts: int = 60, models: int = 4) -> Outcomes:
    rng = np.random.default_rng(seed)
    rates = np.linspace(0.3, 0.8, models)
    scores = (rng.random((prompts, models)) < rates).astype(float)
    return Outcomes(scores, rng.uniform(0.5, 1.5, (prompts, models)) * 10.0 ** np.arange(models))


# ---- a pair -------------------------------------------------------------------------------------------------------


def test_gap_recovered_by_hand() -> None:
    weak, strong = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    ranking = np.array([4.0, 3.0, 2.0, 1.0])
    (recovered,) = gap_recovered(ranking, weak, strong, once(4))
    at = dict(zip(SHARES.round(2).tolist(), recovered.tolist(), strict=True))
    assert [at[share] for share in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0, 1, 1, 2, 1])
    report = pair_report(ranking, weak, strong, once(4))
    assert report.apgr.value == pytest.approx((0.5 + 1 + 1.5 + 1.5) / 4)
    assert (report.cpt50.value, report.cpt80.value) == pytest.approx((0.125, 0.2))


@given(SEEDS)
def test_no_ranking_beats_the_oracle(seed: int) -> None:
    weak, strong = pair(seed)
    ranking = np.random.default_rng(seed + 1).random(len(weak))
    oracle = gap_recovered(strong - weak, weak, strong, once(len(weak)))
    assert (gap_recovered(ranking, weak, strong, once(len(weak))) <= oracle + 1e-9).all()


def test_ranking_that_knows_nothing_recovers_half() -> None:
    weak, strong = pair(1, 4_000)
    assert pair_report(np.zeros(4_000), weak, strong, once(4_000)).apgr.value == pytest.approx(0.5)
    drawn = np.random.default_rng(3).random(4_000)
    assert pair_report(drawn, weak, strong, once(4_000)).apgr.value == pytest.approx(0.5, abs=0.05)


@given(SEEDS)
def test_ranking_turned_round_recovers_the_rest(seed: int) -> None:
    weak, strong = pair(seed)
    ranking = np.random.default_rng(seed).random(len(weak))
    there = pair_report(ranking, weak, strong, once(len(weak))).apgr.value
    back = pair_report(-ranking, weak, strong, once(len(weak))).apgr.value
    assert there + back == pytest.approx(1, abs=0.02)  # the grid does not meet every step of the curve


def test_gap_that_is_none_cannot_be_recovered() -> None:
    same = np.array([1.0, 0.0, 1.0])
    report = pair_report(np.arange(3.0), same, same, resamples(np.random.default_rng(1), 3, 20))
    assert math.isnan(report.apgr.value)
    assert math.isnan(report.cpt50.low)


def test_interval_of_more_prompts_is_narrower_and_holds_the_figure() -> None:
    widths = []
    for prompts in (100, 2_500):
        weak, strong = pair(5, prompts)
        ranking = strong - weak + np.random.default_rng(2).normal(0, 1, prompts)
        its = pair_report(ranking, weak, strong, resamples(np.random.default_rng(1), prompts, 200)).apgr
        assert its.low <= its.value <= its.high
        widths.append(its.high - its.low)
    assert widths[1] < widths[0] / 2


# ---- all models ---------------------------------------------------------------------------------------------------


def test_curve_by_hand() -> None:
    outcomes = Outcomes(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 4.0], [1.0, 4.0]]))
    assert (outcomes.best, outcomes.cheapest) == (1, 0)
    report = curve_report(np.array([[0, 0], [0, 1], [1, 1]]), outcomes, once(2))
    assert report.cost_shares == (0.25, 0.625)
    assert report.qualities == (0.5, 1.0)
    assert report.cost_to_match.value == pytest.approx(0.625)
    assert report.quality_25.value == 0.5
    assert report.quality_50.value == pytest.approx(0.5 + 0.5 * 0.25 / 0.375)
    assert report.gain_points.value == 0
    assert math.isnan(report.gap_closed.value), "the oracle gains nothing over the best model"


POINTS = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), min_size=1, max_size=30)


@given(POINTS, st.floats(0.1, 12), st.floats(0.1, 12))
def test_more_budget_never_lowers_the_frontiers_quality(
    points: list[tuple[float, float]], one: float, other: float
) -> None:
    costs, qualities = frontier(*np.array(points).T)
    less, more = sorted((max(one, costs[0]), max(other, costs[0])))
    assert quality_at(costs, qualities, less) <= quality_at(costs, qualities, more) + 1e-12


@given(POINTS)
def test_no_point_lies_above_the_frontier(points: list[tuple[float, float]]) -> None:
    costs, qualities = frontier(*np.array(points).T)
    assert all(quality <= quality_at(costs, qualities, cost) + 1e-9 for cost, quality in points)
    assert (np.diff(costs) > 0).all()
    assert (np.diff(qualities) > 0).all()


def test_quality_that_is_never_reached_has_no_cost() -> None:
    curve = np.array([1.0, 2.0]), np.array([0.4, 0.6])
    assert cost_at(*curve, 0.5) == pytest.approx(1.5)
    assert cost_at(*curve, 0.61) == math.inf
    assert math.isnan(quality_at(*curve, 0.9))


@given(SEEDS)
def test_oracle_reaches_at_each_cost_what_any_choice_does(seed: int) -> None:
    outcomes = table(seed)
    rng = np.random.default_rng(seed)
    guessed = choices_by_price(rng.random(outcomes.scores.shape), outcomes.costs)
    oracle = curve_report(choices_by_price(outcomes.scores, outcomes.costs), outcomes, once(60))
    other = curve_report(guessed, outcomes, once(60))
    assert oracle.gain_points.value >= other.gain_points.value - 1e-9
    assert oracle.cost_to_match.value <= other.cost_to_match.value + 0.01  # prices are swept in steps
    assert other.gap_closed.value <= 1 + 1e-9


def test_price_of_quality_goes_from_the_best_to_the_cheapest() -> None:
    success, cost = np.array([[0.2, 0.9], [0.5, 0.6]]), np.array([[1e-4, 1e-2], [1e-4, 1e-2]])
    choices = choices_by_price(success, cost)
    assert choices[0].tolist() == [1, 1]
    assert choices[-1].tolist() == [0, 0]
    assert [0, 1] not in choices.tolist()
    assert [1, 0] in choices.tolist()


def test_price_of_quality_is_no_matter_where_nothing_costs_anything() -> None:
    assert choices_by_price(np.array([[0.2, 0.9]]), np.zeros((1, 2))).tolist() == [[1]]


def test_thresholds_go_from_all_cheap_to_all_dear() -> None:
    choices = choices_by_threshold(np.array([0.1, 0.9, 0.5]), 0, 2)
    assert choices[0].tolist() == [0, 0, 0]
    assert choices[1].tolist() == [0, 2, 0]
    assert choices[-1].tolist() == [2, 2, 2]


# ---- probabilities ------------------------------------------------------------------------------------------------


def test_probabilities_that_come_true_have_a_small_error() -> None:
    rng = np.random.default_rng(1)
    said = rng.random(20_000)
    came = (rng.random(20_000) < said).astype(float)
    assert calibration_error(said, came) < 0.02
    assert calibration_error(np.clip(said + 0.2, 0, 1), came) > 0.1


def test_calibration_error_by_hand() -> None:
    assert calibration_error(np.full(ECE_BINS, 0.75), np.ones(ECE_BINS)) == pytest.approx(0.25)


def test_unknown_scores_are_left_out_of_the_calibration() -> None:
    said = np.array([[0.8, 0.3], [0.6, 0.1]])
    came = np.array([[1.0, np.nan], [np.nan, 0.0]])
    report = calibration_report(said, came, resamples(np.random.default_rng(1), 2, 50))
    assert report.predictions == 2
    assert report.brier.value == pytest.approx((0.04 + 0.01) / 2)


def test_stability_is_the_share_of_the_same_choices() -> None:
    choices = np.array([0, 1, 2, 1])
    assert stability(choices, [choices, np.array([0, 1, 0, 0])], once(4)).value == pytest.approx(0.75)


# ---- samples ------------------------------------------------------------------------------------------------------


def test_samples_are_the_same_for_the_same_seed_and_begin_with_the_data() -> None:
    one, other = (resamples(np.random.default_rng(7), 9, 5) for _ in range(2))
    assert (one == other).all()
    assert (one[0] == 1).all()
    assert (one.sum(axis=1) == 9).all()


def test_measure_leaves_undefined_samples_out_and_keeps_infinite_ones() -> None:
    assert measure(np.array([0.5, 0.4, math.nan, math.inf])) == Measure(0.5, 0.4, math.inf)


def test_draws_are_merged_to_their_mean_and_widest_interval() -> None:
    assert merged([Measure(0.4, 0.3, 0.5), Measure(0.6, 0.5, 0.9)]) == Measure(0.5, 0.3, 0.9)
    assert merged([Measure(0.4, 0.3, 0.5), Measure(math.nan, math.nan, math.nan)]) == Measure(0.4, 0.3, 0.5)


def test_complete_rows_have_a_value_everywhere() -> None:
    assert complete(np.array([1, np.nan, 1]), np.array([[1, 1], [1, 1], [np.nan, 1]])).tolist() == [True, False, False]
