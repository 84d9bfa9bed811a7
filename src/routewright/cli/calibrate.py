"""`routewright calibrate`: the floor on the probability of success that keeps a promise, on recorded outcomes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.cli.eval import DATA, named_pair
from routewright.cli.options import Within, json_option
from routewright.cli.screen import print_json
from routewright.text import one_line

if TYPE_CHECKING:
    from routewright.cli.outcome_tables import Table
    from routewright.cli.promising import Finding

_PROMISE = re.compile(r"match (\S+) within (\d{1,2}(?:\.\d+)?) ?%")


def promised(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, float] | None:
    """A model, and the share of its success that may be missing; None where nothing was said."""
    if text is None:
        return None
    found = _PROMISE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f'{text!r} is not understood; write "match MODEL within 2 %"', ctx, param)
    return found[1], float(found[2]) / 100


@click.command("calibrate", short_help="Find the quality floor that keeps a promise, and what it saves.")
@click.argument("data", type=DATA)
@click.option(
    "--promise",
    required=True,
    metavar="TEXT",
    callback=promised,
    help='Such as "match gpt-4.1 within 2 %": mean score at least 98 % of that model\'s.',
)
@click.option("--pair", metavar="WEAK,STRONG", callback=named_pair, help="Choose between these two only.")
@click.option(
    "--confidence",
    type=Within(0.5, 0.999),
    metavar="SHARE",
    default=0.95,
    show_default=True,
    help="How sure the promise must be.",
)
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="Whatever is drawn is drawn from it.")
@json_option
def command(
    data: Path,
    promise: tuple[str, float],
    pair: tuple[str, str] | None,
    confidence: float,
    seed: int,
    as_json: bool,
) -> None:
    """Find the quality floor that keeps a promise, and what it saves.

    DATA is one table as `routewright eval` reads it. What is expected of the models is learned from its train rows, and
    the promise is held against the others. No model is called. The exit code is 1 when no floor keeps the promise.
    Needs the extra `evidence`.
    """
    from routewright.cli import evaluating
    from routewright.cli.promising import look_for

    table = _one(data)
    if pair is not None:
        table = table.only(pair)
    finding = look_for(
        table, evaluating.learner_of(None), model=promise[0], within=promise[1], confidence=confidence, seed=abs(seed)
    )
    if as_json:
        print_json(finding)
    else:
        _show(finding)
    if finding.kept is None:
        raise click.exceptions.Exit(1)


def _one(data: Path) -> "Table":
    from routewright.cli.outcome_tables import read_tables

    if data.is_dir():
        raise click.BadParameter(f"{data} is a folder; a promise is held against one table", param_hint="DATA")
    return read_tables(data)[0]


def _show(finding: "Finding") -> None:
    promise = f"match {finding.model} within {100 * finding.within:g} %"
    kept = finding.kept
    if kept is None:
        click.echo(f"✗ no floor keeps this promise on these data and saves anything (n = {finding.prompts:,})")
        click.echo(f"  {one_line(promise)}, {finding.confidence:.1%} sure")
        click.echo("  more outcomes, a looser promise or another model may do")
    else:
        click.echo(f"✓ {one_line(promise)}: kept with P ≥ {kept.floor:.3f} of a good answer (n = {kept.prompts:,})")
        click.echo(f"  mean score   {kept.quality:.3f}, promised {kept.promised:.3f}")
        click.echo(f"  {finding.confidence:.1%} sure  at least {kept.slack:+.3f} from what was promised")
        click.echo(f"  cost         {kept.saved:.0%} less than always {one_line(finding.model)}")
        shares = sorted(zip(kept.shares, finding.models, strict=True), reverse=True)
        told = ", ".join(f"{one_line(model)} {share:.0%}" for share, model in shares if share >= 0.005)
        click.echo(f"  goes to      {told}")
        click.echo("\nin routewright.toml:\n")
        for line in finding.settings:
            click.echo(f"  {line}")
    click.echo(
        f"\nP(good) as it is: ECE {finding.ece:.3f}; "
        f"after {finding.recalibration} fitted to other rows: {finding.ece_recalibrated:.3f}"
    )
