"""`routewright route`: the decision for a question, with every candidate and its reason; nobody is called."""

import math
from collections.abc import Mapping
from pathlib import Path

import click
from msgspec import structs

from routewright.call import Call
from routewright.catalog.registry import Registry, Tier
from routewright.cli.opening import asked, deciding_only, source_of
from routewright.cli.options import json_option, question_options, read_prompt, settings_options, simulate_option
from routewright.cli.screen import Column, print_json, print_table
from routewright.cli.text import one_line, usd
from routewright.client import read_question
from routewright.errors import CallerError
from routewright.route import Route
from routewright.settings import Settings

_COLUMNS = (Column("model"), Column("tier"), Column("est. cost", is_number=True), Column("eligible"), Column("why"))


@click.command("route", short_help="Show which model a question would go to, and why; calls nobody.")
@question_options
@json_option
@simulate_option
@settings_options
def command(
    words: tuple[str, ...],
    model: str | None,
    tier: str | None,
    system: str | None,
    max_tokens: int | None,
    as_json: bool,
    simulate: bool,
    config: Path | None,
    flags: Mapping[str, str],
) -> None:
    """Show which model a question would go to, and why; calls nobody.

    PROMPT is read as by `routewright ask`. Costs nothing and leaves nothing in the ledger. With --json the whole
    decision is printed, as the ledger would keep it.
    """
    prompt = read_prompt(words)
    ask = asked(model=model, tier=tier, system=system, max_tokens=max_tokens)
    settings, registry = source_of(config, flags, simulate=simulate).load()
    engine = deciding_only(settings, registry)
    call = read_question(prompt, ask, request_id=engine.mint_id())
    route = engine.route(call)
    if as_json:
        print_json(route)
        return
    click.echo(headline(route))
    click.echo(f"  {because(route)}")
    print_table(_COLUMNS, rows(route))
    if change := would_change(call, route, settings, registry):
        click.echo(f"  would change if: {change}")


def headline(route: Route) -> str:
    """What was decided."""
    confidence = "" if route.confidence is None else f"confidence {route.confidence:.2f} · "
    return (
        f"→ {route.tier}  {one_line(route.chosen.model)}  "
        f"{confidence}est. {_cost(route.chosen.expected_cost_nanousd)} · policy {route.policy}"
    )


def because(route: Route) -> str:
    """What it was decided on."""
    signals = route.verdict.signals if route.verdict else ()
    return one_line(route.reason + (f" · signals: {', '.join(signals)}" if signals else ""))


def rows(route: Route) -> list[tuple[str, str, str, str, str]]:
    """Every candidate, in order of trial, then those that were removed."""
    return [
        (
            one_line(candidate.model),
            candidate.tier,
            _cost(candidate.expected_cost_nanousd),
            "yes" if candidate.is_eligible else "no",
            one_line(candidate.reason),
        )
        for candidate in route.candidates
    ]


def would_change(call: Call, route: Route, settings: Settings, registry: Registry) -> str | None:
    """The confidence threshold at which another model would be taken, found by deciding once more; None if none is."""
    threshold = _other_threshold(route, settings.policy.confidence_threshold)
    if route.verdict is None or threshold is None:
        return None
    policy = structs.replace(settings.policy, confidence_threshold=threshold)
    try:
        other = deciding_only(structs.replace(settings, policy=policy), registry).route(call)
    except CallerError:
        return None
    if other.chosen.model == route.chosen.model:
        return None
    sign = "≤" if threshold <= route.verdict.confidence else ">"
    model = other.chosen.model
    return f"confidence_threshold {sign} {route.verdict.confidence:.2f} → {one_line(model)}{_saving(route, model)}"


def _other_threshold(route: Route, threshold: float) -> float | None:
    """A threshold on the other side of the confidence; None where that changes nothing."""
    verdict = route.verdict
    if verdict is None or verdict.tier is Tier.STANDARD:
        return None
    if verdict.confidence < threshold:
        return verdict.confidence
    return math.nextafter(verdict.confidence, math.inf) if verdict.confidence < 1 else None


def _saving(route: Route, model: str) -> str:
    """By the estimates of this decision: those of the other one expect another length of answer."""
    costs = {candidate.model: candidate.expected_cost_nanousd for candidate in route.candidates}
    before, after = costs[route.chosen.model], costs.get(model)
    if before is None or after is None:
        return ""
    return f", saves {usd(before - after)}" if after < before else f", costs {usd(after - before)} more"


def _cost(nanousd: int | None) -> str:
    return "no price" if nanousd is None else usd(nanousd)
