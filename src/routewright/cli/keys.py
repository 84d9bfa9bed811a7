"""`routewright keys`: keys of providers, which this gateway sends, and virtual keys, which it is sent.

A provider's key is in a file that only its owner can read: it comes in and is never shown. Of a virtual key the ledger
has an HMAC, so it is shown once, when it is made.
"""

import os
import sys
from collections.abc import Mapping

import click

from routewright.cli.failures import NotRecorded
from routewright.cli.keys_import import import_keys
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.cli.virtual_keys import create, print_virtual_keys, revoke, rotate, virtual_keys
from routewright.secret import Secret
from routewright.settings import Folders, KeyStore
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line


@click.group("keys", short_help="Keys of providers, and virtual keys for those who use the gateway.")
def command() -> None:
    """Keys of providers, and virtual keys for those who use the gateway.

    `set` and `remove` are for keys of providers: they are in a file that only you can read, settings refer to them as
    "keys:NAME", and they are never printed. `create`, `import`, `revoke` and `rotate` are for virtual keys, by which
    others use this gateway. `list` shows both.
    """


for _verb in (create, import_keys, revoke, rotate):
    command.add_command(_verb)


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
@settings_options
def list_keys(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print the names of the stored keys of providers, and all virtual keys; nothing secret of either."""
    store = _store()
    names = sorted(store.load())
    virtual = virtual_keys(settings_of(config, flags))
    if as_json:
        print_json({"providers": names, "virtual": virtual})
        return
    if names:
        print_table((Column("key of a provider"),), [(one_line(name),) for name in names])
    else:
        say(f"no keys of providers are stored in {store.path}; `routewright keys set openai` stores one")
    if virtual:
        click.echo()
        print_virtual_keys(virtual)
    else:
        say("there are no virtual keys; `routewright keys create NAME` makes one")


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
