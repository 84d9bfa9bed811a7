"""`routewright prove`: what is promised, tried on this machine and written down with its bars."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from routewright.cli.options import json_option
from routewright.cli.screen import Column, print_json, print_table, say

if TYPE_CHECKING:
    from routewright.proofs.part import Told
    from routewright.proofs.report import Report

_COLUMNS = (Column("figure"), Column("what"), Column("bar"), Column("measured"), Column(""))
_END = "\n"
GROUPS = ("money", "faults", "decision", "quality", "speed")


def _names(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[str]:
    """Groups and parts, each of which there is; all groups when none was named."""
    if not texts:
        return list(GROUPS)
    from routewright.proofs import report

    names = [name.strip() for text in texts for name in text.split(",")]
    known = [*report.GROUPS, *(part for parts in report.GROUPS.values() for part in parts)]
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"nothing is called {', '.join(unknown)}; there are {', '.join(known)}", ctx, param)
    return names


@click.command("prove", short_help="Try on this machine what is promised, and report it with its bars.")
@click.option(
    "--only",
    "names",
    multiple=True,
    metavar="NAME",
    callback=_names,
    help=f"Try only this: {', '.join(GROUPS)}, or a part such as f2a. Repeatable, or separated by commas.",
)
@click.option("--quick", is_flag=True, help="Less of everything: a first impression in some minutes.")
@click.option("--seed", type=int, metavar="N", help="Whatever is drawn is drawn from it.")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Recorded outcomes as `eval` reads them, for what needs them.",
)
@click.option(
    "--into",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the report as a page in Markdown.",
)
@click.option(
    "--peers",
    is_flag=True,
    help="Also install LiteLLM, Portkey and Switchyard (network, a gigabyte), and try them in money, faults and speed.",
)
@click.option(
    "--peers-in",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Install them there, and find them there next time. Without it: in a temporary folder.",
)
@json_option
def command(
    names: list[str],
    quick: bool,
    seed: int | None,
    data: Path | None,
    into: Path | None,
    peers: bool,
    place: Path | None,
    as_json: bool,
) -> None:
    """Try on this machine what is promised, and report it with its bars.

    Gateways are killed and crowded, providers fail, decisions and speed are measured: on loopback, in temporary
    folders, before simulated providers. Takes about twenty minutes. The exit code is 1 when a bar is missed.
    """
    from routewright.proofs.part import SEED, Run, Size
    from routewright.proofs.report import markdown, prove

    seed = SEED if seed is None else seed
    asked = ["--quick"] * quick + (["--only", ",".join(names)] if names != list(GROUPS) else [])
    asked += ["--seed", str(seed), *(["--data", "DIR"] if data else []), *["--peers"] * peers]
    asked += [*(["--peers-in", "DIR"] if place else []), *(["--into", "FILE"] if into else [])]
    logging.disable(logging.CRITICAL)  # what the trials break is told by thousands of lines
    try:
        with TemporaryDirectory(prefix="routewright-peers-") as folder:
            size = Size.QUICK if quick else Size.USUAL
            run = Run(size=size, seed=seed, data=data, place=place or Path(folder))
            report = prove(run, [*names, "peers"] if peers else names, _watched, arguments=asked)
    finally:
        logging.disable(logging.NOTSET)
    if into is not None:
        into.write_text(markdown(report), encoding="utf-8")
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report.missed:
        raise click.exceptions.Exit(1)


@contextmanager
def _watched(name: str) -> Iterator["Told"]:
    """A bar on stderr, if somebody looks."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _show(report: "Report") -> None:
    for group in report.groups:
        click.echo(f"\n{group.name}")
        rows = [
            (each.name, each.what, each.bar, each.measured, each.verdict) for each in group.figures if not each.is_text
        ]
        print_table(_COLUMNS, rows)
    click.echo(f"\n{report.machine}; seed {report.seed}, {report.size}, {report.elapsed_s:.0f} s")
    for text in (each for group in report.groups for each in group.figures if each.is_text):
        say(f"{text.what}, {text.name}: {text.measured.partition(_END)[0]}")
    for skipped in (*report.skipped, *report.elsewhere):
        say(f"not tried: {skipped.what}: {skipped.why}")
    if report.missed:
        say(f"missed: {', '.join(each.name for each in report.missed)}")
