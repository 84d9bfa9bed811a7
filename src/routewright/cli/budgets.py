"""`routewright budgets`: how budgets stand, by the ledger's database, and the operator's word on a frozen one."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime

import click
from msgspec import Struct

from routewright.cli.failures import NotRecorded
from routewright.cli.ledger import reading
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.ledger.alerts import AlertBook
from routewright.ledger.budgets import Budget, window_at, zone_of
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.windows import WindowRow
from routewright.settings.budgets import budgets_of
from routewright.settings.sources import ConfigPlace
from routewright.stores import open_store
from routewright.text import one_line, percent, usd

_COLUMNS = (
    Column("budget"),
    Column("kind"),
    Column("limit", is_number=True),
    Column("spent", is_number=True),
    Column("of it", is_number=True),
    Column("granted", is_number=True),
    Column("left", is_number=True),
    Column("until"),
    Column("state"),
)


class Told(Struct, frozen=True, kw_only=True):
    """One window of a budget, as it is shown; amounts in nano-USD, times in UTC nanoseconds since 1970."""

    budget: str
    kind: str
    limit_nanousd: int
    spent_nanousd: int
    granted_nanousd: int
    """To processes that have not spent it."""
    left_nanousd: int
    starts_ns: int
    ends_ns: int | None
    overruns: int
    is_frozen: bool


@click.group("budgets", short_help="See how budgets stand, and thaw a frozen one.")
def command() -> None:
    """See how budgets stand, and thaw a frozen one."""


@command.command("list")
@json_option
@settings_options
def list_budgets(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print how every budget stands in its present period: what all processes spent, as far as it is stored."""
    settings = settings_of(config, flags)
    now_ns = time.time_ns()
    with reading(settings) as store:
        windows = AlertBook(store.database).windows(now_ns) if store else []
    told = list(_told(budgets_of(settings), windows, now_ns))
    if as_json:
        print_json(told)
    elif told:
        print_table(_COLUMNS, [_row(each, settings.spending.time_zone) for each in told])
    else:
        say("there are no budgets: [budgets.NAME] in routewright.toml makes one")


@command.command("thaw")
@click.argument("name")
@settings_options
def thaw(name: str, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Let the frozen budget NAME be spent from again.

    A budget freezes when a provider charged more than could be expected, since the next attempt might be as wrong: look
    into that first. A gateway that runs notices within a second.
    """
    settings = settings_of(config, flags)
    with reading(settings) as store:
        windows = AlertBook(store.database).windows(time.time_ns()) if store else []
    if not any(window.is_frozen and window.budget == name for window in windows):
        raise NotRecorded(f"no budget {one_line(name)!r} is frozen", hint="`routewright budgets list` has them all")
    with closing(open_store(settings)) as store:
        DatabaseEscrow(store.database).thaw(name)
    say(f"{one_line(name)} is thawed")


def _told(budgets: Sequence[Budget], windows: Sequence[WindowRow], now_ns: int) -> Iterator[Told]:
    """Those of the settings first, also where nothing was spent yet; then those of single keys, teams and tags."""
    present = {row.budget: row for row in windows if row.ends_ns is None or row.ends_ns > now_ns}
    for budget in budgets:
        row = present.pop(budget.name, None)
        if row is not None:
            yield _of_row(row, limit_nanousd=budget.limit_nanousd, is_hard=budget.is_hard)
        elif not budget.is_for_each:
            yield _unspent(budget, now_ns)
    for _, row in sorted(present.items()):
        yield _of_row(row, limit_nanousd=row.limit_nanousd, is_hard=row.is_hard)


def _of_row(row: WindowRow, *, limit_nanousd: int, is_hard: bool) -> Told:
    return Told(
        budget=row.budget,
        kind="hard" if is_hard else "soft",
        limit_nanousd=limit_nanousd,
        spent_nanousd=row.posted_nanousd,
        granted_nanousd=row.leased_nanousd,
        left_nanousd=max(0, limit_nanousd - row.posted_nanousd),
        starts_ns=row.starts_ns,
        ends_ns=row.ends_ns,
        overruns=row.overruns,
        is_frozen=row.is_frozen,
    )


def _unspent(budget: Budget, now_ns: int) -> Told:
    window = window_at(budget.period, budget.time_zone, now_ns)
    return Told(
        budget=budget.name,
        kind="hard" if budget.is_hard else "soft",
        limit_nanousd=budget.limit_nanousd,
        spent_nanousd=0,
        granted_nanousd=0,
        left_nanousd=budget.limit_nanousd,
        starts_ns=window.starts_ns,
        ends_ns=window.ends_ns,
        overruns=0,
        is_frozen=False,
    )


def _row(told: Told, time_zone: str) -> tuple[str, ...]:
    until = "for ever"
    if told.ends_ns is not None:
        until = f"{datetime.fromtimestamp(told.ends_ns // NANOSECONDS, zone_of(time_zone)):%Y-%m-%d %H:%M %Z}"
    return (
        told.budget,
        told.kind,
        usd(told.limit_nanousd),
        usd(told.spent_nanousd),
        percent(told.spent_nanousd, told.limit_nanousd),
        usd(told.granted_nanousd),
        usd(told.left_nanousd),
        until,
        "frozen" if told.is_frozen else "",
    )
