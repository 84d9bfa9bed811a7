"""Estimates of another policy cover what is true as often as they say, and say nothing where nothing can be known."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from routewright.decision.backtest import (
    FEWEST_EFFECTIVE,
    FEWEST_OF_MODEL,
    Estimate,
    Replayed,
    Resampler,
    Valuation,
    effective_size,
    support_of,
    value_of,
)

MODELS = ("weak", "strong")
RATES = np.array([0.6, 0.9])


def logged(rows: int, seed: int, *, exploration: float = 0.5, target: Any = (0.0, 1.0), wrong: float = 0.0) -> Replayed:
    """Requests that go to the weak model but for exploration; `wrong` is how far off what is expected is."""
    rng = np.random.default_rng(seed)
    logging = np.tile([1 - exploration / 2, exploration / 2], (rows, 1))
    actions = (rng.random(rows) < exploration / 2).astype(np.int64)
    every = (rng.random((rows, 2)) < RATES).astype(np.float64)
    outcomes = every[np.arange(rows), actions]
    known = np.full((rows, 2), np.nan)
    known[np.arange(rows), actions] = outcomes
    return Replayed(
        actions=actions,
        logging=logging,
        target=np.tile(target, (rows, 1)).astype(np.float64),
        outcomes=outcomes,
        expected=np.tile(RATES + wrong, (rows, 1)),
        known=known,
    )


resampler = cache(Resampler)
"""Which resamples are taken has nothing to do with the data, so many tests share them."""


def valued(data: Replayed, seed: int = 0, **changes: Any) -> Valuation:
    return value_of(data, MODELS, resampler(len(data.actions), seed), **({"bounds": (0, 1)} | changes))


def test_every_estimator_covers_the_truth_about_as_often_as_it_says() -> None:
    """A small version of the figure in docs/quality.md, which has 1,000 repetitions."""
    times = 60
    found = [valued(logged(400, seed, wrong=-0.2)) for seed in range(times)]
    for by in ("ips", "snips", "dr"):
        estimates: list[Estimate] = [getattr(each, by) for each in found]
        covered = sum(each.low <= RATES[1] <= each.high for each in estimates)
        assert covered >= 52, by


def test_a_wrong_expectation_moves_no_estimate_and_a_right_one_narrows_it() -> None:
    right, wrong = ([valued(logged(400, s, wrong=w)).dr for s in range(20)] for w in (0.0, -0.5))
    means = [np.mean([each.value for each in its if each]) for its in (right, wrong)]
    assert means == pytest.approx([0.9, 0.9], abs=0.03)
    widths = [np.mean([each.high - each.low for each in its if each]) for its in (right, wrong)]
    assert widths[0] < 0.8 * widths[1]


def test_a_policy_that_does_what_was_done_is_replayed_and_needs_no_weights() -> None:
    data = logged(200, 1, exploration=0.0, target=(1.0, 0.0))
    found = valued(data)
    assert (found.by, found.direct_share, found.missing) == ("direct", 1.0, ())
    assert found.effective == pytest.approx(200)
    assert found.direct is not None
    assert found.direct.value == pytest.approx(data.outcomes.mean())
    assert found.change is not None
    assert found.change.value == 0
    assert -0.2 < found.change.low < 0 < found.change.high < 0.2


def test_what_was_never_tried_is_not_guessed() -> None:
    found = valued(logged(400, 1, exploration=0.0))
    assert (found.by, found.ips, found.snips, found.dr, found.best, found.change) == ("", None, None, None, None, None)
    (missing,) = found.missing
    assert (missing.model, missing.share, missing.seen, missing.effective) == ("strong", 1.0, 0, 0.0)


def test_nor_is_what_was_tried_too_seldom() -> None:
    """50 effective cases of a choice that was the rarer one; and 10 of each model."""
    few = logged(400, 1, exploration=0.2)
    assert 10 < (few.actions == 1).sum() < FEWEST_EFFECTIVE
    assert valued(few).missing[0].seen == (few.actions == 1).sum()
    assert valued(few).dr is None
    assert valued(logged(2_000, 1, exploration=0.2)).dr is not None
    assert FEWEST_OF_MODEL < FEWEST_EFFECTIVE


def test_a_little_without_data_is_taken_at_its_worst_and_at_its_best() -> None:
    data = logged(1_000, 1, exploration=0.0, target=(1.0, 0.0))
    target = data.target.copy()
    target[:40] = 0.0, 1.0
    found = valued(replace(data, target=target, known=np.full_like(data.known, np.nan)))
    alike = valued(data)
    assert found.missing_share == pytest.approx(0.04)
    assert found.dr is not None
    assert alike.dr is not None
    assert found.dr.low == pytest.approx(alike.dr.low - 0.04 * alike.dr.value, abs=0.01)
    assert found.dr.high == pytest.approx(alike.dr.high + 0.04 * (1 - alike.dr.value), abs=0.01)
    target[:60] = 0.0, 1.0
    assert valued(replace(data, target=target, known=np.full_like(data.known, np.nan))).by == ""


def test_without_bounds_what_is_expected_stands_in() -> None:
    """Costs: what a model that was never tried would cost is known from its price and the usual length."""
    found = valued(logged(400, 1, exploration=0.0), bounds=None)
    assert found.by == "dr"
    assert found.dr is not None
    assert found.dr.value == pytest.approx(0.9)
    assert found.missing_share == 1.0


def test_a_model_that_never_failed_may_still_fail() -> None:
    """Forty good answers are no proof: no interval has no width."""
    data = logged(400, 1, exploration=0.0, target=(1.0, 0.0))
    found = valued(replace(data, outcomes=np.ones(400), known=np.ones((400, 2))))
    assert found.direct is not None
    assert (found.direct.value, found.direct.high) == (1.0, 1.0)
    assert 0.9 < found.direct.low < 1 - 1 / 400


def test_the_same_seed_says_the_same_and_another_one_nearly() -> None:
    data = logged(3_000, 2)
    assert valued(data, 1) == valued(data, 1)
    one, other = valued(data, 1).dr, valued(data, 2).dr
    assert one is not None
    assert other is not None
    assert one.low == pytest.approx(other.low, abs=0.01)


def test_outcomes_of_other_models_are_replayed_only_where_they_are_known() -> None:
    data = logged(400, 1, exploration=0.0)
    known = data.known.copy()
    known[:100, 1] = 1.0
    assert valued(replace(data, known=known)).direct_share == pytest.approx(0.25)
    assert valued(replace(data, known=known)).by == ""
    known[:, 1] = data.outcomes
    assert valued(replace(data, known=known)).by == "direct"


def test_effective_size_is_that_of_equal_weights() -> None:
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_size(np.zeros(3)) == 0


def test_a_choice_that_was_the_usual_one_is_its_own_evidence() -> None:
    has_data, missing = support_of(logged(400, 1, exploration=0.2, target=(1.0, 0.0)), MODELS)
    assert has_data[:, 0].all()
    assert missing == ()
