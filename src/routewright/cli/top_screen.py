"""A snapshot of a gateway as lines, for a terminal or without one."""

from collections.abc import Iterator

from routewright.cli.screen import Column, table_lines
from routewright.cli.top_reading import BudgetNow, ModelNow, Snapshot
from routewright.reports.figures import bar, short
from routewright.text import counted, one_line, percent, usd

MOST_MODELS = 20
MOST_OTHERS = 10
"""Budgets, and breakers that are not closed; the rest is in --json."""
_BAR_WIDTH = 12
_MODELS = (
    Column("model"),
    Column("req/s", is_number=True),
    Column("requests", is_number=True),
    Column("p50", is_number=True),
    Column("p95", is_number=True),
    Column("first token", is_number=True),
    Column("spent", is_number=True),
    Column(""),
)
_BUDGETS = (Column("budget"), Column("left", is_number=True), Column("of", is_number=True), Column("spent"))


def lines(now: Snapshot, width: int | None) -> Iterator[str]:
    """All of it; `width` is the terminal's, None without one."""
    yield f"routewright {one_line(now.version)} at {one_line(now.gateway)}"
    yield (
        f"{now.requests_per_s:.1f} requests/s · {short(round(now.tokens_per_s))} tokens/s · "
        f"{usd(now.nanousd_per_hour)}/h · overhead p50 {_time(now.overhead_p50_s)}, p99 {_time(now.overhead_p99_s)}"
    )
    yield (
        f"since its start: {counted(now.requests, 'request')}, {percent(now.failed, now.requests)} failed · "
        f"spent {usd(now.cost_nanousd)}"
    )
    if now.baseline_nanousd:
        saved = now.baseline_nanousd - now.cost_nanousd
        yield f"vs {_baselines(now)}: would have cost {usd(now.baseline_nanousd)}, saved {usd(saved)}"
    for alarm in now.alarms:
        yield f"! {one_line(alarm)}"
    if now.models:
        greatest = max(each.cost_nanousd for each in now.models)
        yield ""
        yield from table_lines(_MODELS, [_model(each, greatest) for each in now.models[:MOST_MODELS]], width=width)
    if now.budgets:
        yield ""
        yield from table_lines(_BUDGETS, [_budget(each) for each in now.budgets[:MOST_OTHERS]], width=width)
    yield ""
    yield from _breakers(now)
    if now.ledger_queue_bytes >= 1024 * 1024:
        yield f"ledger: {short(now.ledger_queue_bytes)}B wait for the store"


def _baselines(now: Snapshot) -> str:
    return " or ".join(f"always {one_line(name)}" for name in now.baselines)


def _model(model: ModelNow, greatest: int) -> tuple[str, ...]:
    return (
        one_line(model.model),
        f"{model.requests_per_s:.1f}",
        f"{model.requests:,}",
        _time(model.p50_s),
        _time(model.p95_s),
        _time(model.first_token_p50_s),
        usd(model.cost_nanousd),
        bar(model.cost_nanousd, greatest, _BAR_WIDTH),
    )


def _budget(budget: BudgetNow) -> tuple[str, ...]:
    spent = budget.limit_nanousd - budget.remaining_nanousd
    share = percent(spent, budget.limit_nanousd)
    return (
        one_line(budget.budget),
        usd(budget.remaining_nanousd),
        usd(budget.limit_nanousd),
        f"{bar(spent, budget.limit_nanousd, _BAR_WIDTH):<{_BAR_WIDTH}} {share}",
    )


def _breakers(now: Snapshot) -> Iterator[str]:
    amiss = {name: state for name, state in now.breakers.items() if state != "closed"}
    closed = len(now.breakers) - len(amiss)
    yield f"breakers: {closed} closed" + (f", {len(amiss)} not:" if amiss else "")
    for name, state in list(amiss.items())[:MOST_OTHERS]:
        yield f"  {one_line(name)}: {state}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.1f} s"
