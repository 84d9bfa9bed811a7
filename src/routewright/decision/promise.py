"""A policy that keeps a promise: "at most 2 % worse than always-opus, with 95 % confidence", proven on outcomes.

What a promise *leaves* of an outcome is the score of the policy's choice, less (1 - within) of the baseline's for the
same request; it is kept when that is not below zero in the mean. Of a finite family of policies the cheapest is wanted
whose promise can be proven ("Learn then Test", Angelopoulos et al., 2021):

*One quarter of the outcomes chooses*: it puts those policies in order that nobody beats in both quality and cost, the
safest first. *The others test*, in that order, until the first that fails: tested in an order that was fixed before,
none needs a correction for the others, and the chance that any policy passes that breaks its promise stays below one
less the confidence.

*The test is a bet* (Waudby-Smith and Ramdas, 2023): somebody who stakes a part of his capital on every outcome cannot
hope to gain while the promise is broken, so that capital reaches 1 / (1 - confidence) with a chance of no more than
(1 - confidence), for any number of outcomes and any distribution (Ville, 1939). How much is staked is reckoned anew
from what is still to be won and how many outcomes are left ("STaR-Bets", Voracek and Orabona, 2025).

*Assumed* is that outcomes are drawn alike and independently of each other, as those of the traffic to come are; that
which of them are known was not decided by how they turned out; and, where they are weighted, that the weights are
right. What changes afterwards is what `pledge.Watch` is for.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.decision.evaluation import IntArray, Measure
from routewright.decision.odds import FloatArray
from routewright.decision.pledge import Pledge

CHOOSING_EVERY = 4
"""Every fourth outcome chooses. Fewer put the policies in a worse order, more leave the test too little: of a tenth, a
fifth, three tenths and a half, the two in the middle saved most on recorded outcomes."""
STAKES = 200
"""How often the stake is reckoned anew."""
BOLDEST = 0.9
"""At most so much of the capital can be lost by one outcome."""
LIKELY = 0.84
"""In standard deviations: a number of outcomes is named with which the test passes four times in five."""
Z_95 = 1.96


class Trials(Struct, frozen=True, eq=False, kw_only=True):
    """What k policies' choices scored on n requests, and what the baseline did, in the order in which they came.

    A score is 0 to 1 as observed, or weighted: then it is that in the mean, and `worst` says how far it goes.
    """

    scores: FloatArray
    """[k, n]."""
    costs: FloatArray
    """[k, n], USD."""
    baseline_scores: FloatArray
    """[n]."""
    baseline_costs: FloatArray
    """[n], USD."""
    worst: float = 1.0
    """How far below zero what the promise leaves of an outcome can be."""


class Found(Struct, frozen=True, kw_only=True):
    """The answer: which policy, and what it brings."""

    policy: int | None
    """Its row in the trials; None when of none the promise could be proven."""
    saving: Measure | None
    """Share of the baseline's cost, with a 95 % interval of the normal kind; None without a policy."""
    quality: float | None
    """Mean score of its choices; None likewise."""
    baseline_quality: float
    outcomes: int
    needed: int | None
    """Without a policy: about how many outcomes the likeliest one needs; None when none seems to keep the promise and
    save anything, however many there were."""


def is_choosing(rows: IntArray) -> NDArray[np.bool_]:
    """Which of these places in the order of outcomes choose; a family of policies may be made of them, and no other."""
    return np.asarray(rows % CHOOSING_EVERY == 0)


def find(trials: Trials, pledge: Pledge) -> Found:
    """The cheapest policy of which the promise can be proven. Needs two outcomes or more."""
    rows = np.arange(trials.scores.shape[1])
    chooses = is_choosing(rows)
    order = _in_order(trials, chooses, pledge)
    left = left_of(pledge, trials.scores[order], trials.baseline_scores)
    passed = proven(left[:, ~chooses], pledge, worst=trials.worst, before=left[:, chooses])
    policy = _last_before_failure(order, passed)
    saving = None if policy is None else _saving(trials.costs[policy, ~chooses], trials.baseline_costs[~chooses])
    if saving is not None and saving.value <= 0:
        policy = saving = None
    return Found(
        policy=policy,
        saving=saving,
        quality=None if policy is None else float(trials.scores[policy].mean()),
        baseline_quality=float(trials.baseline_scores.mean()),
        outcomes=len(rows),
        needed=None if policy is not None else _needed(trials, pledge),
    )


def left_of(pledge: Pledge, scores: FloatArray, baseline: FloatArray) -> FloatArray:
    """What the promise leaves of outcomes, [..., n]; above zero where more was given than promised."""
    return np.asarray(scores - (1 - pledge.within) * baseline)


def _in_order(trials: Trials, chooses: NDArray[np.bool_], pledge: Pledge) -> IntArray:
    """Those that save something and are beaten by none in both quality and cost, the best first, by some outcomes."""
    left = left_of(pledge, trials.scores[:, chooses], trials.baseline_scores[chooses]).mean(axis=1)
    costs = trials.costs[:, chooses].mean(axis=1)
    cheapest, order = trials.baseline_costs[chooses].mean(), []
    for policy in np.lexsort((costs, -left)).tolist():
        if costs[policy] < cheapest:
            cheapest = costs[policy]
            order.append(policy)
    return np.array(order, np.intp)


def proven(left: FloatArray, pledge: Pledge, *, worst: float, before: FloatArray) -> NDArray[np.bool_]:
    """[k]: of which `left` [k, n], as it came, shows that their mean is not below zero.

    None of it is below -worst. `before` [k, m] are others of the same kind, by which the first stakes are reckoned.
    """
    policies, outcomes = left.shape
    worst = max(worst, 1e-9)
    # one outcome at its worst is believed in beforehand: "never in ten" is not taken for "never"
    squares, seen = (before**2).sum(axis=1) + worst**2, before.shape[1] + 1
    capital, is_proven = np.zeros(policies), np.zeros(policies, np.bool_)
    for start, end in _between(outcomes):
        spread = np.sqrt(squares / seen * (outcomes - start))
        stake = np.minimum(np.sqrt(2 * np.maximum(pledge.goal - capital, 0)) / spread, BOLDEST / worst)
        path = capital[:, None] + np.cumsum(np.log1p(stake[:, None] * left[:, start:end]), axis=1)
        is_proven |= path.max(axis=1) >= pledge.goal
        capital = path[:, -1]
        squares, seen = squares + (left[:, start:end] ** 2).sum(axis=1), seen + end - start
    return is_proven


def _between(outcomes: int) -> Sequence[tuple[int, int]]:
    edges = np.unique(np.linspace(0, outcomes, min(STAKES, outcomes) + 1).astype(int)).tolist()
    return list(pairwise(edges))


def _last_before_failure(order: IntArray, passed: NDArray[np.bool_]) -> int | None:
    failed = np.flatnonzero(~passed)
    until = int(failed[0]) if len(failed) else len(order)
    return int(order[until - 1]) if until else None


def _saving(costs: FloatArray, baseline: FloatArray) -> Measure:
    """One less the ratio of two means, and its interval by the delta method."""
    paid = baseline.mean()
    ratio = costs.mean() / paid if paid else 1.0
    half = Z_95 * float(np.std((costs - ratio * baseline) / paid)) / math.sqrt(len(costs)) if paid else 0.0
    return Measure(float(1 - ratio), float(1 - ratio - half), float(1 - ratio + half))


# ---- how many outcomes it takes -------------------------------------------------------------------------------------


def _needed(trials: Trials, pledge: Pledge) -> int | None:
    """Of the policy that saves something and needs the fewest, by what is seen of it so far.

    One standard error is taken off, but no more than half, as the best of many looks better than it is.
    """
    saves = trials.costs.mean(axis=1) < trials.baseline_costs.mean()
    left = left_of(pledge, trials.scores[saves], trials.baseline_scores)
    squares = (left**2).mean(axis=1)
    seen = left.mean(axis=1)
    means = np.maximum(seen - np.sqrt(squares / left.shape[1]), seen / 2)
    needs = [
        outcomes_for(mean, square, pledge, worst=trials.worst)
        for mean, square in zip(means.tolist(), squares.tolist(), strict=True)
        if mean > 0
    ]
    return min(needs, default=None)


def outcomes_for(mean: float, square: float, pledge: Pledge, *, worst: float) -> int:
    """About how many outcomes prove a promise that leaves `mean` (above 0), and `square` in the mean square."""
    by_spread = (math.sqrt(2 * pledge.goal) + LIKELY) ** 2 * square / mean**2
    by_stakes = pledge.goal / math.log1p(BOLDEST / max(worst, 1e-9) * mean)
    return math.ceil(max(by_spread, by_stakes) * CHOOSING_EVERY / (CHOOSING_EVERY - 1))


def fewest_outcomes(pledge: Pledge, baseline_quality: float) -> int | None:
    """Without so many nothing can be proven even of a policy that is as good as the baseline on every request; None
    where that can never be, as nothing may be lost, or nothing is good."""
    mean = pledge.within * baseline_quality
    if not mean:
        return None
    by_stakes = pledge.goal / math.log1p(BOLDEST / (1 - pledge.within) * mean)
    return math.ceil(by_stakes * CHOOSING_EVERY / (CHOOSING_EVERY - 1))
