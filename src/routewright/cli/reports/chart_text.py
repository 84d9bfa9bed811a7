"""A report as bars in a terminal: what was spent, with what it would have cost at the baseline as a shade beside it."""

from collections.abc import Iterator, Sequence
from shutil import get_terminal_size

import click

from routewright.cli.reports.screen_text import summary
from routewright.cli.screen import MARGIN, is_terminal
from routewright.reports.figures import bar, sparkline
from routewright.reports.values import Line, Report, Table, name_of
from routewright.text import one_line, percent, usd

MOST_BARS = 60
"""Of a chart; of days the latest, else the dearest."""
_NARROWEST = 10
_WIDTH_ELSEWHERE = 100
"""Columns where nobody looks at a screen."""
_LONGEST_LABEL = 40
_SHADE = "░"


def print_charts(report: Report) -> None:
    """Print a chart for each of its tables."""
    width = get_terminal_size().columns if is_terminal() else _WIDTH_ELSEWHERE
    for line in summary(report):
        click.echo(line)
    names = " or ".join(one_line(name) for name in report.saving.baselines)
    click.echo(f"\n{MARGIN}█ spent" + (f"   {_SHADE} would have cost at {names}" if names else ""))
    for table in report.tables:
        click.echo()
        for line in chart(table, width):
            click.echo(f"{MARGIN}{line}".rstrip())


def chart(table: Table, width: int) -> Iterator[str]:
    """The lines of one chart, no wider than `width` with the margin."""
    is_course = table.by[-1:] in (("day",), ("hour",))
    shown = _shown(table.lines, is_course=is_course)
    left_out = len(table.lines) - len(shown)
    more = f", {'the latest' if is_course else 'the dearest'} {MOST_BARS} of {len(table.lines):,}" if left_out else ""
    yield f"by {' and '.join(table.by)}{more}"
    rows = [(_label(line, table), usd(line.sums.cost_nanousd), _told(line)) for line in shown]
    columns = [max((len(row[at]) for row in rows), default=0) for at in range(3)]
    room = max(_NARROWEST, width - len(MARGIN) - sum(columns) - 6)
    greatest = max((max(line.sums.cost_nanousd, line.sums.baseline_cost_nanousd) for line in shown), default=0)
    for line, (label, spent, told) in zip(shown, rows, strict=True):
        picture = _bars(line.sums.cost_nanousd, line.sums.baseline_cost_nanousd, greatest, room)
        yield f"{label:<{columns[0]}}  {spent:>{columns[1]}}  {picture:<{room}}  {told}"
    if left_out and len(table.by) == 1 and is_course:
        course = sparkline([line.sums.cost_nanousd for line in table.lines], room)
        yield f"{'all':<{columns[0]}}  {'':>{columns[1]}}  {course}"


def _shown(lines: Sequence[Line], *, is_course: bool) -> Sequence[Line]:
    if is_course:
        return lines[-MOST_BARS:]
    return sorted(lines, key=lambda line: -line.sums.cost_nanousd)[:MOST_BARS]


def _label(line: Line, table: Table) -> str:
    keys = (one_line(name_of(key, dimension)) for key, dimension in zip(line.keys, table.by, strict=True))
    label = " · ".join(keys)
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _told(line: Line) -> str:
    sums = line.sums
    if not sums.compared:
        return ""
    saved = sums.baseline_cost_nanousd - sums.compared_cost_nanousd
    return f"of {usd(sums.baseline_cost_nanousd)}, saved {percent(saved, sums.baseline_cost_nanousd)}"


def _bars(spent: int, baseline: int, greatest: int, width: int) -> str:
    """The one over the other: what sticks out as a shade was saved."""
    solid = bar(spent, greatest, width)
    reach = baseline * width // greatest if greatest else 0
    return solid + _SHADE * max(0, reach - len(solid))
