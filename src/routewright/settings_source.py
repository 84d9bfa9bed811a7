"""Where settings come from, how they are read again, and the catalog that they make with what is found around them."""

import asyncio
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import structs

from routewright.catalog.registry import Registry
from routewright.catalog.sources import PriceTable
from routewright.detection import Found, detect
from routewright.errors import SettingsError
from routewright.settings import FileStamp, Folders, Settings, load_settings
from routewright.settings.addresses import Fetched
from routewright.settings.catalog import build_catalog, prices_of
from routewright.settings.remote import RemoteSettings
from routewright.settings.sources import ConfigPlace, config_place

log = logging.getLogger(__name__)


class SettingsSource:
    """Where the settings come from, and what they and the surroundings make of the catalog."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        cwd: Path,
        config: ConfigPlace | None = None,
        flags: Mapping[str, object] | None = None,
        simulate: bool = False,
    ) -> None:
        self._environ = environ
        self._cwd = cwd
        self._config = config
        self._flags = flags
        place = config_place(config, environ)
        self._remote = RemoteSettings(place, Folders.of(environ)) if isinstance(place, str) else None
        self._has_loaded = False
        self._simulate = simulate
        self._stamps: dict[Path, FileStamp | None] = {}
        self._told_by: frozenset[Path] = frozenset()
        self.prices: PriceTable | None = None
        """The price table of what was loaded last."""
        self.refused: str | None = None
        """Why the last good copy is in force, and not what is at the address; None if it is not so."""

    def __reduce__(self) -> tuple[object, ...]:
        """In another process it reads the environment of that: ours, with its secrets, does not travel."""
        return _source_there, (self._cwd, self._config, self._flags, self._simulate)

    def load(self) -> tuple[Settings, Registry]:
        """Read everything anew. Raises SettingsError, also when a settings file that said something says nothing now.

        For that is a file half saved, or lost: without it, other models would answer, or the simulator.
        """
        if self._remote is None:
            return self._load(self._config)
        fetched = self._remote.latest or self._remote.first()
        try:
            loaded = self._load(fetched)
        except SettingsError as error:
            kept = self._remote.kept()
            if self._has_loaded or kept is None or kept.content == fetched.content:
                raise
            log.error("settings not taken over, the last good copy of them is used: %s", error.message)
            self.refused, loaded = error.message, self._load(kept)
        else:
            self.refused = None
            self._remote.keep(fetched)
        self._has_loaded = True
        return loaded

    def _load(self, config: ConfigPlace | Fetched | None) -> tuple[Settings, Registry]:
        settings = load_settings(environ=self._environ, cwd=self._cwd, config=config, flags=self._flags)
        self._stamps = dict(settings.files)
        for path in self._told_by - settings.told_by:
            raise SettingsError(f"{path}: is gone or empty", hint="restore it; or restart, to go on without it")
        self._told_by = settings.told_by
        if self._simulate and settings.second_opinion.embeddings is not None:
            settings = _without_embeddings(settings)
        found = Found() if self._simulate else _detect(settings)
        self.prices = prices_of(settings)
        return settings, build_catalog(settings, found, prices=self.prices, simulate=self._simulate)

    @property
    def is_remote(self) -> bool:
        """Whether they are at an address, to be polled."""
        return self._remote is not None

    @property
    def trouble(self) -> str | None:
        """Why those in force may not be the newest; None where they are."""
        return self.refused or (None if self._remote is None else self._remote.trouble)

    def poll(self) -> bool:
        """Ask the address whether there is something new; waits for the network. False without an address."""
        return self._remote is not None and self._remote.poll()

    def has_changed(self) -> bool:
        """Whether a file is another one than when it was last looked at; told once for each change."""
        stamps = {path: FileStamp.of(path) for path in self._stamps}
        has_changed, self._stamps = stamps != self._stamps, stamps
        return has_changed


def _source_there(cwd: Path, config: Path | None, flags: Mapping[str, object] | None, simulate: bool) -> SettingsSource:
    return SettingsSource(environ=os.environ, cwd=cwd, config=config, flags=flags, simulate=simulate)


def _without_embeddings(settings: Settings) -> Settings:
    """The simulator makes no vectors, and a simulation calls nobody else."""
    return structs.replace(settings, second_opinion=structs.replace(settings.second_opinion, kind="none"))


def _detect(settings: Settings) -> Found:
    """Ask the local servers, from a loop of its own: settings are read with and without one running."""
    places = settings.local_servers
    if not places:
        return Found()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, detect(places)).result()
