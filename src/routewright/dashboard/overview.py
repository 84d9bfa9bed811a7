"""The first page: what is spent and saved, how requests go, and what needs somebody."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from routewright.dashboard.cards import of_money, of_time
from routewright.dashboard.charting import Stack, stacked
from routewright.dashboard.listing import Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.spans import Span, read_spans, tiers_of, unit_of
from routewright.dashboard.view import Desk, Figure, View
from routewright.ledger.browsing import Course, since
from routewright.ledger.latencies import Latencies, Spread, latencies
from routewright.ledger.rollups import DAY_NS
from routewright.ledger.spending import Sums, added
from routewright.reports.figures import short_usd
from routewright.reports.reading import moment, notes_on_cost
from routewright.reports.values import Saving, saving_of
from routewright.text import counted, percent, usd

CHOICES = ("7", "30", "91", "364")
"""Days that can be looked at."""
MOST_OF_RUN = 5_000
"""Requests since the start that are looked at, the latest."""
NEARLY_SPENT_PERCENT = 80
STALE_PRICES_DAYS = 90


class Alert(Struct, frozen=True):
    """What somebody has to look at."""

    what: str
    told: str


def read(desk: Desk, asked: Parameters) -> View:
    """From roll-ups: by tier and day, by model, all there ever was, and how long it took; and from the latest rows what
    this gateway did since it began."""
    count = int(asked.choice("days", CHOICES, "30"))
    first_ns = desk.now_ns // DAY_NS * DAY_NS - (count - 1) * DAY_NS
    spans = read_spans(desk, first_ns, count)
    today = added(sums for _, sums in desk.ledger.sums((), desk.now_ns // DAY_NS * DAY_NS, desk.now_ns + 1))
    models = desk.ledger.sums(("model",), first_ns)
    ever = added(sums for _, sums in desk.ledger.sums(()))
    took = latencies(desk.ledger.database, first_ns, desk.now_ns + 1)
    run = since(desk.ledger.database, desk.started_ns, MOST_OF_RUN)
    total = added(span.all for span in spans)
    saving = saving_of(total, desk.ledger.baselines(first_ns))
    figures = (_spend(spans, saving), _shares(spans))
    by_model, by_latency = _by_model(models), _by_latency(took)
    values = {
        "is_empty": not ever.requests + ever.attempts,
        "address": desk.address,
        "days": str(count),
        "spans": CHOICES,
        "cards": [*of_money(spans, today, ever, saving, run), *of_time(spans, took, run)],
        "run": _run_told(desk, run),
        "notes": list(notes_on_cost(total)),
        "figures": figures,
        "models": by_model,
        "speeds": by_latency,
        "alerts": list(_alerts(desk, added(sums for _, sums in models))),
    }
    listings = (*(figure.listing for figure in figures), by_model, by_latency)
    return View(title="Overview", template="overview.html", values=values, listings=listings)


# ---- figures ----------------------------------------------------------------------------------------------------


def _spend(spans: Sequence[Span], saving: Saving) -> Figure:
    tiers = tiers_of(spans)
    against = f"would have cost at {' or '.join(saving.baselines)}" if saving.requests else ""
    rows = [
        (
            span.name,
            *(span.tiers.get(tier, Sums()).cost_nanousd for tier in tiers),
            span.all.cost_nanousd,
            span.all.baseline_cost_nanousd if span.all.compared else None,
        )
        for span in spans
    ]
    listing = Listing(
        name="spend",
        title=f"Spend by tier and {unit_of(spans)}",
        columns=(
            Column("day", f"{unit_of(spans)} (UTC)", Kind.TIME),
            *(Column(f"{tier or 'no_tier'}_cost_usd", tier or "no tier", Kind.USD) for tier in tiers),
            Column("cost_usd", "all", Kind.USD),
            Column("baseline_cost_usd", "baseline", Kind.USD),
        ),
        rows=rows,
    )
    stack = Stack(series=range(1, len(tiers) + 1), line=len(tiers) + 2 if against else None, line_name=against)
    return stacked(listing, stack, "All attempts, failed ones included.", short_usd, is_wide=True)


def _shares(spans: Sequence[Span]) -> Figure:
    tiers = tiers_of(spans)
    rows = [
        (
            span.name,
            *(
                1000 * span.tiers.get(tier, Sums()).requests // span.all.requests if span.all.requests else None
                for tier in tiers
            ),
            span.all.requests,
        )
        for span in spans
    ]
    listing = Listing(
        name="routing",
        title="Where requests went",
        columns=(
            Column("day", f"{unit_of(spans)} (UTC)", Kind.TIME),
            *(Column(f"{tier or 'no_tier'}_share", tier or "no tier", Kind.SHARE) for tier in tiers),
            Column("requests", "requests", Kind.COUNT),
        ),
        rows=rows,
    )
    stack = Stack(series=range(1, len(tiers) + 1))
    return stacked(
        listing,
        stack,
        f"The share of each tier in the requests of a {unit_of(spans)}.",
        lambda value: percent(value, 1000),
    )


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


def _run_told(desk: Desk, run: Sequence[Course]) -> str:
    begun = f"This session: since this gateway began, {moment(desk.started_ns)} (UTC)"
    return begun + (f"; of that, its latest {MOST_OF_RUN:,} requests." if len(run) == MOST_OF_RUN else ".")


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
    if desk.prices_date and _ageread_spans(desk) > STALE_PRICES_DAYS:
        yield Alert(
            "Old prices", f"the price table is of {desk.prices_date}: `routewright prices sync` looks for newer"
        )


def _ageread_spans(desk: Desk) -> int:
    now = datetime.fromtimestamp(desk.now_ns // 10**9, UTC).date()
    return (now - datetime.fromisoformat(desk.prices_date).date()).days
