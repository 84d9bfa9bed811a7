"""Which models may answer, in which order, and why: verdict + registry + health + policy → `Route`.

A plain function of values, in three steps: what is wanted (`intent`), what each model can do (`eligibility`), who goes
first (`ranking`). Every model of the registry ends up in the route, chosen, waiting as a fallback, or removed with the
constraint that removed it, so that a decision can be explained, stored and replayed.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from routewright.call import Call
from routewright.catalog.registry import Registry, bits_of
from routewright.decision.candidates import Telling
from routewright.decision.eligibility import (
    ALL_MODELS,
    LACKS,
    NOTHING_WARM,
    Examiner,
    Findings,
    Obstacle,
    required_capabilities,
)
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.intent import Intent, Policy, asked_of, intent_of
from routewright.decision.permission import is_restricted, permission_of
from routewright.decision.ranking import drawn, rank
from routewright.errors import CallerError, ContextTooLong, NoEligibleModel, UnpricedModel
from routewright.route import Route, Sign, Verdict

NOTHING_WITHDRAWN: Mapping[str, str] = MappingProxyType({})


def select(
    call: Call,
    features: Features,
    verdict: Verdict | None,
    *,
    registry: Registry,
    policy: Policy,
    now_s: int,
    token_ratios: Mapping[str, float],
    resting: Mapping[str, str],
    cannot_carry: Callable[[str, Call], str | None],
    dropped_fields: Callable[[str, Call], tuple[str, ...]],
    forecast: Forecast | None = None,
    warm: Mapping[str, int] = NOTHING_WARM,
    chance: float | None = None,
    session: Sequence[Sign] = (),
    withdrawn: Mapping[str, str] = NOTHING_WITHDRAWN,
) -> Route:
    """The route of a call.

    `now_s` is UTC in seconds since 1970, `token_ratios` what a model counts for a token of our estimate, by its name
    if it was observed, `resting` the reason by id of each deployment that must not be called now;
    `cannot_carry(dialect, call)` and `dropped_fields(dialect, call)` are the dialects' own answers.
    `forecast` is what to expect of each model, None where nobody knows; `warm` how many input tokens of the call each
    model's provider still has in its cache; `chance` a number drawn from [0, 1), for a policy that explores, None for
    a decision without chance; `session` what the conversation shows of how it goes, already weighed into `forecast`;
    `withdrawn` the reason by name of each model that is only taken when it is named, or when nobody else can answer.

    Raises ModelNotFound, ContextTooLong, UnpricedModel, and NoEligibleModel naming every model with what removed it.
    """
    permission = permission_of(call.tenant, registry) if is_restricted(call.tenant) else None
    required = required_capabilities(call, features)
    asked = asked_of(call, required)
    intent = intent_of(asked, verdict, registry, policy, forecast, session)
    expected = policy.expected_output_tokens.get(intent.work, 0)
    output_tokens = min(expected, call.max_output_tokens or expected)
    lineup = registry.lineup
    examiner = Examiner(
        lineup=lineup,
        call=call,
        input_tokens=features.input_tokens,
        required=bits_of(required) if required else 0,
        output_tokens=output_tokens,
        now_s=now_s,
        resting=resting,
        cannot_carry=cannot_carry,
        must_have_price=intent.named is None,
        forecast=None if forecast is None else forecast.over(lineup.names),
        warm=warm,
        token_ratios=token_ratios,
        permission=permission,
        taking_part=policy.models if intent.named is None else ALL_MODELS,
        pinned=intent.pinned,
    )
    findings = examiner.examine()
    trusted = findings.without(withdrawn) if withdrawn and intent.named is None else findings
    ranking = rank(intent, trusted, registry, policy, asked.prefers_reasoning)
    if ranking.eligible:
        findings = trusted
    elif trusted is not findings:
        ranking = rank(intent, findings, registry, policy, asked.prefers_reasoning)
    if not ranking.eligible:
        raise _refusal(call, intent, findings, features.input_tokens + (call.max_output_tokens or output_tokens))
    draw = drawn(ranking, intent, asked, findings, policy.exploration, chance)
    ranking, telling = draw.ranking, Telling(intent, draw, findings, examiner)
    first, baseline = next(iter(ranking.eligible)), _baseline(findings, registry, policy)
    return Route(
        verdict=verdict if intent.follows_verdict else None,
        tier=ranking.tier,
        reason=ranking.reason,
        written=telling.written(call, dropped_fields),
        examined=telling.examined(),
        input_tokens=features.input_tokens,
        input_parts=features.input_parts,
        output_tokens=(findings.output_tokens[first] if findings.is_foreseen(first) else output_tokens) * call.choices,
        session=tuple(session) if intent.follows_verdict or intent.wish is not None else (),
        asked=asked,
        first_choice=lineup.names[first],
        propensity=draw.propensities[first],
        baseline_model=None if baseline is None else lineup.names[baseline],
        baseline_cost_nanousd=None if baseline is None else findings.cost(baseline),
        catalog=registry.version,
        classifier=verdict.classifier if verdict is not None and intent.follows_verdict else None,
        policy=policy.version,
    )


def _baseline(findings: Findings, registry: Registry, policy: Policy) -> int | None:
    """What a saving is measured against: the policy's model, else the dearest of the complex tier, else of all."""
    if policy.baseline is not None:
        return findings.lineup.place.get(registry.aliases.get(policy.baseline, policy.baseline))
    return max(findings.lineup.dearest, key=findings.costs.__getitem__, default=None)


# ---- when nobody is left ------------------------------------------------------------------------------------------


def _refusal(call: Call, intent: Intent, findings: Findings, needed: int) -> CallerError:
    """The error that says which constraint removed which model."""
    names, obstacles_of, reasons = findings.lineup.names, findings.obstacles, findings.reasons
    removed = [at for at in _in_scope(intent, findings) if obstacles_of.get(at) is not Obstacle.PERMISSION]
    told = "; ".join(f"{names[at]}: {reasons.get(at, '')}" for at in removed) or "there is none"
    obstacles = {obstacles_of.get(at) for at in removed}
    if Obstacle.WINDOW in obstacles:
        return ContextTooLong(
            f"no permitted model holds the about {needed:,} tokens of input and output asked for: {told}",
            param="messages",
            hint="shorten the input, ask for less output, or add a model with a longer context window",
        )
    if intent.named is not None and obstacles == {Obstacle.PRICE}:
        return UnpricedModel(
            f"what {call.model} costs is not known: {told}",
            param="model",
            hint="set its price in the settings, or leave out max-cost",
        )
    return NoEligibleModel(
        f"no model can take this request ({intent.reason}): {told}",
        param="model",
        hint=_unsaid_capability(removed, findings)
        or "lift one of these constraints (x-routewright-drop: NAME leaves out what cannot be carried); "
        "POST /v1/route shows the decision without calling anyone",
    )


def _unsaid_capability(removed: Sequence[int], findings: Findings) -> str | None:
    """What to write where nobody has said what a model can do: a local server does not, of what it has loaded."""
    for at in removed:
        model = findings.lineup.models[at]
        for capability, reason in LACKS.items():
            if findings.reasons.get(at) == reason and not model.capabilities:
                name = model.name
                return f'if {name} can do it, say so: [models."{name}"] capabilities = ["{capability}"]'
    return None


def _in_scope(intent: Intent, findings: Findings) -> Sequence[int]:
    lineup = findings.lineup
    if intent.named is not None:
        return [lineup.place[name] for name in intent.named]
    is_any = not intent.tiers or intent.or_cheapest
    return [at for at, tier in enumerate(lineup.tiers) if is_any or tier in intent.tiers]
