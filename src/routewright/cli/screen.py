"""Where output goes: answers and tables to stdout, everything about them to stderr."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import NamedTuple

import click
import msgspec

from routewright.text import plain

_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MARGIN = "  "
WIDEST = 240
"""Columns of a table that nobody looks at on a screen."""
GAP = 3
"""Between the columns of a table."""
LEGIBLE = 14
"""Characters that words are folded to at the narrowest; figures never are."""


class Column(NamedTuple):
    """A column of a table; numbers stand at its right."""

    title: str
    is_number: bool = False

    def least_of(self, cells: Iterable[str]) -> int:
        """The fewest characters that it can be read in."""
        longest = max(map(len, cells), default=0)
        return max(longest if self.is_number else min(longest, LEGIBLE), *map(len, self.title.split(" ")))


def print_json(value: object) -> None:
    """One JSON document on stdout; what a terminal would obey is escaped."""
    _print_safely(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: object) -> None:
    """One line of a file in JSON lines; escaped alike."""
    _print_safely(msgspec.json.encode(value))


def _print_safely(document: bytes) -> None:
    click.echo(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document.decode()))


def say(text: str = "") -> None:
    """A line about what is done, on stderr."""
    click.echo(text, err=True)


def is_terminal() -> bool:
    """Whether somebody looks at stdout."""
    return sys.stdout.isatty()


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, total: Sequence[str] = ()) -> None:
    """A table on stdout; `total` is its last row, set apart.

    Where a terminal is too narrow for all of its columns, each row is told in lines of its own.
    """
    width = shutil.get_terminal_size().columns if is_terminal() else WIDEST
    lines: Iterable[str]
    if is_terminal() and _least(columns, [*rows, total]) > width - len(MARGIN):
        lines = _told(columns, [*rows, total] if total else rows, max(width - 2 * len(MARGIN), LEGIBLE))
    else:
        lines = _drawn(columns, rows, total, width=width, is_styled=is_terminal())
    for line in lines:
        click.echo(f"{MARGIN}{line}".rstrip())


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None) -> Iterator[str]:
    """The same as plain lines, at most so wide; None where nobody looks at a screen."""
    for line in _drawn(columns, rows, (), width=width or WIDEST, is_styled=False):
        yield f"{MARGIN}{line}".rstrip()


def _least(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The fewest characters across that a table of these can be read in."""
    cells = [[row[at] for row in rows if row] for at in range(len(columns))]
    return sum(map(Column.least_of, columns, cells)) + GAP * (len(columns) - 1)


def _told(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Rows without columns: the first cell of each, and below it the others with their titles."""
    for first, *others in rows:
        yield click.style(plain(first), bold=True)
        pairs = zip(columns[1:], others, strict=True)
        told = [f"{column.title} {plain(cell)}" for column, cell in pairs if column.title and cell]
        kept_together = " · ".join(text.replace(" ", "\xa0") for text in told)
        for line in textwrap.wrap(kept_together, width, break_on_hyphens=False):
            yield MARGIN + line.replace("\xa0", " ")


def _drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    total: Sequence[str],
    *,
    width: int,
    is_styled: bool,
) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for at, column in enumerate(columns):
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            overflow="fold",
            min_width=column.least_of(row[at] for row in (*rows, total) if row),
        )
    for row in rows:
        table.add_row(*map(plain, row))
    if total:
        table.add_section()
        table.add_row(*map(plain, total), style="bold")
    text = StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=is_styled,
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(table, width=width - len(MARGIN))
    return text.getvalue().splitlines()
