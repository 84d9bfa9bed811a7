"""`routewright config`: whether the settings are right, and where each value comes from."""

from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from routewright.cli.opening import settings_of, source_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table
from routewright.cli.text import counted, one_line
from routewright.settings import Settings


@click.group("config", short_help="Check the settings, or show where each comes from.")
def command() -> None:
    """Check the settings, or show where each comes from."""


@command.command("check")
@json_option
@settings_options
def check(as_json: bool, config: Path | None, flags: Mapping[str, str]) -> None:
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
def show(with_origin: bool, as_json: bool, config: Path | None, flags: Mapping[str, str]) -> None:
    """Print every setting as it is in force; of keys only the references to them."""
    settings = settings_of(config, flags)
    if as_json:
        print_json(_document(settings, with_origin=with_origin))
    elif with_origin:
        told = [(key, _value(value), str(origin)) for key, value, origin in settings.rows()]
        print_table((Column("setting"), Column("value"), Column("from")), told)
    else:
        for key, value, _ in settings.rows():
            click.echo(one_line(f"{key} = {_value(value)}"))


def _document(settings: Settings, *, with_origin: bool) -> dict[str, object]:
    if with_origin:
        return {key: {"value": value, "origin": str(origin)} for key, value, origin in settings.rows()}
    return {key: value for key, value, _ in settings.rows()}


def _value(value: object) -> str:
    """As TOML has it, for all that settings hold."""
    return msgspec.json.encode(value).decode()
