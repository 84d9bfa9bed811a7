"""From a listing to the chart of it, drawn here; what moves in a browser is drawn over it from the same rows."""

from collections.abc import Sequence

from msgspec import Struct

from routewright.dashboard.listing import Cell, Listing
from routewright.dashboard.view import Figure
from routewright.reports.charts import HALF, WIDE, Point, Words, columns, legend


class Stack(Struct, frozen=True, kw_only=True):
    """Which columns of a listing, by their places, stand on one another; and which is a line over them."""

    series: Sequence[int]
    line: int | None = None
    line_name: str = ""


def stacked(listing: Listing, stack: Stack, subtitle: str, words: Words, *, is_wide: bool = False) -> Figure:
    """Columns over what the first column says."""
    names = [listing.columns[place].title for place in stack.series]
    points = [
        Point(
            _short(str(row[0])),
            tuple(_number(row[place]) for place in stack.series),
            None if stack.line is None or row[stack.line] is None else _number(row[stack.line]),
        )
        for row in listing.rows
    ]
    highest = max((sum(point.values) for point in points), default=0)
    svg = columns(
        points,
        title=listing.title,
        description=f"{len(points)} columns; the highest is {words(highest)}.",
        words=words,
        names=names,
        line_name=stack.line_name,
        full=WIDE if is_wide else HALF,
    )
    return Figure(
        listing=listing,
        subtitle=subtitle,
        svg=svg,
        legend=legend(names, stack.line_name),
        series=tuple(listing.columns[place].name for place in stack.series),
        line="" if stack.line is None else listing.columns[stack.line].name,
        unit=listing.columns[stack.series[0]].kind if stack.series else "",
        is_wide=is_wide,
    )


def course(values: Sequence[int]) -> str:
    """The points of a line in a box of 100 by 24; empty for fewer than two values, or nothing but zeros."""
    if len(values) < 2 or not any(values):
        return ""
    low, high = min(0, *values), max(values)
    step, size = 100 / (len(values) - 1), max(1, high - low)
    return " ".join(f"{step * at:.1f},{23 - 22 * (value - low) / size:.1f}" for at, value in enumerate(values))


def _number(cell: Cell) -> int:
    return cell if isinstance(cell, int) else 0


def _short(label: str) -> str:
    """Of a day, without its year."""
    return label[5:] if len(label) == len("2026-11-01") and label[4] == "-" else label
