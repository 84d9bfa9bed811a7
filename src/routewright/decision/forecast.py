"""What can be expected of each model for one request: success, length of the answer, and what is paid for failures.

A `Forecaster` belongs to one state of catalog and evidence and has everything laid out by model, so that a request
costs one small product of a vector and a matrix. A `Forecast` is its answer for one request: plain numbers by model.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from operator import add, mul

from msgspec import Struct

from routewright.catalog.registry import Model, Tier
from routewright.decision.artefact import Artefact
from routewright.decision.expectation import Forecast
from routewright.decision.intent import UPWARDS
from routewright.decision.residual import expit, logit
from routewright.decision.rows import Vector
from routewright.decision.sketch import Numbers
from routewright.decision.success import Evidence

LENGTH_STRENGTH = 5.0
"""How many answers the believed length of one is worth, for each model and kind."""
WASTE_STRENGTH_NANOUSD = 10_000_000
"""A cent of answers without a failure is believed in before any was seen."""


class Lengths(Struct, frozen=True, eq=False):
    """Answers of one model so far."""

    answers: Numbers
    """[K]: how many, each counted for every kind by that kind's probability."""
    tokens: Numbers
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
        nothing = [0.0] * len(artefact.kinds)
        self.columns: list[Vector] = [
            *[mean for mean, _ in posteriors],
            *[[its**2 for its in doubt] for _, doubt in posteriors],
            *[evidence.tallies[name].tried if name in evidence.tallies else nothing for name in names],
            *[_length(artefact.output_tokens, lengths.get(name)) for name in names],
        ]
        """[4 · models, K]: what a forecast is made from by its mean over the kinds."""
        wastes = [_waste(lengths.get(name)) for name in names]
        self._waste = {at: waste for at, waste in enumerate(wastes) if waste != 1}
        self._names = names
        residuals = [(at, evidence.residuals[name]) for at, name in enumerate(names) if name in evidence.residuals]
        self.residuals = [residual.weights for _, residual in residuals]
        """[R, FEATURES]: those of the models that have one."""
        self._biases = [(at, residual.bias) for at, residual in residuals]
        self.right_tiers = right_tiers(artefact, evidence, self._models)

    def forecast(self, means: Sequence[float], corrections: Sequence[float]) -> Forecast:
        """What to expect for a request, by the means of `columns` over its kinds and what `residuals` say of its words.

        A correction is in log odds, without the residual's bias.
        """
        models = len(self._names)
        success = list(means[:models])
        for (at, bias), correction in zip(self._biases, corrections, strict=True):
            success[at] = expit(logit(success[at]) + (correction + bias))
        return Forecast(
            models=self._names,
            success=success,
            doubt=list(map(sqrt, means[models : 2 * models])),
            outcomes=list(map(round, means[2 * models : 3 * models])),
            output_tokens=list(map(round, means[3 * models :])),
            waste=self._waste,
        )


def _length(believed: Vector, seen: Lengths | None) -> Vector:
    if seen is None:
        return believed
    mean = LENGTH_STRENGTH * sum(believed) / len(believed)
    ratio = (sum(seen.tokens) + mean) / (
        sum(map(mul, seen.answers, believed)) + mean
    )  # this model's answers are so many times as long as believed, over all kinds
    return [
        (its * ratio * LENGTH_STRENGTH + tokens) / (LENGTH_STRENGTH + answers)
        for its, tokens, answers in zip(believed, seen.tokens, seen.answers, strict=True)
    ]


def _waste(seen: Lengths | None) -> float:
    if seen is None:
        return 1.0
    return (seen.all_nanousd + WASTE_STRENGTH_NANOUSD) / (seen.complete_nanousd + WASTE_STRENGTH_NANOUSD)


# ---- which tier is enough -------------------------------------------------------------------------------------------

TOLERANCE = 0.05
"""A tier is enough for a kind of work when it succeeds no more than this less often than the best tier does."""
EVIDENCE_STRENGTH = 16.0
"""So many outcomes of a kind weigh as much as what was believed of it."""


def right_tiers(artefact: Artefact, evidence: Evidence, models: Sequence[Model]) -> Sequence[Vector]:
    """[4, K]: probability, in the order of `Tier`, that a tier is the cheapest that is enough for each kind.

    What the artefact believes gives way to the ledger kind by kind: a tier is enough when its success rate, by the
    posterior's normal approximation, is within `TOLERANCE` of the best tier's.
    """
    tried = [0.0] * len(artefact.kinds)
    for model in models:
        if model.name in evidence.tallies:
            tried = list(map(add, tried, evidence.tallies[model.name].tried))
    if not any(tried):
        return artefact.tiers
    means, doubts = {}, {}
    for tier in UPWARDS:
        posteriors = [evidence.posterior(model.name, tier) for model in models if model.tier is tier]
        if posteriors:
            means[tier] = _mean([mean for mean, _ in posteriors])
            doubts[tier] = _mean([doubt for _, doubt in posteriors])
    best = [max(its) for its in zip(*means.values(), strict=True)]
    highest = max(means, key=UPWARDS.index)
    left = [1.0] * len(tried)
    seen = dict.fromkeys(Tier, [0.0] * len(tried))
    for tier, its in means.items():
        enough = [1.0] * len(tried)
        if tier is not highest:
            enough = [
                expit(1.702 * (mean - most + TOLERANCE) / max(doubt, 1e-6))  # logistic ≈ normal
                for mean, most, doubt in zip(its, best, doubts[tier], strict=True)
            ]
        seen[tier] = list(map(mul, left, enough))
        left = [rest * (1 - part) for rest, part in zip(left, enough, strict=True)]
    weights = [its / (its + EVIDENCE_STRENGTH) for its in tried]
    return [
        [believed * (1 - weight) + told * weight for believed, told, weight in zip(*each, weights, strict=True)]
        for each in zip(artefact.tiers, seen.values(), strict=True)
    ]


def _mean(vectors: Sequence[Vector]) -> Vector:
    return [sum(its) / len(vectors) for its in zip(*vectors, strict=True)]
