"""The order of trial: models that can take a call, by tier and cost, or by how good and how dear they will be."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from routewright.catalog.registry import MAX_ATTEMPTS, Capability, Registry, Tier, bits_of
from routewright.decision.eligibility import Findings
from routewright.decision.intent import BEST_VALUE_NANOUSD, UPWARDS, Floor, Intent, Match, Policy, Value, Wish
from routewright.route import Asked

_Preference: TypeAlias = Callable[[int], tuple[bool, bool, int]]
"""What sorts models, by place: the first of a list is the one to take."""

_OF_TIER = {tier: f"tier {tier.value}" for tier in Tier}
_CHEAPEST_OF = {tier: f"cheapest of tier {tier.value}" for tier in Tier}
_TIERS = tuple(Tier)
_TOO_MANY = dict.fromkeys(Tier, f"{MAX_ATTEMPTS} others are tried first")
_NOT_OF_TIER = {
    taken: _TOO_MANY | {tier: f"tier {tier.value} is not {taken.value}" for tier in Tier if tier is not taken}
    for taken in Tier
}
_REASONING = bits_of((Capability.REASONING,))
NOBODY: Mapping[int, str] = MappingProxyType({})


class Ranking(Struct, frozen=True):
    """Who goes first, and why; models are told by their place."""

    tier: Tier
    """The one taken."""
    reason: str
    eligible: dict[int, str]
    """Model → why it stands there, in order of trial."""
    removed: Mapping[int, str] = NOBODY
    """Model → why it is not good enough for the quality asked for."""


def rank(intent: Intent, findings: Findings, registry: Registry, policy: Policy, prefers_reasoning: bool) -> Ranking:
    """The models that may be tried, in order; none when no model can take the call."""
    if intent.named is not None:
        return _rank_named(intent, intent.named, findings)
    if intent.wish is not None:
        return _rank_by_quality(intent, intent.wish, findings, registry, policy.caution)
    preference = _by_reasoning(findings) if prefers_reasoning and not intent.or_cheapest else _by_cost(findings)
    if not intent.tiers:
        return _rank_all(intent, intent.reason, findings, preference)
    of_tier = findings.lineup.of_tier
    for tier in intent.tiers:
        pool = findings.able(of_tier[tier])
        if pool:
            pool = sorted(pool, key=preference)
            ranking = _rank_tier(intent, tier, pool, findings)
            return _with_warm_first(ranking, pool[0], findings, preference) if intent.follows_verdict else ranking
    if intent.or_cheapest:
        reason = f"{intent.reason}; no model of tier {intent.tiers[0].value} can take it: the cheapest"
        return _rank_all(intent, reason, findings, preference)
    return Ranking(intent.work, intent.reason, {})


def _able(findings: Findings) -> Sequence[int]:
    return findings.able(range(len(findings.lineup.names)))


def _rank_all(intent: Intent, reason: str, findings: Findings, preference: _Preference) -> Ranking:
    able = sorted(_able(findings), key=preference)
    tier = findings.lineup.tiers[able[0]] if able else intent.work
    return Ranking(tier, reason, _awake_first(dict.fromkeys(able, "of any tier, by cost"), findings))


def _rank_by_quality(
    intent: Intent,
    wish: Wish,
    findings: Findings,
    registry: Registry,
    caution: float,
) -> Ranking:
    """Of the models that can take the call, those that are good enough, cheapest first, or by value for money."""
    forecast = findings.forecast
    able = [] if forecast is None else [at for at in _able(findings) if at not in forecast.unknown]
    if not able or forecast is None:
        return Ranking(intent.work, intent.reason, {})
    success = {at: forecast.success[at] - caution * forecast.doubt[at] for at in able}
    strongest = max(able, key=findings.success)
    success[strongest] = findings.success(strongest)
    if isinstance(wish, Value):
        return _rank_by_value(intent, wish, findings, success)
    floor, told = _floor(wish, findings, registry)
    if isinstance(wish, Match) and (matched := findings.lineup.place[_matched(wish, registry)]) in success:
        success[matched] = findings.success(matched)  # it is as good as itself, however little is known of it
    good = [at for at in able if success[at] >= floor]
    removed = {
        at: f"{'below' if findings.success(at) < floor else 'too little evidence for'} floor {floor:.2f}"
        for at in able
        if success[at] < floor
    }
    reason = f"{intent.reason}; {told}"
    if not good:
        good = [strongest]
        del removed[strongest]
        reason = f"{reason}; no model reaches {floor:.2f}: the strongest"
    order = sorted(good, key=_by_cost(findings))
    reasons = dict.fromkeys(order, "good enough")
    reasons[order[0]] = "cheapest eligible" if len(removed) < len(able) - 1 or strongest in removed else "strongest"
    return Ranking(findings.lineup.tiers[order[0]], reason, _awake_first(reasons, findings), removed)


def _rank_by_value(intent: Intent, wish: Value, findings: Findings, success: Mapping[int, float]) -> Ranking:
    """All that can take the call, the one first whose expected value exceeds its expected cost most."""

    def place(at: int) -> tuple[bool, float]:
        return at in findings.reasons, findings.costs[at] - success[at] * wish.nanousd

    order = sorted(success, key=place)
    reasons = dict.fromkeys(order, "less for the money")
    reasons[order[0]] = "most for the money" if wish.nanousd < BEST_VALUE_NANOUSD else "most expected success"
    return Ranking(findings.lineup.tiers[order[0]], intent.reason, _awake_first(reasons, findings))


def _floor(wish: Match | Floor, findings: Findings, registry: Registry) -> tuple[float, str]:
    """The least success that is good enough, and whose word that is."""
    if isinstance(wish, Floor):
        return wish.success, f"quality {wish.success:.2f} was asked for"
    name = _matched(wish, registry)
    success = findings.success(findings.lineup.place[name])
    return success * (1 - wish.within), f"to match {name} within {wish.within * 100:g} %"


def _matched(wish: Match, registry: Registry) -> str:
    return registry.aliases.get(wish.model, wish.model)


class Draw(Struct, frozen=True):
    """A ranking that may have been made by chance, and how probable each model was to come first in it."""

    ranking: Ranking
    propensities: Mapping[int, float]
    """Models that could not come first are left out."""


def drawn(
    ranking: Ranking,
    intent: Intent,
    asked: Asked,
    findings: Findings,
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
    if not share or chance is None or intent.named is not None or first in findings.reasons:
        return Draw(ranking, {first: 1.0})
    is_free = intent.follows_verdict and asked.min_quality is None
    pool = dict.fromkeys((*ranking.eligible, *(_able(findings) if is_free else ())))
    awake = [at for at in pool if at not in findings.reasons]
    each = share / len(awake)
    propensities = dict.fromkeys(awake, each) | {first: 1 - share + each}
    taken = awake[min(int(chance / each), len(awake) - 1)] if chance < share else first
    if taken == first:
        return Draw(ranking, propensities)
    why = f"drawn to explore ({share:.1%} of requests)"
    reasons = dict(islice(({taken: why} | ranking.eligible | {taken: why}).items(), MAX_ATTEMPTS))
    return Draw(replace(ranking, eligible=reasons), propensities)


def _by_cost(findings: Findings) -> _Preference:
    """Awake before resting, then cheap before dear."""
    costs, resting = findings.costs, findings.reasons
    return lambda at: (at in resting, False, costs[at])


def _by_reasoning(findings: Findings) -> _Preference:
    """Awake before resting, then those that can reason, then cheap before dear."""
    costs, resting, able = findings.costs, findings.reasons, findings.lineup.able
    return lambda at: (at in resting, not able[at] & _REASONING, costs[at])


def _rank_tier(intent: Intent, tier: Tier, pool: Sequence[int], findings: Findings) -> Ranking:
    """The models of a tier, then the fallbacks of the first of them."""
    first, costs, lineup = pool[0], findings.costs, findings.lineup
    reasons = dict.fromkeys(pool, _OF_TIER[tier])
    if costs[first] == min([costs[at] for at in pool]):
        reasons[first] = _CHEAPEST_OF[tier]
    fallback = f"fallback of {lineup.names[first]}"
    for at in findings.able(lineup.fallbacks[first]):
        reasons.setdefault(at, fallback)
    reason = intent.reason
    if tier is not intent.tiers[0]:
        reason = f"{reason}; no model of tier {intent.tiers[0].value} can take it: {tier.value}"
    return Ranking(tier, reason, _awake_first(reasons, findings))


def _with_warm_first(ranking: Ranking, first: int, findings: Findings, preference: _Preference) -> Ranking:
    """The same, behind a model of a higher tier that costs no more, as most of its input is in its provider's cache.

    A weaker model would have to read the whole conversation anew.
    """
    if not findings.cold:
        return ranking
    lineup = findings.lineup
    above = UPWARDS[UPWARDS.index(lineup.tiers[first]) + 1 :]
    warm = [at for at in findings.able(sorted(findings.cold)) if lineup.tiers[at] in above]
    kept = min(warm, key=preference, default=first)
    if kept == first or preference(kept) > preference(first):
        return ranking
    why = f"cheaper than to read it all anew at {lineup.names[first]}"
    return replace(ranking, eligible=_awake_first({kept: why} | ranking.eligible | {kept: why}, findings))


def _rank_named(intent: Intent, names: tuple[str, ...], findings: Findings) -> Ranking:
    place = findings.lineup.place
    reasons = dict.fromkeys(findings.able([place[name] for name in names]), f"fallback of {names[0]}")
    if place[names[0]] in reasons:
        reasons[place[names[0]]] = intent.reason
    return Ranking(intent.work, intent.reason, _awake_first(reasons, findings))


def _awake_first(reasons: dict[int, str], findings: Findings) -> dict[int, str]:
    """The same models, at most `MAX_ATTEMPTS`, those that rest at the end."""
    if findings.reasons:
        resting = {
            at: f"{reason}; last: {findings.reasons[at]}" for at, reason in reasons.items() if at in findings.reasons
        }
        reasons = {at: reason for at, reason in reasons.items() if at not in resting} | resting
    return dict(islice(reasons.items(), MAX_ATTEMPTS)) if len(reasons) > MAX_ATTEMPTS else reasons


def reasons_not_to_try(intent: Intent, ranking: Ranking) -> Mapping[Tier, str]:
    """Why a model that could take the call is not tried, by its tier."""
    if intent.named is not None:
        return dict.fromkeys(_TIERS, intent.reason)
    return _NOT_OF_TIER[ranking.tier] if intent.tiers and intent.wish is None else _TOO_MANY
