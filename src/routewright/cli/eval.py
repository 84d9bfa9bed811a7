"""`routewright eval`: how well routing decides, on recorded outcomes, beside what would be easier."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.cli.options import json_option
from routewright.cli.program import version_line
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.text import one_line

if TYPE_CHECKING:
    from routewright.cli.evaluating import Plan, Result, Tick
    from routewright.cli.outcome_tables import Table

MOST_DRAWS = 100
MOST_PARAPHRASES = 10


def named_pair(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, str] | None:
    """`WEAK,STRONG` as two names; None when it was not said."""
    if text is None:
        return None
    weak, comma, strong = (part.strip() for part in text.partition(","))
    if not comma or not weak or not strong or weak == strong:
        raise click.BadParameter(f"{text!r} is not WEAK,STRONG: two models of the table", ctx, param)
    return weak, strong


DATA = click.Path(exists=True, path_type=Path)
_OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("eval", short_help="Measure on recorded outcomes how well routing decides.")
@click.argument("data", type=DATA)
@click.option("--pair", metavar="WEAK,STRONG", callback=named_pair, help="The two models whose gap is to be recovered.")
@click.option(
    "--outcomes",
    type=click.IntRange(min=0),
    metavar="N",
    help="Learn from the outcomes of N prompts drawn from the train rows; 0 is the prior alone. All if not given.",
)
@click.option(
    "--draws",
    type=click.IntRange(1, MOST_DRAWS),
    metavar="K",
    default=1,
    show_default=True,
    help="How often those are drawn anew; figures are then means.",
)
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="Whatever is drawn is drawn from it.")
@click.option(
    "--paraphrases",
    type=click.IntRange(0, MOST_PARAPHRASES),
    metavar="K",
    default=0,
    show_default=True,
    help="Also measure how stable choices are, on K mechanical paraphrases of each prompt.",
)
@click.option(
    "--artefact",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Start from this artefact instead of the one that ships.",
)
@click.option("--svg", type=_OUTPUT, metavar="FILE", help="Draw the cost-quality curve of one table.")
@click.option("--html", type=_OUTPUT, metavar="FILE", help="Draw the curves of all tables on a page.")
@click.option("--report", type=_OUTPUT, metavar="FILE", help="Write all tables as Markdown, with how they came about.")
@json_option
def command(
    data: Path,
    pair: tuple[str, str] | None,
    outcomes: int | None,
    draws: int,
    seed: int,
    paraphrases: int,
    artefact: Path | None,
    svg: Path | None,
    html: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Measure on recorded outcomes how well routing decides.

    DATA is a parquet or JSON lines file, or a folder of them: one row a prompt, with s:MODEL (score) and c:MODEL (USD)
    for each model. What is learned comes from the train rows, what is measured from the others. No model is called.
    Needs the extra `evidence`.
    """
    from routewright.cli.evaluating import Plan
    from routewright.cli.outcome_tables import read_tables

    plan = Plan(seed=abs(seed), pair=pair, outcomes=outcomes, draws=draws, paraphrases=paraphrases)
    tables = read_tables(data)
    if svg is not None and len(tables) > 1:
        raise click.BadParameter("a picture shows one table; use --html for several", param_hint="--svg")
    results = _evaluate(tables, plan, artefact)
    if as_json:
        print_json({"plan": plan, "results": results})
    else:
        _show(results, plan)
    _write(results, plan, svg=svg, html=html, report=report)


def _evaluate(tables: Sequence["Table"], plan: "Plan", artefact: Path | None) -> "list[Result]":
    from routewright.cli import evaluating

    learner = evaluating.learner_of(artefact)
    with progress("evaluating", len(tables) * plan.steps) as tick:
        return [evaluating.evaluate(table, learner, learner.needs, plan, tick) for table in tables]


@contextmanager
def progress(doing: str, total: int) -> Iterator["Tick"]:
    """A bar on stderr, if somebody looks."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _show(results: "Sequence[Result]", plan: "Plan") -> None:
    from routewright.cli.evaluated import learned_from, remarks, sheets

    for number, result in enumerate(results):
        click.echo(("\n" if number else "") + f"{one_line(result.table)}: {learned_from(result, plan)}")
        for sheet in sheets(result):
            click.echo(f"\n{one_line(sheet.title)}")
            print_table([Column(title, at > 0) for at, title in enumerate(sheet.columns)], sheet.rows)
        click.echo()
        for line in remarks(result):
            click.echo(one_line(line))


def _write(
    results: "Sequence[Result]", plan: "Plan", *, svg: Path | None, html: Path | None, report: Path | None
) -> None:
    from routewright.cli import curve
    from routewright.cli.evaluated import Origin, markdown
    from routewright.cli.failures import BadTable

    has_curve = any(result.best is not None for result in results)
    if (svg or html) and not has_curve:
        raise BadTable("there is no curve to draw: no prompt has scores and costs of all models, or too few have")
    if svg:
        _put(svg, curve.svg(results[0]) + "\n")
    if html:
        _put(html, curve.html(results))
    if report:
        origin = Origin(
            command=("routewright", *sys.argv[1:]), date=f"{datetime.now(UTC):%Y-%m-%d}", versions=_versions()
        )
        _put(report, markdown(results, plan, origin))


def _put(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
    say(f"written: {path}")


def _versions() -> tuple[str, ...]:
    import platform

    import numpy as np

    return version_line(), f"numpy {np.__version__}", f"Python {platform.python_version()}"
