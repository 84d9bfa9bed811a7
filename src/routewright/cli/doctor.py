"""`routewright doctor`: what this installation has and lacks, each with the command that mends it."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum

import apsw
import click
from msgspec import Struct

from routewright.access.installation import Installation
from routewright.catalog.registry import Registry, Tier
from routewright.catalog.sources import load_prices
from routewright.cli.opening import deciding_only, settings_of, source_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.running import is_serving
from routewright.cli.screen import print_json
from routewright.cli.virtual_keys import has_ledger, keyring_of
from routewright.detection import detect
from routewright.errors import LedgerUnavailable, SettingsError, StoreUnavailable
from routewright.ledger.sqlite import require_sqlite
from routewright.runtime import SIMULATOR_SCHEME
from routewright.settings import Settings, check_binding
from routewright.settings.sources import ConfigPlace
from routewright.stores import open_redis, open_store
from routewright.text import counted, one_line
from routewright.transport import proxy_variable, require_way

OLDEST_PYTHON = (3, 11)
STALE_DAYS = 90
MIB = 1024 * 1024
PATIENCE_S = 0.5


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    NOTE = "note"
    """Works, but perhaps not as wanted."""
    FAILED = "failed"


class Check(Struct, frozen=True):
    """One thing that was looked at; `fix` is what to do about it, if there is something to do."""

    what: str
    verdict: Verdict
    found: str
    fix: str | None = None


_MARKS = {Verdict.OK: "✓", Verdict.NOTE: "!", Verdict.FAILED: "✗"}


@click.command("doctor", short_help="Check this installation, and say how to mend what is wrong.")
@json_option
@settings_options
def command(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Check this installation, and say how to mend what is wrong.

    ✓ is well, ! works but perhaps not as you want it, ✗ does not work; the exit code is 1 if there is any ✗. No
    provider is called; servers on this machine are asked for their models.
    """
    checks = list(_all_checks(config, flags))
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            click.echo(f"{_MARKS[check.verdict]} {check.what}: {one_line(check.found)}")
            if check.fix:
                click.echo(f"    {one_line(check.fix)}")
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise click.exceptions.Exit(1)


def _all_checks(config: ConfigPlace | None, flags: Mapping[str, str]) -> Iterator[Check]:
    yield python_check(sys.version_info[:3])
    try:
        settings = settings_of(config, flags)
        registry = source_of(config, flags).load()[1]
    except SettingsError as error:
        yield from _mistakes(error)
    else:
        files = [str(path) for path in settings.files if path.exists()]
        yield Check("settings", Verdict.OK, f"valid, from {', '.join(files) or 'the defaults alone'}")
        yield from key_checks(settings)
        yield _servers(settings)
        yield from tier_checks(registry)
        yield from _classifier(settings, registry)
        yield from _ledger(settings)
        yield from _redis(settings)
        yield from _access(settings)
        yield from proxy_check()
        yield _port(settings)
    yield prices_check(load_prices().date, datetime.now(UTC).date())


def python_check(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    name = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Check("Python", Verdict.FAILED, name, f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")
    return Check("Python", Verdict.OK, name)


def _mistakes(error: SettingsError) -> Iterator[Check]:
    fix = error.hint or "correct it, then run `routewright config check`"
    first, *mistakes = error.message.splitlines()
    if not first.endswith(":"):  # one thing, explained in several lines
        first, mistakes = "; ".join([first, *mistakes]), []
    for mistake in mistakes or [first]:
        yield Check("settings", Verdict.FAILED, mistake, fix)


def key_checks(settings: Settings) -> Iterator[Check]:
    """Which providers have a key. Not to have one is no mistake, to have none at all is worth knowing."""
    if settings.keys:
        yield Check("keys", Verdict.OK, f"found for {', '.join(settings.keys)}")
    elif not settings.names_catalog:
        yield Check(
            "keys",
            Verdict.NOTE,
            "none found",
            "set one in the environment (export OPENAI_API_KEY=…) or run `routewright keys set openai`",
        )
    for name in settings.keyless:
        yield Check(f"key of {name}", Verdict.FAILED, settings.unusable[name], f"run `routewright keys set {name}`")
    missing = [name for name in settings.unusable if name not in settings.keyless]
    if missing and settings.keys:
        yield Check("other providers", Verdict.OK, f"no key, so not used: {', '.join(missing)}")


def _servers(settings: Settings) -> Check:
    places = settings.local_servers
    if not places:
        return Check("local servers", Verdict.OK, "not looked for: the settings name none")
    found = asyncio.run(detect(places)).servers
    if not found:
        return Check("local servers", Verdict.OK, f"none runs ({', '.join(places)} were asked)")
    told = [f"{server.provider} ({', '.join(model.name for model in server.models)})" for server in found]
    return Check("local servers", Verdict.OK, "; ".join(told))


def tier_checks(registry: Registry) -> Iterator[Check]:
    """Which models can be called, by tier."""
    if registry.deployments and all(place.base_url == SIMULATOR_SCHEME for place in registry.deployments.values()):
        yield Check("models", Verdict.NOTE, "all answer from the simulator", "give a key, or start a local server")
        return
    for tier in Tier:
        names = [model.name for model in registry.in_tier(tier)]
        if names:
            yield Check(f"{tier} models", Verdict.OK, ", ".join(names))
        else:
            yield Check(
                f"{tier} models",
                Verdict.NOTE,
                "none can be called, so models of other tiers stand in",
                f'give a key for a provider that has one, or set models.NAME.tier = "{tier}"',
            )


def _classifier(settings: Settings, registry: Registry) -> Iterator[Check]:
    """Who classifies, and for the learned one what it was trained on and what it has learned here."""
    try:
        engine = deciding_only(settings, registry)
    except SettingsError as error:
        yield from _mistakes(error)
        return
    if engine.artefact_error is not None:
        fix = "install routewright anew, or name another one: --set policy.artefact=FILE"
        yield Check("classifier", Verdict.FAILED, f"{engine.artefact_error}; the heuristic stands in", fix)
        return
    artefact, lessons = engine.artefact, engine.lessons
    if artefact is None:
        yield Check("classifier", Verdict.OK, settings.policy.classifier)
        return
    from routewright.decision.learned import is_compiled  # with numpy, which an artefact has imported anyway

    outcomes = 0 if lessons is None else sum(tally.outcomes for tally in lessons.evidence.tallies.values())
    learned = f"{counted(outcomes, 'outcome')} learned from" if outcomes else "nothing learned here yet"
    yield Check("classifier", Verdict.OK, f"learned, artefact {artefact.version} of {artefact.card.made_on}; {learned}")
    yield kernel_check(is_compiled())


def kernel_check(is_compiled: bool) -> Check:
    """Whether compiled code looks at requests: without it they are decided alike, only later."""
    if is_compiled:
        return Check("decision kernel", Verdict.OK, "compiled")
    fix = "install a wheel for this platform, or anew from source where there is a C compiler"
    return Check("decision kernel", Verdict.NOTE, "not compiled: numpy decides, at five times the CPU", fix)


def _ledger(settings: Settings) -> Iterator[Check]:
    folder = settings.ledger.path
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        yield Check("ledger", Verdict.OK, f"{folder} {'is' if nearest == folder else 'can be made, and is'} writable")
    else:
        fix = f"make {nearest} writable, or choose another folder: --set ledger.path=FOLDER"
        yield Check("ledger", Verdict.FAILED, f"{nearest} cannot be written to", fix)
    yield sqlite_check(apsw.sqlite_lib_version()) if settings.database is None else _database(settings)
    yield disk_check(shutil.disk_usage(nearest).free, settings.ledger.max_journal_bytes)


def _database(settings: Settings) -> Check:
    """Whether the PostgreSQL of the settings answers, and has a ledger of this version."""
    try:
        open_store(settings, read_only=True).close()
    except (LedgerUnavailable, StoreUnavailable, SettingsError) as error:
        fix = error.hint or "start PostgreSQL, or correct ledger.database_url"
        return Check("PostgreSQL", Verdict.FAILED, error.message, fix)
    return Check("PostgreSQL", Verdict.OK, f"{settings.ledger.database_url} has the ledger")


def _redis(settings: Settings) -> Iterator[Check]:
    """Whether the Redis of the settings answers; what is missing without it is told at no other place."""
    try:
        connection = open_redis(settings)
    except SettingsError as error:
        yield Check("Redis", Verdict.FAILED, error.message, error.hint)
        return
    if connection is None:
        return
    with asyncio.Runner() as runner:
        runner.run(connection.look())
        runner.run(connection.close())
    if connection.trouble is None:
        yield Check("Redis", Verdict.OK, f"{settings.redis.url} answers")
    else:
        fix = "start Redis, or correct redis.url; until then each gateway counts by itself"
        yield Check("Redis", Verdict.NOTE, connection.trouble, fix)


def _access(settings: Settings) -> Iterator[Check]:
    """Whether virtual keys can be checked, and nobody else gets in."""
    number, place = 0, Installation(settings.access_secret, settings.ledger.path).place
    try:
        if has_ledger(settings):
            with keyring_of(settings) as keyring:
                keyring.signer(keyring.state())
                number = len(keyring.list())
        check_binding(settings, has_keys=number > 0)
    except (SettingsError, LedgerUnavailable, StoreUnavailable) as error:
        yield Check("virtual keys", Verdict.FAILED, error.message, error.hint)
        return
    found = f"{counted(number, 'key')}, checked with {place}" if number else "none"
    if number and settings.database is not None and settings.access_secret is None:
        fix = "if other machines use this ledger, give all of them the same: set access.secret"
        yield Check("virtual keys", Verdict.NOTE, found, fix)
    else:
        yield Check("virtual keys", Verdict.OK, found)


def proxy_check() -> Iterator[Check]:
    """Whether the environment's proxy can be gone through, if it names one."""
    if (name := proxy_variable()) is None:
        return
    try:
        require_way()
    except SettingsError as error:
        yield Check("proxy", Verdict.FAILED, error.message, error.hint)
    else:
        yield Check("proxy", Verdict.OK, f"as {name} says")


def sqlite_check(version: str) -> Check:
    """Whether SQLite can be trusted with a ledger."""
    try:
        require_sqlite(version)
    except LedgerUnavailable as error:
        return Check("SQLite", Verdict.FAILED, error.message, "pip install --upgrade apsw")
    return Check("SQLite", Verdict.OK, version)


def disk_check(free_bytes: int, journal_bytes: int) -> Check:
    """Whether the disk has room for the longest journal, and the store beside it."""
    found = f"{free_bytes // MIB:,} MiB free"
    if free_bytes < 2 * journal_bytes:
        fix = f"free {counted(2 * journal_bytes // MIB, 'MiB').rstrip('s')}, or lower ledger.max_journal_bytes"
        return Check("disk", Verdict.FAILED, found, fix)
    return Check("disk", Verdict.OK, found)


def _port(settings: Settings) -> Check:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if is_serving(host, port):
            return Check("port", Verdict.OK, f"routewright serves on {host}:{port} already")
        fix = "choose another: routewright serve --port PORT"
        return Check("port", Verdict.FAILED, f"{host}:{port}: {error.strerror or error}", fix)
    return Check("port", Verdict.OK, f"{host}:{port} is free")


def prices_check(day: str, today: date) -> Check:
    """Whether the bundled prices are recent."""
    age_days = (today - date.fromisoformat(day)).days
    if age_days > STALE_DAYS:
        fix = "pip install --upgrade routewright, or set models.NAME.price yourself"
        return Check("prices", Verdict.NOTE, f"of {day}, {age_days} days old", fix)
    return Check("prices", Verdict.OK, f"of {day}")
