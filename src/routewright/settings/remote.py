"""Settings at an address: fetched with their ETag, and kept on disk once they were found good.

The address is another machine's, and so it fails at times. A start is then made from the last good copy, and a running
gateway stays with what it has; either is told loudly, and neither costs a request.
"""

import hashlib
import logging
from typing import Protocol
from urllib.parse import urlsplit

from routewright.errors import SettingsError
from routewright.settings.addresses import Fetched, Unfetched, check_address, shown_url
from routewright.settings.fetching import fetch_alone
from routewright.settings.sources import MAX_FILE_BYTES, Folders, write_private

log = logging.getLogger(__name__)

POLL_EVERY_S = 30.0
PATIENCE_S = 10.0
MOST_REDIRECTS = 3


class Fetch(Protocol):
    """What asks an address; see `fetch_alone`."""

    def __call__(
        self, url: str, /, *, most_bytes: int, patience_s: float, redirects: int, etag: str
    ) -> Fetched | None: ...


class RemoteSettings:
    """The settings at one address. Every verb may wait, and is for a thread."""

    def __init__(self, url: str, folders: Folders, fetch: Fetch = fetch_alone) -> None:
        try:
            check_address(url)
        except Unfetched as error:
            raise SettingsError(f"settings: {error}", hint="check --config") from error
        if "@" in urlsplit(url).netloc:
            raise SettingsError(f"settings: {shown_url(url)} is given with a password", hint="use one that needs none")
        self._url = url
        name = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:16]
        self._file = folders.data / "settings" / f"{name}.toml"
        self._fetch = fetch
        self._latest: Fetched | None = None
        self.trouble: str | None = None
        """Why they could not be fetched the last time; None if they could."""

    def first(self) -> Fetched:
        """What is there now; where that cannot be had, the last good copy. Raises SettingsError without either."""
        self.poll()
        if self._latest is not None:
            return self._latest
        kept = self.kept()
        if kept is None:
            raise SettingsError(
                f"settings: {self.trouble}, and there is no copy of them here", hint="check --config, and the network"
            )
        log.error("settings: %s; the last good copy of them is used", self.trouble)
        self._latest = kept
        return kept

    def poll(self) -> bool:
        """Ask whether they have changed. A failure is told once, and nothing has changed then."""
        etag = "" if self._latest is None or self.trouble is not None else self._latest.etag
        try:
            fetched = self._fetch(
                self._url, most_bytes=MAX_FILE_BYTES, patience_s=PATIENCE_S, redirects=MOST_REDIRECTS, etag=etag
            )
        except Unfetched as error:
            if self._latest is not None and self.trouble is None:
                log.error("settings: %s; those in force stay", error)
            self.trouble = str(error)
            return False
        self.trouble = None
        if fetched is None or (self._latest is not None and fetched.content == self._latest.content):
            return False
        self._latest = fetched
        return True

    @property
    def latest(self) -> Fetched | None:
        """What was fetched last, or taken from the copy; None before `first`."""
        return self._latest

    def kept(self) -> Fetched | None:
        """The last good copy."""
        try:
            return Fetched(self._url, self._file.read_bytes())
        except OSError:
            return None

    def keep(self, good: Fetched) -> None:
        """Have this as the last good copy; a disk that refuses is told, as the next start may need it."""
        try:
            write_private(self._file, good.content)
        except OSError as error:
            log.warning("settings at %s cannot be kept in %s: %s", shown_url(self._url), self._file, error.strerror)
