"""One evaluation: a table, a learner and the ways to route that it is held against, measured alike.

Learned from is only what the table marks as `train`, measured only on the rest. What a rule may know beforehand (which
model is the cheapest and which the best of those measured on) is given to the baselines for nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from routewright.classifiers import load_artefact
from routewright.cli.failures import BadTable
from routewright.cli.outcome_tables import Table
from routewright.decision.appraisal import Appraiser, Prompt
from routewright.decision.classifier import HeuristicClassifier
from routewright.decision.evaluation import (
    CalibrationReport,
    CurveReport,
    Fitted,
    IntArray,
    Learner,
    Measure,
    Outcomes,
    PairReport,
    calibration_report,
    choices_by_price,
    choices_by_threshold,
    complete,
    curve_report,
    merged,
    pair_report,
    resamples,
    stability,
)
from routewright.decision.features import extract_text
from routewright.decision.intent import UPWARDS
from routewright.decision.odds import FloatArray
from routewright.decision.paraphrase import paraphrase

FEWEST_PROMPTS = 10
"""With fewer prompts that all models have answered, nothing is said of a pair or of a curve."""
STABLE_AT = 0.5
"""The share of the best model's cost at which choices are compared with those for paraphrases."""

LEARNED, SCORE, HEURISTIC, LENGTH, RANDOM = "learned", "score", "heuristic", "prompt length", "random"
FIXED = "fixed mixture"
"""The best that can be done without a look at the prompt: whole models, or a coin tossed between two of them."""
CHEAPEST, STRONGEST, ORACLE = "always cheapest", "always strongest", "oracle"

Score: TypeAlias = Callable[[Sequence[str]], FloatArray]
"""Texts → [n] probability that the strong model is needed, without having seen the table."""
Tick: TypeAlias = Callable[[], object]


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be evaluated."""

    seed: int = 1
    pair: tuple[str, str] | None = None
    outcomes: int | None = None
    """Learn from so many prompts of the train rows; None for all, 0 for what is believed beforehand."""
    draws: int = 1
    """How often they are drawn anew."""
    paraphrases: int = 0
    """How many of each prompt."""
    samples: int = 200
    """For the intervals."""

    @property
    def steps(self) -> int:
        """How often `evaluate` ticks for a table."""
        return self.draws + self.paraphrases + 1


class Router(Struct, frozen=True, kw_only=True):
    """One way to route, as far as it could be measured."""

    name: str
    pair: PairReport | None = None
    curve: CurveReport | None = None


class Result(Struct, frozen=True, kw_only=True):
    """All that was measured on one table."""

    table: str
    train: int
    """Prompts that were learned from, in each draw."""
    dev: int
    models: tuple[str, ...]
    best: str | None
    """The best single model; None when too few prompts were answered by all models."""
    best_quality: float = msgspec.field(default=float("nan"))
    weak: str
    strong: str
    pair_prompts: int
    """Measured on; so many have scores of both."""
    curve_prompts: int
    routers: tuple[Router, ...]
    calibration: CalibrationReport | None
    pair_stability: Measure | None = None
    choice_stability: Measure | None = None
    notes: tuple[str, ...] = ()


def learner_of(artefact: Path | None) -> Appraiser:
    """The one that the gateway learns with, from this artefact or the one that ships. Raises ArtefactError."""
    return Appraiser(load_artefact(artefact))


def evaluate(table: Table, learner: Learner, score: Score, plan: Plan, tick: Tick = lambda: None) -> Result:
    """Learn from the train rows, measure on the others. Raises BadTable when there is nothing to measure."""
    weak, strong = table.pair(plan.pair)
    fits = []
    train = _drawn(table, plan)
    for rows in train:
        fits.append(_Fit(table, learner, rows))
        tick()
    experiment = _Experiment(table, fits, score, plan, (weak, strong))
    routers, notes = experiment.routers(), experiment.notes()
    if not routers and experiment.calibration() is None:
        raise BadTable(f"{table.name} has no scores in the rows to measure on")
    tick()
    pair_stability, choice_stability = experiment.stabilities(tick)
    best = experiment.outcomes.best if experiment.outcomes is not None else None
    return Result(
        table=table.name,
        train=len(train[0]),
        dev=len(table.dev),
        models=table.models,
        best=None if best is None else table.models[best],
        best_quality=float("nan") if experiment.outcomes is None else float(experiment.outcomes.scores[:, best].mean()),
        weak=weak,
        strong=strong,
        pair_prompts=int(experiment.in_pair.sum()),
        curve_prompts=int(experiment.in_curve.sum()),
        routers=routers,
        calibration=experiment.calibration(),
        pair_stability=pair_stability,
        choice_stability=choice_stability,
        notes=notes,
    )


def _drawn(table: Table, plan: Plan) -> list[IntArray]:
    """The rows to learn from, draw by draw."""
    if plan.outcomes is None or plan.outcomes >= len(table.train):
        return [table.train] * plan.draws
    rng = np.random.default_rng((plan.seed, 1))
    return [np.sort(rng.choice(table.train, plan.outcomes, replace=False)) for _ in range(plan.draws)]


class _Fit:
    """What was learned in one draw, with the table's mean cost where the learner knows none: prices are no secret."""

    def __init__(self, table: Table, learner: Learner, rows: IntArray) -> None:
        self._models = table.models
        train = table.costs[table.train]
        is_known = ~np.isnan(train)
        with np.errstate(invalid="ignore"):
            self._mean_costs = np.where(is_known, train, 0).sum(axis=0) / is_known.sum(axis=0)
        self._fitted: Fitted = learner.fit(
            [table.prompts[row] for row in rows.tolist()],
            {model: table.scores[rows, at] for at, model in enumerate(table.models)},
            {model: table.costs[rows, at] for at, model in enumerate(table.models)},
        )

    def expectations(self, prompts: Sequence[Prompt]) -> tuple[FloatArray, FloatArray]:
        """Success and cost, [n, m] each; no nan, unless the table has no cost of a model."""
        cost = self._fitted.cost(prompts, self._models)
        return self._fitted.success(prompts, self._models), np.where(np.isnan(cost), self._mean_costs, cost)


def expectations(table: Table, learner: Learner) -> tuple[FloatArray, FloatArray]:
    """What is expected of the rows to measure on, [n, m] each, having learned from all the others."""
    dev = [table.prompts[row] for row in table.dev.tolist()]
    return _Fit(table, learner, table.train).expectations(dev)


class _Experiment:
    """The rows to measure on, with what every way to route says of them."""

    def __init__(self, table: Table, fits: Sequence[_Fit], score: Score, plan: Plan, pair: tuple[str, str]) -> None:
        rows = table.dev
        self._plan, self._fits = plan, fits
        self._rng = np.random.default_rng((plan.seed, 2))
        self._prompts = [table.prompts[row] for row in rows.tolist()]
        self._texts = table.texts(rows)
        self._scores, self._costs = table.scores[rows], table.costs[rows]
        self._weak, self._strong = (table.column(model) for model in pair)
        self.in_pair = complete(self._scores[:, [self._weak, self._strong]])
        self.in_curve = complete(self._scores, self._costs)
        self.outcomes = None
        if self.in_curve.sum() >= FEWEST_PROMPTS:
            self.outcomes = Outcomes(self._scores[self.in_curve], self._costs[self.in_curve])
        self._expected = [fit.expectations(self._prompts) for fit in fits]
        self._rankings = {} if self._texts is None else _rankings(self._texts, score)

    def notes(self) -> tuple[str, ...]:
        """What could not be measured, and why."""
        notes = []
        if self._texts is None:
            notes.append("some prompts are known by a sketch only: nothing that reads texts could be measured")
        if self.in_pair.sum() < FEWEST_PROMPTS:
            notes.append(f"only {int(self.in_pair.sum())} prompts have scores of both models: the pair is left out")
        if self.outcomes is None:
            notes.append(
                f"only {int(self.in_curve.sum())} prompts have scores and costs of all models: the curve is left out"
            )
        return tuple(notes)

    def routers(self) -> tuple[Router, ...]:
        """All ways to route, the learned one first."""
        pairs, curves = self._pairs(), self._curves()
        return tuple(
            Router(name=name, pair=pairs.get(name), curve=curves.get(name)) for name in dict.fromkeys([*curves, *pairs])
        )

    def calibration(self) -> CalibrationReport | None:
        """Of the learned probabilities, over all models."""
        if np.isnan(self._scores).all():
            return None
        weights = self._weights(len(self._prompts))
        reports = [calibration_report(success, self._scores, weights) for success, _ in self._expected]
        return CalibrationReport(
            ece=merged([each.ece for each in reports]),
            brier=merged([each.brier for each in reports]),
            predictions=reports[0].predictions,
        )

    def stabilities(self, tick: Tick) -> tuple[Measure | None, Measure | None]:
        """Of the learned choices: for the pair, at half of the calls to each; for all, at `STABLE_AT`."""
        if not self._plan.paraphrases or self._texts is None:
            return None, None
        rng = np.random.default_rng((self._plan.seed, 3))
        success, cost = self._expected[0]
        others = []
        for _ in range(self._plan.paraphrases):
            others.append(self._fits[0].expectations([paraphrase(text, rng) for text in self._texts]))
            tick()
        weights = self._weights(len(self._prompts))
        ranking = self._ranking(success)
        middle = float(np.median(ranking))
        sides = [(self._ranking(each) > middle).astype(np.intp) for each, _ in others]
        pair = stability((ranking > middle).astype(np.intp), sides, weights)
        if self.outcomes is None:
            return pair, None
        price = self._price_at(STABLE_AT)
        chosen = [choices_by_price(each, other)[price] for each, other in [(success, cost), *others]]
        return pair, stability(chosen[0], chosen[1:], weights)

    def _price_at(self, cost_share: float) -> int:
        """Which of the prices of quality comes nearest to this share of the best model's cost."""
        assert self.outcomes is not None
        success, cost = self._expected[0]
        choices = choices_by_price(success, cost)[:, self.in_curve]
        paid = self.outcomes.costs[np.arange(choices.shape[1]), choices].mean(axis=1)
        return int(np.argmin(np.abs(paid - cost_share * self.outcomes.costs[:, self.outcomes.best].mean())))

    def _ranking(self, success: FloatArray) -> FloatArray:
        return np.asarray(success[:, self._strong] - success[:, self._weak])

    def _weights(self, prompts: int) -> FloatArray:
        return resamples(np.random.default_rng((self._plan.seed, 4)), prompts, self._plan.samples)

    def _pairs(self) -> dict[str, PairReport]:
        if self.in_pair.sum() < FEWEST_PROMPTS:
            return {}
        weak, strong = self._scores[self.in_pair, self._weak], self._scores[self.in_pair, self._strong]
        weights = self._weights(len(weak))
        learned = [self._ranking(success) for success, _ in self._expected]
        rankings = {LEARNED: learned} | {name: [ranking] for name, ranking in self._rankings.items()}
        rankings[RANDOM] = [np.zeros(len(self._prompts))]
        rankings[ORACLE] = [self._scores[:, self._strong] - self._scores[:, self._weak]]
        return {
            name: _merged_pairs([pair_report(each[self.in_pair], weak, strong, weights) for each in its])
            for name, its in rankings.items()
        }

    def _curves(self) -> dict[str, CurveReport]:
        outcomes = self.outcomes
        if outcomes is None:
            return {}
        weights = self._weights(len(outcomes.scores))
        expected = [(success[self.in_curve], cost[self.in_curve]) for success, cost in self._expected]
        ends = np.repeat([[outcomes.cheapest], [outcomes.best]], len(outcomes.scores), axis=1)
        choices = {LEARNED: [choices_by_price(*each) for each in expected]}
        for name, ranking in self._rankings.items():
            choices[name] = [choices_by_threshold(ranking[self.in_curve], outcomes.cheapest, outcomes.best)]
        models = np.arange(outcomes.scores.shape[1])[:, np.newaxis]
        choices[FIXED] = [np.repeat(models, len(outcomes.scores), axis=1)]
        choices |= {RANDOM: [ends], CHEAPEST: [ends[:1]], STRONGEST: [ends[1:]]}
        choices[ORACLE] = [choices_by_price(outcomes.scores, outcomes.costs)]
        return {
            name: _merged_curves([curve_report(each, outcomes, weights) for each in its])
            for name, its in choices.items()
        }


def _rankings(texts: Sequence[str], score: Score) -> dict[str, FloatArray]:
    """What needs no training: how much each text is in need of the strong model, [n] each."""
    classify = HeuristicClassifier().classify
    tiers = [UPWARDS.index(classify(extract_text(text)).tier) for text in texts]
    return {
        SCORE: np.asarray(score(texts), np.float64),
        HEURISTIC: np.array(tiers, np.float64),
        LENGTH: np.array([len(text) for text in texts], np.float64),
    }


def _merged_pairs(reports: Sequence[PairReport]) -> PairReport:
    return PairReport(
        apgr=merged([each.apgr for each in reports]),
        cpt50=merged([each.cpt50 for each in reports]),
        cpt80=merged([each.cpt80 for each in reports]),
        recovered=tuple(np.mean([each.recovered for each in reports], axis=0).tolist()),
    )


def _merged_curves(reports: Sequence[CurveReport]) -> CurveReport:
    """The means of the figures; the curve itself is that of the first draw."""
    return CurveReport(
        cost_to_match=merged([each.cost_to_match for each in reports]),
        quality_25=merged([each.quality_25 for each in reports]),
        quality_50=merged([each.quality_50 for each in reports]),
        gain_points=merged([each.gain_points for each in reports]),
        gap_closed=merged([each.gap_closed for each in reports]),
        cost_shares=reports[0].cost_shares,
        qualities=reports[0].qualities,
    )
