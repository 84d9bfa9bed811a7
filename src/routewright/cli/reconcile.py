"""`routewright ledger reconcile`: the ledger beside a provider's own usage or cost export."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from routewright.catalog.served import tariff_of
from routewright.catalog.sources import PriceTable
from routewright.cli.failures import BadExport
from routewright.cli.opening import database_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.price_places import open_desk
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.exports import MOST_BYTES, Export, ExportError, read_export
from routewright.ledger.billing import priced_usage
from routewright.ledger.database import Database
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.rerating import Settlement, settlements
from routewright.reconciliation import MONEY, Comparison, Difference, Reconciliation, Recorded, only_key
from routewright.settings.catalog import SIMULATOR
from routewright.settings.sources import ConfigPlace
from routewright.text import counted, one_line, usd
from routewright.usage import Usage

_OPEN = """
SELECT e.at_ns, e.deployment, e.amount_nanousd FROM open_holds AS o JOIN events AS e USING (attempt_id)
WHERE e.kind = 'reserved' AND e.at_ns >= ? AND e.at_ns < ?
"""
_CROSSING_NS = 3600 * NANOSECONDS
"""An attempt is settled within this time after it was sent."""


@click.command("reconcile")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--provider", metavar="NAME", help="Whose export it is, as the settings name it; seen from its form, as a rule."
)
@click.option("--api-key", "key", metavar="NAME", help="Only the export's rows of this key, as it names keys.")
@json_option
@settings_options
@click.pass_context
def reconcile(
    ctx: click.Context,
    file: Path,
    provider: str | None,
    key: str | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Compare the ledger with a provider's export, by day, model and class of token; exit code 1 if a difference
    stays unexplained.

    FILE is OpenAI's usage or cost export (CSV, or JSON of its usage API) or Anthropic's (CSV). Tokens are compared in
    a usage export, money in a cost export. docs/prices.md has the columns and the causes.
    """
    export = _read(file)
    if key is not None:
        export = only_key(export, key)
    desk = open_desk(config, flags)
    whose = desk.table.known_as(provider or export.provider)
    if whose not in (*desk.table.providers, *desk.settings.providers, SIMULATOR):
        raise click.UsageError(f"neither the settings nor the price table know a provider {one_line(whose)!r}")
    comparison = Comparison(export, _namer(desk.table, whose))
    with database_of(desk.settings) as database:
        if database is None:
            say("the ledger is empty: everything in the export came another way")
        else:
            for recorded in _recorded(database, desk.table, whose, comparison.days):
                comparison.add(recorded)
    found = comparison.result()
    if as_json:
        print_json({**msgspec.to_builtins(found), "unexplained": len(found.unexplained)})
    else:
        _print(found)
    if found.unexplained:
        ctx.exit(1)


def _read(file: Path) -> Export:
    try:
        with file.open("rb") as opened:
            return read_export(opened.read(MOST_BYTES + 1))
    except OSError as error:
        raise BadExport(f"cannot read {file}: {error.strerror}", hint="check the path") from error
    except ExportError as error:
        raise BadExport(f"{file}: {error}") from error


def _namer(table: PriceTable, provider: str) -> Callable[[str], str]:
    """One name for all that the provider calls a model: the price table's id, if it knows it."""

    def name_of(name: str) -> str:
        slug = "-".join(name.lower().split())
        found = table.lookup(provider, slug)
        return found.id if found else slug

    return name_of


def _recorded(database: Database, table: PriceTable, provider: str, days: list[str]) -> Iterator[Recorded]:
    """The attempts at a provider that may belong to these days."""
    if not days:
        return
    start = _nanoseconds(days[0])
    end = _nanoseconds(days[-1]) + int(timedelta(days=1).total_seconds()) * NANOSECONDS
    name_of = _namer(table, provider)
    for page in settlements(database, start, end + _CROSSING_NS):
        for settlement in page:
            if table.known_as(settlement.deployment.partition("/")[0]) == provider:
                yield _as_recorded(settlement, table, name_of)
    for row in database.read(_OPEN, start, end):
        place, _, upstream = row["deployment"].partition("/")
        if table.known_as(place) == provider:
            yield Recorded(
                day=_day(row["at_ns"]),
                model=name_of(upstream),
                usage=Usage(),
                cost_nanousd=row["amount_nanousd"] or 0,
                is_unknown=True,
            )


def _as_recorded(settlement: Settlement, table: PriceTable, name_of: Callable[[str], str]) -> Recorded:
    place, _, upstream = settlement.deployment.partition("/")
    return Recorded(
        day=_day(settlement.held_ns),
        model=name_of(settlement.served_model or upstream),
        usage=settlement.usage,
        cost_nanousd=settlement.cost_nanousd or 0,
        list_nanousd=_at_list_prices(settlement, table, place, upstream),
        is_estimated=settlement.is_estimated,
        is_unknown=settlement.outcome == "crashed",
    )


def _at_list_prices(settlement: Settlement, table: PriceTable, place: str, upstream: str) -> dict[str, int]:
    tariff = tariff_of(table.lookup(place, settlement.served_model) if settlement.served_model else None)
    tariff = tariff or tariff_of(table.lookup(place, upstream))
    if tariff is None:
        return {}
    moment = settlement.held_ns // NANOSECONDS
    as_served = {"": priced_usage(tariff, settlement.usage, moment, settlement.service_tier)}
    standard = {} if not settlement.service_tier else {"standard": priced_usage(tariff, settlement.usage, moment, "")}
    others = {tier: priced_usage(tariff, settlement.usage, moment, tier) for tier in tariff.variants}
    return as_served | standard | others


def _nanoseconds(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * NANOSECONDS


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NANOSECONDS, UTC).date().isoformat()


def _print(found: Reconciliation) -> None:
    if found.differences:
        columns = ("day", "model", "what", "export", "ledger", "difference", "because")
        numbers = ("export", "ledger", "difference")
        print_table([Column(title, title in numbers) for title in columns], [_row(each) for each in found.differences])
    differing = len(found.differences)
    say(
        f"{found.provider}, {found.first_day} to {found.last_day}: {counted(found.compared, 'number')} compared, "
        f"{differing} differ, {len(found.unexplained)} of them not explained in full"
    )


def _row(each: Difference) -> tuple[str, ...]:
    def shown(amount: int) -> str:
        return usd(amount) if each.measure == MONEY else f"{amount:,}"

    reasons = [f"{cause.why} {shown(cause.amount)} ({cause.detail})" for cause in each.causes]
    if each.unexplained:
        reasons.append(f"unexplained {shown(each.unexplained)}")
    numbers = map(shown, (each.exported, each.recorded, each.difference))
    return each.day, one_line(each.model), each.measure, *numbers, "; ".join(reasons)
