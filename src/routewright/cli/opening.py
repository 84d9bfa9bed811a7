"""From a verb's options to what it works on: settings, a question, an engine that only decides."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from routewright.call import Call
from routewright.catalog.registry import Registry
from routewright.client import Ask, read_question
from routewright.clock import SystemClock
from routewright.engine import Engine
from routewright.errors import LedgerUnavailable
from routewright.ids import uuid7
from routewright.ledger.accounts import JournaledLedger
from routewright.runtime import SettingsSource
from routewright.settings import Settings, load_settings
from routewright.simulator import Simulator


def source_of(config: Path | None, flags: Mapping[str, object], *, simulate: bool = False) -> SettingsSource:
    """The settings of this process, with what was said on the command line above all."""
    return SettingsSource(environ=os.environ, cwd=Path.cwd(), config=config, flags=flags, simulate=simulate)


def settings_of(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """The same settings without the catalog, and so without a look at local servers. Raises SettingsError."""
    return load_settings(environ=os.environ, cwd=Path.cwd(), config=config, flags=flags)


def question(
    prompt: str,
    *,
    model: str | None,
    tier: str | None,
    system: str | None,
    max_tokens: int | None,
    stream: bool = False,
) -> Call:
    """The call that these options mean. Raises InvalidRequest."""
    said = Ask()
    if model is not None:
        said["model"] = model
    if tier is not None:
        said["tier"] = tier
    if system is not None:
        said["system"] = system
    if max_tokens is not None:
        said["max_tokens"] = max_tokens
    return read_question(prompt, said, request_id=uuid7(time.time_ns()), stream=stream)


class _NoLog:
    """The log of an engine that must not spend anything."""

    def append(self, payload: bytes, *, closing: bool = False) -> int:
        """Refuse."""
        raise LedgerUnavailable("this engine only decides; it has no ledger")

    async def durable(self, position: int) -> None:
        """Nothing was ever appended."""


def deciding_only(settings: Settings, registry: Registry) -> Engine:
    """An engine for `Engine.route`: it opens no file, and refuses to call anyone."""
    clock = SystemClock()
    ledger = JournaledLedger(_NoLog(), boot="", clock=clock)
    return Engine(settings, registry, ledger=ledger, transport=Simulator(), clock=clock)
