"""How likely a model is to do a request well: a prior by kind of work, and what the user's own ledger says of it.

Three things are added up, each only as far as there is evidence for it:

1. *A Beta posterior for each model and kind of work.* It starts from the rate of the model's tier (the shipped prior,
   worth `PRIOR_STRENGTH` outcomes, weak on purpose), moved as a whole by how the model did on everything so far.
2. *A mixture* of these by the probability of each kind.
3. *A logistic residual* on the hashed words, once a model has `RESIDUAL_FROM` outcomes: what the kind does not tell.
   Its penalty and its share are those that predict outcomes held back from it best (log loss); a share of zero is
   among the choices, so that it is used only where it helps.

Everything is a function of the outcomes in their order: the same ledger gives the same evidence and the same version.
Nothing here is done while a request waits, but `Evidence.of`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.decision.sketch import COUNTS, FOLDED, WORD_BUCKETS, Indices, Numbers, Sketch

FloatArray = NDArray[np.float64]
Objective: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""A point → the value there and its gradient."""

PRIOR_STRENGTH = 8.0
"""How many outcomes the shipped prior is worth, for each model and kind."""
LEVEL_SPREAD = 1.0
"""Standard deviation, in log odds, of a model's level around its tier's: what a new model may turn out to be."""
RESIDUAL_FROM = 150
"""Outcomes of a model before its residual is fitted; with fewer it did no better on held-out outcomes."""
MOST_OUTCOMES = 8_192
"""Of a model, so many of the latest outcomes are fitted; older ones still count in the posteriors."""
PENALTIES = (30.0, 10.0, 3.0, 1.0)
SHARES = (0.0, 0.5, 1.0)
FOLDS = 4
MOST_CROSS_VALIDATED = 2_000
"""With more outcomes one fold is enough to choose by."""
COUNTS_SCALE = 0.3
FEATURES = FOLDED + COUNTS


class Experience(Struct, frozen=True, eq=False):
    """One outcome as the learner sees it."""

    model: str
    score: float
    """Quality of the answer, 0 to 1."""
    kinds: FloatArray
    """Probability of each kind of work, in the prior's order."""
    features: Numbers
    """`features_of` the sketch; zeros where there was none."""


class Prior(Struct, frozen=True, eq=False):
    """What is believed before any outcome."""

    kinds: tuple[str, ...]
    rates: Mapping[str, FloatArray]
    """Tier → success rate for each kind; `""` for a model whose tier is not known."""
    weights: Numbers
    """One for each folded bucket: how much a feature tells, rare ones more."""
    models: Mapping[str, tuple[FloatArray, FloatArray]] = {}
    """Model → (rate, outcomes behind it) for each kind, where outcomes were recorded before."""


def features_of(sketch: Sketch, weights: Numbers) -> Numbers:
    """The dense row that residuals are fitted on: folded features of unit length, then the counts."""
    row = np.zeros(FEATURES, np.float32)
    folded = fold(sketch.indices)
    row[folded] = weights[folded]
    row /= max(float(np.sqrt(row @ row)), 1e-6)
    row[FOLDED:] = sketch.counts * COUNTS_SCALE
    return row


def fold(indices: Indices) -> Indices:
    """The buckets of a fingerprint, ascending, each once: words and pairs only, which predict as well as all."""
    is_there = np.zeros(FOLDED, np.bool_)
    is_there[indices[: np.searchsorted(indices, WORD_BUCKETS)] & (FOLDED - 1)] = True
    return np.flatnonzero(is_there)


class Residual(Struct, frozen=True, eq=False):
    """What the words tell of one model's success beyond the kind of work; in log odds."""

    weights: Numbers
    """`FEATURES` of them, the share already in them."""
    bias: float


class Tally(Struct, frozen=True, eq=False):
    """Outcomes of one model by kind of work, each counted for every kind by that kind's probability."""

    tried: FloatArray
    good: FloatArray
    outcomes: int


class Evidence:
    """All that was learned; immutable. `of` is the one question that is asked while a request waits."""

    def __init__(self, prior: Prior, tallies: Mapping[str, Tally], residuals: Mapping[str, Residual]) -> None:
        self.prior = prior
        self.tallies = tallies
        self.residuals = residuals
        self.version = _version(prior, tallies, residuals)
        self._means: dict[tuple[str, str], tuple[FloatArray, FloatArray]] = {}

    def of(self, model: str, tier: str, kinds: FloatArray, sketch: Sketch | None = None) -> float:
        """Probability that `model`, of `tier`, does well on work that is of each kind with these probabilities."""
        mean = float(kinds @ self.posterior(model, tier)[0])
        residual = self.residuals.get(model)
        if residual is None or sketch is None:
            return mean
        return expit(logit(mean) + float(features_of(sketch, self.prior.weights) @ residual.weights) + residual.bias)

    def posterior(self, model: str, tier: str) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the success rate for each kind."""
        found = self._means.get((model, tier))
        if found is None:
            found = self._means[model, tier] = _posterior(self.prior, model, tier, self.tallies.get(model))
        return found

    def outcomes(self, model: str, kinds: FloatArray) -> int:
        """How many outcomes the answer of `of` rests on, for work of these kinds."""
        tally = self.tallies.get(model)
        return 0 if tally is None else round(float(kinds @ tally.tried))

    def batch(self, model: str, tier: str, kinds: FloatArray, features: Numbers) -> FloatArray:
        """`of` for many requests: one row of `kinds` [n, k] and of `features` [n, FEATURES] for each."""
        mean = kinds @ self.posterior(model, tier)[0]
        residual = self.residuals.get(model)
        if residual is None:
            return mean
        return expit(logit(mean) + features @ residual.weights + residual.bias)


def learn(prior: Prior, experiences: Iterable[Experience], tier_of: Mapping[str, str]) -> Evidence:
    """All that these outcomes, oldest first, teach. A model without a tier in `tier_of` starts from all tiers' mean."""
    by_model: dict[str, list[Experience]] = {}
    for experience in experiences:
        by_model.setdefault(experience.model, []).append(experience)
    tallies = {model: tally(its, len(prior.kinds)) for model, its in by_model.items()}
    residuals = {}
    for model, its in by_model.items():
        residual = fit_residual(prior, model, tier_of.get(model, ""), its[-MOST_OUTCOMES:])
        if residual is not None:
            residuals[model] = residual
    return Evidence(prior, tallies, residuals)


def tally(experiences: Sequence[Experience], kinds: int, before: Tally | None = None) -> Tally:
    """Count outcomes, on top of those counted `before`."""
    tried = np.zeros(kinds) if before is None else before.tried.copy()
    good = np.zeros(kinds) if before is None else before.good.copy()
    for experience in experiences:
        tried += experience.kinds
        good += experience.kinds * experience.score
    return Tally(tried, good, len(experiences) + (before.outcomes if before else 0))


def _posterior(prior: Prior, model: str, tier: str, seen: Tally | None) -> tuple[FloatArray, FloatArray]:
    rates, strength = prior.rates[tier], np.full(len(prior.kinds), PRIOR_STRENGTH)
    if model in prior.models:
        known, outcomes = prior.models[model]
        rates = (rates * PRIOR_STRENGTH + known * outcomes) / (PRIOR_STRENGTH + outcomes)
        strength = np.minimum(PRIOR_STRENGTH + outcomes, 8 * PRIOR_STRENGTH)
    if seen is not None:
        rates = expit(logit(rates) + _level(rates, seen))
        rates = (rates * strength + seen.good) / (strength + seen.tried)
        strength = strength + seen.tried
    return rates, np.sqrt(rates * (1 - rates) / (strength + 1))


def _level(rates: FloatArray, seen: Tally) -> float:
    """How much better or worse than these rates a model did over all kinds, in log odds: the posterior mode, by Newton.

    Of the logistic likelihood with a normal prior of `LEVEL_SPREAD` around zero.
    """
    level, odds = 0.0, logit(rates)
    for _ in range(8):
        expected = expit(odds + level)
        slope = float(np.sum(seen.good - seen.tried * expected)) - level / LEVEL_SPREAD**2
        curve = float(np.sum(seen.tried * expected * (1 - expected))) + 1 / LEVEL_SPREAD**2
        level += min(max(slope / curve, -1.0), 1.0)
    return level


# ---- the residual ---------------------------------------------------------------------------------------------------


def fit_residual(prior: Prior, model: str, tier: str, experiences: Sequence[Experience]) -> Residual | None:
    """The residual that predicts held-back outcomes best; None when there are too few, or when none helps."""
    if len(experiences) < RESIDUAL_FROM:
        return None
    kinds = np.stack([experience.kinds for experience in experiences])
    features = np.stack([experience.features for experience in experiences])
    scores = np.array([experience.score for experience in experiences])
    penalty, share = _choose(_Folds(prior, model, tier, experiences, kinds, features, scores))
    if share == 0:
        return None
    whole = _posterior(prior, model, tier, tally(experiences, len(prior.kinds)))[0]
    weights, bias = fit_logistic(features, logit(kinds @ whole), scores, penalty)
    return Residual((weights * share).astype(np.float32), bias * share)


class _Folds:
    """The outcomes of one model, each fold held back in turn: its posterior and residual know only the others."""

    def __init__(
        self,
        prior: Prior,
        model: str,
        tier: str,
        experiences: Sequence[Experience],
        kinds: FloatArray,
        features: Numbers,
        scores: FloatArray,
    ) -> None:
        self.scores = scores
        self._features = features
        self._offsets = []
        self._held = []
        folds = np.arange(len(scores)) % FOLDS
        for fold_number in range(FOLDS if len(scores) <= MOST_CROSS_VALIDATED else 1):
            is_held = folds == fold_number
            seen = [experiences[row] for row in np.flatnonzero(~is_held).tolist()]
            rates = _posterior(prior, model, tier, tally(seen, len(prior.kinds)))[0]
            self._offsets.append(logit(kinds @ rates))
            self._held.append(is_held)

    def losses(self, penalty: float) -> list[float]:
        """The log loss on what was held back, for each of `SHARES`."""
        losses = np.zeros(len(SHARES))
        for is_held, offsets in zip(self._held, self._offsets, strict=True):
            seen = ~is_held
            weights, bias = fit_logistic(self._features[seen], offsets[seen], self.scores[seen], penalty)
            correction = self._features[is_held] @ weights + bias
            for number, share in enumerate(SHARES):
                losses[number] += log_loss(expit(offsets[is_held] + share * correction), self.scores[is_held])
        return [float(loss) for loss in losses]


def _choose(folds: _Folds) -> tuple[float, float]:
    """Penalty and share with the least loss."""
    table = [
        (loss, penalty, share)
        for penalty in PENALTIES
        for loss, share in zip(folds.losses(penalty), SHARES, strict=True)
    ]
    _, penalty, share = min(table)
    return penalty, share


def fit_logistic(features: Numbers, offsets: FloatArray, scores: FloatArray, penalty: float) -> tuple[Numbers, float]:
    """Weights and bias of a logistic regression on top of `offsets`, with `penalty` · |weights|² / 2.

    By L-BFGS (Nocedal 1980, two-loop recursion), deterministic; scores may be anything from 0 to 1.
    """
    size = features.shape[1]
    pull = np.full(size + 1, penalty)
    pull[-1] = 1.0  # the level has its own, weak prior

    def gradient(point: FloatArray) -> tuple[float, FloatArray]:
        odds = offsets + features @ point[:-1].astype(np.float32) + point[-1]
        missed = expit(odds) - scores
        loss = float(np.sum(np.logaddexp(0, odds) - scores * odds) + 0.5 * np.sum(pull * point * point))
        slope = np.empty(size + 1)
        slope[:-1] = missed.astype(np.float32) @ features
        slope[-1] = missed.sum()
        return loss, slope + pull * point

    point = _minimise(gradient, np.zeros(size + 1))
    return point[:-1].astype(np.float32), float(point[-1])


_MEMORY = 8
_MOST_STEPS = 60
_TOLERANCE = 1e-4


def _minimise(gradient: Objective, start: FloatArray) -> FloatArray:
    point, (loss, slope) = start, gradient(start)
    history: list[tuple[FloatArray, FloatArray]] = []
    for _ in range(_MOST_STEPS):
        direction = -_scaled(slope, history)
        step, descent = 1.0, float(direction @ slope)
        while True:  # Armijo's rule; the problem is convex and smooth, so it ends
            candidate = point + step * direction
            new_loss, new_slope = gradient(candidate)
            if new_loss <= loss + 1e-4 * step * descent or step < 1e-6:
                break
            step /= 2
        history = [*history[-_MEMORY + 1 :], (candidate - point, new_slope - slope)]
        gained, point, loss, slope = loss - new_loss, candidate, new_loss, new_slope
        if gained <= _TOLERANCE * max(abs(loss), 1.0) / 10:
            break
    return point


def _scaled(slope: FloatArray, history: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The slope times the inverse curvature, as far as the last steps show it."""
    pairs = [(moved, turned, float(moved @ turned)) for moved, turned in history]
    pairs = [pair for pair in pairs if pair[2] > 1e-12]
    result, shares = slope.copy(), []
    for moved, turned, product in reversed(pairs):
        share = float(moved @ result) / product
        shares.append(share)
        result -= share * turned
    if pairs:
        _, turned, product = pairs[-1]
        result *= product / float(turned @ turned)
    else:
        result /= max(float(np.linalg.norm(slope)), 1.0)
    for (moved, turned, product), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(turned @ result) / product) * moved
    return result


# ---- small mathematics ----------------------------------------------------------------------------------------------

Real = TypeVar("Real", float, FloatArray)


def expit(odds: Real) -> Real:
    """Log odds → probability."""
    return 1 / (1 + np.exp(-odds))  # type: ignore[no-any-return]


def logit(probability: Real) -> Real:
    """Probability → log odds; kept away from certainty."""
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))  # type: ignore[no-any-return]


def log_loss(probabilities: FloatArray, scores: FloatArray) -> float:
    """Mean surprise, in nats, at scores from 0 to 1."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.mean(scores * np.log(kept) + (1 - scores) * np.log(1 - kept)))


def _version(prior: Prior, tallies: Mapping[str, Tally], residuals: Mapping[str, Residual]) -> str:
    digest = hashlib.sha256(repr(prior.kinds).encode())
    for model in sorted(tallies):
        digest.update(model.encode() + tallies[model].tried.tobytes() + tallies[model].good.tobytes())
    for model in sorted(residuals):
        digest.update(model.encode() + residuals[model].weights.tobytes())
    return f"{sum(its.outcomes for its in tallies.values())}@{digest.hexdigest()[:8]}"
