"""The order of trial: models that can take a call, by tier and cost, or by how good and how dear they will be."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import NamedTuple, TypeAlias

from routewright.catalog.registry import MAX_ATTEMPTS, Capability, Registry, Tier
from routewright.decision.eligibility import Finding
from routewright.decision.intent import BEST_VALUE_NANOUSD, UPWARDS, Floor, Intent, Match, Policy, Value, Wish
from routewright.route import Asked

_Preference: TypeAlias = Callable[[Finding], tuple[bool, bool, int]]
"""What sorts models: the first of a list is the one to take."""

_OF_TIER = {tier: f"tier {tier.value}" for tier in Tier}
_CHEAPEST_OF = {tier: f"cheapest of tier {tier.value}" for tier in Tier}
_TIERS = tuple(Tier)
_TOO_MANY = dict.fromkeys(Tier, f"{MAX_ATTEMPTS} others are tried first")
_NOT_OF_TIER = {
    taken: _TOO_MANY | {tier: f"tier {tier.value} is not {taken.value}" for tier in Tier if tier is not taken}
    for taken in Tier
}


class Ranking(NamedTuple):
    """Who goes first, and why."""

    tier: Tier
    """The one taken."""
    reason: str
    eligible: dict[str, str]
    """Model → why it stands there, in order of trial."""
    removed: Mapping[str, str] = {}
    """Model → why it is not good enough for the quality asked for."""


def rank(
    intent: Intent, findings: Mapping[str, Finding], registry: Registry, policy: Policy, prefers_reasoning: bool
) -> Ranking:
    """The models that may be tried, in order; none when no model can take the call."""
    if intent.named is not None:
        return _rank_named(intent, intent.named, findings)
    if intent.wish is not None:
        return _rank_by_quality(intent, intent.wish, findings, registry, policy.caution)
    preference: _Preference = _by_reasoning if prefers_reasoning and not intent.or_cheapest else _by_cost
    if not intent.tiers:
        return _rank_all(intent, intent.reason, findings, preference)
    for tier in intent.tiers:
        pool = [finding for finding in findings.values() if finding.model.tier is tier and finding.obstacle is None]
        if pool:
            pool.sort(key=preference)
            ranking = _rank_tier(intent, tier, pool, findings, registry)
            return _with_warm_first(ranking, pool[0], findings, preference) if intent.follows_verdict else ranking
    if intent.or_cheapest:
        reason = f"{intent.reason}; no model of tier {intent.tiers[0].value} can take it: the cheapest"
        return _rank_all(intent, reason, findings, preference)
    return Ranking(intent.work, intent.reason, {})


def _rank_all(intent: Intent, reason: str, findings: Mapping[str, Finding], preference: _Preference) -> Ranking:
    able = sorted((finding for finding in findings.values() if finding.obstacle is None), key=preference)
    tier = able[0].model.tier if able else intent.work
    reasons = {finding.model.name: "of any tier, by cost" for finding in able}
    return Ranking(tier, reason, _awake_first(reasons, findings))


def _rank_by_quality(
    intent: Intent,
    wish: Wish,
    findings: Mapping[str, Finding],
    registry: Registry,
    caution: float,
) -> Ranking:
    """Of the models that can take the call, those that are good enough, cheapest first, or by value for money."""
    able = {name: finding for name, finding in findings.items() if finding.obstacle is None and finding.expectation}
    if not able:
        return Ranking(intent.work, intent.reason, {})
    success = {name: _careful_success(finding, caution) for name, finding in able.items()}
    strongest = max(able, key=lambda name: _success(able[name]))
    success[strongest] = _success(able[strongest])
    if isinstance(wish, Value):
        return _rank_by_value(intent, wish, able, success)
    floor, told = _floor(wish, findings, registry)
    if isinstance(wish, Match) and (matched := registry.aliases.get(wish.model, wish.model)) in able:
        success[matched] = _success(able[matched])  # it is as good as itself, however little is known of it
    good = [name for name in able if success[name] >= floor]
    removed = {
        name: f"{'below' if _success(able[name]) < floor else 'too little evidence for'} floor {floor:.2f}"
        for name in able
        if name not in good
    }
    reason = f"{intent.reason}; {told}"
    if not good:
        good = [strongest]
        del removed[strongest]
        reason = f"{reason}; no model reaches {floor:.2f}: the strongest"
    order = sorted(good, key=lambda name: _by_cost(able[name]))
    reasons = dict.fromkeys(order, "good enough")
    reasons[order[0]] = "cheapest eligible" if removed.keys() != able.keys() - {strongest} else "strongest"
    return Ranking(able[order[0]].model.tier, reason, _awake_first(reasons, findings), removed)


def _rank_by_value(intent: Intent, wish: Value, able: Mapping[str, Finding], success: Mapping[str, float]) -> Ranking:
    """All that can take the call, the one first whose expected value exceeds its expected cost most."""

    def place(name: str) -> tuple[bool, float]:
        return bool(able[name].reason), (able[name].cost_nanousd or 0) - success[name] * wish.nanousd

    order = sorted(able, key=place)
    reasons = dict.fromkeys(order, "less for the money")
    reasons[order[0]] = "most for the money" if wish.nanousd < BEST_VALUE_NANOUSD else "most expected success"
    return Ranking(able[order[0]].model.tier, intent.reason, _awake_first(reasons, able))


def _floor(wish: Match | Floor, findings: Mapping[str, Finding], registry: Registry) -> tuple[float, str]:
    """The least success that is good enough, and whose word that is."""
    if isinstance(wish, Floor):
        return wish.success, f"quality {wish.success:.2f} was asked for"
    name = registry.aliases.get(wish.model, wish.model)
    return _success(findings[name]) * (1 - wish.within), f"to match {name} within {wish.within * 100:g} %"


def _success(finding: Finding) -> float:
    return 0.0 if finding.expectation is None else finding.expectation.success


def _careful_success(finding: Finding, caution: float) -> float:
    return _success(finding) - (0.0 if finding.expectation is None else caution * finding.expectation.doubt)


class Draw(NamedTuple):
    """A ranking that may have been made by chance, and how probable each model was to come first in it."""

    ranking: Ranking
    propensities: Mapping[str, float]
    """Models that could not come first are left out."""


def drawn(
    ranking: Ranking,
    intent: Intent,
    asked: Asked,
    findings: Mapping[str, Finding],
    share: float,
    chance: float | None,
) -> Draw:
    """The ranking with, in a `share` of cases, a model first that is drawn evenly; without a `chance`, as it is.

    A model that the caller named is kept, and so is a tier or a quality that the caller asked for: there, the draw is
    from those that may be tried. Else it is from all that can take the call, as what other policies would choose
    becomes observable only so. Models that rest are not drawn: they would not be called, and what was recorded would
    not be what happened.
    """
    first = next(iter(ranking.eligible))
    if not share or chance is None or intent.named is not None or findings[first].reason:
        return Draw(ranking, {first: 1.0})
    is_free = intent.follows_verdict and asked.min_quality is None
    pool = dict.fromkeys((*ranking.eligible, *(findings if is_free else ())))
    names = [name for name in pool if findings[name].obstacle is None and not findings[name].reason]
    each = share / len(names)
    propensities = dict.fromkeys(names, each) | {first: 1 - share + each}
    name = names[min(int(chance / each), len(names) - 1)] if chance < share else first
    if name == first:
        return Draw(ranking, propensities)
    why = f"drawn to explore ({share:.1%} of requests)"
    reasons = dict(islice(({name: why} | ranking.eligible | {name: why}).items(), MAX_ATTEMPTS))
    return Draw(ranking._replace(eligible=reasons), propensities)


def _by_cost(finding: Finding) -> tuple[bool, bool, int]:
    """Awake before resting, then cheap before dear."""
    return bool(finding.reason), False, finding.cost_nanousd or 0


def _by_reasoning(finding: Finding) -> tuple[bool, bool, int]:
    """Awake before resting, then those that can reason, then cheap before dear."""
    return bool(finding.reason), Capability.REASONING not in finding.model.capabilities, finding.cost_nanousd or 0


def _rank_tier(
    intent: Intent, tier: Tier, pool: list[Finding], findings: Mapping[str, Finding], registry: Registry
) -> Ranking:
    """The models of a tier, then the fallbacks of the first of them."""
    first = pool[0].model.name
    reasons = dict.fromkeys([finding.model.name for finding in pool], _OF_TIER[tier])
    if pool[0].cost_nanousd == min(finding.cost_nanousd or 0 for finding in pool):
        reasons[first] = _CHEAPEST_OF[tier]
    for name in registry.order[first]:
        if name not in reasons and findings[name].obstacle is None:
            reasons[name] = f"fallback of {first}"
    reason = intent.reason
    if tier is not intent.tiers[0]:
        reason = f"{reason}; no model of tier {intent.tiers[0].value} can take it: {tier.value}"
    return Ranking(tier, reason, _awake_first(reasons, findings))


def _with_warm_first(
    ranking: Ranking, first: Finding, findings: Mapping[str, Finding], preference: _Preference
) -> Ranking:
    """The same, behind a model of a higher tier that costs no more, as most of its input is in its provider's cache.

    A weaker model would have to read the whole conversation anew.
    """
    above = UPWARDS[UPWARDS.index(first.model.tier) + 1 :]
    warm = [
        finding
        for finding in findings.values()
        if finding.cold_cost_nanousd is not None and finding.obstacle is None and finding.model.tier in above
    ]
    kept = min(warm, key=preference, default=first)
    if kept is first or preference(kept) > preference(first):
        return ranking
    name = kept.model.name
    reasons = {name: f"cheaper than to read it all anew at {first.model.name}"} | ranking.eligible
    reasons[name] = f"cheaper than to read it all anew at {first.model.name}"
    return ranking._replace(eligible=_awake_first(reasons, findings))


def _rank_named(intent: Intent, names: tuple[str, ...], findings: Mapping[str, Finding]) -> Ranking:
    reasons = {
        name: intent.reason if name == names[0] else f"fallback of {names[0]}"
        for name in names
        if findings[name].obstacle is None
    }
    return Ranking(intent.work, intent.reason, _awake_first(reasons, findings))


def _awake_first(reasons: dict[str, str], findings: Mapping[str, Finding]) -> dict[str, str]:
    """The same models, at most `MAX_ATTEMPTS`, those that rest at the end."""
    resting = {
        name: f"{reason}; last: {findings[name].reason}" for name, reason in reasons.items() if findings[name].reason
    }
    if resting:
        reasons = {name: reason for name, reason in reasons.items() if name not in resting} | resting
    if len(reasons) > MAX_ATTEMPTS:
        reasons = dict(list(reasons.items())[:MAX_ATTEMPTS])
    return reasons


def reasons_not_to_try(intent: Intent, ranking: Ranking) -> Mapping[Tier, str]:
    """Why a model that could take the call is not tried, by its tier."""
    if intent.named is not None:
        return dict.fromkeys(_TIERS, intent.reason)
    return _NOT_OF_TIER[ranking.tier] if intent.tiers and intent.wish is None else _TOO_MANY
