"""Other policies over logged traffic: what each would have cost, and how good it would have been."""

from collections.abc import Sequence

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, Figure, View
from routewright.reports.backtests import BacktestLine, Estimate, KeptBacktest, kept_backtest
from routewright.reports.charts import legend
from routewright.reports.plots import Axis, Dot, around, plane
from routewright.reports.reading import moment
from routewright.text import usd


def read(desk: Desk, asked: Parameters) -> View:
    """No question: the last backtest is a file."""
    kept = kept_backtest(desk.engine.settings.ledger.path)
    listing = _listing(kept.lines if kept else ())
    values = {
        "is_empty": kept is None,
        "table": listing,
        "figure": None if kept is None else _figure(listing, kept),
        "at": moment(kept.at_ns) if kept else "",
        "decisions": kept.decisions if kept else 0,
    }
    return View(title="Backtests", template="backtests.html", values=values, listings=(listing,))


def _listing(lines: Sequence[BacktestLine]) -> Listing:
    return Listing(
        name="policies",
        title="Side by side",
        columns=(
            Column("name", "policy"),
            Column("version", "version"),
            Column("requests", "replayed", Kind.COUNT),
            Column("cost_usd", "a request", Kind.USD),
            Column("cost_low_usd", "95 % from", Kind.USD),
            Column("cost_high_usd", "to", Kind.USD),
            Column("quality", "good", Kind.SHARE),
            Column("quality_low", "95 % from", Kind.SHARE),
            Column("quality_high", "to", Kind.SHARE),
            Column("same", "same choice", Kind.SHARE),
            Column("by", "by"),
        ),
        rows=[
            (
                line.name,
                line.policy or None,
                line.requests,
                *_cells(line.cost_nanousd, 1),
                *_cells(line.quality, 1000),
                None if line.same is None else round(1000 * line.same),
                line.by or None,
            )
            for line in lines
        ],
    )


def _cells(estimate: Estimate | None, times: int) -> tuple[Cell, ...]:
    if estimate is None:
        return None, None, None
    return tuple(round(times * value) for value in (estimate.value, estimate.low, estimate.high))


def _figure(listing: Listing, kept: KeptBacktest) -> Figure | None:
    """None when there are not two policies with both a cost and a quality."""
    known = [(line, line.cost_nanousd, line.quality) for line in kept.lines]
    points = [(line, cost, quality) for line, cost, quality in known if cost is not None and quality is not None]
    if len(points) < 2:
        return None
    dots = [
        Dot(
            x=cost.value,
            y=quality.value,
            low=quality.low,
            high=quality.high,
            told=f"{line.name}: {quality.value:.1%} good ({quality.low:.1%} to {quality.high:.1%}) "
            f"at {usd(round(cost.value))} a request",
            series=number,
        )
        for number, (line, cost, quality) in enumerate(points)
    ]
    lows, highs = [dot.low for dot in dots], [dot.high for dot in dots]
    svg = plane(
        dots,
        title="Cost and quality",
        description=f"{len(dots)} policies over the same requests; cheaper to the left, better above.",
        across=around([dot.x for dot in dots], lambda value: usd(round(value))),
        up=Axis(min(lows) * 0.98, min(1.02, max(highs) * 1.02), lambda value: f"{value:.0%}"),
    )
    return Figure(
        listing=listing,
        subtitle="Across: what a request costs. Up: the share of good answers, with its 95 % interval.",
        svg=svg,
        legend=legend([line.name for line, _, _ in points]),
    )
