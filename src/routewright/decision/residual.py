"""What the words of a prompt tell of a model's success beyond the kind of work: logistic regressions on hashes.

Two residuals are added up. The *common* one says how hard a prompt is for every model: it is fitted on what all models
together made of each prompt, so that it has the most outcomes to learn from. A model's *own* one says what else is hard
or easy for it. How much of each is used, and how strongly the own one is held to zero, is what predicts outcomes that
were held back best (log loss); none at all is among the choices.
"""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, product
from operator import mul
from typing import TypeAlias, TypeVar

from msgspec import Struct

from routewright.decision.rows import Row, Table, Vector, add, dot, missed, zeros
from routewright.decision.sketch import COUNTS, FOLDED, Numbers

T = TypeVar("T")

FEATURES = FOLDED + COUNTS
"""Columns of the rows that residuals are fitted on."""
Objective: TypeAlias = Callable[[Numbers], tuple[float, Numbers]]
"""A point → the value there and its gradient."""
Rates: TypeAlias = Callable[[str, Sequence[Row], Vector], Vector]
"""A model and some of its outcomes, as kinds [n] and scores [n] → its success rate for each kind [K]."""

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
    """[FEATURES], in single precision."""
    bias: float

    def of(self, features: Row) -> float:
        """What it says of a prompt."""
        return features.times(self.weights) + self.bias

    def times(self, share: float) -> "Residual":
        """So much of it."""
        return Residual(array("f", [weight * share for weight in self.weights]), self.bias * share)

    def plus(self, other: "Residual") -> "Residual":
        """Both together."""
        weights = [one + another for one, another in zip(self.weights, other.weights, strict=True)]
        return Residual(array("f", weights), self.bias + other.bias)


class Sample(Struct, frozen=True, eq=False):
    """Outcomes of one model."""

    requests: Sequence[str]
    """[n]: which prompt each is about."""
    kinds: Sequence[Row]
    """[n], of K columns."""
    features: Sequence[Row]
    """[n], of FEATURES columns."""
    scores: Vector
    """[n], 0 to 1."""

    def offsets(self, rates: Vector) -> list[float]:
        """[n]: log odds of success by the kinds alone, at these rates of each."""
        return [logit(kinds.times(rates)) for kinds in self.kinds]


def fit_residuals(samples: Mapping[str, Sample], rates: Rates) -> dict[str, Residual]:
    """For each model that has one: the residual that predicts held-back outcomes best."""
    common = _fit_common(samples, rates)
    residuals = {}
    for model, sample in samples.items():
        if len(sample.scores) >= RESIDUAL_FROM:
            residual = _fit_own(model, sample, rates, common)
        else:
            residual = None if common is None else common.residual.times(common.share)
        if residual is not None and (residual.bias or any(residual.weights)):
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
    answers, scores, offsets = [0] * len(at), [0.0] * len(at), [0.0] * len(at)
    features = [_NOTHING] * len(at)
    for model, sample in samples.items():
        its = sample.offsets(rates(model, sample.kinds, sample.scores))
        for request, row, score, offset in zip(sample.requests, sample.features, sample.scores, its, strict=True):
            place = at[request]
            answers[place] += 1
            scores[place] += score
            offsets[place] += offset
            features[place] = row
    scores = [score / count for score, count in zip(scores, answers, strict=True)]
    offsets = [offset / count for offset, count in zip(offsets, answers, strict=True)]
    held_out = [0.0] * len(at)
    for fold in range(FOLDS):
        seen, held = _seen(len(at), fold), range(fold, len(at), FOLDS)
        fitted = fit_logistic(_of(features, seen), _of(offsets, seen), _of(scores, seen), COMMON_PENALTY)
        for place in held:
            held_out[place] = fitted.of(features[place])
    share = min(SHARES, key=lambda share: log_loss(_moved(offsets, share, held_out), scores))
    residual = fit_logistic(features, offsets, scores, COMMON_PENALTY)
    return _Common(residual, share, dict(zip(at, held_out, strict=True)))


# ---- what is hard for one -------------------------------------------------------------------------------------------


def _fit_own(model: str, sample: Sample, rates: Rates, common: _Common | None) -> Residual | None:
    told = [0.0] * len(sample.scores)
    if common is not None:
        told = [common.held_out[request] for request in sample.requests]
    folds = _Folds(model, sample, rates, told)
    shares = SHARES if common is not None else (0.0,)
    _, of_common, penalty, share = min(
        (loss + (WORTHWHILE if share else 0), of_common, penalty, share)
        for of_common, penalty in product(shares, OWN_PENALTIES)
        for share, loss in zip(SHARES, folds.losses(of_common, penalty), strict=True)
    )
    offsets = _plus(sample.offsets(rates(model, sample.kinds, sample.scores)), of_common, told)
    own = fit_logistic(sample.features, offsets, sample.scores, penalty).times(share)
    return own if common is None else own.plus(common.residual.times(of_common))


class _Folds:
    """The outcomes of one model, each fold held back in turn: its rates and residual know only the others."""

    def __init__(self, model: str, sample: Sample, rates: Rates, told: Vector) -> None:
        self._sample = sample
        self._told = told
        self._parts = []
        size = len(sample.scores)
        for fold in range(FOLDS if size <= MOST_CROSS_VALIDATED else 1):
            seen = _seen(size, fold)
            offsets = sample.offsets(rates(model, _of(sample.kinds, seen), _of(sample.scores, seen)))
            self._parts.append((seen, [not each for each in seen], offsets))

    def losses(self, of_common: float, penalty: float) -> list[float]:
        """The mean log loss on what was held back, for each of `SHARES` of the own residual."""
        sample, losses = self._sample, [0.0] * len(SHARES)
        for seen, held, base in self._parts:
            offsets = _plus(base, of_common, self._told)
            fitted = fit_logistic(_of(sample.features, seen), _of(offsets, seen), _of(sample.scores, seen), penalty)
            corrections = list(map(fitted.of, _of(sample.features, held)))
            for number, share in enumerate(SHARES):
                moved = _moved(_of(offsets, held), share, corrections)
                losses[number] += log_loss(moved, _of(sample.scores, held))
        return [loss / len(self._parts) for loss in losses]


_NOTHING = Row.of((), ())


def _seen(size: int, fold: int) -> list[bool]:
    """[size]: what is not in the fold."""
    return [at % FOLDS != fold for at in range(size)]


def _of(all_of: Sequence[T], chosen: Sequence[bool]) -> list[T]:
    return list(compress(all_of, chosen))


def _plus(numbers: Vector, times: float, others: Vector) -> list[float]:
    return [number + times * other for number, other in zip(numbers, others, strict=True)]


def _moved(offsets: Vector, share: float, corrections: Vector) -> list[float]:
    """Probabilities."""
    return list(map(expit, _plus(offsets, share, corrections)))


# ---- fitting --------------------------------------------------------------------------------------------------------


def fit_logistic(features: Sequence[Row], offsets: Vector, scores: Vector, penalty: float) -> Residual:
    """A logistic regression on top of `offsets`, with `penalty` · |weights|² / 2.

    By L-BFGS (Nocedal 1980, two-loop recursion), deterministic; scores may be anything from 0 to 1.
    """
    table, base, goal = Table(features, FEATURES), array("d", offsets), array("d", scores)
    pull = array("d", [penalty] * FEATURES + [1.0])  # the level has its own, weak prior

    def gradient(point: Numbers) -> tuple[float, Numbers]:
        odds, bias = table.times(point), point[-1]
        surprise, above = missed(array("d", [told + by + bias for told, by in zip(odds, base, strict=True)]), goal)
        pulled = array("d", map(mul, pull, point))
        slope = table.turned_times(above)
        slope.append(sum(above))
        add(slope, 1.0, pulled)
        return surprise + dot(pulled, point) / 2, slope

    point = _minimise(gradient, zeros(FEATURES + 1))
    return Residual(array("f", point[:-1]), point[-1])


_MEMORY = 8
"""Steps that the curvature is told from."""
_MOST_STEPS = 60
_TOLERANCE = 1e-5
"""A step that gains less than this part of the loss is the last."""


def _minimise(gradient: Objective, start: Numbers) -> Numbers:
    point, (loss, slope) = start, gradient(start)
    history: list[tuple[Numbers, Numbers]] = []
    for _ in range(_MOST_STEPS):
        towards = _scaled(slope, history)  # the direction, turned round
        step, descent = 1.0, -dot(towards, slope)
        while True:  # Armijo's rule; the problem is convex and smooth, so it ends
            candidate = _sum(point, -step, towards)
            new_loss, new_slope = gradient(candidate)
            if new_loss <= loss + 1e-4 * step * descent or step < 1e-6:
                break
            step /= 2
        history = [*history[-_MEMORY + 1 :], (_sum(candidate, -1.0, point), _sum(new_slope, -1.0, slope))]
        gained, point, loss, slope = loss - new_loss, candidate, new_loss, new_slope
        if gained <= _TOLERANCE * max(abs(loss), 1.0):
            break
    return point


def _scaled(slope: Numbers, history: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """The slope times the inverse curvature, as far as the last steps show it."""
    pairs = [(moved, turned, dot(moved, turned)) for moved, turned in history]
    pairs = [pair for pair in pairs if pair[2] > 1e-12]
    result, shares = slope[:], []
    for moved, turned, curved in reversed(pairs):
        share = dot(moved, result) / curved
        shares.append(share)
        add(result, -share, turned)
    if pairs:
        _, turned, curved = pairs[-1]
        size = curved / dot(turned, turned)
    else:
        size = 1 / max(math.sqrt(dot(slope, slope)), 1.0)
    result = array("d", [number * size for number in result])
    for (moved, turned, curved), share in zip(pairs, reversed(shares), strict=True):
        add(result, share - dot(turned, result) / curved, moved)
    return result


def _sum(one: Numbers, times: float, other: Numbers) -> Numbers:
    result = one[:]
    add(result, times, other)
    return result


# ---- small mathematics ----------------------------------------------------------------------------------------------


def expit(odds: float) -> float:
    """Log odds → probability; odds beyond what a float can hold are certainty, not an overflow."""
    return 1 / (1 + math.exp(-max(odds, -700.0)))


def logit(probability: float) -> float:
    """Probability → log odds; kept away from certainty."""
    kept = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(kept / (1 - kept))


def log_loss(probabilities: Vector, scores: Vector) -> float:
    """Mean surprise, in nats, at scores from 0 to 1."""
    surprise = 0.0
    for probability, score in zip(probabilities, scores, strict=True):
        kept = min(max(probability, 1e-6), 1 - 1e-6)
        surprise -= score * math.log(kept) + (1 - score) * math.log(1 - kept)
    return surprise / len(scores)
