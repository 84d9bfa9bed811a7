"""`routewright config`: whether the settings are right, and where each value comes from."""

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal

import click
import msgspec

from routewright.catalog.pricing import TOKEN_CLASSES
from routewright.catalog.registry import Registry
from routewright.cli.opening import settings_of, source_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table
from routewright.settings import Settings
from routewright.settings.schema import dotted
from routewright.settings.sources import ConfigPlace
from routewright.text import counted, one_line


@click.group("config", short_help="Check the settings, or show where each comes from.")
def command() -> None:
    """Check the settings, or show where each comes from."""


@command.command("check")
@json_option
@settings_options
def check(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Check the settings and the models they make; every mistake is told with its line, and the exit code is 78."""
    settings, registry = source_of(config, flags).load()
    files = [str(path) for path in settings.files if path.exists()]
    if as_json:
        print_json({"valid": True, "files": files, "models": list(registry.models), "catalog": registry.version})
        return
    callable_models = sum(bool(model.deployments) for model in registry.models.values())
    read = f"read from {', '.join(files)}" if files else "there is no file, so the defaults hold"
    click.echo(f"✓ the settings are valid: {read}; {counted(callable_models, 'model')} can be called")


@command.command("show")
@click.option("--origin", "with_origin", is_flag=True, help="Say where each value comes from.")
@json_option
@settings_options
def show(with_origin: bool, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print every setting as it is in force; of keys only the references to them.

    With --origin also what came of it for each model: limits and prices, which the price table may know better.
    """
    if with_origin:
        _show_with_origin(*source_of(config, flags).load(), as_json=as_json)
        return
    rows = {key: value for key, value, _ in settings_of(config, flags).rows()}
    if as_json:
        print_json(rows)
        return
    for key, value in rows.items():
        click.echo(one_line(f"{key} = {_value(value)}"))


def _show_with_origin(settings: Settings, registry: Registry, *, as_json: bool) -> None:
    told = [(key, value, str(origin)) for key, value, origin in settings.rows()]
    told += _in_force(registry, int(time.time()))
    if as_json:
        print_json({key: {"value": value, "origin": origin} for key, value, origin in told})
        return
    columns = (Column("setting"), Column("value"), Column("from"))
    print_table(columns, [(key, _value(value), origin) for key, value, origin in told])


def _in_force(registry: Registry, now_s: int) -> Iterator[tuple[str, object, str]]:
    """What the models can hold and cost, and from where that is known; prices in USD per million tokens."""
    for name, model in registry.models.items():
        for limit in ("context_window", "max_output_tokens"):
            yield dotted(("catalog", name, limit)), getattr(model, limit), model.origins.get(limit, "assumed")
        rates = model.prices.rates_at(now_s, 0) if model.prices else None
        for tokens in TOKEN_CLASSES if rates else ():
            usd = f"{Decimal(getattr(rates, tokens)).scaleb(-6).normalize():f}"
            yield dotted(("catalog", name, "price", tokens)), usd, model.origins["price"]


def _value(value: object) -> str:
    """As TOML has it, for all that settings hold."""
    return msgspec.json.encode(value).decode()
