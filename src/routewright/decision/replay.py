"""A logged decision made again, by another policy, over another catalog, at other prices: pure, and without the words.

All that a decision looks at is in its `Route`: what was asked, the verdict and the session's signs, and of each model
what stood in its way, what was expected of it and of its cost. So a threshold, a floor, a tier, a price or a model more
are replayed as they would have been. What would take the words themselves is not, and `UNREPLAYED` says what.
"""

from collections.abc import Mapping

from msgspec import Struct

from routewright.catalog.registry import Capability, Model, Registry
from routewright.decision.eligibility import Findings, Obstacle
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.intent import Policy, intent_of
from routewright.decision.ranking import drawn, rank
from routewright.errors import ModelNotFound
from routewright.route import Asked, Candidate, Route

UNREPLAYED = (
    "another classifier, artefact or second opinion: each request keeps the verdict that it got",
    "conversations: a request keeps its session's signs, and what was warm in which provider's cache",
    "constraints: a model that could not take a request (keys, fields, capabilities, window) still cannot, nor one "
    "that took no part in the policy of then, or was withdrawn",
    "budgets, fallbacks and failures: what they did to a request stays part of its outcome",
)
"""What a replay leaves as it was."""


class Replay(Struct, frozen=True):
    """The same request, decided anew."""

    propensities: Mapping[str, float]
    """Model → the probability with which it is the first choice; sums to 1."""
    costs: Mapping[str, int | None]
    """Model → what it is expected to cost, nano-USD, for every model that can take the request."""


class Unreplayable(Struct, frozen=True):
    """Why a request cannot be decided anew."""

    reason: str


class Recalled(Struct, frozen=True):
    """A logged request held against a registry: what every policy that decides it anew looks at, found once."""

    route: Route
    asked: Asked
    registry: Registry
    forecast: Forecast | None
    findings: Findings

    def decided_by(self, policy: Policy) -> Replay | Unreplayable:
        """What this policy makes of it."""
        asked, registry = self.asked, self.registry
        session = self.route.session if policy.session_evidence else ()
        try:
            intent = intent_of(asked, self.route.verdict, registry, policy, self.forecast, session)
        except ModelNotFound:
            return Unreplayable(f"{asked.model} was asked for, and is not in the other catalog")
        findings = self.findings
        if policy.models and intent.named is None:
            left_out = {name: "takes no part" for name in registry.models if name not in policy.models}
            findings = findings.without(left_out) if left_out else findings
        ranking = rank(intent, findings, registry, policy, asked.prefers_reasoning)
        if not ranking.eligible:
            return Unreplayable("no model of the other catalog could take it")
        draw = drawn(ranking, intent, asked, findings, policy.exploration, chance=1.0)
        names = registry.lineup.names
        costs = {name: findings.cost(at) for at, name in enumerate(names) if at not in findings.obstacles}
        return Replay({names[at]: probability for at, probability in draw.propensities.items()}, costs)


def recall(
    route: Route, registry: Registry, *, before: Registry, now_s: int, newcomers: Mapping[str, Expectation]
) -> Recalled | Unreplayable:
    """What can be known of a logged request over a registry.

    `before` is the catalog whose prices the logged costs are at; `now_s` when it was decided, UTC in seconds since
    1970; `newcomers` what to expect of models that the route does not know.
    """
    asked = route.asked
    if asked is None:
        return Unreplayable("logged by a version that did not keep what a decision looks at")
    logged = {each.model: each for each in route.candidates}
    expected = {name: it for name, each in logged.items() if (it := _expectation(each)) is not None}
    expected |= {name: each for name, each in newcomers.items() if name not in logged}
    forecast = Forecast.of_each(expected) if expected else None
    findings = _findings(registry, forecast, logged, route, asked, before, now_s)
    return Recalled(route, asked, registry, forecast, findings)


def replay(
    route: Route,
    policy: Policy,
    registry: Registry,
    *,
    before: Registry,
    now_s: int,
    newcomers: Mapping[str, Expectation],
) -> Replay | Unreplayable:
    """Decide again, by one policy; the rest is as `recall` says."""
    recalled = recall(route, registry, before=before, now_s=now_s, newcomers=newcomers)
    return recalled if isinstance(recalled, Unreplayable) else recalled.decided_by(policy)


def _expectation(candidate: Candidate) -> Expectation | None:
    """As it was then. Waste is in the logged cost already."""
    if candidate.success is None:
        return None
    doubt, tokens = candidate.doubt or 0.0, candidate.output_tokens or 0
    return Expectation(candidate.success, doubt, candidate.outcomes, tokens, waste=1.0)


def _findings(
    registry: Registry,
    forecast: Forecast | None,
    logged: Mapping[str, Candidate],
    route: Route,
    asked: Asked,
    before: Registry,
    now_s: int,
) -> Findings:
    """What would have been found of the models of a registry."""
    lineup = registry.lineup
    forecast = None if forecast is None else forecast.over(lineup.names)
    costs, output_tokens = [], []
    cold: dict[int, int] = {}
    obstacles: dict[int, Obstacle] = {}
    resting: dict[int, str] = {}
    for at, model in enumerate(lineup.models):
        then = logged.get(model.name)
        is_foreseen = forecast is not None and at not in forecast.unknown
        tokens = (
            forecast.output_tokens[at] if forecast and is_foreseen else route.output_tokens // max(asked.choices, 1)
        )
        tokens = min(tokens, asked.max_output_tokens or model.max_output_tokens)
        cost = bare_cost_nanousd(model, route.input_tokens, tokens * asked.choices, now_s)
        if then is not None and cost is not None:
            factor = 1.0
            if (old := before.models.get(model.name)) is not None and old.prices != model.prices:
                was = bare_cost_nanousd(old, route.input_tokens, tokens * asked.choices, now_s)
                factor = cost / was if was else 1.0
            if then.expected_cost_nanousd is not None:  # with what was warm, and what is wasted
                cost = round(then.expected_cost_nanousd * factor)
            if then.cold_cost_nanousd is not None:
                cold[at] = round(then.cold_cost_nanousd * factor)
        obstacle = _obstacle(model, then, route, asked, cost, tokens)
        if obstacle is not None:
            obstacles[at] = obstacle
        elif then is not None and then.hindrance == "resting":
            resting[at] = "rested then"
        costs.append(cost or 0)
        output_tokens.append(tokens)
    return Findings(lineup, costs, forecast, output_tokens, cold, obstacles, resting)


def _obstacle(
    model: Model, logged: Candidate | None, route: Route, asked: Asked, cost: int | None, tokens: int
) -> Obstacle | None:
    if cost is None:
        return Obstacle.PRICE
    if asked.max_cost_nanousd is not None and cost > asked.max_cost_nanousd:
        return Obstacle.CONSTRAINT
    if logged is not None:
        return Obstacle.CONSTRAINT if logged.hindrance == "unable" else None
    room = asked.max_output_tokens or tokens
    can = {Capability(name) for name in asked.required} <= model.capabilities and room <= model.max_output_tokens
    if not can or not model.deployments:
        return Obstacle.CONSTRAINT
    return Obstacle.WINDOW if route.input_tokens + room > model.context_window else None


def bare_cost_nanousd(model: Model, input_tokens: int, output_tokens: int, now_s: int) -> int | None:
    """What so many tokens cost, none of them warm; None without a price."""
    if model.prices is None:
        return None
    rates = model.prices.rates_at(now_s, input_tokens)
    return (input_tokens * rates.input + output_tokens * rates.output + rates.request + 500) // 1000
