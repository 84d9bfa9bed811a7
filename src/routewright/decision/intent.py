"""What is wanted of a decision: by the operator (`Policy`), and by the caller of one request (`Intent`)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr, replace

from routewright.call import Call
from routewright.catalog.registry import Model, Registry, Tier
from routewright.decision.background import background_work, is_for_small_model
from routewright.decision.expectation import Forecast
from routewright.decision.progress import stepped, weight_of
from routewright.route import Asked, Sign, Verdict

CLASSIFIED = ("auto", "claude-auto")
"""Names that ask for a decision by the kind of work; Claude Code lists only names that begin with `claude`."""
CHEAPEST = "auto:cheap"
BEST = "auto:best"
VIRTUAL_MODELS = (*CLASSIFIED, CHEAPEST, BEST)
"""Names that are no model's."""

UPWARDS = (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)
"""When no model of a tier can take a request, the next one may."""

BEST_VALUE_NANOUSD = 1_000_000_000_000
"""For `auto:best`: a good answer is worth a thousand dollars, so that cost only decides between equals."""


class Match(Struct, frozen=True):
    """As good as `model`, but for a share of its success: `"match claude-opus-4.7 within 2 %"`."""

    model: str
    within: float
    """0.02 for 2 %."""


class Floor(NamedTuple):
    """The cheapest whose success is at least this."""

    success: float


class Value(NamedTuple):
    """The most value for the money, with a good answer worth this."""

    nanousd: int


Wish: TypeAlias = Match | Floor | Value


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
    """Share of the requests whose first choice is drawn evenly: from all models that can take the request, where the
    choice is the policy's alone, else from those that may be tried."""
    session_evidence: bool = True
    """How a session goes so far moves what its next turn gets."""
    models: frozenset[str] = frozenset()
    """Only these take part where the caller names no model; empty for all."""
    overlay: str = ""
    """Digest of what else it changes, of tiers and fallbacks among others; empty for the settings as they are."""
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
            "session_evidence": self.session_evidence,
        }
        if self.overlay:
            content["overlay"] = self.overlay
        digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
        force_setattr(self, "version", f"{self.name}@{digest[:8]}")


def needs_verdict(call: Call) -> bool:
    """Whether the route depends on what kind of work the request is; if not, there is no need to classify it."""
    return call.model in CLASSIFIED and call.options.tier is None


def asks_for_quality(call: Call, policy: Policy) -> bool:
    """Whether models are chosen by how good each is expected to be; tiers are no matter then, if that is known."""
    return _wish(call.options.min_quality, policy) is not None


def needs_forecast(call: Call) -> bool:
    """Whether models are weighed against each other; not where the caller named one."""
    return call.model in VIRTUAL_MODELS


class Intent(Struct, frozen=True):
    """What one call asks for."""

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
    or_cheapest: bool = False
    """Where no model of the tiers can take it, the cheapest of all that can."""
    wish: Wish | None = None
    """How good it must be, when that was said; tiers are then no matter."""


NO_REASONING_EFFORTS = (None, "none", "minimal")


def asked_of(call: Call, required: Iterable[str]) -> Asked:
    """What a decision looks at in a call beside its words; `required` are the capabilities that a model must have."""
    options = call.options
    return Asked(
        model=call.model,
        tier=options.tier,
        min_quality=options.min_quality,
        max_cost_nanousd=options.max_cost_nanousd,
        background=background_work(call) if call.model in CLASSIFIED and options.tier is None else "",
        max_output_tokens=call.max_output_tokens,
        choices=call.choices,
        prefers_reasoning=call.reasoning_effort not in NO_REASONING_EFFORTS,
        required=tuple(sorted(required)),
    )


def intent_of(
    asked: Asked,
    verdict: Verdict | None,
    registry: Registry,
    policy: Policy,
    forecast: Forecast | None,
    session: Sequence[Sign] = (),
) -> Intent:
    """What a call asks for. Raises ModelNotFound."""
    if asked.model in CLASSIFIED:
        return _classified_intent(asked, verdict, registry, policy, forecast, session)
    if asked.model == CHEAPEST:
        intent = Intent(asked.tier or Tier.STANDARD, "cheapest of all tiers")
        floor = asked.min_quality
        return intent if floor is None else _with_wish(intent, Floor(floor), registry, forecast)
    if asked.model == BEST:
        wish = None if forecast is None else Value(BEST_VALUE_NANOUSD)
        return Intent(Tier.COMPLEX, "best tier first" if wish is None else "best first", UPWARDS[::-1], wish=wish)
    if is_for_small_model(asked.model) and registry.find(asked.model) is None:
        return _bulk(f"{asked.model} is not here, and stands for small work")
    model = registry.resolve(asked.model)
    if model is registry.models[model.name]:
        return Intent(model.tier, f"{asked.model} was asked for", named=registry.order[model.name])
    return Intent(model.tier, f"only {asked.model} was asked for", named=(model.name,), pinned=model)


def _classified_intent(
    asked: Asked,
    verdict: Verdict | None,
    registry: Registry,
    policy: Policy,
    forecast: Forecast | None,
    session: Sequence[Sign],
) -> Intent:
    if asked.tier is not None:
        return Intent(asked.tier, _ASKED[asked.tier], tiers=UPWARDS[UPWARDS.index(asked.tier) :])
    if asked.background and asked.min_quality is None:
        return _bulk(f"an agent wants {asked.background}, beside its work")
    wish = _wish(asked.min_quality, policy)
    intent = _tier_intent(verdict, policy, session)
    if wish is None:
        return intent
    wishing = _with_wish(intent, wish, registry, forecast)
    # the tier is no matter then, and so neither is how sure the verdict is of it
    return wishing if wishing.wish is None or verdict is None else replace(wishing, reason=verdict.reason)


def _with_wish(intent: Intent, wish: Wish, registry: Registry, forecast: Forecast | None) -> Intent:
    """The intent with its wish; without, and the reason why, where nobody can say what fulfils it."""
    if forecast is None:
        return replace(intent, reason=f"{intent.reason}; no success is known to hold against the quality asked for")
    if isinstance(wish, Match) and registry.aliases.get(wish.model, wish.model) not in registry.models:
        return replace(intent, reason=f"{intent.reason}; {wish.model}, to be matched, is not available")
    return replace(intent, wish=wish)


def _wish(min_quality: float | None, policy: Policy) -> Wish | None:
    """How good the answer must be: the caller's word before the policy's, a promise before a price."""
    if min_quality is not None:
        return Floor(min_quality)
    if policy.match is not None:
        return policy.match
    if policy.min_quality is not None:
        return Floor(policy.min_quality)
    return None if policy.success_value_nanousd is None else Value(policy.success_value_nanousd)


def _bulk(reason: str) -> Intent:
    return Intent(Tier.BULK, f"{reason}: bulk", tiers=(Tier.BULK,), or_cheapest=True)


def _tier_intent(verdict: Verdict | None, policy: Policy, session: Sequence[Sign]) -> Intent:
    if verdict is None:
        return Intent(Tier.STANDARD, "not classified: standard", tiers=_PATHS[Tier.STANDARD])
    tier, reason = verdict.tier, verdict.reason
    if verdict.confidence < policy.confidence_threshold:
        tier = Tier.STANDARD
        reason = f"confidence {verdict.confidence:.2f} < {policy.confidence_threshold:.2f}: standard"
    if session and (moved := stepped(tier, weight_of(session))) is not tier:
        told = ", ".join(f"{sign.name} ({sign.weight:+g})" for sign in session)
        tier, reason = moved, f"{reason}; {told}: {moved.value} instead of {tier.value}"
    return Intent(tier, reason, tiers=_PATHS[tier], follows_verdict=True)


_PATHS = {tier: (*UPWARDS[at:], *reversed(UPWARDS[:at])) for at, tier in enumerate(UPWARDS)}
"""Up first; then down, which beats no answer at all and is said in the reason."""
_ASKED = {tier: f"tier {tier.value} was asked for" for tier in Tier}
