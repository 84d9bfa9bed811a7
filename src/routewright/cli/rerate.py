"""`routewright prices rerate`: what history would have cost at other prices; the original is never touched."""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime

import click
import msgspec

from routewright.catalog.documents import MOST_BYTES, read_document
from routewright.catalog.pricing import PriceError
from routewright.catalog.served import Priced
from routewright.cli.failures import BadPrices, NotRecorded
from routewright.cli.fetching import read_source
from routewright.cli.ledger import EMPTY, when
from routewright.cli.opening import database_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.price_places import Desk, models_with, open_desk
from routewright.cli.report import read_since
from routewright.cli.reports.rerated import print_rerating
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.ledger.database import Database
from routewright.ledger.price_history import PriceHistory
from routewright.ledger.rerating import (
    Pricing,
    Rerating,
    TablePricing,
    VersionPricing,
    View,
    drop_view,
    views,
)
from routewright.ledger.rerating import rerate as rerate_history
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line

FOREVER_NS = 2**63 - 1


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else read_since(text, time.time_ns())
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a time like 7d nor a day like 2026-11-01", ctx, param) from None


def _day(ctx: click.Context, param: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day like 2026-11-01", ctx, param) from None


@click.command("rerate")
@click.option("--as-of", metavar="DATE", callback=_day, help="At the prices of that day (UTC), by the table in force.")
@click.option("--version", metavar="V", help="At this price version, for the models that have or had it.")
@click.option("--from", "source", metavar="FILE|URL", help="At the prices of this document.")
@click.option("--since", "since_ns", metavar="WHEN", callback=_moment, help="Attempts from then on: 7d or 2026-11-01.")
@click.option("--until", "until_ns", metavar="WHEN", callback=_moment, help="Attempts before then.")
@click.option("--save", "name", metavar="NAME", help="Keep what comes of it as a view of that name.")
@click.option("--list", "is_list", is_flag=True, help="List the views that are kept, and do nothing else.")
@click.option("--drop", metavar="NAME", help="Forget the view of that name, and do nothing else.")
@json_option
@settings_options
def rerate(
    as_of: date | None,
    version: str | None,
    source: str | None,
    since_ns: int | None,
    until_ns: int | None,
    name: str | None,
    is_list: bool,
    drop: str | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Compute what settled attempts would have cost at other prices, by model and day; the ledger stays as it is.

    Every attempt has the prices of its own moment in the document, or those of one day with --as-of. Attempts that
    the other prices do not know, and those whose tokens nobody knows, keep their cost and are counted as kept.
    """
    desk = open_desk(config, flags)
    with database_of(desk.settings, read_only=name is None and drop is None) as database:
        if database is None:
            say(EMPTY)
        elif is_list:
            _list(views(database), as_json=as_json)
        elif drop is not None:
            if not drop_view(database, drop):
                raise NotRecorded(f"there is no view {one_line(drop)!r}", hint="`routewright prices rerate --list`")
            say(f"forgotten: {one_line(drop)}")
        else:
            pricing, prices = _pricing(desk, database, as_of, version, source)
            start, end = since_ns or 0, FOREVER_NS if until_ns is None else until_ns
            view = name and View(name=name, at_ns=time.time_ns(), prices=prices, since_ns=start, until_ns=end)
            _refuse_taken(database, name)
            found = rerate_history(database, pricing, since_ns=start, until_ns=end, keep_as=view or None)
            _print(found, prices, view or None, as_json=as_json)


def _pricing(
    desk: Desk, database: Database, as_of: date | None, version: str | None, source: str | None
) -> tuple[Pricing, str]:
    """How to price, and that in words."""
    if sum(each is not None for each in (as_of, version, source)) != 1:
        raise click.UsageError("say at which prices: --as-of DATE, --version V, or --from FILE")
    if version is not None:
        return _by_version(desk, database, version)
    if as_of is not None:
        midnight = int(datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC).timestamp())
        return TablePricing(desk.models, desk.table, midnight), f"{desk.table.source}, as of {as_of}"
    content = read_source(str(source), MOST_BYTES)
    try:
        table = read_document(content, datetime.now(UTC).date().isoformat())
    except PriceError as error:
        raise BadPrices(f"{one_line(str(source))}: {error}") from error
    return TablePricing(models_with(desk.settings, table), table), table.source


def _by_version(desk: Desk, database: Database, version: str) -> tuple[Pricing, str]:
    found = PriceHistory(database).lookup(version)
    if found is None:
        raise NotRecorded(
            f"the ledger has no price version {one_line(version)!r}",
            hint="entries name theirs: `routewright ledger show`",
        )
    declared = desk.settings.models.get(found.model)
    names = {found.model, *PriceHistory(database).models_at(version), *(declared.deployments if declared else ())}
    return VersionPricing(Priced(found.tariff, version), frozenset(names)), f"version {version} of {found.model}"


def _refuse_taken(database: Database, name: str | None) -> None:
    if name is not None and any(view.name == name for view in views(database)):
        raise click.UsageError(f"there is a view {name!r} already: --drop it first, or take another name")


def _print(found: Rerating, prices: str, view: View | None, *, as_json: bool) -> None:
    if as_json:
        document = {"prices": prices, "view": view, "total": found.total, "lines": found.lines}
        print_json(msgspec.to_builtins(document))
        return
    if not found.lines:
        say("no attempt is settled in that time")
        return
    print_rerating(found)
    say(f"at the prices of {one_line(prices)}" + (f"; kept as {one_line(view.name)}" if view else ""))


def _list(kept: list[View], *, as_json: bool) -> None:
    if as_json:
        print_json(kept)
    elif kept:
        rows = [(one_line(view.name), when(view.at_ns), one_line(view.prices)) for view in kept]
        print_table((Column("view"), Column("made (UTC)"), Column("prices")), rows)
    else:
        say("no view is kept; `routewright prices rerate --save NAME` keeps one")
