from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dense_rows import rows
from routewright.decision.odds import FloatArray
from routewright.decision.residual import (
    RESIDUAL_FROM,
    Residual,
    Sample,
    expit,
    fit_logistic,
    fit_residuals,
    log_loss,
    logit,
)
from routewright.decision.rows import Row, Vector

WORDS = 12


Words = NDArray[np.float32]


def prompts(number: int, seed: int = 1) -> Words:
    """[number, WORDS]: which words each made prompt has."""
    return (np.random.default_rng(seed).random((number, WORDS)) < 0.3).astype(np.float32)


def sample(features: Words, scores: FloatArray, first: int = 0) -> Sample:
    """Outcomes, all of one kind of work, on prompts counted from `first`."""
    requests = [f"request-{first + at}" for at in range(len(scores))]
    return Sample(requests, rows(np.ones((len(scores), 1))), rows(features, "f"), scores.tolist())


def rates(model: str, kinds: Sequence[Row], scores: Vector) -> Vector:
    """The mean, drawn to one half."""
    return [(sum(scores) + 4) / (len(scores) + 8)]


def fitted(features: Words, offsets: FloatArray, scores: FloatArray, penalty: float) -> Residual:
    return fit_logistic(rows(features, "f"), offsets.tolist(), scores.tolist(), penalty)


def told(residual: Residual, features: Words) -> FloatArray:
    """What it says of each prompt."""
    return np.array([residual.of(each) for each in rows(features, "f")])


def least(residual: Residual) -> int:
    """The word that it says the worst of."""
    return int(np.argmin(residual.weights))


def surprise(odds: FloatArray, scores: FloatArray) -> float:
    return log_loss(list(map(expit, odds.tolist())), scores.tolist())


def noise(number: int, seed: int) -> FloatArray:
    return (np.random.default_rng(seed).random(number) < 0.7).astype(np.float64)


def decided_by(features: Words, word: int) -> FloatArray:
    """Scores that are bad where the prompt has the word, but for one in ten."""
    luck = np.random.default_rng(word).random(len(features)) < 0.1
    return np.where(luck, features[:, word], 1 - features[:, word]).astype(np.float64)


# ---- the fit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1.0, 3.0, 30.0])
def test_fit_is_that_of_scikit_learn(penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression  # seconds, which every process that collects would spend

    generator = np.random.default_rng(3)
    features = generator.normal(size=(300, 8)).astype(np.float32)
    scores = (features @ generator.normal(size=8) + generator.normal(size=300) + 0.5 > 0).astype(np.float64)
    residual = fitted(features, np.zeros(300), scores, penalty)
    weights, bias = residual.weights[:8], residual.bias
    # scikit-learn holds every weight to zero alike; a column of √penalty has our bias's penalty of one.
    level = np.sqrt(penalty)
    theirs = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-8, max_iter=1_000)
    theirs.fit(np.column_stack((features, np.full(300, level))), scores)
    assert weights == pytest.approx(theirs.coef_[0, :-1], abs=2e-3)
    assert bias == pytest.approx(theirs.coef_[0, -1] * level, abs=2e-3)
    theirs_say = features @ theirs.coef_[0, :-1] + theirs.coef_[0, -1] * level
    ours_say = np.array(list(map(expit, told(residual, features).tolist())))
    assert ours_say == pytest.approx(np.array(list(map(expit, theirs_say.tolist()))), abs=1e-3)
    assert not any(residual.weights[8:])


def test_offset_that_tells_all_leaves_nothing_to_fit() -> None:
    features = prompts(500)
    offsets = 2 - 4 * features[:, 0].astype(np.float64)
    residual = fitted(features, offsets, 1 / (1 + np.exp(-offsets)), 3.0)
    assert max(map(abs, residual.weights)) < 0.01
    assert abs(residual.bias) < 0.01


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.floats(-50, 50),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.floats(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_fit_of_anything_is_finite_and_the_same_again(
    seed: int, number: int, offset: float, penalty: float, scale: float
) -> None:
    generator = np.random.default_rng(seed)
    features = (generator.normal(size=(number, 5)) * scale).astype(np.float32)
    scores, offsets = generator.random(number).round(), np.full(number, offset)
    residual, again = fitted(features, offsets, scores, penalty), fitted(features, offsets, scores, penalty)
    assert np.isfinite(residual.weights).all()
    assert np.isfinite(residual.bias)
    assert residual.weights == again.weights
    assert residual.bias == again.bias


# ---- what is used ---------------------------------------------------------------------------------------------------


def test_few_outcomes_have_no_residual() -> None:
    features = prompts(RESIDUAL_FROM - 1)
    assert fit_residuals({"swift": sample(features, decided_by(features, 0))}, rates) == {}
    assert fit_residuals({}, rates) == {}


def test_noise_has_no_residual_or_next_to_none() -> None:
    """By luck a residual may seem to help; then it must be so faint that it does no harm."""
    found = [fit_residuals({"swift": sample(prompts(400, seed), noise(400, seed))}, rates) for seed in range(8)]
    assert sum(not residuals for residuals in found) >= 4
    others = prompts(400, seed=99)
    for residual in (residuals["swift"] for residuals in found if residuals):
        assert np.abs(told(residual, others)).mean() < 0.2


def test_word_that_decides_is_found_and_helps_on_other_prompts() -> None:
    features, others = prompts(600), prompts(600, seed=9)
    scores = decided_by(features, 5)
    residual = fit_residuals({"swift": sample(features, scores)}, rates)["swift"]
    assert least(residual) == 5
    base, truth = np.full(600, logit(rates("swift", (), scores.tolist())[0])), decided_by(others, 5)
    assert surprise(base + told(residual, others), truth) < 0.75 * surprise(base, truth)


def test_what_is_hard_for_all_is_told_of_a_model_with_few_outcomes_of_its_own() -> None:
    features = prompts(600)
    scores = decided_by(features, 5)
    samples = {name: sample(features, scores) for name in ("swift", "strong", "other")}
    samples["new"] = sample(features[:20], scores[:20])
    residuals = fit_residuals(samples, rates)
    assert least(residuals["new"]) == 5
    alone = fit_residuals({"new": samples["new"]}, rates)
    assert alone == {}


def test_own_residual_says_what_the_common_one_does_not() -> None:
    features = prompts(600)
    samples = {name: sample(features, decided_by(features, 5)) for name in ("swift", "strong", "other")}
    samples["odd"] = sample(features, decided_by(features, 2))
    residuals = fit_residuals(samples, rates)
    assert least(residuals["odd"]) == 2
    assert least(residuals["swift"]) == 5


def test_models_that_answered_other_prompts_are_learned_from_together() -> None:
    features = prompts(400)
    scores = decided_by(features, 5)
    halves = {
        "swift": sample(features[:100], scores[:100]),
        "strong": sample(features[100:200], scores[100:200], first=100),
        "other": sample(features[200:300], scores[200:300], first=200),
    }
    residuals = fit_residuals(halves, rates)
    assert residuals.keys() == halves.keys()
    assert all(least(residual) == 5 for residual in residuals.values())


# ---- small mathematics ----------------------------------------------------------------------------------------------


@given(st.floats(-9, 9))
def test_odds_and_probability_are_each_others_inverse(odds: float) -> None:
    assert logit(expit(odds)) == pytest.approx(odds)


@given(st.floats(allow_nan=False))
def test_probability_of_any_odds_is_one(odds: float) -> None:
    assert 0 <= expit(odds) <= 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_surprise_is_finite_and_least_at_the_truth(scores: list[float]) -> None:
    lowest = log_loss(scores, scores)
    assert np.isfinite(lowest)
    assert lowest <= log_loss([1 - score for score in scores], scores) + 1e-9
