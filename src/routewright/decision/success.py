"""How likely a model is to do a request well: a prior by kind of work, and what the user's own ledger says of it.

Three things are added up, each only as far as there is evidence for it:

1. *A Beta posterior for each model and kind of work.* It starts from the rate of the model's tier (the shipped prior,
   worth `PRIOR_STRENGTH` outcomes, weak on purpose), moved as a whole by how the model did on everything so far.
2. *A mixture* of these by the probability of each kind.
3. *A logistic residual* on the hashed words, once there are enough outcomes: what the kind does not tell
   (`decision.residual`).

Everything is a function of the outcomes in their order: the same ledger gives the same evidence and the same version.
While a request waits nothing of this is done: `decision.forecast` has it laid out by model.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from routewright.decision.residual import FloatArray, Residual, Sample, expit, fit_residuals, logit
from routewright.decision.sketch import COUNTS, FOLDED, Buckets, Numbers, Sketch, fold

PRIOR_STRENGTH = 8.0
"""How many outcomes the shipped prior is worth, for each model and kind."""
LEVEL_SPREAD = 1.0
"""Standard deviation, in log odds, of a model's level around its tier's: what a new model may turn out to be."""
MOST_OUTCOMES = 8_192
"""Of a model, residuals are fitted to so many of the latest outcomes; older ones still count in the posteriors."""
COUNTS_SCALE = 0.3
"""Counts beside the unit length of the words, so that the penalty falls on both alike."""
FEATURES = FOLDED + COUNTS
"""Columns of the dense row that residuals are fitted on."""


class Experience(Struct, frozen=True, eq=False):
    """One outcome as the learner sees it."""

    request: str
    """Which prompt it was an answer to: several models may have answered it."""
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
    return dense_row(fold(sketch.words), sketch.counts, weights)


def dense_row(folded: Buckets, counts: Numbers, weights: Numbers) -> Numbers:
    """The same of folded buckets, ascending, and of counts."""
    row = np.zeros(FEATURES, np.float32)
    row[folded] = weights[folded]
    row /= max(float(np.sqrt(row @ row)), 1e-6)
    row[FOLDED:] = counts * COUNTS_SCALE
    return row


class Tally(Struct, frozen=True, eq=False):
    """Outcomes of one model by kind of work, each counted for every kind by that kind's probability."""

    tried: FloatArray
    good: FloatArray
    outcomes: int


class Evidence:
    """All that was learned; immutable."""

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
    samples = {model: _sample(its[-MOST_OUTCOMES:]) for model, its in by_model.items()}

    def rates(model: str, kinds: FloatArray, scores: FloatArray) -> FloatArray:
        seen = Tally(kinds.sum(axis=0), scores @ kinds, len(scores))
        return _posterior(prior, model, tier_of.get(model, ""), seen)[0]

    return Evidence(prior, tallies, fit_residuals(samples, rates))


def _sample(experiences: Sequence[Experience]) -> Sample:
    return Sample(
        [experience.request for experience in experiences],
        np.stack([experience.kinds for experience in experiences]),
        np.stack([experience.features for experience in experiences]),
        np.array([experience.score for experience in experiences]),
    )


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


def _version(prior: Prior, tallies: Mapping[str, Tally], residuals: Mapping[str, Residual]) -> str:
    digest = hashlib.sha256(repr(prior.kinds).encode())
    for model in sorted(tallies):
        digest.update(model.encode() + tallies[model].tried.tobytes() + tallies[model].good.tobytes())
    for model in sorted(residuals):
        digest.update(model.encode() + residuals[model].weights.tobytes())
    return f"{sum(its.outcomes for its in tallies.values())}@{digest.hexdigest()[:8]}"
