"""`routewright prices`: what models cost, whether that can be right, newer prices, and history at other ones."""

import time
from collections.abc import Iterator, Mapping

import click
from msgspec import Struct

from routewright.catalog.oddities import Oddity, oddities
from routewright.catalog.price_changes import RATES
from routewright.catalog.pricing import Price, Tariff
from routewright.catalog.served import Priced
from routewright.cli.failures import NotRecorded
from routewright.cli.options import json_option, settings_options
from routewright.cli.price_places import Desk, condition, find_priced, open_desk, per_million
from routewright.cli.prices_sync import diff, sync
from routewright.cli.rerate import rerate
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.settings.sources import ConfigPlace
from routewright.text import counted, one_line

STALE_DAYS = 30
_OVERVIEW = ("model", "input", "cached", "output", "also as", "version", "source")
_TITLES = {
    "input": "input",
    "output": "output",
    "cache_read": "cached",
    "cache_write": "write 5m",
    "cache_write_1h": "write 1h",
    "reasoning": "reasoning",
    "audio_input": "sound in",
    "audio_cache_read": "sound cached",
    "audio_output": "sound out",
    "request": "per request",
}


class Listed(Struct, frozen=True, kw_only=True):
    """A model with its prices: one entry of `prices show --json`."""

    model: str
    version: str
    source: str
    tariff: Tariff | None


@click.group("prices", short_help="Look at prices, renew them, and price history anew.")
def command() -> None:
    """Look at prices, renew them, and price history anew.

    docs/prices.md says where prices come from and what a price version is.
    """


@command.command("show")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@json_option
@settings_options
def show(models: tuple[str, ...], as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print what models cost, in USD per million tokens; with a MODEL, in every tier and at every time.

    MODEL is one of the settings, an alias, or provider/model as the price table knows it. Without one, all models of
    the settings are listed.
    """
    desk = open_desk(config, flags)
    listed = [_found(desk, name) for name in models or desk.models]
    if as_json:
        print_json(
            {"source": desk.table.source, "date": desk.table.date, "table": desk.table.version, "models": listed}
        )
        return
    if models:
        for each in listed:
            _print_model(each)
    else:
        print_table(
            [Column(title, title in ("input", "cached", "output")) for title in _OVERVIEW],
            [_overview(each) for each in listed],
        )
    say(f"prices of {desk.table.date}, {counted(desk.age_days, 'day')} old, from {desk.table.source}")


@command.command("check")
@json_option
@settings_options
@click.pass_context
def check(ctx: click.Context, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Look for models without a price, prices that are old, and prices that cannot be meant; exit code 1 if there are.

    Looks at the models of the settings.
    """
    desk = open_desk(config, flags)
    problems = list(_problems(desk))
    if as_json:
        print_json({"source": desk.table.source, "date": desk.table.date, "problems": problems})
    elif problems:
        print_table((Column("model"), Column("problem")), [(one_line(each.model), each.problem) for each in problems])
    else:
        say(f"{counted(len(desk.models), 'model')} priced; prices of {desk.table.date} from {desk.table.source}")
    if problems:
        ctx.exit(1)


command.add_command(diff)
command.add_command(sync)
command.add_command(rerate)


def _found(desk: Desk, name: str) -> Listed:
    found = find_priced(desk, name)
    if found is not None:
        return Listed(model=found[0], version=found[1].version, source=found[2], tariff=found[1].tariff)
    if name in desk.models:
        return Listed(model=name, version="unpriced", source="unknown", tariff=None)
    raise NotRecorded(
        f"neither the settings nor the price table know a model {one_line(name)!r}",
        hint="`routewright prices show` lists those of the settings; others are named provider/model",
    )


def _overview(each: Listed) -> tuple[str, ...]:
    if each.tariff is None:
        return (one_line(each.model), "?", "?", "?", "", each.version, each.source)
    rates = each.tariff.standard.prices[0]
    more = [*each.tariff.variants, *(["conditions"] if len(each.tariff.standard.prices) > 1 else [])]
    money = map(per_million, (rates.input, rates.cache_read, rates.output))
    return (one_line(each.model), *money, ", ".join(more), each.version, one_line(each.source))


def _print_model(each: Listed) -> None:
    click.echo(f"{one_line(each.model)}  version {each.version}, from {one_line(each.source)}")
    if each.tariff is None:
        say("  no price is known: give it one in [models.NAME.price]")
        return
    rows = list(_rows(each.tariff, int(time.time())))
    classes = [name for name in RATES if _is_of_interest(name, [price for _, price in rows])]
    print_table(
        [Column("tier"), Column("when"), *(Column(_TITLES[name], is_number=True) for name in classes)],
        [(tier, condition(price), *(_rate(price, name) for name in classes)) for tier, price in rows],
    )


def _rows(tariff: Tariff, now: int) -> Iterator[tuple[str, Price]]:
    """Every price that holds now or will."""
    for tier, schedule in {"standard": tariff.standard, **tariff.variants}.items():
        current = max((price.since for price in schedule.prices if price.since <= now), default=0)
        yield from ((tier, price) for price in schedule.prices if price.since >= current)


def _is_of_interest(name: str, prices: list[Price]) -> bool:
    """Whether a class costs anything else than the one it is part of."""
    usual = {"input": None, "output": None, "reasoning": "output", "audio_output": "output", "request": None}
    parent = {**usual, "audio_cache_read": "cache_read"}.get(name, "input")
    return any(getattr(price, name) != (getattr(price, parent) if parent else 0) for price in prices)


def _rate(price: Price, name: str) -> str:
    return per_million(getattr(price, name))


def _problems(desk: Desk) -> Iterator[Oddity]:
    if desk.age_days > STALE_DAYS:
        problem = (
            f"the prices are of {desk.table.date}, {desk.age_days} days old: `routewright prices sync` renews them"
        )
        yield Oddity(model="(all)", problem=problem)
    for name, model in desk.models.items():
        if model.tariff is None:
            yield Oddity(model=name, problem=f'has no price: add [models."{name}".price], or it is never chosen')
        else:
            yield from oddities(name, Priced(model.tariff, model.price_version).tariff)
