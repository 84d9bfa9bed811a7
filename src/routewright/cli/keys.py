"""`routewright keys`: keys of providers, in a file that only their owner can read. They come in and are never shown."""

import os
import sys

import click

from routewright.cli.failures import NotRecorded
from routewright.cli.options import json_option
from routewright.cli.screen import print_json, say
from routewright.cli.text import one_line
from routewright.secret import Secret
from routewright.settings import Folders, KeyStore


@click.group("keys", short_help="Store, list and remove the keys of providers.")
def command() -> None:
    """Store, list and remove the keys of providers.

    They are in a file that only you can read; settings refer to them as "keys:NAME". A key is never printed.
    """


def _refuse_key(ctx: click.Context, param: click.Parameter, extra: tuple[str, ...]) -> None:
    """Without quoting it: it is on the screen and in the shell's history already, and need not be in a log too."""
    if extra:
        raise click.UsageError(
            "a key is never given as an argument, where other programs and the shell's history see it: "
            "run `routewright keys set NAME` and type it, or pipe it in"
        )


@command.command("set")
@click.argument("name")
@click.argument("extra", metavar="", nargs=-1, expose_value=False, callback=_refuse_key, type=click.UNPROCESSED)
def set_key(name: str) -> None:
    """Store the key NAME: typed at a hidden prompt, or read from stdin.

    NAME is that of a provider (openai, anthropic, …), which then uses it, or any other that settings refer to.
    """
    store = _store()
    store.set(name, Secret(_read_key(name)))
    say(f'stored in {store.path}; settings can refer to it as "keys:{name}"')


@command.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """Print the names of the stored keys, and nothing else of them."""
    store = _store()
    names = sorted(store.load())
    if as_json:
        print_json(names)
    elif names:
        click.echo("\n".join(map(one_line, names)))
    else:
        say(f"no keys are stored in {store.path}; `routewright keys set openai` stores one")


@command.command("remove")
@click.argument("name")
def remove_key(name: str) -> None:
    """Forget the key NAME."""
    store = _store()
    if not store.remove(name):
        raise NotRecorded(f"there is no key {name!r} in {store.path}", hint="`routewright keys list` has the names")
    say(f"removed from {store.path}; if others may have seen the key, revoke it at the provider too")


def _store() -> KeyStore:
    return KeyStore(Folders.of(os.environ).keys_file)


def _read_key(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    if os.environ.get("CI"):
        raise click.UsageError(f"nothing is asked for in CI: pipe the key in, as in `… | routewright keys set {name}`")
    key: str = click.prompt(f"key for {name} (not shown)", hide_input=True, default="", show_default=False, err=True)
    return key.strip()
