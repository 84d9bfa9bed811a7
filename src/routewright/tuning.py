"""What the ledger proposes: logged decisions with what came of them → the cheapest policy that keeps a promise.

Every policy of a finite family decides the same requests anew, by what was known of each when it came. What its choices
scored is told in one of two ways:

* *compared*: where the baseline's answer to a request was judged and those of all models that take part (shadows and
  judges see to that), scores are as observed;
* *weighted*: where the first choice was drawn by chance (`policy.exploration`), a judged answer stands for those that
  were not seen: what was expected of the model, corrected by the error where it was seen, divided by the chance of it.

Only requests that a policy decides count: those for `auto` that say neither tier nor quality. Costs are those that were
expected when the request came, for every model alike.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.catalog.registry import Registry
from routewright.decision.eligibility import Finding, Obstacle
from routewright.decision.evaluation import FloatArray, IntArray
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.intent import CLASSIFIED, UPWARDS, Match, intent_of
from routewright.decision.promise import Found, Pledge, Trials, fewest_outcomes, find, is_choosing
from routewright.decision.ranking import rank
from routewright.errors import TooFewOutcomes
from routewright.ledger.experience import Logged
from routewright.money import NANO
from routewright.policies.overlay import NOTHING, Applied, applied
from routewright.route import Candidate, Route
from routewright.settings import Settings
from routewright.settings.schema import Overlay

FLOORS = tuple(round(0.3 + at / 100, 2) for at in range(70))
"""Of the probability of a good answer."""
WITHIN = tuple(round(at / 100, 2) for at in range(41))
"""How much less probable a good answer may be than the baseline's."""
MOST_OF_A_CHAIN = 5
"""Models that tiers are shared out among."""
MOST_REQUESTS = 20_000
"""The latest; older ones say less of today's traffic."""
FEWEST = 8
"""With fewer requests nothing at all can be said."""

How = Literal["compared", "weighted"]


class Outcomes(Struct, frozen=True, eq=False, kw_only=True):
    """What is known of some models on the same n requests, oldest first."""

    how: How
    routes: tuple[Route, ...]
    models: tuple[str, ...]
    """Those that take part, the baseline first."""
    scores: FloatArray
    """[n, m]: as observed, or so in the mean; 0 where a model could not take the request."""
    costs: FloatArray
    """[n, m], USD."""
    rarest: float
    """The least probability with which any of the scores was to be seen."""


class Proposal(Struct, frozen=True, kw_only=True):
    """What came of it."""

    baseline: str
    pledge: Pledge
    how: How
    models: tuple[str, ...]
    overlay: Overlay | None
    """What to change; None when nothing can be promised."""
    found: Found
    fewest: int
    """Outcomes without which nothing could be promised of any policy."""
    tried: int
    """Policies that choose differently."""
    shares: Mapping[str, float]
    """Of the requests, by model, under the proposal; empty without one."""
    shares_now: Mapping[str, float]
    """The same under the policy in force."""
    saving_now: float
    """Of that policy: share of the baseline's cost."""


def propose(
    logged: Iterable[Logged], settings: Settings, registry: Registry, *, baseline: str, pledge: Pledge, now: Overlay
) -> Proposal:
    """The cheapest policy that keeps the promise; `now` is what is in force over the settings.

    Raises TooFewOutcomes when there is next to nothing to compare with the baseline.
    """
    outcomes = outcomes_of(logged, baseline)
    rows = np.arange(len(outcomes.routes))
    family = list(_family(outcomes.scores[is_choosing(rows)], outcomes, settings))
    replay = _Replay(outcomes, settings, registry)
    choices: dict[bytes, tuple[Overlay, IntArray]] = {}
    for overlay in family:
        chosen = replay.choices(overlay)
        choices.setdefault(chosen.tobytes(), (overlay, chosen))
    overlays = [overlay for overlay, _ in choices.values()]
    chosen_by = np.array([chosen for _, chosen in choices.values()])
    trials = Trials(
        scores=outcomes.scores[rows, chosen_by],
        costs=outcomes.costs[rows, chosen_by],
        baseline_scores=outcomes.scores[:, 0],
        baseline_costs=outcomes.costs[:, 0],
        worst=1 / outcomes.rarest - pledge.within,
    )
    found = find(trials, pledge)
    shares_now, cost_now = replay.in_force(now)
    return Proposal(
        baseline=baseline,
        pledge=pledge,
        how=outcomes.how,
        models=outcomes.models,
        overlay=None if found.policy is None else _without_all(overlays[found.policy], registry),
        found=found,
        fewest=fewest_outcomes(pledge, found.baseline_quality),
        tried=len(overlays),
        shares={} if found.policy is None else _shares(chosen_by[found.policy], outcomes.models),
        shares_now=shares_now,
        saving_now=1 - cost_now / max(float(outcomes.costs[:, 0].sum()), 1e-12),
    )


def _without_all(overlay: Overlay, registry: Registry) -> Overlay:
    """Whoever takes part is named only where that leaves somebody out."""
    everybody = {model.name for model in registry.models.values() if model.deployments}
    return replace(overlay, models=()) if everybody <= set(overlay.models) else overlay


def _shares(chosen: IntArray, models: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(chosen, minlength=len(models)) / len(chosen)
    return {model: round(float(share), 4) for model, share in zip(models, counts, strict=True) if share}


# ---- what is known --------------------------------------------------------------------------------------------------


def outcomes_of(logged: Iterable[Logged], baseline: str) -> Outcomes:
    """What can be compared with the baseline; of both ways the one with more requests. Raises TooFewOutcomes."""
    decided = [each for each in logged if _is_decided(each) and _can_answer(each.route, baseline)]
    compared = _shared(decided, baseline, _judged)
    weighted = _shared(decided, baseline, _possible)
    rows, models = max(compared, weighted, key=lambda found: len(found[0]) if len(found[1]) > 1 else 0)
    if len(models) < 2 or len(rows) < FEWEST:
        raise TooFewOutcomes(
            f"of {len(decided):,} requests that a policy decides, {len(rows) if len(models) > 1 else 0} have judged "
            f"answers of {baseline} to compare others with",
            hint="have answers judged beside the baseline's (shadow), or draw some first choices by chance "
            "(policy.exploration) and send feedback",
        )
    rows = rows[-MOST_REQUESTS:]
    how: How = "compared" if models is compared[1] else "weighted"
    candidates = [{each.model: each for each in row.route.candidates} for row in rows]
    scores, rarest = _observed(rows, models) if how == "compared" else _corrected(rows, candidates, models)
    return Outcomes(
        how=how,
        routes=tuple(row.route for row in rows),
        models=models,
        scores=scores,
        costs=np.array([[_cost(its.get(model)) for model in models] for its in candidates]),
        rarest=rarest,
    )


def _is_decided(logged: Logged) -> bool:
    asked = logged.route.asked
    if asked is None or not logged.is_replayable:
        return False
    says_so_itself = asked.tier is not None or asked.min_quality is not None or asked.background
    return asked.model in CLASSIFIED and not says_so_itself


def _can_answer(route: Route, model: str) -> bool:
    return any(each.model == model and not each.hindrance for each in route.candidates)


def _judged(logged: Logged) -> Set[str]:
    """Whose answers were; one alone compares nothing."""
    return logged.scores.keys() if len(logged.scores) > 1 else set()


def _possible(logged: Logged) -> Set[str]:
    """Who could have been the first choice, if there was chance in it and something came of it."""
    propensities = logged.propensities
    return propensities.keys() if logged.score is not None and len(propensities) > 1 else set()


def _shared(
    decided: Sequence[Logged], baseline: str, known: Callable[[Logged], Set[str]]
) -> tuple[list[Logged], tuple[str, ...]]:
    """Requests that tell of the baseline and of the same other models, where those could answer at all.

    A model that would cost more than half of the requests is left out.
    """
    rows = [(each, known(each)) for each in decided]
    rows = [(each, its) for each, its in rows if baseline in its]
    fewest, models = len(rows) / 2, [baseline]
    for model, _ in Counter(model for _, its in rows for model in its if model != baseline).most_common():
        left = [(each, its) for each, its in rows if model in its or not _can_answer(each.route, model)]
        if len(left) >= fewest:
            rows = left
            models.append(model)
    return [each for each, _ in rows], tuple(models)


def _observed(rows: Sequence[Logged], models: Sequence[str]) -> tuple[FloatArray, float]:
    return np.array([[row.scores.get(model, 0.0) for model in models] for row in rows]), 1.0


def _corrected(
    rows: Sequence[Logged], candidates: Sequence[Mapping[str, Candidate]], models: Sequence[str]
) -> tuple[FloatArray, float]:
    """Doubly robust (Dudík et al., 2011): what was expected, and its error where that was seen, weighted."""
    scores = np.array([[_success(its.get(model)) for model in models] for its in candidates])
    rarest = min(row.propensities[model] for row in rows for model in models if model in row.propensities)
    for at, row in enumerate(rows):
        if row.first_choice in models and row.score is not None:
            column = models.index(row.first_choice)
            scores[at, column] += (row.score - scores[at, column]) / row.propensity
    return scores, rarest


def _success(candidate: Candidate | None) -> float:
    if candidate is None or candidate.hindrance:
        return 0.0
    return 0.5 if candidate.success is None else candidate.success


def _cost(candidate: Candidate | None) -> float:
    return 0.0 if candidate is None else (candidate.expected_cost_nanousd or 0) / NANO


# ---- which policies -------------------------------------------------------------------------------------------------


def _family(choosing: FloatArray, outcomes: Outcomes, settings: Settings) -> Iterator[Overlay]:
    """Floors, matches, and tiers shared out among the models that none beats in both quality and cost.

    `choosing` are the scores of the requests that may be looked at for it. Tiers are no matter where the settings ask
    for a quality, and so are not proposed there.
    """
    models = outcomes.models
    for floor in FLOORS:
        yield Overlay(min_quality=floor, caution=0.0, models=models)
    for within in WITHIN:
        yield Overlay(quality=Match(models[0], within), caution=0.0, models=models)
    policy = settings.policy
    if policy.quality is None and policy.min_quality is None and policy.success_value_usd is None:
        chain = _chain(choosing.mean(axis=0), outcomes.costs.mean(axis=0), models)
        for shared_out in combinations_with_replacement(chain, len(UPWARDS)):
            yield _with_tiers(shared_out)


def _chain(scores: FloatArray, costs: FloatArray, models: Sequence[str]) -> list[str]:
    """The models that none beats in both, the cheapest first."""
    chain: list[int] = []
    for at in np.lexsort((-scores, costs)).tolist():
        if not chain or scores[at] > scores[chain[-1]]:
            chain.append(at)
    return [models[at] for at in (*chain[: MOST_OF_A_CHAIN - 1], *chain[MOST_OF_A_CHAIN - 1 :][-1:])]


def _with_tiers(shared_out: Sequence[str]) -> Overlay:
    """A model for each tier, upwards. It stands in the highest that it serves: from those below, the way is up.

    Who fails is stood in for by the next stronger one, and at the end by weaker ones.
    """
    used = list(dict.fromkeys(shared_out))
    return Overlay(
        models=tuple(used),
        tiers=dict(zip(shared_out, UPWARDS, strict=True)),
        fallbacks={model: (*used[at + 1 :], *used[:at][::-1]) for at, model in enumerate(used)},
    )


# ---- deciding anew --------------------------------------------------------------------------------------------------


class _Replay:
    """The same requests, decided by other policies."""

    def __init__(self, outcomes: Outcomes, settings: Settings, registry: Registry) -> None:
        self._outcomes = outcomes
        self._settings = settings
        self._registry = registry
        self._column = {model: at for at, model in enumerate(outcomes.models)}
        self._forecasts = [_forecast(route) for route in outcomes.routes]

    def choices(self, overlay: Overlay) -> IntArray:
        """[n]: the column of the model that comes first; the overlay lets only those take part that have one."""
        decided = applied(self._settings.policy.name, overlay, self._settings, self._registry)
        return np.array([self._column[name] for name in self._firsts(decided)], np.intp)

    def in_force(self, overlay: Overlay) -> tuple[dict[str, float], float]:
        """Shares by model, and the cost of all in USD, of any policy."""
        decided = applied(self._settings.policy.name, overlay, self._settings, self._registry)
        names = list(self._firsts(decided))
        costs = (
            next((_cost(each) for each in route.candidates if each.model == name), 0.0)
            for route, name in zip(self._outcomes.routes, names, strict=True)
        )
        counted = Counter(names).most_common()
        return {name: round(count / len(names), 4) for name, count in counted}, sum(costs)

    def _firsts(self, decided: Applied) -> Iterator[str]:
        for route, forecast in zip(self._outcomes.routes, self._forecasts, strict=True):
            yield _first_choice(route, forecast, decided)


def _forecast(route: Route) -> Forecast | None:
    """What was expected then."""
    told = {
        each.model: Expectation(each.success, each.doubt or 0.0, each.outcomes, each.output_tokens or 0, 1.0)
        for each in route.candidates
        if each.success is not None
    }
    return Forecast(told) if told else None


def _first_choice(route: Route, forecast: Forecast | None, decided: Applied) -> str:
    policy, registry = decided.policy, decided.registry
    assert route.asked is not None, "only such routes are looked at"
    known = {each.model: each for each in route.candidates}
    findings = {
        name: _finding(registry, name, known.get(name), forecast, policy.models) for name in registry.models
    }
    signs = route.session if policy.session_evidence else ()
    intent = intent_of(route.asked, route.verdict, registry, policy, forecast, signs)
    ranking = rank(intent, findings, registry, policy, route.asked.prefers_reasoning)
    return next(iter(ranking.eligible))


def _finding(
    registry: Registry, name: str, candidate: Candidate | None, forecast: Forecast | None, models: Set[str]
) -> Finding:
    model = registry.models[name]
    if candidate is None or candidate.hindrance == "unable" or (models and name not in models):
        return Finding(model, None, Obstacle.CONSTRAINT)
    expectation = None if forecast is None else forecast.of.get(name)
    return Finding(model, candidate.expected_cost_nanousd, None, candidate.hindrance, expectation)
