"""A table as comma-separated values: for spreadsheets and programs, exact to the nano-dollar."""

import csv
import io
from collections.abc import Iterable, Sequence

from routewright.reports.figures import exact
from routewright.reports.values import Measure, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula. Only for what came from outside: our own numbers stay numbers."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def table_csv(table: Table, measures: Sequence[Measure]) -> str:
    """A header, then a row for each line; no total, so that the rows can be added up."""
    header = (*table.by, *(measure.name for measure in measures))
    rows = [
        (*(guarded(key or "") for key in line.keys), *(exact(measure, line.sums) for measure in measures))
        for line in table.lines
    ]
    return rows_csv(header, rows)


def rows_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The text of a file: quoted where needed, with the line ends of RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
