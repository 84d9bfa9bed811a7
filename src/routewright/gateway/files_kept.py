"""Files that clients sent, and those that batches made: on disk, in a folder for each who pays.

The folder *is* the check of who may see a file: another's id is not in it. A file is there once its description is,
which is written last and deleted first; what a crash left without one goes with the next sweep. Every verb waits for
the disk, and belongs into a thread.
"""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from routewright.clock import Clock
from routewright.errors import FileNotKept, StorageFull
from routewright.gateway.overload import SHARE
from routewright.ledger.files import sync_directory

MOST_FILES = 10_000
"""Of one who pays."""
KEPT_S = 30 * 86_400
LEAST_KEPT_S = 3600
LEFT_OVER_S = 86_400
"""After so long, bytes without a description are nobody's."""

Purpose = Literal["batch", "batch_output"]

_ID = re.compile(r"file-[0-9a-f]{32}")
_NOBODY = "_"
"""The folder of who needs no key; no key's id is this."""
_NS = 1_000_000_000


class KeptFile(Struct, frozen=True, kw_only=True):
    """A file, as the API tells of it. Times are UTC in seconds since 1970."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Purpose
    status: str = "processed"


class KeptFiles:
    """All files of one gateway's folder; several processes may share it."""

    def __init__(self, folder: Path, clock: Clock, mint_id: Callable[[], str], max_bytes: Callable[[], int]) -> None:
        """`mint_id` makes UUIDv7; `max_bytes` is the bound of all files together, as the settings have it now."""
        self._folder = folder
        self._clock = clock
        self._mint_id = mint_id
        self._max_bytes = max_bytes

    def mint_id(self) -> str:
        """The id of a new file; ids of later ones are greater."""
        return f"file-{self._mint_id().replace('-', '')}"

    def add(
        self, owner: str, file_id: str, filename: str, purpose: Purpose, path: Path, expires_after_s: int = KEPT_S
    ) -> KeptFile:
        """Keep the file at `path`, which is moved; said again after a crash, it goes on. Raises OSError."""
        now_s = self._clock.time_ns() // _NS
        place = self._place(owner) / file_id
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            path.rename(place)
        kept = KeptFile(
            id=file_id,
            bytes=place.stat().st_size,
            created_at=now_s,
            expires_at=now_s + expires_after_s,
            filename=filename,
            purpose=purpose,
        )
        write_whole(place.with_suffix(".json"), msgspec.json.encode(kept))
        return kept

    def upload(self, owner: str) -> Path:
        """Where to write what is to be added. Raises StorageFull, OSError."""
        place = self._place(owner)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.check_room(owner, 0)
        if sum(1 for _ in place.glob("*.json")) >= MOST_FILES:
            raise StorageFull(f"{MOST_FILES:,} files are kept already", hint="delete some of them")
        return place / f"{self._mint_id()}.new"

    def check_room(self, owner: str, more: int) -> None:
        """Raises StorageFull when `more` bytes of this owner would leave too little for the others."""
        sizes = {folder.name: _size(folder) for folder in self._folder.iterdir() if folder.is_dir()}
        free = self._max_bytes() - sum(sizes.values()) - more
        if sizes.get(owner or _NOBODY, 0) + more > SHARE * free:
            raise StorageFull("there is no room for this file", hint="delete files that are not needed any more")

    def find(self, owner: str, file_id: str) -> KeptFile:
        """Raises FileNotKept."""
        path = self._described(owner, file_id)
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=KeptFile)
        except FileNotFoundError:
            raise _not_kept(file_id) from None
        if kept.expires_at <= self._clock.time_ns() // _NS:
            raise _not_kept(file_id)
        return kept

    def path(self, owner: str, file_id: str) -> Path:
        """Where its bytes are. Raises FileNotKept."""
        self.find(owner, file_id)
        return self._place(owner) / file_id

    def all(self, owner: str) -> list[KeptFile]:
        """The newest first."""
        found = []
        for path in sorted(self._place(owner).glob("file-*.json"), reverse=True):  # the ids begin with the time
            with contextlib.suppress(FileNotKept):
                found.append(self.find(owner, path.stem))
        return found

    def delete(self, owner: str, file_id: str) -> None:
        """Raises FileNotKept."""
        path = self._described(owner, file_id)
        try:
            path.unlink()
        except FileNotFoundError:
            raise _not_kept(file_id) from None
        path.with_suffix("").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what has expired, and what crashes left."""
        now_s = self._clock.time_ns() // _NS
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.suffix == ".json":
                    kept = msgspec.json.decode(path.read_bytes(), type=KeptFile)
                    if kept.expires_at <= now_s:
                        path.unlink()
                        path.with_suffix("").unlink(missing_ok=True)
                elif not path.with_suffix(".json").exists() and path.stat().st_mtime < now_s - LEFT_OVER_S:
                    path.unlink()

    def _place(self, owner: str) -> Path:
        return self._folder / (owner or _NOBODY)

    def _described(self, owner: str, file_id: str) -> Path:
        if not _ID.fullmatch(file_id):
            raise _not_kept(file_id)
        return self._place(owner) / f"{file_id}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Have a file with these bytes, or, if that is cut off, what was there before. Raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(path.parent)


def _size(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                total += entry.stat().st_size
    return total


def _not_kept(file_id: str) -> FileNotKept:
    return FileNotKept(f"No such File object: {file_id[:100]}", param="id")
