"""From a verb's options to what it works on: settings, what was asked, an engine that only decides."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from routewright.catalog.registry import Registry
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.database import Database
from routewright.settings import Settings, load_settings
from routewright.settings.sources import ConfigPlace
from routewright.stores import ledger_file, open_database

if TYPE_CHECKING:  # an engine takes longer to import than most verbs need to do their work
    from routewright.client import Ask
    from routewright.engine import Engine
    from routewright.policies.store import InForce
    from routewright.settings_source import SettingsSource


def source_of(config: ConfigPlace | None, flags: Mapping[str, object], *, simulate: bool = False) -> "SettingsSource":
    """The settings of this process, with what was said on the command line above all."""
    from routewright.settings_source import SettingsSource

    return SettingsSource(environ=os.environ, cwd=Path.cwd(), config=config, flags=flags, simulate=simulate)


def settings_of(config: ConfigPlace | None, flags: Mapping[str, object]) -> Settings:
    """The same settings without the catalog, and so without a look at local servers. Raises SettingsError."""
    return load_settings(environ=os.environ, cwd=Path.cwd(), config=config, flags=flags)


@contextmanager
def database_of(settings: Settings, *, read_only: bool = True) -> Iterator[Database | None]:
    """The ledger's database, beside whoever writes to it; None if there is none yet.

    Raises LedgerUnavailable, StoreUnavailable.
    """
    path = ledger_file(settings)
    if path is not None and not path.exists():
        yield None
        return
    database = open_database(settings, read_only=read_only)
    try:
        yield database
    finally:
        database.close()


def wished(flags: Mapping[str, str], quality: str | None) -> Mapping[str, str]:
    """The flags with what `--quality` says among them."""
    return flags if quality is None else {**flags, "policy.quality": quality}


def asked(
    *,
    model: str | None,
    tier: str | None,
    min_quality: float | None,
    policy: str | None,
    system: str | None,
    max_tokens: int | None,
) -> "Ask":
    """What was said beside the prompt; what was not said is left out."""
    said: Ask = {}
    if model is not None:
        said["model"] = model
    if tier is not None:
        said["tier"] = tier
    if min_quality is not None:
        said["min_quality"] = min_quality
    if policy is not None:
        said["policy"] = policy
    if system is not None:
        said["system"] = system
    if max_tokens is not None:
        said["max_tokens"] = max_tokens
    return said


def in_force_of(settings: Settings) -> "InForce":
    """What the ledger says of policies; one that is not there yet says nothing, and is not made.

    Raises LedgerUnavailable, StoreUnavailable.
    """
    from routewright.clock import SystemClock
    from routewright.policies.store import InForce, PolicyStore

    with database_of(settings) as database:
        return InForce() if database is None else PolicyStore(database, SystemClock()).in_force()


def in_force_if_known(settings: Settings) -> "InForce":
    """The same for who can do without: a ledger that cannot be read now is told, and then says nothing."""
    from routewright.cli.screen import say
    from routewright.policies.store import InForce

    try:
        return in_force_of(settings)
    except (LedgerUnavailable, StoreUnavailable) as error:
        say(f"note: what the ledger says of policies is not known: {error.message}")
        return InForce()


class _NoLog:
    """The log of an engine that must not spend anything."""

    trouble: str | None = None

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Refuse."""
        raise LedgerUnavailable("this engine only decides; it has no ledger")

    async def durable(self, position: int) -> None:
        """Nothing was ever appended."""


def deciding_only(settings: Settings, registry: Registry, in_force: "InForce | None" = None) -> "Engine":
    """An engine for `Engine.route`: it reads what was learned, writes no file, and refuses to call anyone.

    `in_force` is what the ledger says of policies; without it they are as the settings say.
    """
    from routewright.clock import SystemClock
    from routewright.engine import Engine
    from routewright.jobs.drift_news import withdrawn
    from routewright.ledger.accounts import JournaledLedger
    from routewright.ledger.drift import DriftBook
    from routewright.runtime import recall
    from routewright.simulator import Simulator

    clock = SystemClock()
    ledger = JournaledLedger(_NoLog(), boot="", clock=clock)
    engine = Engine(settings, registry, ledger=ledger, transport=Simulator(), clock=clock)
    recall(engine)
    if in_force is not None:
        engine.adopt_policies(in_force)
    if settings.drift.enabled and settings.drift.take_out_of_auto:
        with database_of(settings) as database:
            engine.withdrawn = withdrawn(DriftBook(database).alarms(), settings.drift) if database else {}
    return engine
