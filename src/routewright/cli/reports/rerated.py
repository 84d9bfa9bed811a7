"""History at other prices for a terminal: what it did cost, and what it would have, by model, by day and in all."""

from collections.abc import Callable, Iterable

import click

from routewright.cli.screen import Column, print_table
from routewright.ledger.rerating import Beside, Line, Rerating
from routewright.text import counted, one_line, percent, usd

_COLUMNS = (
    Column("attempts", is_number=True),
    Column("kept", is_number=True),
    Column("did cost", is_number=True),
    Column("would have cost", is_number=True),
    Column("difference", is_number=True),
    Column("%", is_number=True),
)


def print_rerating(found: Rerating) -> None:
    """Print three tables."""
    for title, key in (("model", _model), ("day", _of_day)):
        print_table((Column(title), *_COLUMNS), [_row(*each) for each in _by(found.lines, key)])
        click.echo()
    print_table((Column("all"), *_COLUMNS), [_row("total", found.total)])


def print_beside(found: Beside) -> None:
    """Print what the ledger says beside a view, and what to know of it."""
    print_rerating(found.rerating)
    click.echo(
        f"\nwould have cost: the view {one_line(found.view.name)}, at the prices of {one_line(found.view.prices)}"
    )
    if found.missing:
        click.echo(f"{counted(found.missing, 'attempt')} of a time that is not in the view: at what they did cost")


def _model(line: Line) -> str:
    return line.model


def _of_day(line: Line) -> str:
    return line.day


def _by(lines: Iterable[Line], key: Callable[[Line], str]) -> list[tuple[str, Line]]:
    grouped: dict[str, list[Line]] = {}
    for line in lines:
        grouped.setdefault(key(line), []).append(line)
    return [(name, Rerating(tuple(its)).total) for name, its in sorted(grouped.items())]


def _row(name: str, line: Line) -> tuple[str, ...]:
    difference = line.after_nanousd - line.before_nanousd
    return (
        one_line(name),
        f"{line.attempts:,}",
        f"{line.kept:,}",
        usd(line.before_nanousd),
        usd(line.after_nanousd),
        usd(difference),
        percent(difference, line.before_nanousd),
    )
