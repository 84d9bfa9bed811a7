"""`routewright route`: the decision for a question, with every candidate and its reason; nobody is called."""

import math
from collections.abc import Mapping

import click
from msgspec import structs

from routewright.call import Call
from routewright.catalog.registry import Tier
from routewright.cli.opening import asked, deciding_only, in_force_if_known, source_of, wished
from routewright.cli.options import json_option, question_options, read_prompt, settings_options, simulate_option
from routewright.cli.screen import Column, print_json, print_table
from routewright.client import read_question
from routewright.engine import Engine
from routewright.errors import CallerError
from routewright.reports.decision_text import because, headline, rows, strategy_text
from routewright.route import Route, Verdict
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line, usd

_COLUMNS = (
    Column("model"),
    Column("tier"),
    Column("P(good)"),
    Column("est. cost", is_number=True),
    Column("eligible"),
    Column("why"),
)
_FLOORS = [hundredths / 100 for hundredths in range(101)]


@click.command("route", short_help="Show which model a question would go to, and why; calls nobody.")
@question_options
@json_option
@simulate_option
@settings_options
def command(
    words: tuple[str, ...],
    model: str | None,
    tier: str | None,
    min_quality: float | None,
    quality: str | None,
    policy: str | None,
    system: str | None,
    max_tokens: int | None,
    as_json: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Show which model a question would go to, and why; calls nobody.

    PROMPT is read as by `routewright ask`. Costs nothing and leaves nothing in the ledger. With --json the whole
    decision is printed, as the ledger would keep it.
    """
    prompt = read_prompt(words)
    ask = asked(model=model, tier=tier, min_quality=min_quality, policy=policy, system=system, max_tokens=max_tokens)
    settings, registry = source_of(config, wished(flags, quality), simulate=simulate).load()
    engine = deciding_only(settings, registry, in_force_if_known(settings))
    call = read_question(prompt, ask, request_id=engine.mint_id())
    route = engine.route(call)
    if as_json:
        print_json(route)
        return
    click.echo(headline(route))
    click.echo(f"  {because(route)}")
    if route.strategy is not None:
        click.echo(f"  {strategy_text(route.strategy)}")
    print_table(_COLUMNS, rows(route))
    if change := would_change(call, route, engine):
        click.echo(f"  would change if: {change}")


# ---- what would change it ---------------------------------------------------------------------------------------


def would_change(call: Call, route: Route, engine: Engine) -> str | None:
    """The nearest floors, or the threshold, at which another model would be taken; None if there are none.

    They are found by deciding again.
    """
    policy = engine.plan.decided(route.policy).settings.policy
    has_floor = call.options.min_quality is not None or policy.quality is not None or policy.min_quality is not None
    if has_floor and route.chosen.success is not None and call.options.tier is None:
        return _other_floors(call, route, engine)
    return None if policy.success_value_usd is not None else _other_threshold(call, route, engine)


def _other_floors(call: Call, route: Route, engine: Engine) -> str | None:
    """By whole hundredths: a lower floor that a cheaper model reaches, a higher one that takes a stronger one."""
    taken = [_at_floor(call, engine, floor) for floor in _FLOORS]
    if route.chosen.model not in taken:
        return None
    first = taken.index(route.chosen.model)
    last = len(taken) - 1 - taken[::-1].index(route.chosen.model)
    changes = []
    if first > 0 and taken[first - 1]:
        changes.append(f"floor ≤ {_FLOORS[first - 1]:.2f}{_instead(route, taken[first - 1])}")
    if last + 1 < len(taken) and taken[last + 1]:
        changes.append(f"floor ≥ {_FLOORS[last + 1]:.2f}{_instead(route, taken[last + 1])}")
    return "; ".join(changes) or None


def _at_floor(call: Call, engine: Engine, floor: float) -> str:
    """Who would be taken; empty for nobody."""
    options = structs.replace(call.options, min_quality=floor)
    try:
        return engine.route(structs.replace(call, options=options)).chosen.model
    except CallerError:
        return ""


def _other_threshold(call: Call, route: Route, engine: Engine) -> str | None:
    decided = engine.plan.decided(route.policy)
    policy = decided.settings.policy
    threshold = _threshold_beyond(route.verdict, policy.confidence_threshold)
    if route.verdict is None or threshold is None:
        return None
    other = structs.replace(
        decided.settings,
        policy=structs.replace(policy, confidence_threshold=threshold),
        policies={},  # it is what they would change to
        rollout=structs.replace(decided.settings.rollout, enabled=False),
    )
    try:
        model = deciding_only(other, decided.registry).route(call).chosen.model
    except CallerError:
        return None
    if model == route.chosen.model:
        return None
    sign = "≤" if threshold <= route.verdict.confidence else ">"
    return f"confidence_threshold {sign} {route.verdict.confidence:.2f}{_instead(route, model)}"


def _threshold_beyond(verdict: Verdict | None, threshold: float) -> float | None:
    """A threshold on the other side of the confidence; None where that changes nothing."""
    if verdict is None or verdict.tier is Tier.STANDARD:
        return None
    if verdict.confidence < threshold:
        return verdict.confidence
    return math.nextafter(verdict.confidence, math.inf) if verdict.confidence < 1 else None


def _instead(route: Route, model: str) -> str:
    """Who would be taken, and what that saves or costs.

    By the estimates of this decision: those of another one may expect another length of answer.
    """
    costs = {candidate.model: candidate.expected_cost_nanousd for candidate in route.candidates}
    before, after = costs[route.chosen.model], costs.get(model)
    told = f" → {one_line(model)}"
    if before is None or after is None:
        return told
    return f"{told}, saves {usd(before - after)}" if after < before else f"{told}, costs {usd(after - before)} more"
