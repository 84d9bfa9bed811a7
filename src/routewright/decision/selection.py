"""Which models may answer, in which order, and why: verdict + registry + health + policy → `Route`.

A plain function of values. Every model of the registry ends up in the route, chosen, waiting as a fallback, or removed
with the constraint that removed it, so that a decision can be explained, stored and replayed.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from routewright.call import Call
from routewright.catalog.pricing import Rates
from routewright.catalog.registry import MAX_ATTEMPTS, Capability, Deployment, Model, Registry, Tier
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.features import Features
from routewright.errors import CallerError, ContextTooLong, NoEligibleModel, UnpricedModel
from routewright.route import Candidate, Route, Verdict

CLASSIFIED = ("auto", "claude-auto")
"""Names that ask for a decision by the kind of work; Claude Code lists only names that begin with `claude`."""
CHEAPEST = "auto:cheap"
BEST = "auto:best"
VIRTUAL_MODELS = (*CLASSIFIED, CHEAPEST, BEST)
"""Names that are no model's."""

UPWARDS = (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)
"""When no model of a tier can take a request, the next one may."""

NOTHING_WARM: Mapping[str, int] = MappingProxyType({})
NOTHING_EXPECTED: Mapping[str, Expectation] = MappingProxyType({})
NO_REASONING_EFFORTS = (None, "none", "minimal")


class Match(Struct, frozen=True):
    """As good as `model`, but for a share of its success: `"match claude-opus-4.7 within 2 %"`."""

    model: str
    within: float
    """0.02 for 2 %."""


class Policy(Struct, frozen=True, kw_only=True):
    """What the operator wants of a decision."""

    name: str = "default"
    confidence_threshold: float = 0.7
    """A verdict less sure than this is not followed: the standard tier is taken."""
    baseline: str | None = None
    """The model a saving is measured against; None for the dearest of the complex tier."""
    expected_output_tokens: Mapping[Tier, int] = msgspec.field(
        default_factory=lambda: {Tier.COMPLEX: 1_500, Tier.STANDARD: 600, Tier.STRUCTURED: 300, Tier.BULK: 500}
    )
    """How long answers usually are, by kind of work; what costs are compared with."""
    match: Match | None = None
    """The cheapest model that is as good as this one."""
    min_quality: float | None = None
    """The cheapest model whose answer is good with this probability."""
    success_value_nanousd: int | None = None
    """What a good answer is worth: the model with the most expected value, less its expected cost."""
    caution: float = 0.5
    """Standard deviations taken off the success of a model that may take a stronger one's place, so that where there
    is little evidence the stronger one is taken."""
    exploration: float = 0.0
    """Share of the requests whose first choice is drawn from all that may be tried, evenly."""
    version: str = ""
    """`name@` and the first 8 hex digits of the SHA-256 of the content; computed, whatever is given."""

    def __post_init__(self) -> None:
        content = {
            "name": self.name,
            "confidence_threshold": self.confidence_threshold,
            "baseline": self.baseline,
            "expected_output_tokens": dict(sorted(self.expected_output_tokens.items())),
            "match": self.match,
            "min_quality": self.min_quality,
            "success_value_nanousd": self.success_value_nanousd,
            "caution": self.caution,
            "exploration": self.exploration,
        }
        digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
        force_setattr(self, "version", f"{self.name}@{digest[:8]}")


def needs_verdict(call: Call) -> bool:
    """Whether the route depends on what kind of work the request is; if not, there is no need to classify it."""
    return call.model in CLASSIFIED and call.options.tier is None


def asks_for_quality(call: Call, policy: Policy) -> bool:
    """Whether models are chosen by how good each is expected to be; tiers are no matter then, if that is known."""
    return _wish(call, policy) is not None


def needs_forecast(call: Call) -> bool:
    """Whether models are weighed against each other; not where the caller named one."""
    return call.model in VIRTUAL_MODELS


def select(
    call: Call,
    features: Features,
    verdict: Verdict | None,
    *,
    registry: Registry,
    policy: Policy,
    now_s: int,
    token_ratio: Callable[[str], float],
    resting: Mapping[str, str],
    cannot_carry: Callable[[str, Call], str | None],
    dropped_fields: Callable[[str, Call], tuple[str, ...]],
    forecast: Forecast | None = None,
    warm: Mapping[str, int] = NOTHING_WARM,
    chance: float = 1.0,
) -> Route:
    """The route of a call.

    `now_s` is UTC in seconds since 1970, `token_ratio(model)` what that model counts for a token of our estimate,
    `resting` the reason by id of each deployment that must not be called now; `cannot_carry(dialect, call)` and
    `dropped_fields(dialect, call)` are the dialects' own answers.
    `forecast` is what to expect of each model, None where nobody knows; `warm` how many input tokens of the call each
    model's provider still has in its cache; `chance` a number drawn from [0, 1), for a policy that explores.

    Raises ModelNotFound, ContextTooLong, UnpricedModel, and NoEligibleModel naming every model with what removed it.
    """
    intent = _intent(call, verdict, registry, policy, forecast)
    expected = policy.expected_output_tokens.get(intent.work, 0)
    output_tokens = min(expected, call.max_output_tokens or expected)
    judge = _Judge(
        call=call,
        features=features,
        output_tokens=output_tokens,
        now_s=now_s,
        resting=resting,
        cannot_carry=cannot_carry,
        must_have_price=intent.named is None,
        forecast=forecast,
        warm=warm,
    )
    findings = judge.examine(registry.models.values(), token_ratio)
    if intent.pinned is not None:
        findings |= judge.examine((intent.pinned,), token_ratio)
    ranking = _rank(intent, findings, registry, policy, call.reasoning_effort not in NO_REASONING_EFFORTS)
    if not ranking.eligible:
        raise _refusal(call, intent, findings, features.input_tokens + (call.max_output_tokens or output_tokens))
    propensity = 1.0
    if policy.exploration and intent.named is None:
        ranking, propensity = _explore(ranking, policy.exploration, chance)
    baseline = _baseline(findings, registry, policy)
    first = findings[next(iter(ranking.eligible))]
    return Route(
        verdict=verdict if intent.follows_verdict else None,
        tier=ranking.tier,
        reason=ranking.reason,
        candidates=_candidates(call, intent, ranking, findings, judge, dropped_fields),
        input_tokens=features.input_tokens,
        output_tokens=(output_tokens if first.output_tokens is None else first.output_tokens) * call.choices,
        propensity=propensity,
        baseline_model=baseline.model.name if baseline else None,
        baseline_cost_nanousd=baseline.cost_nanousd if baseline else None,
        catalog=registry.version,
        classifier=verdict.classifier if verdict is not None and intent.follows_verdict else None,
        policy=policy.version,
    )


# ---- what is wanted ---------------------------------------------------------------------------------------------


class _Intent(NamedTuple):
    work: Tier
    """The kind of work, which says how long an answer to expect."""
    reason: str
    tiers: tuple[Tier, ...] = ()
    """In the order in which they may be taken; empty when any tier will do."""
    named: tuple[str, ...] | None = None
    """The models asked for, in order of trial."""
    pinned: Model | None = None
    """The model asked for at one provider, with that provider's deployments only."""
    follows_verdict: bool = False
    wish: "Match | _Floor | _Value | None" = None
    """How good it must be, when that was said; tiers are then no matter."""


class _Floor(NamedTuple):
    """The cheapest whose success is at least this."""

    success: float


class _Value(NamedTuple):
    """The most value for the money, with a good answer worth this."""

    nanousd: int


def _intent(
    call: Call, verdict: Verdict | None, registry: Registry, policy: Policy, forecast: Forecast | None
) -> _Intent:
    if call.model in CLASSIFIED:
        wish = _wish(call, policy)
        intent = _classified_intent(call, verdict, policy)
        if wish is None or call.options.tier is not None:
            return intent
        if forecast is None:
            return intent._replace(reason=f"{intent.reason}; no success is known to hold against the quality asked for")
        return intent._replace(wish=wish)
    if call.model == CHEAPEST:
        floor = call.options.min_quality
        wish = _Floor(floor) if floor is not None and forecast is not None else None
        return _Intent(call.options.tier or Tier.STANDARD, "cheapest of all tiers", wish=wish)
    if call.model == BEST:
        wish = None if forecast is None else _Value(BEST_VALUE_NANOUSD)
        return _Intent(Tier.COMPLEX, "best tier first" if wish is None else "best first", UPWARDS[::-1], wish=wish)
    model = registry.resolve(call.model)
    if model is registry.models[model.name]:
        return _Intent(model.tier, f"{call.model} was asked for", named=registry.order[model.name])
    return _Intent(model.tier, f"only {call.model} was asked for", named=(model.name,), pinned=model)


def _wish(call: Call, policy: Policy) -> Match | _Floor | _Value | None:
    """How good the answer must be: the caller's word before the policy's, a promise before a price."""
    if call.options.min_quality is not None:
        return _Floor(call.options.min_quality)
    if policy.match is not None:
        return policy.match
    if policy.min_quality is not None:
        return _Floor(policy.min_quality)
    return None if policy.success_value_nanousd is None else _Value(policy.success_value_nanousd)


def _classified_intent(call: Call, verdict: Verdict | None, policy: Policy) -> _Intent:
    asked = call.options.tier
    if asked is not None:
        return _Intent(asked, _ASKED[asked], tiers=UPWARDS[UPWARDS.index(asked) :])
    if verdict is None:
        return _Intent(Tier.STANDARD, "not classified: standard", tiers=_PATHS[Tier.STANDARD])
    tier, reason = verdict.tier, verdict.reason
    if verdict.confidence < policy.confidence_threshold:
        tier = Tier.STANDARD
        reason = f"confidence {verdict.confidence:.2f} < {policy.confidence_threshold:.2f}: standard"
    return _Intent(tier, reason, tiers=_PATHS[tier], follows_verdict=True)


_PATHS = {tier: (*UPWARDS[at:], *reversed(UPWARDS[:at])) for at, tier in enumerate(UPWARDS)}
"""Up first; then down, which beats no answer at all and is said in the reason."""
_ASKED = {tier: f"tier {tier.value} was asked for" for tier in Tier}
_OF_TIER = {tier: f"tier {tier.value}" for tier in Tier}
_CHEAPEST_OF = {tier: f"cheapest of tier {tier.value}" for tier in Tier}
_TOO_MANY = dict.fromkeys(Tier, f"{MAX_ATTEMPTS} others are tried first")
_NOT_OF_TIER = {
    taken: _TOO_MANY | {tier: f"tier {tier.value} is not {taken.value}" for tier in Tier if tier is not taken}
    for taken in Tier
}


# ---- what each model can do for this call -------------------------------------------------------------------------


class _Obstacle(Enum):
    """Kinds of removal that decide which error is raised when nobody is left."""

    CONSTRAINT = 0
    PRICE = 1
    WINDOW = 2


class _Finding(Struct, frozen=True, gc=False):
    """One model held against the call."""

    model: Model
    cost_nanousd: int | None
    obstacle: _Obstacle | None = None
    """None: the model is eligible."""
    reason: str = ""
    """Why it was removed, or, of an eligible one, why all its deployments rest."""
    expectation: Expectation | None = None
    """None when nobody knows what to expect of it."""
    output_tokens: int | None = None
    """Expected; None without an expectation."""


class _Judge:
    """Holds one call against the models."""

    def __init__(
        self,
        *,
        call: Call,
        features: Features,
        output_tokens: int,
        now_s: int,
        resting: Mapping[str, str],
        cannot_carry: Callable[[str, Call], str | None],
        must_have_price: bool,
        forecast: Forecast | None,
        warm: Mapping[str, int],
    ) -> None:
        self._expectations = forecast.of if forecast is not None else NOTHING_EXPECTED
        self.warm = warm
        self._call = call
        self._input_tokens = features.input_tokens
        self._output_tokens = output_tokens
        self._room_for_output = call.max_output_tokens or output_tokens
        self._max_cost = call.options.max_cost_nanousd
        self._now_s = now_s
        self._resting = resting
        self._cannot_carry = cannot_carry
        self._must_have_price = must_have_price
        self._required = _required_capabilities(call, features)
        self._uncarried: dict[str, str | None] = {call.dialect: None}
        """Dialect → the field that it cannot carry."""

    def examine(self, models: Iterable[Model], token_ratio: Callable[[str], float]) -> dict[str, _Finding]:
        """Each model's expected cost, and the first constraint that removes it.

        The window comes last, so that it is blamed only when nothing else stands in the way.
        """
        estimate, expected, choices, now_s = self._input_tokens, self._output_tokens, self._call.choices, self._now_s
        room, required, dialect = self._room_for_output, self._required, self._call.dialect
        is_plain = not self._resting and self._max_cost is None
        allowed = self._call.max_output_tokens
        findings = {}
        for model in models:
            input_tokens = round(estimate * token_ratio(model.name))
            expectation = self._expectations.get(model.name)
            output_tokens = min(expected, model.max_output_tokens)
            if expectation is not None:
                output_tokens = min(expectation.output_tokens, allowed or model.max_output_tokens)
            cost = None
            if model.prices is not None:
                rates = model.prices.rates_at(now_s, input_tokens)
                cost = input_tokens * rates.input + output_tokens * choices * rates.output + rates.request
                if self.warm:
                    cost -= self._saved_by_cache(model.name, input_tokens, rates)
                cost = (cost + 500) // 1000
                if expectation is not None and expectation.waste > 1:
                    cost = round(cost * expectation.waste)
            told = None if expectation is None else output_tokens
            if (  # nothing stands in the way: most models, most of the time
                is_plain
                and cost is not None
                and required <= model.capabilities
                and room <= model.max_output_tokens
                and input_tokens + room <= model.context_window
                and model.deployments
                and model.deployments[0].dialect == dialect
            ):
                findings[model.name] = _Finding(model, cost, None, "", expectation, told)
            else:
                obstacle, reason = self._look_closer(model, input_tokens, cost)
                findings[model.name] = _Finding(model, cost, obstacle, reason, expectation, told)
        return findings

    def _saved_by_cache(self, name: str, input_tokens: int, rates: Rates) -> int:
        """Pico-USD that the warm part of the input costs less than fresh input."""
        return min(self.warm.get(name, 0), input_tokens) * (rates.input - rates.cache_read)

    def _look_closer(self, model: Model, input_tokens: int, cost: int | None) -> tuple[_Obstacle | None, str]:
        obstacle, reason = self._obstacle(model, input_tokens, cost)
        if obstacle is None and self._resting:
            reason = self._rest(model)
        return obstacle, reason

    def _obstacle(self, model: Model, input_tokens: int, cost: int | None) -> tuple[_Obstacle | None, str]:
        reason = self._lack(model) or self._uncarriable(model)
        if reason:
            return _Obstacle.CONSTRAINT, reason
        if cost is None:
            reason = self._unpriced()
            if reason:
                return _Obstacle.PRICE, reason
        elif self._max_cost is not None and cost > self._max_cost:
            return _Obstacle.CONSTRAINT, f"expected {_usd(cost)} > max-cost {_usd(self._max_cost)}"
        needed = input_tokens + self._room_for_output
        if needed > model.context_window:
            return _Obstacle.WINDOW, f"context window {model.context_window:,} < {needed:,} needed"
        return None, ""

    def deployments(self, model: Model) -> tuple[Deployment, ...]:
        """Those that can carry the call, in order of trial: the awake ones first."""
        if len(model.deployments) == 1:
            return model.deployments
        able = [deployment for deployment in model.deployments if self._carries(deployment.dialect)]
        return tuple(sorted(able, key=lambda deployment: deployment.id in self._resting))

    def _lack(self, model: Model) -> str:
        """What the model cannot do, whatever it costs."""
        for capability in _LACK:
            if capability in self._required and capability not in model.capabilities:
                return _LACK[capability]
        asked = self._call.max_output_tokens
        if asked is not None and asked > model.max_output_tokens:
            return f"output limit {model.max_output_tokens:,} < {asked:,} asked"
        return ""

    def _uncarriable(self, model: Model) -> str:
        """The field that no deployment's dialect can carry; empty when one can."""
        if any(self._carries(deployment.dialect) for deployment in model.deployments):
            return ""
        if not model.deployments:
            return "no deployment"
        dialect = model.deployments[0].dialect
        return f"{self._call.dialect} field {self._uncarried[dialect]!r} cannot be carried to {dialect}"

    def _carries(self, dialect: str) -> bool:
        if dialect not in self._uncarried:
            self._uncarried[dialect] = self._cannot_carry(dialect, self._call)
        return self._uncarried[dialect] is None

    def _unpriced(self) -> str:
        """Why a model without a price is removed; a caller who names one may have it, but not under a limit."""
        if self._must_have_price:
            return "no price"
        return "" if self._max_cost is None else "no price to hold against max-cost"

    def _rest(self, model: Model) -> str:
        reasons = [self._resting.get(deployment.id) for deployment in self.deployments(model)]
        return f"{reasons[0]} (all deployments rest)" if all(reasons) else ""


_LACK = {
    Capability.TOOLS: "no tools",
    Capability.VISION: "no vision",
    Capability.JSON_SCHEMA: "no json_schema",
}


def _required_capabilities(call: Call, features: Features) -> frozenset[Capability]:
    if not (call.tools or features.images or call.output_format.kind == "json_schema"):
        return frozenset()
    required = set()
    if call.tools:
        required.add(Capability.TOOLS)
    if features.images:
        required.add(Capability.VISION)
    if call.output_format.kind == "json_schema":
        required.add(Capability.JSON_SCHEMA)
    return frozenset(required)


def _usd(nanousd: int) -> str:
    return f"${nanousd / 1e9:.6f}".rstrip("0").rstrip(".")


# ---- the order of trial -------------------------------------------------------------------------------------------


class _Ranking(NamedTuple):
    tier: Tier
    """The one taken."""
    reason: str
    eligible: dict[str, str]
    """Model → why it stands there, in order of trial."""
    removed: Mapping[str, str] = {}
    """Model → why it is not good enough for the quality asked for."""


def _rank(
    intent: _Intent, findings: Mapping[str, _Finding], registry: Registry, policy: Policy, prefers_reasoning: bool
) -> _Ranking:
    if intent.named is not None:
        return _rank_named(intent, intent.named, findings)
    if intent.wish is not None:
        return _rank_by_quality(intent, intent.wish, findings, registry, policy.caution)
    preference = _by_reasoning if prefers_reasoning else _by_cost
    if not intent.tiers:
        able = sorted((finding for finding in findings.values() if finding.obstacle is None), key=preference)
        tier = able[0].model.tier if able else intent.work
        reasons = {finding.model.name: "of any tier, by cost" for finding in able}
        return _Ranking(tier, intent.reason, _awake_first(reasons, findings))
    for tier in intent.tiers:
        pool = [finding for finding in findings.values() if finding.model.tier is tier and finding.obstacle is None]
        if pool:
            pool.sort(key=preference)
            return _rank_tier(intent, tier, pool, findings, registry)
    return _Ranking(intent.work, intent.reason, {})


BEST_VALUE_NANOUSD = 1_000_000_000_000
"""For `auto:best`: a good answer is worth a thousand dollars, so that cost only decides between equals."""


def _rank_by_quality(
    intent: _Intent,
    wish: Match | _Floor | _Value,
    findings: Mapping[str, _Finding],
    registry: Registry,
    caution: float,
) -> _Ranking:
    """Of the models that can take the call, those that are good enough, cheapest first, or by value for money."""
    able = {name: finding for name, finding in findings.items() if finding.obstacle is None and finding.expectation}
    if not able:
        return _Ranking(intent.work, intent.reason, {})
    success = {name: _careful_success(finding, caution) for name, finding in able.items()}
    strongest = max(able, key=lambda name: _success(able[name]))
    success[strongest] = _success(able[strongest])
    if isinstance(wish, _Value):
        worth = {name: success[name] * wish.nanousd - _cost(able[name]) for name in able}
        order = sorted(able, key=lambda name: (bool(able[name].reason), -worth[name]))
        reasons = dict.fromkeys(order, "less for the money")
        reasons[order[0]] = "most expected success" if intent.reason == "best first" else "most for the money"
        return _Ranking(able[order[0]].model.tier, intent.reason, _awake_first(reasons, findings))
    floor, told = _floor(wish, findings, registry)
    good = [name for name in able if success[name] >= floor]
    removed = {name: f"below floor {floor:.2f}" for name in able if name not in good}
    reason = f"{intent.reason}; {told}"
    if not good:
        good = [strongest]
        del removed[strongest]
        reason = f"{reason}; no model reaches {floor:.2f}: the strongest"
    order = sorted(good, key=lambda name: _by_cost(able[name]))
    reasons = dict.fromkeys(order, "good enough")
    reasons[order[0]] = "cheapest eligible" if removed.keys() != able.keys() - {strongest} else "strongest"
    return _Ranking(able[order[0]].model.tier, reason, _awake_first(reasons, findings), removed)


def _floor(wish: Match | _Floor, findings: Mapping[str, _Finding], registry: Registry) -> tuple[float, str]:
    """The least success that is good enough, and whose word that is."""
    if isinstance(wish, _Floor):
        return wish.success, f"quality {wish.success:.2f} was asked for"
    name = registry.aliases.get(wish.model, wish.model)
    return _success(findings[name]) * (1 - wish.within), f"to match {name} within {wish.within:.1%}"


def _success(finding: _Finding) -> float:
    return 0.0 if finding.expectation is None else finding.expectation.success


def _careful_success(finding: _Finding, caution: float) -> float:
    return _success(finding) - (0.0 if finding.expectation is None else caution * finding.expectation.doubt)


def _explore(ranking: _Ranking, share: float, chance: float) -> tuple[_Ranking, float]:
    """The ranking with, by chance, another model first; and how probable that first choice was."""
    names = list(ranking.eligible)
    drawn = share / len(names)
    if chance >= share:
        return ranking, 1 - share + drawn
    name = names[int(chance / drawn)]
    if name == names[0]:
        return ranking, 1 - share + drawn
    reasons = {name: f"drawn to explore ({share:.1%} of requests)"} | ranking.eligible
    return ranking._replace(eligible=reasons), drawn


def _by_cost(finding: _Finding) -> tuple[bool, int]:
    """Awake before resting, then cheap before dear."""
    return bool(finding.reason), finding.cost_nanousd or 0


def _by_reasoning(finding: _Finding) -> tuple[bool, bool, int]:
    """Awake before resting, then those that can reason, then cheap before dear."""
    return bool(finding.reason), Capability.REASONING not in finding.model.capabilities, finding.cost_nanousd or 0


def _rank_tier(
    intent: _Intent, tier: Tier, pool: list[_Finding], findings: Mapping[str, _Finding], registry: Registry
) -> _Ranking:
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
    return _Ranking(tier, reason, _awake_first(reasons, findings))


def _rank_named(intent: _Intent, names: tuple[str, ...], findings: Mapping[str, _Finding]) -> _Ranking:
    reasons = {
        name: intent.reason if name == names[0] else f"fallback of {names[0]}"
        for name in names
        if findings[name].obstacle is None
    }
    return _Ranking(intent.work, intent.reason, _awake_first(reasons, findings))


def _awake_first(reasons: dict[str, str], findings: Mapping[str, _Finding]) -> dict[str, str]:
    """The same models, at most `MAX_ATTEMPTS`, those that rest at the end."""
    resting = {
        name: f"{reason}; last: {findings[name].reason}" for name, reason in reasons.items() if findings[name].reason
    }
    if resting:
        reasons = {name: reason for name, reason in reasons.items() if name not in resting} | resting
    if len(reasons) > MAX_ATTEMPTS:
        reasons = dict(list(reasons.items())[:MAX_ATTEMPTS])
    return reasons


def _candidates(
    call: Call,
    intent: _Intent,
    ranking: _Ranking,
    findings: Mapping[str, _Finding],
    judge: _Judge,
    dropped_fields: Callable[[str, Call], tuple[str, ...]],
) -> tuple[Candidate, ...]:
    candidates = []
    for name, reason in ranking.eligible.items():
        finding = findings[name]
        deployments = judge.deployments(finding.model)
        dialect = deployments[0].dialect
        candidates.append(
            Candidate(
                model=name,
                tier=finding.model.tier,
                is_eligible=True,
                reason=_with_warmth(reason, judge.warm.get(name, 0)),
                expected_cost_nanousd=finding.cost_nanousd,
                success=_rounded_success(finding),
                outcomes=0 if finding.expectation is None else finding.expectation.outcomes,
                deployments=tuple([deployment.id for deployment in deployments]),
                dropped_fields=() if dialect == call.dialect else dropped_fields(dialect, call),
            )
        )
    why_not = _why_not(intent, ranking)
    candidates += [
        Candidate(
            model=name,
            tier=finding.model.tier,
            is_eligible=False,
            reason=_with_warmth(
                ranking.removed.get(name)
                or (why_not[finding.model.tier] if finding.obstacle is None else finding.reason),
                judge.warm.get(name, 0),
            ),
            expected_cost_nanousd=finding.cost_nanousd,
            success=_rounded_success(finding),
            outcomes=0 if finding.expectation is None else finding.expectation.outcomes,
        )
        for name, finding in findings.items()
        if name not in ranking.eligible
    ]
    return tuple(candidates)


def _with_warmth(reason: str, tokens: int) -> str:
    return f"{reason}; {tokens:,} tokens warm" if tokens else reason


def _rounded_success(finding: _Finding) -> float | None:
    return None if finding.expectation is None else round(finding.expectation.success, 4)


def _why_not(intent: _Intent, ranking: _Ranking) -> Mapping[Tier, str]:
    """Why a model that could take the call is not tried, by its tier."""
    if intent.named is not None:
        return dict.fromkeys(Tier, intent.reason)
    return _NOT_OF_TIER[ranking.tier] if intent.tiers else _TOO_MANY


def _baseline(findings: Mapping[str, _Finding], registry: Registry, policy: Policy) -> _Finding | None:
    """What a saving is measured against: the policy's model, else the dearest of the complex tier, else of all."""
    if policy.baseline is not None:
        return findings.get(registry.aliases.get(policy.baseline, policy.baseline))
    priced = [finding for finding in findings.values() if finding.cost_nanousd is not None]
    complex_ones = [finding for finding in priced if finding.model.tier is Tier.COMPLEX]
    return max(complex_ones or priced, key=_cost, default=None)


def _cost(finding: _Finding) -> int:
    return finding.cost_nanousd or 0


# ---- when nobody is left ------------------------------------------------------------------------------------------


def _refusal(call: Call, intent: _Intent, findings: Mapping[str, _Finding], needed: int) -> CallerError:
    """The error that says which constraint removed which model."""
    removed = _in_scope(intent, findings)
    told = "; ".join(f"{finding.model.name}: {finding.reason}" for finding in removed) or "none is configured"
    obstacles = {finding.obstacle for finding in removed}
    if _Obstacle.WINDOW in obstacles:
        return ContextTooLong(
            f"no permitted model holds the about {needed:,} tokens of input and output asked for: {told}",
            param="messages",
            hint="shorten the input, ask for less output, or add a model with a longer context window",
        )
    if intent.named is not None and obstacles == {_Obstacle.PRICE}:
        return UnpricedModel(
            f"what {call.model} costs is not known: {told}",
            param="model",
            hint="set its price in the settings, or leave out max-cost",
        )
    return NoEligibleModel(
        f"no model can take this request ({intent.reason}): {told}",
        param="model",
        hint="lift one of these constraints; POST /v1/route shows the decision without calling anyone",
    )


def _in_scope(intent: _Intent, findings: Mapping[str, _Finding]) -> list[_Finding]:
    if intent.named is not None:
        return [findings[name] for name in intent.named]
    return [finding for finding in findings.values() if not intent.tiers or finding.model.tier in intent.tiers]
