"""The first page: what is spent and saved, how requests go, and what needs somebody."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.dashboard.charting import Stack, course, stacked
from routewright.dashboard.listing import Column, Kind, Listing, shown
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, Figure, Page, View
from routewright.ledger.browsing import Course, since
from routewright.ledger.latencies import Latencies, Measure, Spread, latencies
from routewright.ledger.rollups import DAY_NS
from routewright.ledger.spending import Sums, added
from routewright.reports.figures import short_usd
from routewright.reports.reading import moment
from routewright.reports.values import Saving, saving_of
from routewright.text import counted, percent, usd

SPANS = ("7", "30", "90", "365")
"""Days that can be looked at."""
MOST_OF_RUN = 5_000
"""Requests since the start that are looked at, the latest."""
NEARLY_SPENT_PERCENT = 80
STALE_PRICES_DAYS = 90
TIERS = (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)


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


class Alert(Struct, frozen=True):
    """What somebody has to look at."""

    what: str
    told: str


class Day(Struct, frozen=True):
    """One day, by tier and in all."""

    name: str
    starts_ns: int
    tiers: dict[str, Sums]
    all: Sums


def read(desk: Desk, asked: Parameters) -> View:
    """From roll-ups: by tier and day, by model, all there ever was, and how long it took; and from the latest rows what
    this gateway did since it began."""
    count = int(asked.choice("days", SPANS, "30"))
    first_ns = desk.now_ns // DAY_NS * DAY_NS - (count - 1) * DAY_NS
    days = _days(desk, first_ns, count)
    models = desk.ledger.sums(("model",), first_ns)
    ever = added(sums for _, sums in desk.ledger.sums(()))
    took = latencies(desk.ledger.database, first_ns, desk.now_ns + 1)
    run = since(desk.ledger.database, desk.started_ns, MOST_OF_RUN)
    saving = saving_of(added(day.all for day in days), desk.ledger.baselines(first_ns))
    figures = (_spend(days, saving), _shares(days))
    by_model, by_latency = _by_model(models), _by_latency(took)
    values = {
        "is_empty": not ever.requests + ever.attempts,
        "address": desk.address,
        "days": str(count),
        "spans": SPANS,
        "cards": [*_cards(days, ever, saving, run), *_speed(days, took, run)],
        "run": _run_told(desk, run),
        "figures": figures,
        "models": by_model,
        "speeds": by_latency,
        "alerts": list(_alerts(desk, added(sums for _, sums in models))),
    }
    listings = (*(figure.listing for figure in figures), by_model, by_latency)
    return View(title="Overview", template="overview.html", values=values, listings=listings)


PAGE = Page(name="overview", title="Overview", known=("days",), read=read)


# ---- days -------------------------------------------------------------------------------------------------------


def _days(desk: Desk, first_ns: int, count: int) -> list[Day]:
    """Every day, those without anything too."""
    begin = datetime.fromtimestamp(first_ns // 10**9, UTC).date()
    names = [(begin + timedelta(days=after)).isoformat() for after in range(count)]
    found: dict[str, dict[str, Sums]] = {name: {} for name in names}
    for (tier, day), sums in desk.ledger.sums(("tier", "day"), first_ns):
        if day in found:
            found[day][tier or ""] = sums
    return [
        Day(name, first_ns + after * DAY_NS, tiers, added(tiers.values()))
        for after, (name, tiers) in enumerate(found.items())
    ]


def _tiers(days: Sequence[Day]) -> list[str]:
    """Those that occur, the cheapest first."""
    met = {tier for day in days for tier in day.tiers}
    return [tier for tier in TIERS if tier in met] + sorted(met - set(TIERS))


# ---- figures ----------------------------------------------------------------------------------------------------


def _spend(days: Sequence[Day], saving: Saving) -> Figure:
    tiers = _tiers(days)
    against = f"would have cost at {' or '.join(saving.baselines)}" if saving.requests else ""
    rows = [
        (
            day.name,
            *(day.tiers.get(tier, Sums()).cost_nanousd for tier in tiers),
            day.all.cost_nanousd,
            day.all.baseline_cost_nanousd if day.all.compared else None,
        )
        for day in days
    ]
    listing = Listing(
        name="spend",
        title="Spend by tier and day",
        columns=(
            Column("day", "day (UTC)", Kind.TIME),
            *(Column(f"{tier or 'no_tier'}_cost_usd", tier or "no tier", Kind.USD) for tier in tiers),
            Column("cost_usd", "all", Kind.USD),
            Column("baseline_cost_usd", "baseline", Kind.USD),
        ),
        rows=rows,
    )
    stack = Stack(series=range(1, len(tiers) + 1), line=len(tiers) + 2 if against else None, line_name=against)
    return stacked(listing, stack, "All attempts, failed ones included.", short_usd, is_wide=True)


def _shares(days: Sequence[Day]) -> Figure:
    tiers = _tiers(days)
    rows = [
        (
            day.name,
            *(
                1000 * day.tiers.get(tier, Sums()).requests // day.all.requests if day.all.requests else None
                for tier in tiers
            ),
            day.all.requests,
        )
        for day in days
    ]
    listing = Listing(
        name="routing",
        title="Where requests went",
        columns=(
            Column("day", "day (UTC)", Kind.TIME),
            *(Column(f"{tier or 'no_tier'}_share", tier or "no tier", Kind.SHARE) for tier in tiers),
            Column("requests", "requests", Kind.COUNT),
        ),
        rows=rows,
    )
    stack = Stack(series=range(1, len(tiers) + 1))
    return stacked(listing, stack, "The share of each tier in a day's requests.", lambda value: percent(value, 1000))


def _by_model(models: Iterable[tuple[Sequence[str | None], Sums]]) -> Listing:
    by_cost = sorted(models, key=lambda each: -each[1].cost_nanousd)
    return Listing(
        name="models",
        title="By model",
        columns=(
            Column("model", "model"),
            Column("requests", "requests", Kind.COUNT),
            Column("attempts", "attempts", Kind.COUNT),
            Column("cost_usd", "spent", Kind.USD),
            Column("input_tokens", "tokens in", Kind.COUNT),
            Column("output_tokens", "tokens out", Kind.COUNT),
        ),
        rows=[
            (
                keys[0] or "(nobody)",
                sums.requests,
                sums.attempts,
                sums.cost_nanousd,
                sums.usage.input_total,
                sums.usage.output_total,
            )
            for keys, sums in by_cost
        ],
    )


def _by_latency(took: Latencies) -> Listing:
    models = sorted({model for _, model in took.by_model})
    figures = [
        (model, took.by_model.get(("total", model), Spread({})), took.by_model.get(("first", model), Spread({})))
        for model in models
    ]
    return Listing(
        name="speeds",
        title="How long each model takes",
        columns=(
            Column("model", "model"),
            Column("answers", "answers", Kind.COUNT),
            Column("first_event_ms_p50", "first token p50", Kind.MS),
            Column("first_event_ms_p95", "first token p95", Kind.MS),
            Column("total_ms_p50", "whole p50", Kind.MS),
            Column("total_ms_p95", "whole p95", Kind.MS),
        ),
        rows=[
            (
                model,
                total.total,
                *(first.percentile(percent_of) for percent_of in (50, 95)),
                *(total.percentile(percent_of) for percent_of in (50, 95)),
            )
            for model, total, first in figures
        ],
    )


# ---- cards ------------------------------------------------------------------------------------------------------


def _run_told(desk: Desk, run: Sequence[Course]) -> str:
    begun = f"This session: since this gateway began, {moment(desk.started_ns)} (UTC)"
    return begun + (f"; of that, its latest {MOST_OF_RUN:,} requests." if len(run) == MOST_OF_RUN else ".")


def _cards(days: Sequence[Day], ever: Sums, saving: Saving, run: Sequence[Course]) -> list[Card]:
    complete = sum(each.outcome == "complete" for each in run)
    total = added(day.all for day in days)
    span = counted(len(days), "day")
    return [
        Card(
            title="Spent today",
            value=usd(days[-1].all.cost_nanousd),
            more=(
                f"{usd(total.cost_nanousd)} in {span}",
                _beside(usd(sum(each.cost_nanousd for each in run)), usd(ever.cost_nanousd)),
            ),
            course=course([day.all.cost_nanousd for day in days]),
        ),
        *_saved(days, saving),
        Card(
            title="Requests",
            value=f"{total.requests:,}",
            more=(f"in {span}", _beside(f"{len(run):,}", f"{ever.requests:,}")),
            course=course([day.all.requests for day in days]),
        ),
        Card(
            title="Answered to the end",
            value=percent(total.complete, total.requests),
            more=(
                f"in {span}",
                _beside(percent(complete, len(run)), percent(ever.complete, ever.requests)),
            ),
            course=course([1000 * day.all.complete // day.all.requests if day.all.requests else 0 for day in days]),
        ),
    ]


def _beside(run: str, ever: str) -> str:
    return f"this session {run} · all time {ever}"


def _speed(days: Sequence[Day], took: Latencies, run: Sequence[Course]) -> Iterable[Card]:
    totals = [each.total_ms for each in run]
    span = counted(len(days), "day")
    for percent_of in (50, 95):
        yield Card(
            title=f"Time taken, p{percent_of}",
            value=_told(took.all("total").percentile(percent_of), Kind.MS),
            more=(f"in {span}", f"this session {_told(percentile(totals, percent_of), Kind.MS)}"),
            tip="Whole requests that were answered, from the first byte to the last; days are counted within 5 %.",
            course=course([spread_of(took, "total", day).percentile(percent_of) or 0 for day in days]),
        )
    overheads = [each.overhead_us for each in run if each.overhead_us is not None]
    yield Card(
        title="Our overhead, p99",
        value=_told(took.all("overhead").percentile(99), Kind.US),
        more=(f"in {span}", f"this session {_told(percentile(overheads, 99), Kind.US)}"),
        tip="Our own time before the first byte went to a provider.",
        course=course([spread_of(took, "overhead", day).percentile(99) or 0 for day in days]),
    )


def spread_of(took: Latencies, measure: Measure, day: Day) -> Spread:
    """Of one day."""
    return took.by_day.get((measure, day.starts_ns), Spread({}))


def percentile(values: Sequence[int], percent_of: int) -> int | None:
    """The value that so many of a hundred do not exceed."""
    return sorted(values)[-(-len(values) * percent_of // 100) - 1] if values else None


def _told(value: int | None, kind: Kind) -> str:
    return shown(kind, value)


def _saved(days: Sequence[Day], saving: Saving) -> Iterable[Card]:
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
        course=course([_saved_on(day) for day in days]),
        kind="good" if saving.saved_nanousd >= 0 else "bad",
    )


def _saved_on(day: Day) -> int:
    return day.all.baseline_cost_nanousd - day.all.compared_cost_nanousd - day.all.failed_cost_nanousd


# ---- alerts -----------------------------------------------------------------------------------------------------


def _alerts(desk: Desk, total: Sums) -> Iterable[Alert]:
    """What is wrong now, or soon."""
    if desk.engine.settings_error is not None:
        yield Alert("Settings", f"newer ones are not in force: {desk.engine.settings_error}")
    for name, state in desk.breakers.items():
        if state == "open":
            yield Alert("Circuit open", f"{name} was failing and is left alone for a while")
    for key, is_alarm in desk.drift.items():
        if is_alarm:
            yield Alert("Drift", f"{key.quantity.value} of {key.model} {key.family}".rstrip() + " is not as it was")
    for standing in desk.budgets:
        limit = standing.budget.limit_nanousd
        if limit and 100 * (limit - standing.remaining_nanousd) >= NEARLY_SPENT_PERCENT * limit:
            yield Alert("Budget", f"{standing.budget.name}: {usd(standing.remaining_nanousd)} of {usd(limit)} are left")
    if total.unpriced:
        yield Alert("No price", f"{counted(total.unpriced, 'attempt')} of models without a price: not in what is spent")
    if desk.prices_date and _age_days(desk) > STALE_PRICES_DAYS:
        yield Alert(
            "Old prices", f"the price table is of {desk.prices_date}: `routewright prices sync` looks for newer"
        )


def _age_days(desk: Desk) -> int:
    now = datetime.fromtimestamp(desk.now_ns // 10**9, UTC).date()
    return (now - datetime.fromisoformat(desk.prices_date).date()).days
