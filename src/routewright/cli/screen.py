"""Where output goes: answers and tables to stdout, everything about them to stderr."""

import re
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import NamedTuple

import click
import msgspec

from routewright.text import plain

_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MARGIN = "  "
WIDEST = 240
"""Columns of a table that nobody looks at on a screen."""


class Column(NamedTuple):
    """A column of a table; numbers stand at its right."""

    title: str
    is_number: bool = False


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
    """A table on stdout, as wide as the terminal at most; `total` is its last row, set apart."""
    for line in _drawn(columns, rows, total, width=None if is_terminal() else WIDEST, is_styled=is_terminal()):
        click.echo(f"{MARGIN}{line}".rstrip())


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None) -> Iterator[str]:
    """The same as plain lines, at most so wide; None where nobody looks at a screen."""
    for line in _drawn(columns, rows, (), width=width or WIDEST, is_styled=False):
        yield f"{MARGIN}{line}".rstrip()


def _drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    total: Sequence[str],
    *,
    width: int | None,
    is_styled: bool,
) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.is_number else "left", overflow="fold")
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
    console.print(table, width=console.width - len(MARGIN))
    return text.getvalue().splitlines()
