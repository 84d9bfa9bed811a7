"""`routewright report`: what was spent, and what routing saved against a named baseline."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from msgspec import Struct

from routewright.catalog.pricing import PriceSchedule, cost_nanousd
from routewright.cli.failures import NotComparable
from routewright.cli.ledger import EMPTY, reading, when
from routewright.cli.opening import settings_of, source_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.savings import NANOSECONDS, Compared, Saving, against, as_recorded, saving
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.cli.text import counted, one_line, percent, usd
from routewright.errors import UnpricedModel
from routewright.ledger.ledger import RequestRecorded, Settled
from routewright.ledger.store import By, Spend, Store
from routewright.settings import Settings
from routewright.usage import Usage

READ_AT_MOST = 50_000
"""Requests that are looked at one by one; the tables count all there are."""

TABLES: tuple[By, ...] = ("model", "tier", "day")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_NUMBERS = (
    "requests",
    "success",
    "attempts",
    "tokens in",
    "tokens out",
    "spent",
    "actual",
    "would have cost",
    "saved",
    "saved %",
)


NOTHING = Spend(
    key="all",
    requests=0,
    complete=0,
    attempts=0,
    estimated=0,
    unpriced=0,
    usage=Usage(),
    cost_nanousd=0,
    baseline_cost_nanousd=0,
    compared_cost_nanousd=0,
)


class Report(Struct, frozen=True, kw_only=True):
    """All that is printed, and the form of `--json`."""

    since: str | None
    totals: Spend
    saving: Saving
    """Of the latest `READ_AT_MOST` requests, if there are more."""
    by: Mapping[By, Sequence[Spend]]


def read_since(text: str, now_ns: int) -> int:
    """UTC nanoseconds of `7d`, `24h`, `2w`, or of a day (UTC) like `2026-11-01`. Raises ValueError."""
    if match := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return max(0, now_ns - int(match[1]) * int(_UNITS[match[2]].total_seconds()) * NANOSECONDS)
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * NANOSECONDS


def _since(ctx: click.Context, param: click.Parameter, text: str | None) -> int:
    try:
        return 0 if text is None else read_since(text, time.time_ns())
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a time like 7d, 24h or 2w nor a day like 2026-11-01", ctx, param
        ) from None


@click.command("report", short_help="What was spent, and what routing saved against the baseline.")
@click.option("--by", type=click.Choice(TABLES), help="Only this table; without it, all three.")
@click.option(
    "--since", "since_ns", metavar="WHEN", callback=_since, help="From then on: 7d, 24h, 2w or 2026-11-01 (UTC)."
)
@click.option(
    "--baseline", metavar="MODEL", help="Compare with this model, at its prices, instead of the recorded one."
)
@json_option
@settings_options
def command(
    by: By | None, since_ns: int, baseline: str | None, as_json: bool, config: Path | None, flags: Mapping[str, str]
) -> None:
    """What was spent, and what routing saved against the baseline.

    Money counts every attempt, also those that failed. A saving compares what answered requests did cost with what the
    same tokens cost at the baseline, less the cost of requests that failed; it may be negative. May be used while the
    gateway serves.
    """
    settings = settings_of(config, flags)
    price = _price_of(baseline, config, flags) if baseline else None
    with reading(settings) as store:
        report = _report(store, since_ns, TABLES if by is None else (by,), baseline, price)
    if as_json:
        print_json(report)
    elif not report.totals.attempts + report.totals.requests:
        _say_empty(settings, since_ns)
    else:
        _print(report)


Price = Callable[[RequestRecorded, Usage], int]


def _price_of(name: str, config: Path | None, flags: Mapping[str, str]) -> Price:
    """What an answer costs at a model. Raises ModelNotFound, UnpricedModel."""
    _, registry = source_of(config, flags).load()
    model = registry.resolve(name)
    if model.prices is None:
        raise UnpricedModel(
            f"{name} has no price to compare with", hint=f'add [models."{name}".price] to routewright.toml'
        )
    prices: PriceSchedule = model.prices

    def price(request: RequestRecorded, usage: Usage) -> int:
        return cost_nanousd(usage, prices.rates_at(request.at_ns // NANOSECONDS, usage.input_total))

    return price


def _report(
    store: Store | None, since_ns: int, tables: Sequence[By], baseline: str | None, price: Price | None
) -> Report:
    if store is None:
        return Report(since=_start(since_ns), totals=NOTHING, saving=saving((), ()), by={table: [] for table in tables})
    totals = next(iter(store.spend("all", since_ns)), NOTHING)
    requests = store.tail(min(totals.requests, READ_AT_MOST)) if totals.requests else []
    by = {table: store.spend(table, since_ns) for table in tables}
    if price is None:
        compared = as_recorded(requests)
        names = [request.baseline_model for request in requests if request.baseline_cost_nanousd is not None]
        baselines = [name for name in names if name is not None]
    else:
        compared = _recomputed(store, requests, totals, price)
        baselines = [str(baseline)]
        by = {table: against(spends, compared, table) for table, spends in by.items()}
        totals = against([totals], compared, "all")[0]
    return Report(since=_start(since_ns), totals=totals, saving=saving(compared, baselines), by=by)


def _start(since_ns: int) -> str | None:
    return when(since_ns) if since_ns else None


def _recomputed(store: Store, requests: Sequence[RequestRecorded], totals: Spend, price: Price) -> list[Compared]:
    """Compared with another baseline, at its prices at the time of each request."""
    if totals.requests > len(requests):
        raise NotComparable(
            f"{totals.requests:,} requests are more than can be priced anew, which is {READ_AT_MOST:,}",
            hint="look at a shorter time: routewright report --since 7d --baseline …",
        )
    usages = [(request, _usage_of_answer(store, request)) for request in requests]
    return [Compared(request, None if usage is None else price(request, usage)) for request, usage in usages]


def _usage_of_answer(store: Store, request: RequestRecorded) -> Usage | None:
    """What the attempt used that answered the request; None if nobody did."""
    found = store.request(request.request_id) if request.model is not None else None
    closes = [attempt.close for attempt in found.attempts] if found else []
    usages = [close.usage for close in closes if isinstance(close, Settled) and close.model == request.model]
    return usages[-1] if usages else None


def _say_empty(settings: Settings, since_ns: int) -> None:
    if since_ns:
        say(f"the ledger has nothing since {when(since_ns)} UTC; `routewright report` looks at all of it")
    else:
        say(f"{EMPTY} (looked in {settings.ledger.path})")


def _print(report: Report) -> None:
    for line in summary(report):
        click.echo(line)
    for by, spends in report.by.items():
        click.echo()
        columns = [Column(by), *(Column(title, is_number=True) for title in _NUMBERS)]
        print_table(columns, [_row(spend) for spend in spends], total=_row(report.totals, name="total"))
    for line in _notes(report):
        click.echo(line)


def summary(report: Report) -> list[str]:
    """What was spent, against what, and how sure that is."""
    totals, compared = report.totals, report.saving
    lines = [
        f"spent {usd(totals.cost_nanousd)} {f'since {report.since} UTC' if report.since else 'in all'} · "
        f"{counted(totals.requests, 'request')}, {percent(totals.complete, totals.requests)} answered to the end · "
        f"{counted(totals.attempts, 'attempt')} · "
        f"{totals.usage.input_total:,} tokens in, {totals.usage.output_total:,} out"
    ]
    if not compared.requests:
        return [*lines, "nothing to compare with: no answer has a baseline with a price"]
    names = " or ".join(one_line(name) for name in compared.baselines)
    lines.append(
        f"vs always {names}: actual {usd(compared.actual_nanousd)}, would have cost {usd(compared.baseline_nanousd)}, "
        f"saved {usd(compared.saved_nanousd)} ({percent(compared.saved_nanousd, compared.baseline_nanousd)}), "
        f"net of routing: retries and {usd(compared.failed_nanousd)} of failed requests are counted"
    )
    if compared.low_nanousd != compared.high_nanousd:
        lines.append(
            f"  between {usd(compared.low_nanousd)} and {usd(compared.high_nanousd)}: "
            f"of {counted(compared.estimated, 'request')} the provider did not report the tokens"
        )
    return lines


def _notes(report: Report) -> list[str]:
    totals, compared = report.totals, report.saving
    lines = []
    if totals.estimated:
        lines.append(f"≤  {counted(totals.estimated, 'attempt')} estimated: the cost is an upper bound")
    if totals.unpriced:
        lines.append(
            f"+? {counted(totals.unpriced, 'attempt')} of models without a price: not in the cost, and not free"
        )
    if compared.simulated:
        lines.append(
            f"simulated: {counted(compared.simulated, 'request')} answered by the built-in simulator; "
            "no money was spent on these, and their tokens are made up"
        )
    if totals.requests > READ_AT_MOST:
        lines.append(f"the comparison above covers the latest {READ_AT_MOST:,} requests; the tables cover all")
    return ["", *lines] if lines else []


def _row(spend: Spend, *, name: str | None = None) -> tuple[str, ...]:
    saved = spend.baseline_cost_nanousd - spend.compared_cost_nanousd
    mark = ("≤ " if spend.estimated else "") + usd(spend.cost_nanousd) + (" +?" if spend.unpriced else "")
    is_compared = spend.baseline_cost_nanousd or spend.compared_cost_nanousd
    comparison = (
        usd(spend.compared_cost_nanousd),
        usd(spend.baseline_cost_nanousd),
        usd(saved),
        percent(saved, spend.baseline_cost_nanousd),
    )
    return (
        name or one_line(spend.key or "(nobody)"),
        f"{spend.requests:,}",
        percent(spend.complete, spend.requests),
        f"{spend.attempts:,}",
        f"{spend.usage.input_total:,}",
        f"{spend.usage.output_total:,}",
        mark,
        *(comparison if is_compared else ("–", "–", "–", "–")),
    )
