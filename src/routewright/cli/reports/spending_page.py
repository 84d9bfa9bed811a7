"""What was spent, as a page: figures to begin with, charts of them over time and by model, the tables in full."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from msgspec import Struct

from routewright.cli.reports.page import MOST_ROWS, cards, figure, heading, page, plain_table, section
from routewright.ledger.spending import Sums
from routewright.reports.charts import WIDE, Point, Share, columns, curve, legend, shares
from routewright.reports.figures import OFTEN_NOTHING, exact, short, short_usd, shown
from routewright.reports.markup import text_of
from routewright.reports.values import Line, Measure, Report, Table, measures, name_of, together
from routewright.text import counted, percent, plain, usd
from routewright.usage import InputParts

MOST_SHARES = 8
"""Bars of a chart of shares; the rest is one more."""
MOST_COLUMNS = 92
"""Days along an axis; more of them are shown by the week, and more weeks by the month."""

_WEEK_DAYS = 7
_TITLES = {
    "model": "model",
    "tier": "tier",
    "key": "key",
    "team": "team",
    "tag": "tag",
    "day": "day (UTC)",
    "hour": "hour (UTC)",
    "cause": "cause",
    "policy": "policy",
}
_PARTS = {"system": "system prompt", "history": "history", "tools": "tools", "user": "user"}


class Overview(Struct, frozen=True):
    """What the charts show, whatever the tables of the report are about."""

    days: Table
    models: Table
    tiers: Table


def report_page(report: Report, overview: Overview, *, of_input: bool = False) -> str:
    """The page of a report."""
    if not report.totals.attempts + report.totals.requests:
        return page("Spending", _period(report), '<p class="empty">Nothing is recorded for this time.</p>')
    spans = by_span(overview.days)
    body = [
        _cards(report),
        '<div class="charts">',
        _spend_chart(spans, report),
        _share_chart(overview.models, "Share by model", "What attempts of each model cost.", report.totals),
        _share_chart(overview.tiers, "Spend by tier", "What requests of each tier cost.", report.totals),
        _cost_chart(spans),
        _parts_chart(spans),
        "</div>",
        *(_table_section(table, measures(table.by, of_input=of_input)) for table in report.tables),
        _notes(report.notes),
    ]
    return page("Spending", _period(report), "".join(body))


# ---- parts of the page ------------------------------------------------------------------------------------------


def _period(report: Report) -> str:
    since = f"since {report.since}" if report.since else "from the beginning"
    until = f"until {report.until}" if report.until else "until now"
    only = "".join(f" · only {name} {value or '(none)'}" for name, value in report.only.items())
    return f"{since} {until} (UTC){only}"


def _cards(report: Report) -> str:
    totals, saving = report.totals, report.saving
    items = [
        (
            "Spent",
            usd(totals.cost_nanousd),
            f"{counted(totals.attempts, 'attempt')}, failed ones included",
            "",
        ),
        (
            "Requests",
            f"{totals.requests:,}",
            f"{percent(totals.complete, totals.requests)} answered to the end",
            "",
        ),
        (
            "Tokens",
            f"{short(totals.usage.total)}",
            f"{totals.usage.input_total:,} in, {totals.usage.output_total:,} out",
            "",
        ),
    ]
    if saving.requests:
        against = "vs always " + " or ".join(saving.baselines)
        interval = (
            f"between {usd(saving.low_nanousd)} and {usd(saving.high_nanousd)}; "
            if saving.low_nanousd != saving.high_nanousd
            else ""
        )
        share = percent(saving.saved_nanousd, saving.baseline_nanousd)
        items.append(
            ("Would have cost", usd(saving.baseline_nanousd), f"{against}; actual {usd(saving.actual_nanousd)}", "")
        )
        items.append(
            (
                "Saved, net",
                usd(saving.saved_nanousd),
                f"{share} {against}; {interval}{usd(saving.failed_nanousd)} of failed requests taken off",
                "good" if saving.saved_nanousd >= 0 else "bad",
            )
        )
    return cards(items)


def _spend_chart(spans: Table, report: Report) -> str:
    names = " or ".join(report.saving.baselines)
    has_line = bool(report.saving.requests)
    points = [
        Point(
            _short_span(line),
            (line.sums.cost_nanousd,),
            line.sums.baseline_cost_nanousd if has_line and line.sums.compared else None,
        )
        for line in spans.lines
    ]
    line_name = f"would have cost at {names}" if has_line else ""
    title = f"Spend by {_span_name(spans)}"
    chart = legend(["spent"], line_name) + columns(
        points,
        title=title,
        description=f"{len(points)} columns; the highest is {usd(max(p.values[0] for p in points))}.",
        words=short_usd,
        names=["spent"],
        line_name=line_name,
        full=WIDE,
    )
    rows = [
        (_span(line), usd(line.sums.cost_nanousd), usd(line.sums.baseline_cost_nanousd) if line.sums.compared else "–")
        for line in spans.lines
    ]
    return figure(
        title,
        "All attempts; the line is what the answered requests would have cost." if has_line else "All attempts.",
        chart,
        plain_table((_span_name(spans), "spent", "would have cost"), rows),
        is_wide=True,
    )


def _share_chart(table: Table, title: str, subtitle: str, total: Sums) -> str:
    by_cost = sorted(table.lines, key=lambda line: -line.sums.cost_nanousd)
    first, rest = by_cost[:MOST_SHARES], by_cost[MOST_SHARES:]
    rows = [
        (name_of(line.keys[0], table.by[0]), line.sums.cost_nanousd)
        for line in first
        if line.sums.cost_nanousd or line.keys[0] is not None
    ]
    if rest:
        rows.append((f"{len(rest)} others", sum(line.sums.cost_nanousd for line in rest)))
    told = [Share(plain(name), cost, f"{usd(cost)} · {percent(cost, total.cost_nanousd)}") for name, cost in rows]
    twin = [
        (
            name_of(line.keys[0], table.by[0]),
            usd(line.sums.cost_nanousd),
            percent(line.sums.cost_nanousd, total.cost_nanousd),
        )
        for line in by_cost[:MOST_ROWS]
    ]
    return figure(
        title,
        subtitle,
        shares(told, title=title, description="; ".join(f"{each.label}: {each.told}" for each in told)),
        plain_table((table.by[0], "spent", "share"), twin),
    )


def _cost_chart(spans: Table) -> str:
    def cost(line: Line) -> int | None:
        return line.sums.cost_nanousd // line.sums.requests if line.sums.requests else None

    points = [Point(_short_span(line), (), cost(line)) for line in spans.lines]
    known = [point.line for point in points if point.line is not None]
    told = f"From {usd(known[0])} to {usd(known[-1])} over {counted(len(known), 'place')}." if known else "Nothing."
    rows = [(_span(line), "–" if (each := cost(line)) is None else usd(each)) for line in spans.lines]
    return figure(
        "Cost per request",
        f"All that was spent in a {_span_name(spans)}, by the requests of that {_span_name(spans)}.",
        curve(points, title="Cost per request", description=told, words=short_usd),
        plain_table((_span_name(spans), "cost per request"), rows),
    )


def _parts_chart(spans: Table) -> str:
    def parts(line: Line) -> tuple[int, ...]:
        return tuple(getattr(line.sums.input_parts, part) for part in _PARTS)

    total = sum((line.sums.input_parts for line in spans.lines), InputParts())
    names = list(_PARTS.values())
    told = "; ".join(f"{name}: {percent(getattr(total, part), total.total)}" for part, name in _PARTS.items())
    chart = legend(names) + columns(
        [Point(_short_span(line), parts(line)) for line in spans.lines],
        title="Tokens by part of input",
        description=told,
        words=short,
        names=names,
    )
    rows = [(_span(line), *(f"{count:,}" for count in parts(line))) for line in spans.lines]
    return figure(
        "Tokens by part of input",
        f"Of answered requests. {told}.",
        chart,
        plain_table((_span_name(spans), *names), rows),
    )


def _table_section(table: Table, measures_: Sequence[Measure]) -> str:
    first, rest = table.lines[:MOST_ROWS], table.lines[MOST_ROWS:]
    measures_ = [each for each in measures_ if each.read(table.total) or each.name not in OFTEN_NOTHING]
    names = [heading(_TITLES[dimension], "col") for dimension in table.by]
    head = "".join([*names, *(heading(measure.title, "col", is_text=False) for measure in measures_)])
    body = [
        _row([name_of(key, at) for key, at in zip(line.keys, table.by, strict=True)], line.sums, measures_)
        for line in first
    ]
    if rest:
        label = [f"{len(rest):,} more lines", *[""] * (len(table.by) - 1)]
        body.append(_row(label, together(rest), measures_))
    foot = _row(["total", *[""] * (len(table.by) - 1)], table.total, measures_)
    html = (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
        f"<tfoot>{foot}</tfoot></table></div>"
    )
    what = " and ".join(table.by)
    said = f"{counted(len(table.lines), 'line')}" + (
        ", of which a request may stand in several" if table.overlaps else ""
    )
    return section(f"By {what}", said, html)


def _row(names: Sequence[str], sums: Sums, measures_: Sequence[Measure]) -> str:
    cells = "".join(
        f'<td data-value="{exact(measure, sums)}">{text_of(shown(measure, sums))}</td>' for measure in measures_
    )
    keys = "".join(heading(name, "row") for name in names)
    return f"<tr>{keys}{cells}</tr>"


def _notes(notes: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{text_of(note)}</li>" for note in notes)}</ul>' if notes else ""


# ---- time -------------------------------------------------------------------------------------------------------


def by_span(days: Table) -> Table:
    """The days without gaps; if they are many, by the week (from Monday) or by the month."""
    lines = [line for line in days.lines if line.keys[0]]
    if not lines:
        return days
    known = {str(line.keys[0]): line.sums for line in lines}
    first, last = (date.fromisoformat(day) for day in (min(known), max(known)))
    count = (last - first).days + 1
    name: Callable[[date], str] = date.isoformat
    if count > MOST_COLUMNS:
        name = _month if count > MOST_COLUMNS * _WEEK_DAYS else _monday
    spans: dict[str, Sums] = {}
    for after in range(count):
        day = first + timedelta(days=after)
        spans.setdefault(name(day), Sums())
        if day.isoformat() in known:
            spans[name(day)] += known[day.isoformat()]
    return Table(("day",), tuple(Line((span,), sums) for span, sums in spans.items()), days.total)


def _monday(day: date) -> str:
    return (day - timedelta(days=day.weekday())).isoformat() + "/7"


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _span_name(spans: Table) -> str:
    key = str(spans.lines[0].keys[0]) if spans.lines else ""
    return "week" if key.endswith("/7") else "month" if len(key) == len("2026-11") else "day"


def _span(line: Line) -> str:
    key = str(line.keys[0])
    return f"week of {key.removesuffix('/7')}" if key.endswith("/7") else key


def _short_span(line: Line) -> str:
    key = str(line.keys[0]).removesuffix("/7")
    return key if len(key) == len("2026-11") else key[5:]
