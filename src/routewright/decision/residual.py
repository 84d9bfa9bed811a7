"""What the words of a prompt tell of a model's success beyond the kind of work: logistic regressions on hashes.

Two residuals are added up. The *common* one says how hard a prompt is for every model: it is fitted on what all models
together made of each prompt, so that it has the most outcomes to learn from. A model's *own* one says what else is hard
or easy for it. How much of each is used, and how strongly the own one is held to zero, is what predicts outcomes that
were held back best (log loss); none at all is among the choices.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TypeAlias, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.decision.sketch import Numbers

FloatArray: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""A point → the value there and its gradient."""
Rates: TypeAlias = Callable[[str, FloatArray, FloatArray], FloatArray]
"""A model and some of its outcomes, as kinds [n, K] and scores [n] → its success rate for each kind [K]."""

RESIDUAL_FROM = 150
"""Outcomes of a model before its own residual is fitted, prompts before a common one is."""
COMMON_PENALTY = 3.0
"""How strongly the common residual is held to zero; fixed, as it has the most to learn from."""
OWN_PENALTIES = (100.0, 30.0, 10.0, 3.0)
"""Strongest first: of equals the more cautious is taken."""
SHARES = (0.0, 0.5, 1.0)
"""How much of a residual may be used; none at all comes first, so that it wins a tie."""
WORTHWHILE = 0.002
"""Nats by which an own residual must predict better than none: less is noise, of which the choice among many models
makes the worst (it picks whoever is overestimated)."""
FOLDS = 4
"""Every fourth outcome is held back in turn."""
MOST_CROSS_VALIDATED = 2_000
"""With more outcomes one fold is enough to choose by."""


class Residual(Struct, frozen=True, eq=False):
    """What the words tell of one model's success beyond the kind of work; in log odds."""

    weights: Numbers
    """[F]."""
    bias: float

    def times(self, share: float) -> "Residual":
        """So much of it."""
        return Residual((self.weights * share).astype(np.float32), self.bias * share)

    def plus(self, other: "Residual") -> "Residual":
        """Both together."""
        return Residual(self.weights + other.weights, self.bias + other.bias)


class Sample(Struct, frozen=True, eq=False):
    """Outcomes of one model."""

    requests: Sequence[str]
    """[n]: which prompt each is about."""
    kinds: FloatArray
    """[n, K]."""
    features: Numbers
    """[n, F]."""
    scores: FloatArray
    """[n], 0 to 1."""


def fit_residuals(samples: Mapping[str, Sample], rates: Rates) -> dict[str, Residual]:
    """For each model that has one: the residual that predicts held-back outcomes best."""
    common = _fit_common(samples, rates)
    residuals = {}
    for model, sample in samples.items():
        if len(sample.scores) >= RESIDUAL_FROM:
            residual = _fit_own(model, sample, rates, common)
        else:
            residual = None if common is None else common.residual.times(common.share)
        if residual is not None and (residual.bias or residual.weights.any()):
            residuals[model] = residual
    return residuals


# ---- what is hard for all -------------------------------------------------------------------------------------------


class _Common(Struct, frozen=True, eq=False):
    """The common residual, and what it says of each prompt when it is fitted without that prompt."""

    residual: Residual
    share: float
    held_out: Mapping[str, float]


def _fit_common(samples: Mapping[str, Sample], rates: Rates) -> _Common | None:
    """None with one model, whose own residual says the same, and with too few prompts."""
    at: dict[str, int] = {}
    for sample in samples.values():
        for request in sample.requests:
            at.setdefault(request, len(at))
    if len(samples) < 2 or len(at) < RESIDUAL_FROM:
        return None
    answers, scores, offsets = np.zeros(len(at)), np.zeros(len(at)), np.zeros(len(at))
    features = np.zeros((len(at), next(iter(samples.values())).features.shape[1]), np.float32)
    for model, sample in samples.items():
        rows = [at[request] for request in sample.requests]
        answers[rows] += 1
        scores[rows] += sample.scores
        offsets[rows] += logit(sample.kinds @ rates(model, sample.kinds, sample.scores))
        features[rows] = sample.features
    scores, offsets = scores / answers, offsets / answers
    held_out = np.zeros(len(at))
    folds = np.arange(len(at)) % FOLDS
    for fold in range(FOLDS):
        seen = folds != fold
        weights, bias = fit_logistic(features[seen], offsets[seen], scores[seen], COMMON_PENALTY)
        held_out[~seen] = features[~seen] @ weights + bias
    share = min(SHARES, key=lambda share: log_loss(expit(offsets + share * held_out), scores))
    weights, bias = fit_logistic(features, offsets, scores, COMMON_PENALTY)
    return _Common(Residual(weights, bias), share, dict(zip(at, held_out.tolist(), strict=True)))


# ---- what is hard for one -------------------------------------------------------------------------------------------


def _fit_own(model: str, sample: Sample, rates: Rates, common: _Common | None) -> Residual | None:
    told = np.zeros(len(sample.scores))
    if common is not None:
        told = np.array([common.held_out[request] for request in sample.requests])
    folds = _Folds(model, sample, rates, told)
    shares = SHARES if common is not None else (0.0,)
    _, of_common, penalty, share = min(
        (loss + (WORTHWHILE if share else 0), of_common, penalty, share)
        for of_common, penalty in product(shares, OWN_PENALTIES)
        for share, loss in zip(SHARES, folds.losses(of_common, penalty), strict=True)
    )
    offsets = logit(sample.kinds @ rates(model, sample.kinds, sample.scores)) + of_common * told
    weights, bias = fit_logistic(sample.features, offsets, sample.scores, penalty)
    own = Residual(weights, bias).times(share)
    return own if common is None else own.plus(common.residual.times(of_common))


class _Folds:
    """The outcomes of one model, each fold held back in turn: its rates and residual know only the others."""

    def __init__(self, model: str, sample: Sample, rates: Rates, told: FloatArray) -> None:
        self._sample = sample
        self._told = told
        self._parts = []
        folds = np.arange(len(sample.scores)) % FOLDS
        for fold in range(FOLDS if len(sample.scores) <= MOST_CROSS_VALIDATED else 1):
            seen = folds != fold
            offsets = logit(sample.kinds @ rates(model, sample.kinds[seen], sample.scores[seen]))
            self._parts.append((seen, offsets))

    def losses(self, of_common: float, penalty: float) -> list[float]:
        """The mean log loss on what was held back, for each of `SHARES` of the own residual."""
        sample, losses = self._sample, np.zeros(len(SHARES))
        for seen, base in self._parts:
            offsets = base + of_common * self._told
            weights, bias = fit_logistic(sample.features[seen], offsets[seen], sample.scores[seen], penalty)
            correction = sample.features[~seen] @ weights + bias
            for number, share in enumerate(SHARES):
                losses[number] += log_loss(expit(offsets[~seen] + share * correction), sample.scores[~seen])
        return [float(loss) for loss in losses / len(self._parts)]


# ---- fitting --------------------------------------------------------------------------------------------------------


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
"""Steps that the curvature is told from."""
_MOST_STEPS = 60
_TOLERANCE = 1e-5
"""A step that gains less than this part of the loss is the last."""


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
        if gained <= _TOLERANCE * max(abs(loss), 1.0):
            break
    return point


def _scaled(slope: FloatArray, history: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The slope times the inverse curvature, as far as the last steps show it."""
    pairs = [(moved, turned, float(moved @ turned)) for moved, turned in history]
    pairs = [pair for pair in pairs if pair[2] > 1e-12]
    result, shares = slope.copy(), []
    for moved, turned, curved in reversed(pairs):
        share = float(moved @ result) / curved
        shares.append(share)
        result -= share * turned
    if pairs:
        _, turned, curved = pairs[-1]
        result *= curved / float(turned @ turned)
    else:
        result /= max(float(np.linalg.norm(slope)), 1.0)
    for (moved, turned, curved), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(turned @ result) / curved) * moved
    return result


# ---- small mathematics ----------------------------------------------------------------------------------------------

Real = TypeVar("Real", float, FloatArray)


def expit(odds: Real) -> Real:
    """Log odds → probability; odds beyond what a float can hold are certainty, not an overflow."""
    return 1 / (1 + np.exp(-np.maximum(odds, -700.0)))  # type: ignore[no-any-return]


def logit(probability: Real) -> Real:
    """Probability → log odds; kept away from certainty."""
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))  # type: ignore[no-any-return]


def log_loss(probabilities: FloatArray, scores: FloatArray) -> float:
    """Mean surprise, in nats, at scores from 0 to 1."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.mean(scores * np.log(kept) + (1 - scores) * np.log(1 - kept)))
