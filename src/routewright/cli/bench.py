"""`routewright bench`: what routing costs in time on this machine, measured here and now."""

import sys

import click

from routewright.cli.options import json_option
from routewright.cli.screen import Column, print_json, print_table, say

_COLUMNS = (
    Column("what"),
    Column("median (lowest–highest)", is_number=True),
    Column("unit"),
    Column("bar"),
    Column(""),
)
_MARKS = {True: "✓", False: "✗ missed", None: ""}


@click.command("bench", short_help="Measure on this machine what routing costs in time.")
@click.option("--quick", is_flag=True, help="Fewer rounds: a first impression in about two minutes.")
@json_option
def command(quick: bool, as_json: bool) -> None:
    """Measure on this machine what routing costs in time.

    Takes about five minutes, everything on loopback and in a temporary folder. Nothing is called and nothing is spent.
    """
    from routewright.bench.measure import Plan, run

    report = run(Plan.quick() if quick else Plan(), say if sys.stderr.isatty() else _silent)
    if as_json:
        print_json(report)
        return
    machine = report.machine
    click.echo(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, {machine.python}, decision: {machine.decision}"
    )
    rows = [(row.what, row.value, row.unit, row.bar, _MARKS[row.is_met]) for row in report.rows()]
    print_table(_COLUMNS, rows)


def _silent(step: str) -> None:
    """No progress where nobody looks."""
