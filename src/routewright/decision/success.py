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
import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from routewright.decision.residual import Residual, Sample, expit, fit_residuals, logit
from routewright.decision.rows import Row, Vector, zeros
from routewright.decision.sketch import FOLDED, Buckets, Numbers, Sketch, fold

PRIOR_STRENGTH = 8.0
"""How many outcomes the shipped prior is worth, for each model and kind."""
LEVEL_SPREAD = 1.0
"""Standard deviation, in log odds, of a model's level around its tier's: what a new model may turn out to be."""
MOST_OUTCOMES = 8_192
"""Of a model, residuals are fitted to so many of the latest outcomes; older ones still count in the posteriors."""
COUNTS_SCALE = 0.3
"""Counts beside the unit length of the words, so that the penalty falls on both alike."""


class Experience(Struct, frozen=True, eq=False):
    """One outcome as the learner sees it."""

    request: str
    """Which prompt it was an answer to: several models may have answered it."""
    model: str
    score: float
    """Quality of the answer, 0 to 1."""
    kinds: Row
    """Probability of each kind of work, in the prior's order."""
    features: Row
    """`features_of` the sketch; empty where there was none."""


class Prior(Struct, frozen=True, eq=False):
    """What is believed before any outcome."""

    kinds: tuple[str, ...]
    rates: Mapping[str, Vector]
    """Tier → success rate for each kind; `""` for a model whose tier is not known."""
    weights: Numbers
    """One for each folded bucket: how much a feature tells, rare ones more."""
    models: Mapping[str, tuple[Vector, Vector]] = {}
    """Model → (rate, outcomes behind it) for each kind, where outcomes were recorded before."""


def features_of(sketch: Sketch, weights: Numbers) -> Row:
    """The row that residuals are fitted on: folded features of unit length, then the counts."""
    return row_of(fold(sketch.words), sketch.counts, weights)


def row_of(folded: Buckets, counts: Numbers, weights: Numbers) -> Row:
    """The same of folded buckets, ascending, and of counts."""
    its = [weights[bucket] for bucket in folded]
    length = max(math.hypot(*its), 1e-6)
    told = [at for at, count in enumerate(counts) if count]
    return Row.of(
        [*folded, *[FOLDED + at for at in told]],
        [*[weight / length for weight in its], *[counts[at] * COUNTS_SCALE for at in told]],
    )


class Tally(Struct, frozen=True, eq=False):
    """Outcomes of one model by kind of work, each counted for every kind by that kind's probability."""

    tried: Numbers
    """[K], in double precision."""
    good: Numbers
    """[K], likewise."""
    outcomes: int

    @staticmethod
    def of(kinds: Iterable[Row], scores: Iterable[float], before: "Tally") -> "Tally":
        """Outcomes of these kinds and scores, on top of those counted `before`."""
        tried, good, outcomes = before.tried[:], before.good[:], before.outcomes
        for its, score in zip(kinds, scores, strict=True):
            its.add_to(tried)
            its.add_to(good, score)
            outcomes += 1
        return Tally(tried, good, outcomes)

    @staticmethod
    def none(kinds: int) -> "Tally":
        """That of no outcome."""
        return Tally(zeros(kinds), zeros(kinds), 0)


class Evidence:
    """All that was learned; immutable."""

    def __init__(self, prior: Prior, tallies: Mapping[str, Tally], residuals: Mapping[str, Residual]) -> None:
        self.prior = prior
        self.tallies = tallies
        self.residuals = residuals
        self.version = _version(prior, tallies, residuals)
        self._means: dict[tuple[str, str], tuple[Vector, Vector]] = {}

    def of(self, model: str, tier: str, kinds: Row, features: Row | None = None) -> float:
        """Probability that `model`, of `tier`, does well on work that is of each kind with these probabilities.

        Without its `features` by the kinds alone.
        """
        mean = kinds.times(self.posterior(model, tier)[0])
        residual = self.residuals.get(model)
        if residual is None or features is None:
            return mean
        return expit(logit(mean) + residual.of(features))

    def posterior(self, model: str, tier: str) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the success rate for each kind."""
        found = self._means.get((model, tier))
        if found is None:
            found = self._means[model, tier] = _posterior(self.prior, model, tier, self.tallies.get(model))
        return found

    def outcomes(self, model: str, kinds: Row) -> int:
        """How many outcomes the answer of `of` rests on, for work of these kinds."""
        tally = self.tallies.get(model)
        return 0 if tally is None else round(kinds.times(tally.tried))


def learn(prior: Prior, experiences: Iterable[Experience], tier_of: Mapping[str, str]) -> Evidence:
    """All that these outcomes, oldest first, teach. A model without a tier in `tier_of` starts from all tiers' mean."""
    by_model: dict[str, list[Experience]] = {}
    for experience in experiences:
        by_model.setdefault(experience.model, []).append(experience)
    nothing = Tally.none(len(prior.kinds))
    tallies = {model: tally(its, nothing) for model, its in by_model.items()}
    samples = {model: _sample(its[-MOST_OUTCOMES:]) for model, its in by_model.items()}

    def rates(model: str, kinds: Sequence[Row], scores: Vector) -> Vector:
        return _posterior(prior, model, tier_of.get(model, ""), Tally.of(kinds, scores, nothing))[0]

    return Evidence(prior, tallies, fit_residuals(samples, rates))


def _sample(experiences: Sequence[Experience]) -> Sample:
    return Sample(
        [experience.request for experience in experiences],
        [experience.kinds for experience in experiences],
        [experience.features for experience in experiences],
        [experience.score for experience in experiences],
    )


def tally(experiences: Sequence[Experience], before: Tally) -> Tally:
    """Count outcomes, on top of those counted `before`."""
    kinds, scores = [its.kinds for its in experiences], [its.score for its in experiences]
    return Tally.of(kinds, scores, before)


def _posterior(prior: Prior, model: str, tier: str, seen: Tally | None) -> tuple[Vector, Vector]:
    rates = list(prior.rates[tier])
    strengths = [PRIOR_STRENGTH] * len(rates)
    if model in prior.models:
        known, outcomes = prior.models[model]
        rates = [
            (rate * PRIOR_STRENGTH + its * of) / (PRIOR_STRENGTH + of)
            for rate, its, of in zip(rates, known, outcomes, strict=True)
        ]
        strengths = [min(PRIOR_STRENGTH + of, 8 * PRIOR_STRENGTH) for of in outcomes]
    if seen is not None:
        level = _level(rates, seen)
        moved = [expit(logit(rate) + level) for rate in rates]
        counted = list(zip(strengths, seen.tried, seen.good, strict=True))
        rates = [
            (rate * strength + good) / (strength + tried)
            for rate, (strength, tried, good) in zip(moved, counted, strict=True)
        ]
        strengths = [strength + tried for strength, tried, _ in counted]
    doubts = [math.sqrt(rate * (1 - rate) / (of + 1)) for rate, of in zip(rates, strengths, strict=True)]
    return rates, doubts


def _level(rates: Vector, seen: Tally) -> float:
    """How much better or worse than these rates a model did over all kinds, in log odds: the posterior mode, by Newton.

    Of the logistic likelihood with a normal prior of `LEVEL_SPREAD` around zero.
    """
    level = 0.0
    kinds = list(zip(map(logit, rates), seen.tried, seen.good, strict=True))
    for _ in range(8):
        slope, curve = -level / LEVEL_SPREAD**2, 1 / LEVEL_SPREAD**2
        for odds, tried, good in kinds:
            expected = expit(odds + level)
            slope += good - tried * expected
            curve += tried * expected * (1 - expected)
        level += min(max(slope / curve, -1.0), 1.0)
    return level


def _version(prior: Prior, tallies: Mapping[str, Tally], residuals: Mapping[str, Residual]) -> str:
    digest = hashlib.sha256(repr(prior.kinds).encode())
    for model in sorted(tallies):
        digest.update(model.encode() + tallies[model].tried.tobytes() + tallies[model].good.tobytes())
    for model in sorted(residuals):
        digest.update(model.encode() + residuals[model].weights.tobytes())
    return f"{sum(its.outcomes for its in tallies.values())}@{digest.hexdigest()[:8]}"
