"""What can be expected of each model for one request: success, length of the answer, and what is paid for failures.

A `Forecaster` belongs to one state of catalog and evidence and has everything laid out by model, so that a request
costs one small product of a vector and a matrix. A `Forecast` is its answer for one request: plain numbers by model.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log, sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.catalog.registry import Model, Tier
from routewright.decision.artefact import Artefact
from routewright.decision.expectation import Forecast
from routewright.decision.intent import UPWARDS
from routewright.decision.residual import FloatArray, expit
from routewright.decision.success import FEATURES, Evidence

LENGTH_STRENGTH = 5.0
"""How many answers the believed length of one is worth, for each model and kind."""
WASTE_STRENGTH_NANOUSD = 10_000_000
"""A cent of answers without a failure is believed in before any was seen."""


class Lengths(Struct, frozen=True, eq=False):
    """Answers of one model so far."""

    answers: FloatArray
    """[K]: how many, each counted for every kind by that kind's probability."""
    tokens: FloatArray
    """[K]: their output tokens, likewise."""
    complete_nanousd: int = 0
    """Paid for complete answers."""
    all_nanousd: int = 0
    """Paid for all attempts."""


class Lessons(Struct, frozen=True, eq=False):
    """All that the ledger taught, and from how far."""

    artefact: str
    """Version of the one whose kinds of work they are told in."""
    evidence: Evidence
    lengths: Mapping[str, Lengths] = {}
    outcome_sequence: int = 0
    """Of the last outcome that was learned from; 0 when there was none."""

    @staticmethod
    def none(artefact: Artefact) -> "Lessons":
        """What is known before any outcome."""
        return Lessons(artefact.version, Evidence(artefact.prior, {}, {}))


class Forecaster:
    """Forecasts for the models of one catalog, by one state of evidence."""

    def __init__(self, artefact: Artefact, lessons: Lessons, models: Iterable[Model]) -> None:
        evidence, lengths = lessons.evidence, lessons.lengths
        self.evidence = evidence
        self._models = list(models)
        names = tuple([model.name for model in self._models])
        posteriors = [evidence.posterior(model.name, model.tier) for model in self._models]
        kinds = len(artefact.kinds)
        means = [mean for mean, _ in posteriors]
        variances = [doubt**2 for _, doubt in posteriors]
        tried = [evidence.tallies[name].tried if name in evidence.tallies else np.zeros(kinds) for name in names]
        tokens = [_length(artefact.output_tokens, lengths.get(name)) for name in names]
        self.columns = _columns([*means, *variances, *tried, *tokens], kinds)
        """[K, 4 · models]: what a forecast is made from by its mean over the kinds."""
        wastes = [_waste(lengths.get(name)) for name in names]
        self._waste = {at: waste for at, waste in enumerate(wastes) if waste != 1}
        self._names = names
        residuals = [(at, evidence.residuals[name]) for at, name in enumerate(names) if name in evidence.residuals]
        self.residuals = _columns([residual.weights for _, residual in residuals], FEATURES).astype(np.float32)
        """[FEATURES, R]: those of the models that have one."""
        self._biases = [(at, residual.bias) for at, residual in residuals]
        self.right_tiers = right_tiers(artefact, evidence, self._models)

    def forecast(self, means: Sequence[float], corrections: Sequence[float]) -> Forecast:
        """What to expect for a request, by the means of `columns` over its kinds and what `residuals` say of its words.

        A correction is in log odds, without the residual's bias.
        """
        models = len(self._names)
        success = list(means[:models])
        for (at, bias), correction in zip(self._biases, corrections, strict=True):
            success[at] = _corrected(success[at], correction + bias)
        return Forecast(
            models=self._names,
            success=success,
            doubt=list(map(sqrt, means[models : 2 * models])),
            outcomes=list(map(round, means[2 * models : 3 * models])),
            output_tokens=list(map(round, means[3 * models :])),
            waste=self._waste,
        )


def _corrected(success: float, by: float) -> float:
    """A probability moved in log odds, as `expit(logit(success) + by)` does it to many."""
    kept = min(max(success, 1e-4), 1 - 1e-4)
    return 1 / (1 + exp(-max(log(kept / (1 - kept)) + by, -700.0)))


def _columns(rows: Sequence[NDArray[Any]], size: int) -> FloatArray:
    """[size, rows]; also when there is no row."""
    return np.ascontiguousarray(np.stack(rows, axis=1)) if rows else np.zeros((size, 0))


def _length(believed: FloatArray, seen: Lengths | None) -> FloatArray:
    if seen is None:
        return believed
    ratio = (seen.tokens.sum() + LENGTH_STRENGTH * believed.mean()) / (
        float(seen.answers @ believed) + LENGTH_STRENGTH * believed.mean()
    )  # this model's answers are so many times as long as believed, over all kinds
    return np.asarray((believed * ratio * LENGTH_STRENGTH + seen.tokens) / (LENGTH_STRENGTH + seen.answers))


def _waste(seen: Lengths | None) -> float:
    if seen is None:
        return 1.0
    return (seen.all_nanousd + WASTE_STRENGTH_NANOUSD) / (seen.complete_nanousd + WASTE_STRENGTH_NANOUSD)


# ---- which tier is enough -------------------------------------------------------------------------------------------

TOLERANCE = 0.05
"""A tier is enough for a kind of work when it succeeds no more than this less often than the best tier does."""
EVIDENCE_STRENGTH = 16.0
"""So many outcomes of a kind weigh as much as what was believed of it."""


def right_tiers(artefact: Artefact, evidence: Evidence, models: Sequence[Model]) -> FloatArray:
    """[K, 4]: probability, in the order of `Tier`, that a tier is the cheapest that is enough for each kind.

    What the artefact believes gives way to the ledger kind by kind: a tier is enough when its success rate, by the
    posterior's normal approximation, is within `TOLERANCE` of the best tier's.
    """
    tried: NDArray[np.float64] = np.zeros(len(artefact.kinds))
    means, doubts = {}, {}
    for tier in Tier:
        posteriors = [evidence.posterior(model.name, tier) for model in models if model.tier is tier]
        if not posteriors:
            continue
        means[tier] = np.mean([mean for mean, _ in posteriors], axis=0)
        doubts[tier] = np.mean([doubt for _, doubt in posteriors], axis=0)
    for model in models:
        if model.name in evidence.tallies:
            tried = tried + evidence.tallies[model.name].tried
    if not tried.any():
        return artefact.tiers
    best = np.max(list(means.values()), axis=0)
    left: FloatArray = np.ones(len(artefact.kinds))
    seen = np.zeros_like(artefact.tiers)
    order = list(Tier)
    present = [tier for tier in UPWARDS if tier in means]
    for tier in present:
        margin = (means[tier] - best + TOLERANCE) / np.maximum(doubts[tier], 1e-6)
        enough = expit(1.702 * margin) if tier is not present[-1] else np.ones_like(left)  # logistic ≈ normal
        seen[:, order.index(tier)] = left * enough
        left = left * (1 - enough)
    weight = (tried / (tried + EVIDENCE_STRENGTH))[:, None]
    return np.asarray(artefact.tiers * (1 - weight) + seen * weight)
