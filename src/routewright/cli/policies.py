"""`routewright policies`: which policies are in force, their versions, and what puts another one in force."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from routewright.cli.ledger import reading
from routewright.cli.opening import in_force_of, settings_of, source_of
from routewright.cli.options import Within, json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.clock import SystemClock
from routewright.errors import PolicyNotFound
from routewright.policies.overlay import NOTHING, document_of, read_table
from routewright.policies.plan import plan_of
from routewright.policies.store import AS_SETTINGS, PolicyStore, Version
from routewright.policies.telling import PolicyTold, check, told, told_change, told_version
from routewright.settings import Origin, Settings
from routewright.settings.schema import Overlay, dotted
from routewright.settings.sources import ConfigPlace, flat, from_file
from routewright.stores import open_store
from routewright.text import one_line

AUTHOR = "command line"

_POLICIES = (
    Column("policy"),
    Column("version"),
    Column("from"),
    Column("share", is_number=True),
    Column("changes"),
    Column("trouble"),
)
_VERSIONS = (
    Column("number", is_number=True),
    Column("written (UTC)"),
    Column("by"),
    Column("in force"),
    Column("changes"),
)

_NUMBER = click.IntRange(AS_SETTINGS, 2**31 - 1)
_reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; it is kept with the change.")


@click.group("policies", short_help="See and change which policy decides, for whom.")
def command() -> None:
    """See and change which policy decides, for whom.

    A gateway that runs takes a change over within a second.
    """


@command.command("list")
@click.argument("name", required=False)
@json_option
@settings_options
def list_policies(name: str | None, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print all policies with their shares; with NAME, its versions in the ledger."""
    if name is not None:
        _list_versions(name, settings_of(config, flags), as_json=as_json)
        return
    settings, registry = source_of(config, flags).load()
    plan = plan_of(settings, registry, in_force_of(settings))
    policies = told(plan)
    if as_json:
        print_json({"enabled": not plan.is_off, "policies": policies})
        return
    print_table(_POLICIES, [_policy_row(each) for each in policies])
    for unknown in plan.without_policy:
        say(f"note: no policy is called {one_line(unknown)!r}: its share goes to the base")
    if plan.is_off:
        say("policies are switched off: [policy] of the settings decides alone; `routewright policies on` ends that")


@command.command("show")
@click.argument("name")
@click.option("--number", type=click.IntRange(min=1), metavar="N", help="This version; the one in force if not given.")
@json_option
@settings_options
def show(name: str, number: int | None, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print what a policy changes, as `policies apply` takes it; with --json also by what it was found."""
    settings = settings_of(config, flags)
    version = _find(settings, name, number)
    if as_json and version is not None:
        print_json(told_version(version))
        return
    overlay = _settings_say(settings, name) if version is None else version.overlay
    if as_json:
        print_json({"name": name, "number": AS_SETTINGS, "changes": document_of(overlay)})
        return
    for key, value in _values(overlay).items():
        click.echo(f"{key} = {_text(value)}")


@command.command("diff")
@click.argument("name")
@click.option(
    "--from",
    "before",
    type=_NUMBER,
    metavar="N",
    help="The one before, if not given; 0 is the settings.",
)
@click.option("--to", "after", type=_NUMBER, metavar="N", help="The one in force, if not given.")
@json_option
@settings_options
def diff(
    name: str,
    before: int | None,
    after: int | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Print what another version of a policy says otherwise."""
    settings = settings_of(config, flags)
    current = _find(settings, name, after)
    last = AS_SETTINGS if current is None else current.number
    old = _find(settings, name, max(AS_SETTINGS, last - 1) if before is None else before)
    ours, theirs = (
        _values(_settings_say(settings, name) if version is None else version.overlay) for version in (current, old)
    )
    keys = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    if as_json:
        print_json({key: {"from": theirs.get(key), "to": ours.get(key)} for key in keys})
        return
    for key in keys:
        for sign, values in (("-", theirs), ("+", ours)):
            if key in values:
                click.echo(f"{sign} {key} = {_text(values[key])}")


@command.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The policy that it is a version of; the base, policy.name, if not given.")
@click.option(
    "--share",
    type=Within(0, 100),
    metavar="PERCENT",
    help="Of the requests that name no policy.",
)
@_reason_option
@json_option
@settings_options
def apply(
    file: Path,
    name: str | None,
    share: float | None,
    reason: str,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Write FILE as a new version of a policy, and put it in force.

    FILE is TOML with the keys of one [policies.NAME], at its top. What it does not say stays as [policy] says.
    """
    settings, registry = source_of(config, flags).load()
    name = name or settings.policy.name
    if share is not None and name == settings.policy.name:
        raise click.BadParameter("the base gets what the others leave; give a --name", param_hint="--share")
    overlay = read_table(from_file(file, str(file), is_required=True), ("policies", name), Origin(str(file)))
    check(name, overlay, settings, registry)
    with _writing(settings) as policies:
        version = policies.apply(name, overlay, author=AUTHOR, share=share, reason=reason)
    if as_json:
        print_json(told_version(version))
    else:
        say(f"{name}, version {version.number}, is in force; `routewright policies rollback {name}` takes it back")


@command.command("rollback")
@click.argument("name", required=False)
@click.option(
    "--to",
    type=_NUMBER,
    metavar="N",
    help="The version before, if not given; 0 is the settings.",
)
@_reason_option
@json_option
@settings_options
def rollback(
    name: str | None, to: int | None, reason: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]
) -> None:
    """Put an older version of a policy in force again: of the base, policy.name, without NAME."""
    settings = settings_of(config, flags)
    with _writing(settings) as policies:
        change = policies.rollback(name or settings.policy.name, author=AUTHOR, to=to, reason=reason)
    if as_json:
        print_json(told_change(change))
    elif change.number == AS_SETTINGS:
        say(f"{change.name} is again what the settings say")
    else:
        say(f"{change.name}, version {change.number}, is in force again")


@command.command("off")
@_reason_option
@json_option
@settings_options
def off(reason: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """The kill switch: [policy] of the settings alone decides, for every request, within a second."""
    _switch(settings_of(config, flags), on=False, reason=reason, as_json=as_json)


@command.command("on")
@_reason_option
@json_option
@settings_options
def on(reason: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Have policies, and what of them is in the ledger, decide again."""
    _switch(settings_of(config, flags), on=True, reason=reason, as_json=as_json)


def _switch(settings: Settings, *, on: bool, reason: str, as_json: bool) -> None:
    with _writing(settings) as policies:
        change = policies.switch(on=on, author=AUTHOR, reason=reason)
    if as_json:
        print_json(told_change(change))
    elif on and not settings.rollout.enabled:
        say("policies are on again in the ledger, but rollout.enabled is false in the settings")
    else:
        say("policies are on again" if on else "policies are off: [policy] of the settings decides alone")


def _list_versions(name: str, settings: Settings, *, as_json: bool) -> None:
    versions, in_force = _versions(settings, name), in_force_of(settings)
    if as_json:
        print_json([told_version(version) for version in versions])
        return
    if not versions:
        say(f"{one_line(name)} has no versions in the ledger; `routewright policies apply` writes one")
        return
    standing = in_force.standings.get(name)
    number = AS_SETTINGS if standing is None else standing.version.number
    print_table(_VERSIONS, [_version_row(version, is_in_force=version.number == number) for version in versions])


def _policy_row(policy: PolicyTold) -> tuple[str, ...]:
    return (
        policy.name + (" (base)" if policy.is_base else ""),
        policy.version or "–",
        "the settings" if policy.number == AS_SETTINGS else f"version {policy.number}",
        f"{policy.share:g} %",
        one_line(", ".join(policy.changes)) or "–",
        one_line(policy.trouble or ""),
    )


def _version_row(version: Version, *, is_in_force: bool) -> tuple[str, ...]:
    shown = told_version(version)
    return (
        str(version.number),
        f"{shown.at:%Y-%m-%d %H:%M}",
        one_line(version.author),
        "yes" if is_in_force else "",
        one_line(", ".join(shown.changes)) or "–",
    )


# ---- what there is ----------------------------------------------------------------------------------------------


@contextmanager
def _writing(settings: Settings) -> Iterator[PolicyStore]:
    """The policies of the ledger that the settings name, beside a gateway that may be running."""
    with closing(open_store(settings)) as store:
        yield PolicyStore(store.database, SystemClock())


def _versions(settings: Settings, name: str) -> list[Version]:
    with reading(settings) as store:
        return [] if store is None else PolicyStore(store.database, SystemClock()).versions(name)


def _find(settings: Settings, name: str, number: int | None) -> Version | None:
    """A version, or the one in force; None for what the settings say. Raises PolicyNotFound."""
    if number is None:
        standing = in_force_of(settings).standings.get(name)
        return None if standing is None else standing.version
    if number == AS_SETTINGS:
        return None
    found = next((version for version in _versions(settings, name) if version.number == number), None)
    if found is None:
        raise PolicyNotFound(f"policy {one_line(name)!r} has no version {number}")
    return found


def _settings_say(settings: Settings, name: str) -> Overlay:
    if name != settings.policy.name and name not in settings.policies:
        raise PolicyNotFound(f"no policy is called {one_line(name)!r}", hint="`routewright policies list` has them all")
    return settings.policies.get(name, NOTHING)


def _values(overlay: Overlay) -> dict[str, Any]:
    """By dotted key, as a file that can be applied has them."""
    return {dotted(key): value for key, value in flat(document_of(overlay))}


def _text(value: object) -> str:
    """As TOML: of what an overlay holds, its values are those of JSON."""
    return json.dumps(value)
