"""Scores that can be taken at their word, and floors that keep a promise.

*A score becomes a probability* by Platt's sigmoid (1999) or by isotonic regression (pool adjacent violators, Ayer et
al., 1955), whichever has the lower log loss on outcomes held back from it: the first needs few outcomes, the second
takes any rising shape.

*A promise* ("match gpt-4.1 within 2 %") is kept by a floor on the probability of success. Floors are tried from the
strictest down, and the last one before the first failure is taken: tested in a fixed order, none of them needs a
correction for the others ("Learn then Test", Angelopoulos et al., 2021). A floor passes when the lower bound of what
the promise leaves is not below zero: a one-sided bootstrap bound of the mean, with one worst case added to the sample,
so that "never in n" is not taken for "never": the bound is then the rule of three (Hanley and Lippman-Hand, 1983).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.decision.evaluation import MATCHED, IntArray
from routewright.decision.odds import FloatArray, expit, log_loss, logit

FLOORS = np.linspace(1, 0, 201)
"""Strictest first. At 1, everything goes to the model that is most probably right."""
BOUND_SAMPLES = 2_000
FOLDS = 5
_SMOOTHING = 1.0
"""Of how many made-up outcomes, half of them good, each end of an isotonic curve knows: no certainty from a few."""


class Platt(Struct, frozen=True):
    """Score → probability, by a sigmoid of the score's log odds."""

    slope: float
    bias: float

    def of(self, scores: FloatArray) -> FloatArray:
        """[n] scores, 0 to 1 → [n] probabilities."""
        return np.asarray(expit(self.slope * logit(scores) + self.bias))


class Isotonic(Struct, frozen=True, eq=False):
    """Score → probability, by a rising curve through points, straight between them and level beyond them."""

    scores: FloatArray
    probabilities: FloatArray

    def of(self, scores: FloatArray) -> FloatArray:
        """[n] scores → [n] probabilities."""
        return np.interp(scores, self.scores, self.probabilities)


Calibration: TypeAlias = Platt | Isotonic


def fit_platt(scores: FloatArray, outcomes: FloatArray) -> Platt:
    """The sigmoid of the least log loss, by Newton's method; its bias and slope are drawn a little to the identity."""
    odds = logit(scores)
    point, pull = np.array([1.0, 0.0]), np.array([1.0, 0.1])
    columns = np.stack([odds, np.ones_like(odds)], axis=1)
    for _ in range(25):
        expected = expit(columns @ point)
        slope = columns.T @ (expected - outcomes) + pull * (point - [1.0, 0.0])
        curve = (columns.T * (expected * (1 - expected))) @ columns + np.diag(pull)
        step = np.linalg.solve(curve, slope)
        point = point - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return Platt(float(point[0]), float(point[1]))


def fit_isotonic(scores: FloatArray, outcomes: FloatArray) -> Isotonic:
    """The rising curve of the least squared distance, by pooling adjacent violators."""
    order = np.argsort(scores, kind="stable")
    blocks: list[tuple[float, float, float]] = []
    """(sum of outcomes, how many, sum of scores), each block's mean above that of the one before."""
    for score, outcome in zip(scores[order].tolist(), outcomes[order].tolist(), strict=True):
        blocks.append((outcome, 1.0, score))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last, before = blocks.pop(), blocks.pop()
            blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    good, many, said = np.array(blocks).T
    means = (good + _SMOOTHING / 2) / (many + _SMOOTHING)
    return Isotonic(said / many, np.maximum.accumulate(means))


def fit_calibration(scores: FloatArray, outcomes: FloatArray) -> Calibration:
    """Of both the one that predicts held-back outcomes better, fitted to all of them; [n] each, n at least 1.

    Rows are held back in turn, every fifth; with fewer than two folds' worth of them it is the sigmoid.
    """
    platt, isotonic = fit_platt(scores, outcomes), fit_isotonic(scores, outcomes)
    if len(scores) < 2 * FOLDS:
        return platt
    folds = np.arange(len(scores)) % FOLDS
    losses = np.zeros(2)
    for fold in range(FOLDS):
        held = folds == fold
        for at, fit in enumerate(_FITS):
            losses[at] += log_loss(fit(scores[~held], outcomes[~held]).of(scores[held]), outcomes[held])
    return platt if losses[0] <= losses[1] else isotonic


_FITS: tuple[Callable[[FloatArray, FloatArray], Calibration], ...] = (fit_platt, fit_isotonic)


# ---- promises -----------------------------------------------------------------------------------------------------


class Promise(Struct, frozen=True):
    """As good as `model` (a column), but for a share of its success, with this confidence."""

    model: int
    within: float
    confidence: float = 0.95


class Kept(Struct, frozen=True, kw_only=True):
    """The lowest floor that keeps a promise, and what it brings. Costs are USD a prompt."""

    floor: float
    quality: float
    promised: float
    """The quality that was promised: (1 - within) × the model's."""
    slack: float
    """Lower bound, at the promise's confidence, of how far the quality stays above what was promised."""
    cost: float
    model_cost: float
    """What everything would cost at the promise's model."""
    shares: tuple[float, ...]
    """Of the prompts, by model."""
    prompts: int

    @property
    def saved(self) -> float:
        """Share of the model's cost; may be negative."""
        return 1 - self.cost / self.model_cost if self.model_cost else 0.0


def threshold_for(
    promise: Promise,
    success: FloatArray,
    expected_cost: FloatArray,
    scores: FloatArray,
    costs: FloatArray,
    rng: np.random.Generator,
) -> Kept | None:
    """The lowest floor that keeps the promise on these prompts; None when none does, or none saves anything.

    All arrays are [n, m], without nan: what was expected of each model, and what came. The prompts must not be those
    that the expectations were learned from.
    """
    prompts, models = scores.shape
    rows = np.arange(prompts)
    counts = rng.multinomial(prompts + 1, np.full(prompts + 1, 1 / (prompts + 1)), size=BOUND_SAMPLES).astype(float)
    target = (1 - promise.within) * scores[:, promise.model]
    lowest, before = None, np.full(prompts, -1)
    for floor in FLOORS.tolist():
        choices = choices_at(floor, success, expected_cost)
        if lowest is not None and (choices == before).all():
            lowest = replace(lowest, floor=floor)
            continue
        before = choices
        left = scores[rows, choices] - target
        worst = 0.0 if (choices == promise.model).all() else -(1 - promise.within)
        means = counts @ np.append(left, worst) / (prompts + 1)
        bound = float(np.quantile(means, 1 - promise.confidence, method="lower"))
        if bound < -MATCHED:
            break
        lowest = Kept(
            floor=floor,
            quality=float(scores[rows, choices].mean()),
            promised=float(target.mean()),
            slack=bound,
            cost=float(costs[rows, choices].mean()),
            model_cost=float(costs[:, promise.model].mean()),
            shares=tuple((np.bincount(choices, minlength=models) / prompts).tolist()),
            prompts=prompts,
        )
    return lowest if lowest is not None and lowest.saved > 0 else None


def choices_at(floor: float, success: FloatArray, cost: FloatArray) -> IntArray:
    """[n]: the cheapest model whose success [n, m] reaches the floor; where none does, the one that comes nearest."""
    reaches = success >= floor
    cheapest = np.argmin(np.where(reaches, cost, np.inf), axis=1)
    return np.asarray(np.where(reaches.any(axis=1), cheapest, np.argmax(success, axis=1)))
