"""A table of a page: the same rows for people, in JSON and in CSV."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec import Struct

from routewright.money import exact_usd
from routewright.reports.csv_text import guarded, rows_csv
from routewright.reports.reading import moment
from routewright.text import percent, usd

Cell: TypeAlias = str | int | None


class Kind(StrEnum):
    """What a column holds, and so how it is written."""

    TEXT = "text"
    COUNT = "count"
    USD = "usd"
    """Nano-USD; in files exact USD, as text."""
    MS = "ms"
    US = "us"
    SHARE = "share"
    """Thousandths."""
    COURSE = "course"
    """Whole numbers with spaces between: a line, for people."""
    TIME = "time"
    """UTC nanoseconds since 1970."""


class Column(Struct, frozen=True):
    """What stands below a heading; `name` is for files."""

    name: str
    title: str
    kind: Kind = Kind.TEXT

    @property
    def is_figure(self) -> bool:
        """Whether it stands to the right."""
        return self.kind not in (Kind.TEXT, Kind.TIME, Kind.COURSE)


class Listing(Struct, frozen=True, kw_only=True):
    """Rows below columns."""

    name: str
    """By which files ask for it."""
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]
    links: Sequence[str] = ()
    """Where the first cell of each row leads; empty for nowhere."""
    note: str = ""

    def as_json(self) -> list[dict[str, Cell]]:
        """Each row by its columns' names."""
        names = [column.name for column in self.columns]
        kinds = [column.kind for column in self.columns]
        return [dict(zip(names, map(_for_machines, kinds, row), strict=True)) for row in self.rows]

    def as_csv(self) -> str:
        """With a header; what came from outside is no formula."""
        kinds = [column.kind for column in self.columns]
        rows = [[_for_spreadsheets(kind, cell) for kind, cell in zip(kinds, row, strict=True)] for row in self.rows]
        return rows_csv([column.name for column in self.columns], rows)


def shown(kind: Kind, cell: Cell) -> str:
    """A cell for people."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell or "(none)"
    match kind:
        case Kind.USD:
            return usd(cell)
        case Kind.MS:
            return duration(cell)
        case Kind.US:
            return f"{cell / 1000:.2f} ms"
        case Kind.SHARE:
            return percent(cell, 1000)
        case Kind.TIME:
            return moment(cell)
        case _:
            return f"{cell:,}"


def duration(milliseconds: int) -> str:
    """As long as people say it."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else f"{milliseconds / 60_000:.1f} min"


def document(page: str, query: str, listings: Sequence[Listing]) -> bytes:
    """All tables of a page as JSON."""
    tables = {listing.name: listing.as_json() for listing in listings}
    return msgspec.json.encode({"page": page, "query": query, "tables": tables})


def _for_machines(kind: Kind, cell: Cell) -> Cell:
    if cell is None or isinstance(cell, str):
        return cell
    if kind is Kind.USD:
        return exact_usd(cell)
    return f"{moment(cell).replace(' ', 'T')}Z" if kind is Kind.TIME else cell


def _for_spreadsheets(kind: Kind, cell: Cell) -> str:
    told = _for_machines(kind, cell)
    return guarded(cell) if isinstance(cell, str) else "" if told is None else str(told)
