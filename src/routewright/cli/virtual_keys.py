"""`routewright keys create|list|revoke|rotate`: the keys by which others use this gateway."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click
import msgspec

from routewright.access.description import KeyTold, read_budget, read_wish, told
from routewright.access.installation import Installation
from routewright.access.keyring import Issued, Keyring
from routewright.access.keys import Role
from routewright.catalog.registry import VIRTUAL_MODELS, Tier
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.clock import SystemClock
from routewright.settings import Settings
from routewright.settings.given import did_you_mean
from routewright.settings.sources import ConfigPlace
from routewright.stores import ledger_file, open_store
from routewright.tenant import WhenLeft
from routewright.text import one_line

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_COLUMNS = tuple(map(Column, ("id", "name", "state", "team", "roles", "models", "limits", "expires (UTC)")))


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """A length of time such as `1h` or `30d`."""
    if text is None:
        return None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a length of time; write it like 12h, 30d or 4w", ctx, param)
    return int(found[1]) * _UNITS[found[2]]


def _budgets(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[dict[str, object]]:
    """Budgets such as `10/month`."""
    try:
        return [read_budget(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@contextmanager
def keyring_of(settings: Settings) -> Iterator[Keyring]:
    """The keys of the ledger that the settings name, beside a gateway that may be running."""
    store = open_store(settings)
    try:
        yield Keyring(store.database, Installation(settings.access_secret, settings.ledger.path), SystemClock())
    finally:
        store.close()


def has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger already, so that looking does not make one."""
    path = ledger_file(settings)
    return path is None or path.exists()


@click.command("create")
@click.argument("name")
@click.option("--team", metavar="TEAM", default="", help="Who the holder belongs to, for budgets and reports.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag on all its requests. Repeatable.")
@click.option(
    "--role",
    "roles",
    type=click.Choice([role.value for role in Role]),
    multiple=True,
    help="use: ask models, if no role is given; read: see keys, budgets, metrics; admin: change keys. Repeatable.",
)
@click.option("--model", "models", metavar="NAME", multiple=True, help="It may ask for this, and no other. Repeatable.")
@click.option(
    "--tier",
    "tiers",
    type=click.Choice([tier.value for tier in Tier]),
    multiple=True,
    help="Models of this tier may answer it, and no other. Repeatable.",
)
@click.option(
    "--budget",
    "budgets",
    metavar="USD/PERIOD",
    multiple=True,
    callback=_budgets,
    help="The most it may spend: 10/month, 2/day, 50/forever; 10/month/soft only alerts. Repeatable.",
)
@click.option("--rpm", type=click.IntRange(min=1), metavar="N", help="Requests in a minute.")
@click.option("--tpm", type=click.IntRange(min=1), metavar="N", help="Tokens in a minute, input and output.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Requests at once.")
@click.option(
    "--when-left",
    type=click.Choice([each.value for each in WhenLeft]),
    help="Of an answer whose client has left; server.when_left if not given.",
)
@click.option("--expires", metavar="SPAN", callback=_seconds, help="It is valid for so long: 12h, 30d, 4w.")
@json_option
@settings_options
def create(
    name: str,
    team: str,
    tags: tuple[str, ...],
    roles: tuple[str, ...],
    models: tuple[str, ...],
    tiers: tuple[str, ...],
    budgets: list[dict[str, object]],
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    when_left: str | None,
    expires: int | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Make a key for the gateway, and print it: this once, and never again.

    Its holder sends it as `Authorization: Bearer …`. A gateway that runs takes it within a second. From the first key
    on, nobody is served without one.
    """
    wish = read_wish(
        {
            "name": name,
            "team": team,
            "tags": tags,
            "roles": roles or (Role.USE,),
            "models": models,
            "tiers": tiers,
            "budgets": budgets,
            "requests_per_minute": rpm,
            "tokens_per_minute": tpm,
            "concurrency": concurrency,
            "when_left": when_left,
            "expires_at": None if expires is None else datetime.now(UTC) + timedelta(seconds=expires),
        }
    )
    settings = settings_of(config, flags)
    with keyring_of(settings) as keyring:
        _hand_over(keyring.create(wish), as_json=as_json)
    _note_unknown(settings, models)


def _note_unknown(settings: Settings, models: tuple[str, ...]) -> None:
    """A name nobody knows may be a slip, or a model that a local server will have."""
    known = (*VIRTUAL_MODELS, *settings.models, *settings.aliases)
    for name in models:
        if name not in known and "/" not in name:
            say(f"note: the settings know no model {one_line(name)!r}{did_you_mean(name, known)}")


@click.command("revoke")
@click.argument("key_id", metavar="ID")
@json_option
@settings_options
def revoke(key_id: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Take a virtual key out of use, for ever; gateways that run refuse it within a second."""
    with keyring_of(settings_of(config, flags)) as keyring:
        key = keyring.revoke(key_id)
    if as_json:
        print_json(told(key, SystemClock().time_ns()))
    else:
        say(f"revoked {key.id} ({one_line(key.name)})")


@click.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option("--grace", metavar="SPAN", callback=_seconds, help="The old text is taken for so long still, such as 1h.")
@json_option
@settings_options
def rotate(key_id: str, grace: int | None, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Give a virtual key a new secret, and print it: this once, and never again. Its id and limits stay."""
    with keyring_of(settings_of(config, flags)) as keyring:
        _hand_over(keyring.rotate(key_id, grace or 0), as_json=as_json)


def virtual_keys(settings: Settings) -> list[KeyTold]:
    """All virtual keys as they are shown; a ledger that is not there yet has none, and is not made."""
    if not has_ledger(settings):
        return []
    now_ns = SystemClock().time_ns()
    with keyring_of(settings) as keyring:
        return [told(key, now_ns) for key in keyring.list()]


def print_virtual_keys(keys: list[KeyTold]) -> None:
    """As a table."""
    print_table(_COLUMNS, [_row(key) for key in keys])


def _hand_over(issued: Issued, *, as_json: bool) -> None:
    """The text alone on stdout, so that it can be piped to where it belongs."""
    key, text = issued.key, issued.text.reveal()
    if as_json:
        shown = msgspec.to_builtins(told(key, SystemClock().time_ns()))
        print_json({**shown, "key": text})
        return
    click.echo(text)
    say(f"the key of {one_line(key.name)}, id {key.id}; it is not shown again")


def _row(key: KeyTold) -> tuple[str, ...]:
    limits = [f"${each.limit_usd}/{each.period}" + ("" if each.is_hard else " soft") for each in key.budgets]
    numbers = (
        (key.requests_per_minute, "requests/min"),
        (key.tokens_per_minute, "tokens/min"),
        (key.concurrency, "at once"),
    )
    limits += [f"{number:,} {what}" for number, what in numbers if number is not None]
    return (
        key.id,
        one_line(key.name),
        key.state,
        one_line(key.team) or "–",
        ", ".join(key.roles),
        one_line(", ".join([*key.models, *(f"tier {tier}" for tier in key.tiers)])) or "all",
        ", ".join(limits) or "–",
        key.expires_at.strftime("%Y-%m-%d %H:%M") if key.expires_at else "–",
    )
