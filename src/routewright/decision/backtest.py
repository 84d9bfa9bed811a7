"""What another policy would have been worth on logged decisions: estimates with intervals, or what is missing for one.

Four estimators, each with what it takes for granted:

* *direct replay*: the mean over the choices of the other policy whose outcome is known. All of them: no assumption. A
  part of them: that the rest is like that part, which is why it is then shown, and never believed.
* *inverse propensity* (IPS; Horvitz and Thompson, 1952): outcomes weigh as many times as the other policy would have
  made the choice more often than it was made. Unbiased where every choice of the other policy had a chance.
* *self-normalised* (SNIPS; Swaminathan and Joachims, 2015): the same over the sum of weights; a little biased, and far
  less scattered, as it does not move when all outcomes do.
* *doubly robust* (DR; Dudík et al., 2011): what is expected of each choice, corrected by the weighted errors of that.
  Unbiased as IPS is, however wrong the expectation, if that was formed without the outcome; the better it is, the less
  scatter.

Intervals are studentised bootstraps (Efron, 1981; Hall, 1988): the resamples' own standard errors take in the skew that
weights bring, which a normal interval does not, while an empirical-Bernstein bound (Maurer and Pontil, 2009) holds for
any distribution and so is two to three times as wide as need be. That one is taken where a bootstrap sees nothing:
where all but a few terms are alike, as with a model that never failed in 40 requests.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from routewright.decision.odds import FloatArray, expit, logit

IntArray = NDArray[np.int64]
Truths = NDArray[np.bool_]

FEWEST_EFFECTIVE = 50.0
"""Choices that were the rarer ones need so many effective requests behind them, all together: below, intervals cover
less than they say."""
FEWEST_OF_MODEL = 10.0
"""And each model among them so many: nobody would say anything of a model by fewer."""
MOST_MISSING = 0.05
"""So much of the other policy's choices may be without data: the interval takes the worst and the best for them."""
USUAL = 0.5
"""A choice that was made with at least this probability is its own evidence: its weight is at most 2."""
RESAMPLES = 1_000
MOST_UNITS = 1_000
"""More rows than that are resampled in so many random batches: a sum of few is as good a unit as one."""
FEWEST_UNLIKE = 10
"""With fewer terms that differ from the commonest one, a bootstrap does not see what may happen."""
CONFIDENCE = 0.95
_ROUNDING = 1e-9


class Replayed(Struct, frozen=True, eq=False, kw_only=True):
    """n logged choices among m models, beside what another policy would choose."""

    actions: IntArray
    """[n]: what was chosen."""
    logging: FloatArray
    """[n, m]: how probable each choice was."""
    target: FloatArray
    """[n, m]: how probable the other policy makes it; rows sum to 1."""
    outcomes: FloatArray
    """[n]: what came of the choice that was made."""
    expected: FloatArray
    """[n, m]: what was expected of each choice, formed without `outcomes` of the same row."""
    known: FloatArray
    """[n, m]: outcomes of any model that are known; nan for all else."""


class Estimate(Struct, frozen=True):
    """A mean, with an interval that covers it in 95 of 100 cases."""

    value: float
    low: float
    high: float


class Missing(Struct, frozen=True, kw_only=True):
    """A model on which there is not enough data."""

    model: str
    share: float
    """Of the other policy's choices, which are this model without enough data."""
    seen: int
    """How often it was tried where it was not the usual choice."""
    effective: float
    """To how many requests of equal weight those come."""


class Valuation(Struct, frozen=True, kw_only=True):
    """What another policy is worth, by each estimator that can say so."""

    rows: int
    direct: Estimate | None
    direct_share: float
    """Of the other policy's choices, those whose outcome is known."""
    ips: Estimate | None
    snips: Estimate | None
    dr: Estimate | None
    effective: float
    """Effective sample size: to how many requests of equal weight the weighted ones come."""
    missing: tuple[Missing, ...]
    missing_share: float
    by: str
    """Which one to believe: `direct`, `dr`, or empty for none."""
    change: Estimate | None = None
    """By that one, how much more it is than what is beside it, row by row; None where nothing is."""

    @property
    def best(self) -> Estimate | None:
        """The one to believe; None when there is not enough data."""
        return {"direct": self.direct, "dr": self.dr}.get(self.by)


# ---- intervals ------------------------------------------------------------------------------------------------------


class Resampler:
    """Resamples of n rows, the same for every estimate of one backtest."""

    def __init__(self, rows: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._units = min(rows, MOST_UNITS)
        self._unit_of = rng.permutation(rows) % self._units
        # as ratios of sums need no fixed size, units may be counted apart: as good, and quicker to draw
        self._counts = rng.poisson(1.0, (RESAMPLES, self._units)).astype(np.float64)

    def ratio(self, above: FloatArray, below: FloatArray, *, as_odds: bool = False) -> Estimate:
        """Σ above / Σ below, [n] each, with its interval; n must be at least 2, and a part of `below` above 0.

        `as_odds` is for a share, which an outcome moves the less the nearer it is to 0 or 1: the interval is then that
        of its log odds, within 0 and 1 and closer to what it says.
        """
        if _unlike(above, below) < FEWEST_UNLIKE:
            return _bernstein(above, below)
        a, b = (np.bincount(self._unit_of, each, self._units) for each in (above, below))
        columns = np.stack([a, b, a * a, a * b, b * b], axis=1)
        ratio, error = _ratio(columns.sum(axis=0, keepdims=True), self._units)
        ratios, errors = _ratio(self._counts @ columns, self._units)
        value = float(ratio[0])
        is_told = errors > 0
        if as_odds and 0 < value < 1:
            is_told &= (ratios > 0) & (ratios < 1)
            ratios, errors = logit(ratios[is_told]), _odds_error(ratios[is_told], errors[is_told])
            middle, width = float(logit(ratio)[0]), float(_odds_error(ratio, error)[0])
            low, high = _studentised(middle, width, (ratios - middle) / errors)
            return Estimate(value, float(expit(low)), float(expit(high)))
        return Estimate(value, *_studentised(value, float(error[0]), (ratios[is_told] - value) / errors[is_told]))

    def mean(self, values: FloatArray) -> Estimate:
        """Of [n] values."""
        return self.ratio(values, np.ones_like(values))


def _studentised(value: float, error: float, pivots: FloatArray) -> tuple[float, float]:
    least, most = np.quantile(pivots, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return value - float(most) * error, value - float(least) * error


def _odds_error(ratio: FloatArray, error: FloatArray) -> FloatArray:
    """Standard errors of log odds, from those of the ratios, which are between 0 and 1."""
    return np.asarray(error / (ratio * (1 - ratio)))


def _ratio(sums: FloatArray, units: int) -> tuple[FloatArray, FloatArray]:
    """Of rows of Σa, Σb, Σa², Σab, Σb²: Σa / Σb, and its standard error by linearisation; 0 and 0 without any b."""
    a, b, aa, ab, bb = sums.T
    below = np.where(b > 0, b, np.inf)
    ratio = a / below
    squares = np.maximum(aa - 2 * ratio * ab + ratio**2 * bb, 0.0) * units / (units - 1)
    return ratio, np.sqrt(squares) / below


def _unlike(above: FloatArray, below: FloatArray) -> int:
    """How many of the terms that count differ from the commonest."""
    counting = above[below > 0] / below[below > 0]
    _, counts = np.unique(np.round(counting, 9), return_counts=True)
    return int(counts.sum() - counts.max()) if len(counts) else 0


def _bernstein(above: FloatArray, weights: FloatArray) -> Estimate:
    """Empirical-Bernstein bounds, over the effective number of terms, in a range that an outcome of 0 or 1 has."""
    total = weights.sum()
    value = float(above.sum() / total)
    effective = max(float(total**2 / (weights @ weights)), 2.0)
    alone = np.divide(above, weights, out=np.full_like(weights, value), where=weights > 0)
    variance = float(weights @ (alone - value) ** 2 / total)
    reach = max(1.0, float(np.ptp(alone)))
    doubt = np.log(4 / (1 - CONFIDENCE))
    width = float(np.sqrt(2 * variance * doubt / effective) + 7 * reach * doubt / (3 * (effective - 1)))
    return Estimate(value, value - width, value + width)


# ---- what there is to go by ----------------------------------------------------------------------------------------


def effective_size(weights: FloatArray) -> float:
    """To how many of equal weight these come (Kish, 1965); 0 for none."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def weights_of(data: Replayed) -> FloatArray:
    """[n]: how many times as often the other policy would have made the choice that was made."""
    rows = np.arange(len(data.actions))
    return np.asarray(data.target[rows, data.actions] / data.logging[rows, data.actions])


def support_of(data: Replayed, models: Sequence[str]) -> tuple[Truths, tuple[Missing, ...]]:
    """[n, m]: for which choices of the other policy there is enough data; and the models where there is not.

    There is for a choice that was the usual one; and for one that was rarer, if such choices were tried often enough,
    counted with their weights: `FEWEST_EFFECTIVE` of all, `FEWEST_OF_MODEL` of the model.
    """
    rows = np.arange(len(data.actions))
    weights, is_rare = weights_of(data), (data.logging > 0) & (data.logging < USUAL)
    tried = is_rare[rows, data.actions] & (weights > 0)
    is_enough = effective_size(weights[tried]) >= FEWEST_EFFECTIVE
    has_data, missing = data.logging >= USUAL, []
    for at, model in enumerate(models):
        its = tried & (data.actions == at)
        effective = effective_size(weights[its])
        if is_enough and effective >= FEWEST_OF_MODEL:
            has_data[:, at] |= is_rare[:, at]
        share = float(data.target[~has_data[:, at], at].sum()) / len(rows)
        if share > 0:
            missing.append(Missing(model=model, share=share, seen=int(its.sum()), effective=round(effective, 1)))
    return has_data, tuple(sorted(missing, key=lambda each: -each.share))


# ---- estimates ------------------------------------------------------------------------------------------------------


def value_of(
    data: Replayed,
    models: Sequence[str],
    resampler: Resampler,
    *,
    bounds: tuple[float, float] | None,
    beside: FloatArray | None = None,
) -> Valuation:
    """What the other policy is worth.

    `bounds` are the least and the most that an outcome can be: choices without data then count as the one below and as
    the other above. Without bounds, they count as what is expected of them. `beside` is what the change is told
    from; without it, the outcomes as they were.
    """
    has_data, missing = support_of(data, models)
    weights = weights_of(data) * has_data[np.arange(len(data.actions)), data.actions]
    unknown = np.where(has_data, 0.0, data.target)
    missing_share = float(unknown.sum(axis=1).mean())
    before = data.outcomes if beside is None else beside
    values, known = _direct(data)
    found = Valuation(
        rows=len(weights),
        direct=_cut(resampler.ratio(values, known), bounds) if known.any() else None,
        direct_share=float(known.mean()),
        ips=None,
        snips=None,
        dr=None,
        effective=effective_size(weights),
        missing=missing,
        missing_share=missing_share,
        by="",
    )
    if bounds is None or missing_share <= MOST_MISSING:
        ends = _ends(unknown, data.expected, bounds)
        robust = doubly_robust(data, weights, has_data)
        weighted = weights * data.outcomes
        share = resampler.ratio(weighted, weights, as_odds=bounds == (0, 1)) if weights.any() else None
        found = replace(
            found,
            ips=_cut(_with(resampler.mean(weighted), ends), bounds),
            snips=share and _cut(_with(share, ends, 1 - missing_share), bounds),
            dr=_cut(_with(resampler.mean(robust), ends), bounds),
            by="dr",
            change=_with(resampler.mean(robust - before), ends),
        )
    if np.all(known > 1 - _ROUNDING):
        found = replace(found, by="direct", change=resampler.mean(values - before))
    return found


def doubly_robust(data: Replayed, weights: FloatArray, has_data: Truths) -> FloatArray:
    """[n]: what is expected of the choices for which there is data, corrected by the weighted error of it."""
    rows = np.arange(len(weights))
    expected = np.where(has_data, data.target * data.expected, 0.0).sum(axis=1)
    return np.asarray(expected + weights * (data.outcomes - data.expected[rows, data.actions]))


def _ends(unknown: FloatArray, expected: FloatArray, bounds: tuple[float, float] | None) -> tuple[float, float, float]:
    """What choices without data add: as expected, at least, at most."""
    share, value = float(unknown.sum(axis=1).mean()), float((unknown * expected).sum(axis=1).mean())
    return (value, value, value) if bounds is None else (value, share * bounds[0], share * bounds[1])


def _with(known: Estimate, ends: tuple[float, float, float], share: float = 1.0) -> Estimate:
    """An estimate over the choices with data, which are this share, and those without."""
    value, low, high = ends
    return Estimate(known.value * share + value, known.low * share + low, known.high * share + high)


def _cut(estimate: Estimate, bounds: tuple[float, float] | None) -> Estimate:
    """No more than can be."""
    if bounds is None:
        return estimate
    value, low, high = (min(max(part, bounds[0]), bounds[1]) for part in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high)


def _direct(data: Replayed) -> tuple[FloatArray, FloatArray]:
    """[n] each: what the other policy's choices came to, as far as that is known, and what share of them it is."""
    known = np.where(np.isnan(data.known), 0.0, data.target)
    return np.asarray((known * np.nan_to_num(data.known)).sum(axis=1)), np.asarray(known.sum(axis=1))
