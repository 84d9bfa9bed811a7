"""How often answers turned out well, for a terminal, programs and spreadsheets."""

from collections.abc import Sequence

import click
from msgspec import Struct

from routewright.cli.screen import Column, print_json, print_table, say
from routewright.decision.success_rates import Aspect, Success, Told, success_by
from routewright.ledger.ledger import MOST_TRUSTED_LAST
from routewright.reports.csv_text import guarded, rows_csv
from routewright.text import one_line

TABLES: tuple[tuple[Aspect, ...], ...] = (("model",), ("model", "kind"), ("check", "model"), ("week", "model"))
"""What is told when nothing else is asked for."""


class SuccessTable(Struct, frozen=True):
    """Success by one or two aspects."""

    by: tuple[Aspect, ...]
    lines: tuple[Success, ...]


def success_tables(told: Sequence[Told], by: Sequence[tuple[Aspect, ...]]) -> tuple[SuccessTable, ...]:
    """One table for each of `by`."""
    return tuple(SuccessTable(aspects, success_by(told, aspects, MOST_TRUSTED_LAST)) for aspects in by)


def tell_success(tables: Sequence[SuccessTable], *, as_json: bool, as_csv: bool) -> None:
    """Print them: all of them, but for CSV, which is one table."""
    if as_json:
        print_json({"tables": [{"by": table.by, "lines": table.lines} for table in tables]})
    elif as_csv:
        table = tables[0]
        rows = [
            (*map(guarded, line.keys), str(line.outcomes), *(f"{value:.6f}" for value in _rates(line)))
            for line in table.lines
        ]
        click.echo(rows_csv((*table.by, "outcomes", "rate", "low", "high"), rows), nl=False)
    elif any(table.lines for table in tables):
        _print([table for table in tables if table.lines])
    else:
        say(
            "nobody has said how an answer turned out in that time: `routewright ledger feedback`, POST /v1/feedback, "
            "checks and shadows say so"
        )


def _print(tables: Sequence[SuccessTable]) -> None:
    for table in tables:
        titles = [Column(aspect) for aspect in table.by]
        numbers = [Column(title, is_number=True) for title in ("outcomes", "success", "95 % interval")]
        print_table([*titles, *numbers], [_row(line) for line in table.lines])
        click.echo()


def _row(line: Success) -> tuple[str, ...]:
    return (
        *map(one_line, line.keys),
        f"{line.outcomes:,}",
        f"{line.rate:.1%}",
        f"{line.low:.1%} – {line.high:.1%}",
    )


def _rates(line: Success) -> tuple[float, float, float]:
    return line.rate, line.low, line.high
