"""The figures to begin with, each with the course of it."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from routewright.dashboard.charting import course
from routewright.dashboard.listing import Kind, shown
from routewright.dashboard.spans import Span, length_of
from routewright.ledger.browsing import Course
from routewright.ledger.latencies import Latencies, Measure, Spread, merged
from routewright.ledger.spending import Sums, added
from routewright.reports.values import Saving
from routewright.text import percent, usd


class Card(Struct, frozen=True, kw_only=True):
    """One figure, as large as it can be read from afar."""

    title: str
    value: str
    more: Sequence[str]
    tip: str = ""
    """What it means, for who stays on it."""
    course: str = ""
    """The points of a line of its days, in a box of 100 by 24; empty without any."""
    kind: str = ""
    """`good` or `bad`."""


def of_money(spans: Sequence[Span], today: Sums, ever: Sums, saving: Saving, run: Sequence[Course]) -> list[Card]:
    """What is spent and saved, and how requests end; `run` are the latest requests of this gateway."""
    complete = sum(each.outcome == "complete" for each in run)
    total = added(span.all for span in spans)
    return [
        Card(
            title="Spent today",
            value=usd(today.cost_nanousd),
            more=(
                f"{usd(total.cost_nanousd)} in {length_of(spans)}",
                _beside(usd(sum(each.cost_nanousd for each in run)), usd(ever.cost_nanousd)),
            ),
            course=course([span.all.cost_nanousd for span in spans]),
        ),
        *_saved(spans, saving),
        Card(
            title="Requests",
            value=f"{total.requests:,}",
            more=(f"in {length_of(spans)}", _beside(f"{len(run):,}", f"{ever.requests:,}")),
            course=course([span.all.requests for span in spans]),
        ),
        Card(
            title="Answered to the end",
            value=percent(total.complete, total.requests),
            more=(
                f"in {length_of(spans)}",
                _beside(percent(complete, len(run)), percent(ever.complete, ever.requests)),
            ),
            course=course(
                [1000 * span.all.complete // span.all.requests if span.all.requests else 0 for span in spans]
            ),
        ),
    ]


def _beside(run: str, ever: str) -> str:
    return f"this session {run} · all time {ever}"


def of_time(spans: Sequence[Span], took: Latencies, run: Sequence[Course]) -> Iterable[Card]:
    """How long requests take, and how long we do."""
    totals = [each.total_ms for each in run]
    for percent_of in (50, 95):
        yield Card(
            title=f"Time taken, p{percent_of}",
            value=_told(took.all("total").percentile(percent_of), Kind.MS),
            more=(f"in {length_of(spans)}", f"this session {_told(percentile(totals, percent_of), Kind.MS)}"),
            tip="Whole requests that were answered, from the first byte to the last; days are counted within 5 %.",
            course=course([_spread_of(took, "total", span).percentile(percent_of) or 0 for span in spans]),
        )
    overheads = [each.overhead_us for each in run if each.overhead_us is not None]
    yield Card(
        title="Our overhead, p99",
        value=_told(took.all("overhead").percentile(99), Kind.US),
        more=(f"in {length_of(spans)}", f"this session {_told(percentile(overheads, 99), Kind.US)}"),
        tip="Our own time before the first byte went to a provider.",
        course=course([_spread_of(took, "overhead", span).percentile(99) or 0 for span in spans]),
    )


def _spread_of(took: Latencies, measure: Measure, span: Span) -> Spread:
    """Of one span."""
    return merged(took.by_day[measure, day_ns] for day_ns in span.days if (measure, day_ns) in took.by_day)


def percentile(values: Sequence[int], percent_of: int) -> int | None:
    """The value that so many of a hundred do not exceed."""
    return sorted(values)[-(-len(values) * percent_of // 100) - 1] if values else None


def _told(value: int | None, kind: Kind) -> str:
    return shown(kind, value)


def _saved(spans: Sequence[Span], saving: Saving) -> Iterable[Card]:
    if not saving.requests:
        return
    baseline = " or ".join(saving.baselines)
    interval = (
        [f"between {usd(saving.low_nanousd)} and {usd(saving.high_nanousd)}, as some of it is estimated"]
        if saving.low_nanousd != saving.high_nanousd
        else []
    )
    yield Card(
        title=f"Saved vs always {baseline}",
        value=usd(saving.saved_nanousd),
        more=(
            f"actual {usd(saving.actual_nanousd)}, would have cost {usd(saving.baseline_nanousd)}",
            *interval,
        ),
        tip=(
            f"What the answered requests would have cost at {baseline}, at its prices and for the same tokens, less "
            "what they did cost with every attempt and all that routing caused (retries, hedges, second opinions, "
            f"judges, summaries), and less {usd(saving.failed_nanousd)} of requests that nobody answered."
        ),
        course=course([_saved_on(span) for span in spans]),
        kind="good" if saving.saved_nanousd >= 0 else "bad",
    )


def _saved_on(span: Span) -> int:
    return span.all.baseline_cost_nanousd - span.all.compared_cost_nanousd - span.all.failed_cost_nanousd
