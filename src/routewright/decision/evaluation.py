"""How well routing decides, measured on recorded outcomes: what a score, a learner or a rule would have reached.

Two questions, as the field asks them. *For a pair* of a weak and a strong model: how much of the gap between them is
recovered, at each share of prompts given to the strong one (RouteLLM: Ong et al., 2024: PGR, APGR, CPT). *For all
models*: which quality is reached at which cost, as the price of quality moves (RouterBench: Hu et al., 2024).

Every measure comes with an interval: prompts are drawn again with replacement (the bootstrap, Efron 1979), by a
generator that the caller seeds. A sample is a row of weights, so that all samples are one matrix product. Scores are 0
to 1, costs USD; a prompt without a score of one of the models that are compared is left out beforehand (`complete`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.decision.appraisal import Prompt
from routewright.decision.odds import FloatArray

IntArray: TypeAlias = NDArray[np.intp]

SHARES = np.linspace(0, 1, 101)
"""Shares of strong calls that the area is taken over."""
ECE_BINS = 15
INTERVAL = (2.5, 97.5)
"""Percentiles of the samples: a 95 % interval."""
PRICES_PER_CURVE = 240
"""How many prices of quality a cost-quality curve is swept over."""
MATCHED = 1e-9
"""Two means of the same scores may differ by as much through the order of their sum."""


class Fitted(Protocol):
    """What was learned: both answers are arrays [n, m], a row a prompt, a column a model."""

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """Probability of a good answer."""
        ...

    def cost(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """Expected USD; nan where that is not known."""
        ...


class Learner(Protocol):
    """Learns from outcomes."""

    def fit(
        self, prompts: Sequence[Prompt], scores: Mapping[str, FloatArray], costs: Mapping[str, FloatArray]
    ) -> Fitted:
        """By model one score and one cost a prompt, nan where there is none. No rows: what is believed beforehand."""
        ...


class Measure(Struct, frozen=True):
    """A figure and its 95 % interval. nan: not defined on these data; infinite: never reached."""

    value: float
    low: float
    high: float


class PairReport(Struct, frozen=True, kw_only=True):
    """How well one way to rank prompts divides them between a weak and a strong model."""

    apgr: Measure
    """Share of the performance gap recovered, mean over all shares of strong calls; 0.5 by chance."""
    cpt50: Measure
    """Least share of strong calls that recovers half of the gap."""
    cpt80: Measure
    recovered: tuple[float, ...]
    """PGR at each of `SHARES`."""


class CurveReport(Struct, frozen=True, kw_only=True):
    """The cost-quality curve of one way to choose among models. The best model is the one of the best mean score."""

    cost_to_match: Measure
    """Least cost at which it is as good as the best model alone, as a share of that model's cost."""
    quality_25: Measure
    """Mean score at 25 % of the best model's cost."""
    quality_50: Measure
    gain_points: Measure
    """Its best mean score less the best model's, in points of 100."""
    gap_closed: Measure
    """The same as a share of what an oracle gains over the best model."""
    cost_shares: tuple[float, ...]
    """The frontier, left to right: costs as shares of the best model's cost ..."""
    qualities: tuple[float, ...]
    """... and mean scores."""


class CalibrationReport(Struct, frozen=True, kw_only=True):
    """How far a probability of success can be taken at its word."""

    ece: Measure
    """Expected calibration error: mean distance between what was said and what came, over bins of equal mass."""
    brier: Measure
    """Mean squared distance to the score."""
    predictions: int


def complete(*columns: FloatArray) -> NDArray[np.bool_]:
    """[n]: which prompts have a value in each of these arrays [n] or [n, m]."""
    is_known = [~np.isnan(each.reshape(len(each), -1)).any(axis=1) for each in columns]
    return np.asarray(np.logical_and.reduce(is_known))


def resamples(rng: np.random.Generator, prompts: int, samples: int) -> FloatArray:
    """[samples + 1, prompts]: how often each prompt is drawn; the first row is the data as they are."""
    drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=samples)
    return np.vstack([np.ones((1, prompts)), drawn]).astype(np.float64)


def measure(values: FloatArray) -> Measure:
    """The first value is the figure; the others, of which undefined ones are left out, are its spread."""
    spread = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(spread):
        return Measure(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(spread, INTERVAL, method="nearest")  # no interpolation: some may be infinite
    return Measure(float(values[0]), float(low), float(high))


def merged(measures: Sequence[Measure]) -> Measure:
    """The mean of a figure over several draws of what was learned from, and an interval that holds all of theirs."""
    if len(measures) == 1:
        return measures[0]
    figures = np.array([(each.value, each.low, each.high) for each in measures])
    known = figures[~np.isnan(figures[:, 0])]
    if not len(known):
        return Measure(float("nan"), float("nan"), float("nan"))
    return Measure(float(known[:, 0].mean()), float(known[:, 1].min()), float(known[:, 2].max()))


# ---- a weak and a strong model ------------------------------------------------------------------------------------


def gap_recovered(ranking: FloatArray, weak: FloatArray, strong: FloatArray, weights: FloatArray) -> FloatArray:
    """[b, 101]: PGR at each of `SHARES`, when the prompts of the highest `ranking` go to the strong model.

    All arrays are [n], weights [b, n]. Prompts of one rank are taken in random order, in expectation: a ranking that
    knows nothing gives the straight line. nan where the strong model is no better than the weak one.
    """
    shares, gains = _gain_curve(ranking, weak, strong, weights)
    gaps = gains[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        recovered = np.array(
            [np.interp(SHARES, share, gain) / gap for share, gain, gap in zip(shares, gains, gaps, strict=True)]
        )
    recovered[gaps <= MATCHED] = np.nan
    return recovered


def pair_report(ranking: FloatArray, weak: FloatArray, strong: FloatArray, weights: FloatArray) -> PairReport:
    """RouteLLM's measures of a ranking [n] of prompts by their need for the strong model; weights of `resamples`."""
    recovered = gap_recovered(ranking, weak, strong, weights)
    return PairReport(
        apgr=measure(np.asarray(np.trapezoid(recovered, SHARES, axis=1))),
        cpt50=measure(_first_share(recovered, 0.5)),
        cpt80=measure(_first_share(recovered, 0.8)),
        recovered=tuple(recovered[0].tolist()),
    )


def _gain_curve(
    ranking: FloatArray, weak: FloatArray, strong: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """[b, ranks + 1] twice: the share of strong calls, and the mean score gained by them, after each rank."""
    order = np.argsort(-ranking, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(ranking[order]) != 0, True))
    counted = weights[:, order]
    shares = np.cumsum(counted, axis=1)[:, ends]
    gains = np.cumsum(counted * (strong - weak)[order], axis=1)[:, ends]
    totals = weights.sum(axis=1, keepdims=True)
    start = np.zeros((len(weights), 1))
    return np.hstack([start, shares / totals]), np.hstack([start, gains / totals])


def _first_share(recovered: FloatArray, target: float) -> FloatArray:
    """[b]: where the curve first reaches the target, between the points of the grid on a straight line."""
    firsts = np.full(len(recovered), np.nan)
    for row, curve in enumerate(recovered):
        reached = np.flatnonzero(curve >= target - MATCHED)
        if len(reached):
            at = int(reached[0])
            before, after = curve[max(at - 1, 0)], curve[at]
            part = (target - before) / (after - before) if after > before else 1.0
            firsts[row] = SHARES[at] - (1 - min(part, 1.0)) * (SHARES[at] - SHARES[max(at - 1, 0)])
    return firsts


# ---- all models ---------------------------------------------------------------------------------------------------


class Outcomes(Struct, frozen=True, eq=False):
    """What each model did with each prompt: scores and costs (USD), [n, m] without nan."""

    scores: FloatArray
    costs: FloatArray

    @property
    def best(self) -> int:
        """The model with the best mean score; of equals the cheapest."""
        quality, cost = self.scores.mean(axis=0), self.costs.mean(axis=0)
        return int(np.lexsort((cost, -quality))[0])

    @property
    def cheapest(self) -> int:
        """The model with the least mean cost."""
        return int(np.argmin(self.costs.mean(axis=0)))


def choices_by_price(success: FloatArray, cost: FloatArray) -> IntArray:
    """[prices, n]: for each price of quality the model with the most success less price × expected cost, [n, m] each.

    Prices (1/USD) go from none, where cost is no matter, to where nothing else is; in geometric steps between.
    """
    positive = cost[cost > 0]
    if not len(positive):
        return np.asarray(np.argmax(success, axis=1)[np.newaxis])
    prices = np.append(0, np.geomspace(1e-3 / positive.max(), 10 / positive.min(), PRICES_PER_CURVE - 1))
    return np.stack([np.argmax(success - price * cost, axis=1) for price in prices])


def choices_by_threshold(ranking: FloatArray, cheap: int, dear: int) -> IntArray:
    """[thresholds, n]: the dear model for the prompts of the highest rank, from none of them to all."""
    thresholds = np.append(np.inf, np.unique(np.quantile(ranking, SHARES, method="inverted_cdf"))[::-1])
    return np.asarray(np.where(ranking >= thresholds[:, np.newaxis], dear, cheap))


def curve_report(choices: IntArray, outcomes: Outcomes, weights: FloatArray) -> CurveReport:
    """What these choices [c, n] reached, each row one setting of a router; weights of `resamples`."""
    rows = np.arange(outcomes.scores.shape[0])
    totals = weights.sum(axis=1, keepdims=True)
    qualities = weights @ outcomes.scores[rows, choices].T / totals
    best = outcomes.best
    best_cost = weights @ outcomes.costs[:, best, np.newaxis] / totals
    costs = weights @ outcomes.costs[rows, choices].T / totals / best_cost
    best_quality = (weights @ outcomes.scores[:, best, np.newaxis] / totals)[:, 0]
    oracle = (weights @ outcomes.scores.max(axis=1)[:, np.newaxis] / totals)[:, 0]
    frontiers = [frontier(cost, quality) for cost, quality in zip(costs, qualities, strict=True)]
    gains = qualities.max(axis=1) - best_quality
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = np.where(oracle - best_quality > MATCHED, gains / (oracle - best_quality), np.nan)
    return CurveReport(
        cost_to_match=measure(
            np.array([cost_at(*curve, target) for curve, target in zip(frontiers, best_quality, strict=True)])
        ),
        quality_25=measure(np.array([quality_at(*curve, 0.25) for curve in frontiers])),
        quality_50=measure(np.array([quality_at(*curve, 0.5) for curve in frontiers])),
        gain_points=measure(100 * gains),
        gap_closed=measure(closed),
        cost_shares=tuple(frontiers[0][0].tolist()),
        qualities=tuple(frontiers[0][1].tolist()),
    )


def frontier(costs: FloatArray, qualities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The upper left edge of points [c]: costs and qualities, both rising, each step flatter than the one before.

    What lies below a line between two points is left out: tossing a coin between these two settings does better.
    RouterBench's non-decreasing convex hull.
    """
    edge: list[tuple[float, float]] = []
    order = np.lexsort((-qualities, costs))
    for cost, quality in zip(costs[order].tolist(), qualities[order].tolist(), strict=True):
        if edge and quality <= edge[-1][1]:
            continue
        while len(edge) > 1 and not _bends_down(edge[-2], edge[-1], (cost, quality)):
            edge.pop()
        edge.append((cost, quality))
    return np.array([cost for cost, _ in edge]), np.array([quality for _, quality in edge])


def _bends_down(start: tuple[float, float], middle: tuple[float, float], end: tuple[float, float]) -> bool:
    """Whether the middle point lies above the line from start to end."""
    return (middle[1] - start[1]) * (end[0] - start[0]) > (end[1] - start[1]) * (middle[0] - start[0])


def quality_at(costs: FloatArray, qualities: FloatArray, budget: float) -> float:
    """The quality of a frontier at a cost: between two of its points their mixture; nan below the cheapest."""
    return float("nan") if budget < costs[0] else float(np.interp(budget, costs, qualities))


def cost_at(costs: FloatArray, qualities: FloatArray, target: float) -> float:
    """The least cost at which a frontier has this quality, by mixture; infinite where it never has."""
    if target > qualities[-1] + MATCHED:
        return float("inf")
    return float(np.interp(target, qualities, costs))


# ---- probabilities, and stability ---------------------------------------------------------------------------------


def calibration_report(said: FloatArray, came: FloatArray, weights: FloatArray) -> CalibrationReport:
    """Probabilities and scores, [n, m] with nan where nothing is known; weights [b, n] of `resamples`.

    An ECE grows with the noise of a sample drawn again, so its spread is moved back by how much it grew on average.
    """
    is_known = ~(np.isnan(said) | np.isnan(came))
    row_of = np.nonzero(is_known)[0]
    probabilities, scores = said[is_known], came[is_known]
    order = np.argsort(probabilities, kind="stable")
    probabilities, scores, row_of = probabilities[order], scores[order], row_of[order]
    squares = (probabilities - scores) ** 2
    counted = [weight[row_of] for weight in weights]
    errors = np.array([_sorted_ece(probabilities, scores, each) for each in counted])
    errors[1:] = np.maximum(errors[1:] - (np.nanmean(errors[1:]) - errors[0]), 0)
    return CalibrationReport(
        ece=measure(errors),
        brier=measure(np.array([each @ squares / each.sum() if each.sum() else np.nan for each in counted])),
        predictions=len(scores),
    )


def calibration_error(probabilities: FloatArray, scores: FloatArray) -> float:
    """ECE of probabilities and scores, [n] each, over `ECE_BINS` bins that hold equally many (Naeini et al., 2015)."""
    order = np.argsort(probabilities, kind="stable")
    return _sorted_ece(probabilities[order], scores[order], np.ones(len(scores)))


def _sorted_ece(probabilities: FloatArray, scores: FloatArray, weights: FloatArray) -> float:
    total = weights.sum()
    if not total:
        return float("nan")
    middles = (np.cumsum(weights) - weights / 2) / total
    bins = np.minimum((middles * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    return float(np.abs(np.bincount(bins, weights * (probabilities - scores), ECE_BINS)).sum() / total)


def stability(choices: IntArray, of_paraphrases: Sequence[IntArray], weights: FloatArray) -> Measure:
    """Share of paraphrases that get the choice of their prompt; choices [n], one array for each set of paraphrases."""
    same = np.mean([choices == each for each in of_paraphrases], axis=0)
    return measure(weights @ same / weights.sum(axis=1))
