"""Which models may answer, in which order, and why: verdict + registry + health + policy → `Route`.

A plain function of values, in three steps: what is wanted (`intent`), what each model can do (`eligibility`), who goes
first (`ranking`). Every model of the registry ends up in the route, chosen, waiting as a fallback, or removed with the
constraint that removed it, so that a decision can be explained, stored and replayed.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.registry import Deployment, Registry, Tier
from routewright.decision.eligibility import (
    ALL_MODELS,
    LACKS,
    NOTHING_WARM,
    Examiner,
    Finding,
    Obstacle,
    required_capabilities,
)
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.intent import Intent, Policy, asked_of, intent_of
from routewright.decision.permission import is_restricted, permission_of
from routewright.decision.ranking import Draw, Ranking, drawn, rank, reasons_not_to_try
from routewright.errors import CallerError, ContextTooLong, NoEligibleModel, UnpricedModel
from routewright.route import Candidate, Route, Sign, Verdict

NOTHING_WITHDRAWN: Mapping[str, str] = MappingProxyType({})


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
    chance: float | None = None,
    session: Sequence[Sign] = (),
    withdrawn: Mapping[str, str] = NOTHING_WITHDRAWN,
) -> Route:
    """The route of a call.

    `now_s` is UTC in seconds since 1970, `token_ratio(model)` what that model counts for a token of our estimate,
    `resting` the reason by id of each deployment that must not be called now; `cannot_carry(dialect, call)` and
    `dropped_fields(dialect, call)` are the dialects' own answers.
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
    examiner = Examiner(
        call=call,
        features=features,
        required=required,
        output_tokens=output_tokens,
        now_s=now_s,
        resting=resting,
        cannot_carry=cannot_carry,
        must_have_price=intent.named is None,
        forecast=forecast,
        warm=warm,
        permission=permission,
        taking_part=policy.models if intent.named is None else ALL_MODELS,
    )
    findings = examiner.examine(registry.models.values(), token_ratio)
    if intent.pinned is not None:
        findings |= examiner.examine((intent.pinned,), token_ratio)
    trusted = _without(findings, withdrawn) if withdrawn and intent.named is None else findings
    ranking = rank(intent, trusted, registry, policy, asked.prefers_reasoning)
    if ranking.eligible:
        findings = trusted
    elif trusted is not findings:
        ranking = rank(intent, findings, registry, policy, asked.prefers_reasoning)
    if not ranking.eligible:
        raise _refusal(call, intent, findings, features.input_tokens + (call.max_output_tokens or output_tokens))
    draw = drawn(ranking, intent, asked, findings, policy.exploration, chance)
    ranking = draw.ranking
    baseline = _baseline(findings, registry, policy)
    first = findings[next(iter(ranking.eligible))]
    return Route(
        verdict=verdict if intent.follows_verdict else None,
        tier=ranking.tier,
        reason=ranking.reason,
        candidates=_candidates(call, intent, draw, findings, examiner, dropped_fields),
        input_tokens=features.input_tokens,
        input_parts=features.input_parts,
        output_tokens=(output_tokens if first.output_tokens is None else first.output_tokens) * call.choices,
        session=tuple(session) if intent.follows_verdict or intent.wish is not None else (),
        asked=asked,
        first_choice=first.model.name,
        propensity=draw.propensities[first.model.name],
        baseline_model=baseline.model.name if baseline else None,
        baseline_cost_nanousd=baseline.cost_nanousd if baseline else None,
        catalog=registry.version,
        classifier=verdict.classifier if verdict is not None and intent.follows_verdict else None,
        policy=policy.version,
    )


def _without(findings: Mapping[str, Finding], withdrawn: Mapping[str, str]) -> dict[str, Finding]:
    return {
        name: replace(finding, obstacle=Obstacle.CONSTRAINT, reason=withdrawn[name])
        if name in withdrawn and finding.obstacle is None
        else finding
        for name, finding in findings.items()
    }


def _candidates(
    call: Call,
    intent: Intent,
    draw: Draw,
    findings: Mapping[str, Finding],
    examiner: Examiner,
    dropped_fields: Callable[[str, Call], tuple[str, ...]],
) -> tuple[Candidate, ...]:
    ranking, propensities = draw
    eligible, warm = ranking.eligible, examiner.warm
    why_not = reasons_not_to_try(intent, ranking)
    dropped: dict[str, tuple[str, ...]] = {}
    candidates = []
    for name in (*eligible, *[name for name in findings if name not in eligible]):
        finding = findings[name]
        model, expectation, obstacle = finding.model, finding.expectation, finding.obstacle
        reason, is_eligible = eligible.get(name), name in eligible
        if reason is None:
            reason = ranking.removed.get(name) or (why_not[model.tier] if obstacle is None else finding.reason)
        deployments: tuple[Deployment, ...] = ()
        dropped_here: tuple[str, ...] = ()
        if is_eligible or _is_in_reserve(intent, name, finding, ranking):
            deployments = examiner.deployments(model)
        if is_eligible:
            dialect = deployments[0].dialect
            if dialect not in dropped:
                dropped[dialect] = dropped_fields(dialect, call)
            dropped_here = dropped[dialect]
        candidates.append(
            Candidate(
                model=name,
                tier=model.tier,
                is_eligible=is_eligible,
                reason=_with_warmth(reason, warm[name]) if name in warm else reason,
                expected_cost_nanousd=finding.cost_nanousd,
                cold_cost_nanousd=finding.cold_cost_nanousd,
                success=None if expectation is None else _rounded(expectation.success),
                outcomes=0 if expectation is None else expectation.outcomes,
                doubt=None if expectation is None else _rounded(expectation.doubt),
                output_tokens=finding.output_tokens,
                hindrance="unable" if obstacle is not None else "resting" if finding.reason else "",
                propensity=propensities.get(name, 0.0),
                deployments=tuple([deployment.id for deployment in deployments]),
                dropped_fields=dropped_here,
            )
        )
    return tuple(candidates)


def _is_in_reserve(intent: Intent, name: str, finding: Finding, ranking: Ranking) -> bool:
    """Whether a model that is not tried could be called, should an answer not do: not if another was named."""
    return intent.named is None and finding.obstacle is None and name not in ranking.removed


def _with_warmth(reason: str, tokens: int) -> str:
    return f"{reason}; {tokens:,} tokens warm" if tokens else reason


def _rounded(number: float) -> float:
    """To four digits, of a number that is not negative; `round` takes five times as long, as it goes by way of text."""
    return int(number * 10_000 + 0.5) / 10_000


def _baseline(findings: Mapping[str, Finding], registry: Registry, policy: Policy) -> Finding | None:
    """What a saving is measured against: the policy's model, else the dearest of the complex tier, else of all."""
    if policy.baseline is not None:
        return findings.get(registry.aliases.get(policy.baseline, policy.baseline))
    priced = [finding for finding in findings.values() if finding.cost_nanousd is not None]
    complex_ones = [finding for finding in priced if finding.model.tier is Tier.COMPLEX]
    return max(complex_ones or priced, key=lambda finding: finding.cost_nanousd or 0, default=None)


# ---- when nobody is left ------------------------------------------------------------------------------------------


def _refusal(call: Call, intent: Intent, findings: Mapping[str, Finding], needed: int) -> CallerError:
    """The error that says which constraint removed which model."""
    removed = [finding for finding in _in_scope(intent, findings) if finding.obstacle is not Obstacle.PERMISSION]
    told = "; ".join(f"{finding.model.name}: {finding.reason}" for finding in removed) or "there is none"
    obstacles = {finding.obstacle for finding in removed}
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
        hint=_unsaid_capability(removed)
        or "lift one of these constraints (x-routewright-drop: NAME leaves out what cannot be carried); "
        "POST /v1/route shows the decision without calling anyone",
    )


def _unsaid_capability(removed: list[Finding]) -> str | None:
    """What to write where nobody has said what a model can do: a local server does not, of what it has loaded."""
    for finding in removed:
        for capability, reason in LACKS.items():
            if finding.reason == reason and not finding.model.capabilities:
                name = finding.model.name
                return f'if {name} can do it, say so: [models."{name}"] capabilities = ["{capability}"]'
    return None


def _in_scope(intent: Intent, findings: Mapping[str, Finding]) -> list[Finding]:
    if intent.named is not None:
        return [findings[name] for name in intent.named]
    is_any = not intent.tiers or intent.or_cheapest
    return [finding for finding in findings.values() if is_any or finding.model.tier in intent.tiers]
