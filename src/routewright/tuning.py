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
from routewright.decision.evaluation import IntArray
from routewright.decision.intent import UPWARDS, Match, is_decided
from routewright.decision.odds import FloatArray
from routewright.decision.pledge import Pledge
from routewright.decision.promise import Found, Trials, fewest_outcomes, find, is_choosing
from routewright.decision.replay import Recalled, Replay, Unreplayable, recall
from routewright.errors import ModelNotFound, TooFewOutcomes
from routewright.ledger.experience import Logged
from routewright.ledger.ledger import NANOSECONDS
from routewright.money import NANO
from routewright.policies.overlay import applied, bare_of
from routewright.route import Candidate, Route
from routewright.settings import Settings
from routewright.settings.schema import Overlay
from routewright.text import counted

FLOORS = tuple(round(0.99 - at / 100, 2) for at in range(70))
"""Of the probability of a good answer. Strictest first, as in the next line: of those that choose alike it is taken."""
WITHIN = tuple(round(at / 100, 2) for at in range(41))
"""How much less probable a good answer may be than the baseline's."""
MOST_OF_A_CHAIN = 5
"""Models that tiers are shared out among."""
MOST_REQUESTS = 20_000
"""The latest; older ones say less of today's traffic."""
FEWEST = 8
"""With fewer requests nothing at all can be said."""

_HOW_TO_COMPARE = (
    "have answers judged beside the baseline's (shadow), or draw some first choices by chance (policy.exploration) and "
    "send feedback"
)
How = Literal["compared", "weighted"]


class Outcomes(Struct, frozen=True, eq=False, kw_only=True):
    """What is known of some models on the same n requests, oldest first."""

    how: How
    logged: tuple[Logged, ...]
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
    fewest: int | None
    """Outcomes without which nothing could be promised of any policy; None where no number of them is enough for one
    that is as good on every request."""
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

    Raises ModelNotFound when the baseline is no model that can be called now, and TooFewOutcomes when there is next to
    nothing to compare with it.
    """
    there = {model.name for model in registry.models.values() if model.deployments}
    if baseline not in there:
        raise ModelNotFound(
            f"no model that can be called is named {baseline!r}", hint='name another one: --promise "match MODEL …"'
        )
    outcomes = outcomes_of(logged, baseline, there)
    rows = np.arange(len(outcomes.logged))
    anew = _Replay(outcomes, settings, registry)
    firsts_now = list(anew.firsts(now))
    choices: dict[bytes, tuple[Overlay, IntArray]] = {}
    if set(firsts_now) <= set(outcomes.models):  # what is in force may be good enough
        chosen = anew.columns(firsts_now)
        choices[chosen.tobytes()] = now, chosen
    for overlay in _family(outcomes.scores[is_choosing(rows)], outcomes, settings, bare_of(now)):
        chosen = anew.columns(anew.firsts(overlay))
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
    cost_now = sum(map(_cost_at, outcomes.logged, firsts_now))
    return Proposal(
        baseline=baseline,
        pledge=pledge,
        how=outcomes.how,
        models=outcomes.models,
        overlay=None if found.policy is None else _without_all(overlays[found.policy], there),
        found=found,
        fewest=fewest_outcomes(pledge, found.baseline_quality),
        tried=len(overlays),
        shares={} if found.policy is None else _shares([outcomes.models[at] for at in chosen_by[found.policy]]),
        shares_now=_shares(firsts_now),
        saving_now=1 - cost_now / max(float(outcomes.costs[:, 0].sum()), 1e-12),
    )


def _without_all(overlay: Overlay, everybody: Set[str]) -> Overlay:
    """Whoever takes part is named only where that leaves somebody out."""
    return replace(overlay, models=()) if everybody <= set(overlay.models) else overlay


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: round(count / len(names), 4) for name, count in Counter(names).most_common()}


def baseline_of(logged: Sequence[Logged], settings: Settings) -> str:
    """The model of `policy.baseline`; without it, that which most savings were measured against.

    Raises TooFewOutcomes where there is none.
    """
    if settings.policy.baseline is not None:
        return settings.policy.baseline
    named = Counter(each.route.baseline_model for each in logged if each.route.baseline_model is not None)
    if not named:
        raise TooFewOutcomes("the ledger has no request that could be compared with a baseline", hint=_HOW_TO_COMPARE)
    return named.most_common(1)[0][0]


# ---- what is known --------------------------------------------------------------------------------------------------


def outcomes_of(logged: Iterable[Logged], baseline: str, there: Set[str]) -> Outcomes:
    """What can be compared with the baseline, of the models that are there, in the way that more can be told by.

    Raises TooFewOutcomes.
    """
    decided = [
        each
        for each in logged
        if each.is_replayable and is_decided(each.route.asked) and _can_answer(each.route, baseline)
    ]
    compared, weighted = (_shared(decided, baseline, there, known) for known in (_judged, _possible))
    rarest = _rarest(*weighted)
    how: How = "compared" if len(compared[0]) >= len(weighted[0]) * rarest else "weighted"
    rows, models = compared if how == "compared" else weighted
    if len(rows) < FEWEST:
        raise TooFewOutcomes(
            f"of {counted(len(decided), 'request')} that a policy decides, {len(rows)} have judged answers of "
            f"{baseline} to compare others with",
            hint=_HOW_TO_COMPARE,
        )
    rows = rows[-MOST_REQUESTS:]
    candidates = [{each.model: each for each in row.route.candidates} for row in rows]
    return Outcomes(
        how=how,
        logged=tuple(rows),
        models=models,
        scores=_observed(rows, models) if how == "compared" else _corrected(rows, candidates, models),
        costs=np.array([[_cost(its.get(model)) for model in models] for its in candidates]),
        rarest=1.0 if how == "compared" else rarest,
    )


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
    decided: Sequence[Logged], baseline: str, there: Set[str], known: Callable[[Logged], Set[str]]
) -> tuple[list[Logged], tuple[str, ...]]:
    """Requests that tell of the baseline and of the same other models, where those could answer at all; or nothing.

    A model that would cost more than half of the requests is left out, as is one that could answer none of them.
    """
    rows = [(each, known(each) & there) for each in decided]
    rows = [(each, its) for each, its in rows if baseline in its]
    fewest, models = len(rows) / 2, [baseline]
    others = Counter(name for each, its in rows for name in its if name != baseline and _can_answer(each.route, name))
    for model, _ in others.most_common():
        left = [(each, its) for each, its in rows if model in its or not _can_answer(each.route, model)]
        if len(left) >= fewest:
            rows = left
            models.append(model)
    return [each for each, _ in rows] if len(models) > 1 else [], tuple(models)


def _rarest(rows: Sequence[Logged], models: Sequence[str]) -> float:
    """The least probability of a first choice that counts; 1 where there is none."""
    return min((row.propensities[name] for row in rows for name in models if name in row.propensities), default=1.0)


def _observed(rows: Sequence[Logged], models: Sequence[str]) -> FloatArray:
    return np.array([[row.scores.get(model, 0.0) for model in models] for row in rows])


def _corrected(
    rows: Sequence[Logged], candidates: Sequence[Mapping[str, Candidate]], models: Sequence[str]
) -> FloatArray:
    """Doubly robust (Dudík et al., 2011): what was expected, and its error where that was seen, weighted."""
    scores = np.array([[_success(its.get(model)) for model in models] for its in candidates])
    for at, row in enumerate(rows):
        if row.first_choice in models and row.score is not None:
            column = models.index(row.first_choice)
            scores[at, column] += (row.score - scores[at, column]) / row.propensity
    return scores


def _success(candidate: Candidate | None) -> float:
    if candidate is None or candidate.hindrance:
        return 0.0
    return 0.5 if candidate.success is None else candidate.success


def _cost_at(logged: Logged, model: str) -> float:
    return _cost(next((each for each in logged.route.candidates if each.model == model), None))


def _cost(candidate: Candidate | None) -> float:
    return 0.0 if candidate is None else (candidate.expected_cost_nanousd or 0) / NANO


# ---- which policies -------------------------------------------------------------------------------------------------


def _family(choosing: FloatArray, outcomes: Outcomes, settings: Settings, bare: Overlay) -> Iterator[Overlay]:
    """Floors, matches, and tiers shared out among the models that none beats in both quality and cost.

    `choosing` are the scores of the requests that may be looked at for it. Tiers are no matter where the settings ask
    for a quality, and so are not proposed there.
    """
    models = outcomes.models
    for floor in FLOORS:
        yield replace(bare, min_quality=floor, caution=0.0, models=models)
    for within in WITHIN:
        yield replace(bare, quality=Match(models[0], within), caution=0.0, models=models)
    policy = settings.policy
    if policy.quality is None and policy.min_quality is None and policy.success_value_usd is None:
        chain = _chain(choosing.mean(axis=0), outcomes.costs.mean(axis=0), models)
        for shared_out in combinations_with_replacement(chain, len(UPWARDS)):
            yield _with_tiers(bare, shared_out)


def _chain(scores: FloatArray, costs: FloatArray, models: Sequence[str]) -> list[str]:
    """The models that none beats in both, the cheapest first."""
    chain: list[int] = []
    for at in np.lexsort((-scores, costs)).tolist():
        if not chain or scores[at] > scores[chain[-1]]:
            chain.append(at)
    return [models[at] for at in (*chain[: MOST_OF_A_CHAIN - 1], *chain[MOST_OF_A_CHAIN - 1 :][-1:])]


def _with_tiers(bare: Overlay, shared_out: Sequence[str]) -> Overlay:
    """A model for each tier, upwards. It stands in the highest that it serves: from those below, the way is up.

    Who fails is stood in for by the next stronger one, and at the end by weaker ones.
    """
    used = list(dict.fromkeys(shared_out))
    return replace(
        bare,
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
        self._recalled = self._recall(registry)  # most of the family leave the catalog as it is

    def firsts(self, overlay: Overlay) -> Iterator[str]:
        """The model that comes first, of each request; empty where nobody could take it."""
        decided = applied(self._settings.policy.name, overlay, self._settings, self._registry)
        policy = replace(decided.policy, exploration=0.0)
        is_known = decided.registry is self._registry
        for request in self._recalled if is_known else self._recall(decided.registry):
            found = request if isinstance(request, Unreplayable) else request.decided_by(policy)
            yield next(iter(found.propensities)) if isinstance(found, Replay) else ""

    def _recall(self, registry: Registry) -> list[Recalled | Unreplayable]:
        return [
            recall(row.route, registry, before=self._registry, now_s=row.at_ns // NANOSECONDS, newcomers={})
            for row in self._outcomes.logged
        ]

    def columns(self, names: Iterable[str]) -> IntArray:
        """Where these models stand."""
        return np.array([self._column[name] for name in names], np.intp)
