"""A disk whose power can be cut: of what was not synced, each sector and each name survives only by chance.

Everything happens on real files below one directory, so that SQLite can map its shared memory; beside them the disk
keeps what a real one would have on its platters. Bytes become durable when their file is synced, names when their
directory is. At a cut the directory is made anew from what was durable, plus a random part of the rest:

* of every sector (512 or 4,096 bytes), the state after some of the writes to it, whatever became of other sectors;
  sometimes one write is torn at a byte of a sector;
* of the names, any of the changes that no sync of the directory had made durable.

What a drive does in its own firmware is not in it: a sector that was durable stays as it was while it is written anew.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import apsw
from msgspec import Struct

SYNCS = frozenset({"sync"})
ALL = frozenset({"sync", "write", "truncate", "name"})


class Write(NamedTuple):
    offset: int
    data: bytes


class Truncation(NamedTuple):
    size: int


class Name(NamedTuple):
    """A change of a directory; `content` is None where the name goes away."""

    path: Path
    content: "Content | None"
    renamed_from: Path | None = None


class Content:
    """What a file holds: on the platters, and what is still on its way to them."""

    def __init__(self, data: bytes = b"") -> None:
        self.durable = bytearray(data)
        self.on_its_way: list[Write | Truncation] = []

    def sync(self) -> None:
        """All of it has arrived."""
        for change in self.on_its_way:
            _apply(self.durable, change)
        self.on_its_way.clear()

    def after_cut(self, chance: Random, sector: int, share: float) -> bytes:
        """What is found when the power is back: each sector after some prefix of the writes to it."""
        image, gone = self.durable, set[int]()
        for change in self.on_its_way:
            if isinstance(change, Truncation):
                if chance.random() < share:
                    _apply(image, change)
                continue
            for piece in _sectors(change, sector):
                number = piece.offset // sector
                if number in gone:
                    continue
                if chance.random() >= share:
                    gone.add(number)
                    piece = Write(piece.offset, piece.data[: chance.choice((0, 0, chance.randrange(len(piece.data))))])
                _apply(image, piece)
        return bytes(image)


def _apply(image: bytearray, change: Write | Truncation) -> None:
    if isinstance(change, Truncation):
        del image[change.size :]
        image.extend(bytes(change.size - len(image)))
    elif change.data:
        image.extend(bytes(max(0, change.offset + len(change.data) - len(image))))
        image[change.offset : change.offset + len(change.data)] = change.data


def _sectors(write: Write, sector: int) -> Iterator[Write]:
    offset, data = write
    while data:
        fitting = sector - offset % sector
        yield Write(offset, data[:fitting])
        offset, data = offset + fitting, data[fitting:]


class Power(Struct):
    """When the power goes: before the `left`th operation of these kinds; never while `left` is 0."""

    left: int = 0
    kinds: frozenset[str] = ALL


class Disk:
    """One directory on it, its files and names; implements `FileCalls`, and `vfs` is its name for SQLite."""

    def __init__(self, root: Path, chance: Random) -> None:
        self.root = root
        self.is_off = False
        self.fails_next_sync = False
        self.syncs = 0
        self.cuts = 0
        self.power = Power()
        self._chance = chance
        self._contents: dict[Path, Content] = {}  # by the names a running process sees
        self._durable_names: dict[Path, Content] = {}
        self._names: list[Name] = []
        self._open: dict[int, Content] = {}
        self.vfs = f"power-{id(self):x}"
        self._vfs = _Vfs(self)

    # -- power

    def step(self, kind: str) -> None:
        """Do something that the power may cut off. Raises OSError from then on."""
        if not self.is_off and self.power.left and kind in self.power.kinds:
            self.power.left -= 1
            self.is_off = self.power.left == 0
        if self.is_off:
            raise OSError(errno.EIO, "the power is cut")

    def cut(self, sector: int, share: float) -> None:
        """Off and on again; of what was not durable, about `share` survives."""
        self.cuts += 1
        for fd in self._open:
            os.close(fd)
        self._open.clear()
        names = dict(self._durable_names)
        for name in self._names:
            if self._chance.random() < share:
                _rename(names, name)
        shutil.rmtree(self.root)
        self.root.mkdir()
        self._contents = {}
        for path, content in names.items():
            found = content.after_cut(self._chance, sector, share)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found)
            self._contents[path] = Content(found)
        self._durable_names = dict(self._contents)
        self._names.clear()
        self.is_off, self.power, self.fails_next_sync = False, Power(), False

    def close_down(self) -> None:
        """Forget the VFS."""
        self._vfs.unregister()

    # -- what both layers tell

    def named(self, path: Path) -> Content:
        """What a name stands for; a new name is not durable yet."""
        if path not in self._contents:
            self._change(Name(path, Content()))
        return self._contents[path]

    def _change(self, name: Name) -> None:
        self.step("name")
        _rename(self._contents, name)
        self._names.append(name)

    def gone(self, path: Path) -> None:
        """A file was deleted."""
        self._change(Name(path, None))

    def wrote(self, content: Content, change: Write | Truncation) -> None:
        """Something is on its way to the platters."""
        self.step("write" if isinstance(change, Write) else "truncate")
        content.on_its_way.append(change)

    def sync_content(self, content: Content) -> None:
        """Return when it has arrived. Raises OSError."""
        self.step("sync")
        if self.fails_next_sync:
            self.fails_next_sync = False
            self._forget(content)
            raise OSError(errno.EIO, "the disk failed a sync")
        self.syncs += 1
        content.sync()

    def _forget(self, content: Content) -> None:
        """After a failed write-back the page cache may be dropped, and the old bytes be read again."""
        for fd in (fd for fd, its in self._open.items() if its is content):
            os.pwrite(fd, content.durable, 0)
            os.ftruncate(fd, len(content.durable))
            content.on_its_way.clear()

    def sync_names(self, directory: Path) -> None:
        """Return when the directory's names are durable."""
        self.step("sync")
        for name in [name for name in self._names if name.path.parent == directory]:
            _rename(self._durable_names, name)
            self._names.remove(name)

    # -- FileCalls

    def make_directory(self, path: Path) -> None:
        """Directories are made durable by whoever makes them, and are not followed further here."""
        self.step("name")
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path, size: int) -> int:
        """In the order of the real one: name, room, sync, and the directory's sync."""
        self._change(Name(path, Content()))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._open[fd] = content = self._contents[path]
        self.truncate(fd, size)
        self.sync_content(content)
        self.sync_names(path.parent)
        return fd

    def open(self, path: Path) -> int:
        """Nothing is written by it."""
        fd = os.open(path, os.O_RDONLY)
        self._open[fd] = self._contents[path]
        return fd

    def open_lock(self, path: Path) -> int:
        """As the real one: the directory is synced when the file is new."""
        is_new = path not in self._contents
        content = self.named(path)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._open[fd] = content
        if is_new:
            self.sync_names(path.parent)
        return fd

    def read(self, fd: int, size: int, offset: int, /) -> bytes:
        """What the page cache has."""
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes, offset: int, /) -> int:
        """Into the page cache."""
        self.wrote(self._open[fd], Write(offset, data))
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int, /) -> None:
        """In the page cache."""
        self.wrote(self._open[fd], Truncation(size))
        os.ftruncate(fd, size)

    def sync(self, fd: int, /) -> None:
        """On to the platters."""
        self.sync_content(self._open[fd])

    def close(self, fd: int, /) -> None:
        """Also after the power is gone: the harness tidies up."""
        if self._open.pop(fd, None) is not None:
            os.close(fd)

    def unlink(self, path: Path) -> None:
        """For now."""
        self.gone(path)
        path.unlink()

    def rename(self, path: Path, target: Path) -> None:
        """For now."""
        self._change(Name(target, self._contents[path], renamed_from=path))
        path.rename(target)


def _rename(names: dict[Path, Content], name: Name) -> None:
    if name.renamed_from is not None:
        names.pop(name.renamed_from, None)
    if name.content is None:
        names.pop(name.path, None)
    else:
        names[name.path] = name.content


# ---- below SQLite -----------------------------------------------------------------------------------------------


@contextmanager
def _for_sqlite(disk: Disk, life: int) -> Iterator[None]:
    """A disk that is off, or was off since the file was opened, fails as SQLite expects it of a disk."""
    if disk.cuts != life:
        raise apsw.IOError("opened before the power was cut")
    try:
        yield
    except OSError as error:
        raise apsw.IOError(str(error)) from error


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 apsw's name
        if name is None:
            return apsw.VFSFile("", name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        with _for_sqlite(self._disk, self._disk.cuts):
            return _File(self._disk, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 apsw's name
        path = Path(filename)
        with _for_sqlite(self._disk, self._disk.cuts):
            self._disk.gone(path)
            super().xDelete(filename, syncdir)
            if syncdir:
                self._disk.sync_names(path.parent)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, path: Path, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk = disk
        self._life = disk.cuts
        self._directory = path.parent
        self._content = disk.named(path)
        # As SQLite's own: the first sync of a log, or of a rollback journal, makes its name durable.
        self._syncs_name = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 apsw's name
        with _for_sqlite(self._disk, self._life):
            self._disk.wrote(self._content, Write(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 apsw's name
        with _for_sqlite(self._disk, self._life):
            self._disk.wrote(self._content, Truncation(newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 apsw's name
        with _for_sqlite(self._disk, self._life):
            self._disk.sync_content(self._content)
            if self._syncs_name:
                self._syncs_name = False
                self._disk.sync_names(self._directory)
