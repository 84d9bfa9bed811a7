"""Logged decisions under another policy: replayed, valued, and what is missing for a value said."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.catalog.registry import Registry
from routewright.decision.artefact import Artefact
from routewright.decision.backtest import Estimate, IntArray, Replayed, Resampler, Truths, Valuation, value_of
from routewright.decision.expectation import Expectation
from routewright.decision.forecast import Lessons
from routewright.decision.intent import Policy
from routewright.decision.learned import kinds_row
from routewright.decision.odds import FloatArray
from routewright.decision.replay import Replay, replay
from routewright.ledger.billing import priced_usage
from routewright.ledger.experience import Logged
from routewright.ledger.ledger import NANOSECONDS

FEWEST_DECISIONS = 2
"""One alone varies from nothing."""
FEWEST_SCORED = 50
"""Fewer outcomes say nothing of a quality."""
FEWEST_ANSWERS = 10
"""Of a model, before what its answers cost corrects what was expected of them."""
FOLDS = 5
_NORMAL = 1.96
"""Standard deviations of a normal interval, for the small part of one that is not resampled."""


class World(Struct, frozen=True):
    """A policy over a catalog."""

    name: str
    policy: Policy
    registry: Registry


class Line(Struct, frozen=True, kw_only=True):
    """One model, or all of a tier: how often it is the first choice now and under the other policy."""

    name: str
    tier: str
    now: float
    """Share of the decisions, as they were made."""
    then: float
    cost_then_nanousd: int
    """Of a request that goes there, as expected."""
    scored: int
    """Outcomes of requests of which it was the first choice."""
    score_now: float | None
    """Their mean; None without any."""


class Comparison(Struct, frozen=True, kw_only=True):
    """One other policy beside what was done. Costs are nano-USD a request, scores from 0 to 1."""

    name: str
    policy: str
    """Its version, and that of the catalog."""
    catalog: str
    requests: int
    """Replayed: all figures of cost are of these."""
    unreplayed: Mapping[str, int]
    """Why a decision was not replayed → how many."""
    same: float
    """Share of the requests whose usual choice stays the same."""
    scored: int
    """Of these, with an outcome: all figures of quality are of them."""
    cost_now: Estimate
    cost: Valuation
    quality_now: Estimate | None
    """None with too few outcomes, as in the next field."""
    quality: Valuation | None
    guessed: tuple[str, ...]
    """Models of which too few answers are known to say what one costs: as priced and as long as expected, no better."""
    models: tuple[Line, ...]
    tiers: tuple[Line, ...]

    @property
    def saved(self) -> float:
        """Share of what was paid."""
        return 1 - self.cost.best.value / self.cost_now.value if self.cost.best and self.cost_now.value else 0.0


class Backtest(Struct, frozen=True, kw_only=True):
    """Other policies beside what was done."""

    decisions: int
    agreement: float | None
    """Of the decisions made by the present policy and catalog, how many a replay makes alike; None without any."""
    comparisons: tuple[Comparison, ...]


def backtest(
    logged: Sequence[Logged], now: World, others: Sequence[World], artefact: Artefact | None, *, seed: int
) -> Backtest:
    """What other policies would have cost on these decisions, and how good they would have been.

    `artefact` says what to expect of models that are new; None when nobody can say.
    """
    return Backtest(
        decisions=len(logged),
        agreement=_agreement(logged, now, artefact),
        comparisons=tuple(found for world in others if (found := _compare(logged, now, world, artefact, seed))),
    )


def _replays(
    logged: Sequence[Logged], now: World, world: World, artefact: Artefact | None
) -> tuple[list[tuple[Logged, Replay]], Counter[str]]:
    """What can be replayed, and why the rest cannot."""
    replayed, reasons = [], Counter[str]()
    for each in logged:
        found = replay(
            each.route,
            world.policy,
            world.registry,
            before=now.registry,
            now_s=each.at_ns // NANOSECONDS,
            newcomers=_newcomers(each, world.registry, artefact),
        )
        if isinstance(found, Replay):
            replayed.append((each, found))
        else:
            reasons[found.reason] += 1
    return replayed, reasons


def _newcomers(logged: Logged, registry: Registry, artefact: Artefact | None) -> Mapping[str, Expectation]:
    """What the artefact expects of models that the route does not know."""
    verdict, known = logged.route.verdict, {each.model for each in logged.route.candidates}
    if artefact is None or verdict is None or known >= registry.models.keys():
        return {}
    kinds = kinds_row(artefact, verdict.kinds)
    if kinds is None:
        return {}
    prior, tokens = Lessons.none(artefact).evidence, round(kinds.times(artefact.output_tokens))
    found = {}
    for name in registry.models.keys() - known:
        means, doubts = prior.posterior(name, registry.models[name].tier)
        doubt = math.sqrt(kinds.times([its**2 for its in doubts]))
        found[name] = Expectation(kinds.times(means), doubt, 0, tokens, waste=1.0)
    return found


def _agreement(logged: Sequence[Logged], now: World, artefact: Artefact | None) -> float | None:
    ours = [
        each
        for each in logged
        if each.route.policy == now.policy.version and each.route.catalog == now.registry.version
    ]
    replayed, _ = _replays(ours, now, now, artefact)
    alike = [_usual(row.propensities) == _usual(it.propensities) for row, it in replayed]
    return sum(alike) / len(alike) if alike else None


def _usual(propensities: Mapping[str, float]) -> str:
    return max(propensities, key=propensities.__getitem__)


# ---- one other policy ----------------------------------------------------------------------------------------------


class _Table(Struct, frozen=True, eq=False):
    """The replayed decisions as arrays: n rows, m models."""

    rows: Sequence[Logged]
    models: Sequence[str]
    actions: IntArray
    logging: FloatArray
    target: FloatArray
    success: FloatArray
    """[n, m]: expected when it was decided; nan where nobody said."""
    costs: FloatArray
    """[n, m]: expected of each under the other policy, nano-USD; 0 where it cannot take the request."""
    paid: FloatArray
    """[n]: what the request did cost, at the other prices."""


def _compare(
    logged: Sequence[Logged], now: World, world: World, artefact: Artefact | None, seed: int
) -> Comparison | None:
    """None when fewer than two decisions can be replayed."""
    replayed, reasons = _replays(logged, now, world, artefact)
    if len(replayed) < FEWEST_DECISIONS:
        return None
    table = _table(replayed, now.registry, world.registry)
    billed = np.array([row.cost_nanousd for row in table.rows], np.float64)
    every = Resampler(len(billed), seed)
    cost, expected, guessed = _cost(table, billed, every)
    scores = np.array([np.nan if row.score is None else row.score for row in table.rows])
    is_scored = ~np.isnan(scores)
    quality = quality_now = None
    if is_scored.sum() >= FEWEST_SCORED:
        some = Resampler(int(is_scored.sum()), seed)
        quality = value_of(_judged(table, scores, is_scored), table.models, some, bounds=(0, 1))
        quality_now = some.mean(scores[is_scored])
    models = _lines(table, expected, scores, world.registry)
    return Comparison(
        name=world.name,
        policy=world.policy.version,
        catalog=world.registry.version,
        requests=len(billed),
        unreplayed=dict(reasons),
        same=float(np.mean(table.logging.argmax(axis=1) == table.target.argmax(axis=1))),
        scored=int(is_scored.sum()),
        cost_now=every.mean(billed),
        cost=cost,
        quality_now=quality_now,
        quality=quality,
        guessed=guessed,
        models=models,
        tiers=_by_tier(models),
    )


def _table(replayed: Sequence[tuple[Logged, Replay]], before: Registry, after: Registry) -> _Table:
    names = sorted({name for row, it in replayed for name in (*row.propensities, *it.propensities)})
    at = {name: place for place, name in enumerate(names)}
    shape = len(replayed), len(names)
    logging, target, costs = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    success = np.full(shape, np.nan)
    for number, (row, it) in enumerate(replayed):
        for name, propensity in row.propensities.items():
            logging[number, at[name]] = propensity
        for name, propensity in it.propensities.items():
            target[number, at[name]] = propensity
        for name, cost in it.costs.items():
            if name in at:
                costs[number, at[name]] = cost or 0
        for candidate in row.route.candidates:
            if candidate.model in at and candidate.success is not None:
                success[number, at[candidate.model]] = candidate.success
    return _Table(
        rows=[row for row, _ in replayed],
        models=names,
        actions=np.array([at[row.first_choice] for row, _ in replayed]),
        logging=logging,
        target=target,
        success=success,
        costs=costs,
        paid=np.array([_paid(row, before, after) for row, _ in replayed], np.float64),
    )


def _paid(row: Logged, before: Registry, after: Registry) -> int:
    """What a request would have cost with the same answers at other prices."""
    total = row.cost_nanousd
    for answer in row.answers:
        old, new = before.models.get(answer.model), after.models.get(answer.model)
        if answer.cost_nanousd is None or old is None or new is None or new.tariff is None or old.tariff == new.tariff:
            continue
        moment = answer.at_ns // NANOSECONDS
        total += priced_usage(new.tariff, answer.usage, moment, answer.service_tier) - answer.cost_nanousd
    return total


def _judged(table: _Table, scores: FloatArray, is_scored: Truths) -> Replayed:
    """The rows with an outcome."""
    known = np.full(table.logging.shape, np.nan)
    for number, row in enumerate(table.rows):
        for place, name in enumerate(table.models):
            if name in row.scores and name != row.model:
                known[number, place] = row.scores[name]
    known[np.arange(len(scores)), table.actions] = scores
    expected = _with_means(table.success[is_scored], table.actions[is_scored], scores[is_scored])
    return Replayed(
        actions=table.actions[is_scored],
        logging=table.logging[is_scored],
        target=table.target[is_scored],
        outcomes=scores[is_scored],
        expected=expected,
        known=known[is_scored],
    )


def _with_means(success: FloatArray, actions: IntArray, scores: FloatArray) -> FloatArray:
    """The forecasts; where there was none, the model's mean score in the other folds, drawn to that of all models.

    A forecast needs no folds: it was made before the outcome.
    """
    filled = success.copy()
    folds = np.arange(len(scores)) % FOLDS
    for fold in range(FOLDS):
        others, mine = folds != fold, folds == fold
        mean = scores[others].mean()
        for place in range(success.shape[1]):
            its = scores[others & (actions == place)]
            believed = (its.sum() + FEWEST_ANSWERS * mean) / (len(its) + FEWEST_ANSWERS)
            filled[mine, place] = np.where(np.isnan(success[mine, place]), believed, success[mine, place])
    return filled


def _cost(table: _Table, billed: FloatArray, resampler: Resampler) -> tuple[Valuation, FloatArray, tuple[str, ...]]:
    """What the other policy costs; what each model would [n, m]; and the models of which that is only guessed.

    What was expected of a model is corrected by what its answers did cost, over all of them: longer or shorter, more
    or less of them cached. How uncertain that factor is widens the interval as far as the estimate rests on it.
    """
    rows = np.arange(len(billed))
    expected, errors, guessed = table.costs.copy(), np.zeros(len(table.models)), []
    for place, name in enumerate(table.models):
        its = (table.actions == place) & (table.costs[:, place] > 0)
        its &= np.array([row.model == name for row in table.rows])
        if its.sum() < FEWEST_ANSWERS:
            guessed.append(place)
            continue
        factor = resampler.ratio(table.paid * its, table.costs[:, place] * its)
        expected[:, place] *= factor.value
        errors[place] = (factor.high - factor.low) / (2 * _NORMAL * factor.value) if factor.value else 0.0
    known = np.full(table.logging.shape, np.nan)
    known[rows, table.actions] = table.paid
    data = Replayed(
        actions=table.actions,
        logging=table.logging,
        target=table.target,
        outcomes=table.paid,
        expected=expected,
        known=known,
    )
    found = value_of(data, table.models, resampler, bounds=None, beside=billed)
    missing = {each.model for each in found.missing}
    modelled = np.array([name in missing for name in table.models])
    doubt = float(np.sqrt(np.sum(((table.target * expected).mean(axis=0) * errors * modelled) ** 2)))
    if found.dr is not None and doubt:
        found = replace(found, dr=_wider(found.dr, doubt), change=found.change and _wider(found.change, doubt))
    names = tuple(table.models[place] for place in guessed if table.target[:, place].any())
    return found, expected, names


def _wider(estimate: Estimate, error: float) -> Estimate:
    """With an error that is independent of its own: half widths add up as squares."""
    value, more = estimate.value, (_NORMAL * error) ** 2
    low, high = value - estimate.low, estimate.high - value
    return Estimate(value, value - float(np.sqrt(low**2 + more)), value + float(np.sqrt(high**2 + more)))


# ---- by model and tier -----------------------------------------------------------------------------------------------


def _lines(table: _Table, expected: FloatArray, scores: FloatArray, registry: Registry) -> tuple[Line, ...]:
    lines = []
    tiers = {each.model: each.tier for row in table.rows for each in row.route.candidates}
    for place, name in enumerate(table.models):
        share = table.target[:, place]
        its = scores[(table.actions == place) & ~np.isnan(scores)]
        tier = registry.models[name].tier if name in registry.models else tiers[name]
        lines.append(
            Line(
                name=name,
                tier=tier,
                now=float(np.mean(table.actions == place)),
                then=float(share.mean()),
                cost_then_nanousd=round(float(share @ expected[:, place] / share.sum())) if share.any() else 0,
                scored=len(its),
                score_now=float(its.mean()) if len(its) else None,
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.then, -line.now)))


def _by_tier(models: Sequence[Line]) -> tuple[Line, ...]:
    lines = []
    for tier in dict.fromkeys(line.tier for line in models):
        its = [line for line in models if line.tier == tier]
        then, scored = sum(line.then for line in its), sum(line.scored for line in its)
        cost = sum(line.then * line.cost_then_nanousd for line in its)
        score = sum(line.scored * (line.score_now or 0.0) for line in its)
        lines.append(
            Line(
                name=tier,
                tier=tier,
                now=sum(line.now for line in its),
                then=then,
                cost_then_nanousd=round(cost / then) if then else 0,
                scored=scored,
                score_now=score / scored if scored else None,
            )
        )
    return tuple(lines)
