"""Every call by which the journal touches its disk, behind one door: a test can fail any of them, or cut the power."""

import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol


class FileCalls(Protocol):
    """What the journal asks of a file system; everything raises OSError."""

    def make_directory(self, path: Path) -> None:
        """Have a private directory, its name and those above it durable."""
        ...

    def create(self, path: Path, size: int) -> int:
        """A new file with `size` bytes reserved, its name already durable; returns its descriptor."""
        ...

    def open(self, path: Path) -> int:
        """A file that is there, to read and to sync."""
        ...

    def open_lock(self, path: Path) -> int:
        """A small file that is there from now on, to lock, read and write; its name is durable."""
        ...

    def read(self, fd: int, size: int, offset: int, /) -> bytes:
        """Up to `size` bytes from `offset` on."""
        ...

    def write(self, fd: int, data: bytes, offset: int, /) -> int:
        """Write at `offset`; returns how many bytes were written."""
        ...

    def truncate(self, fd: int, size: int, /) -> None:
        """Cut the file off."""
        ...

    def sync(self, fd: int, /) -> None:
        """Return when all that was written is on the disk itself."""
        ...

    def close(self, fd: int, /) -> None:
        """Let a descriptor go, and with it its lock."""
        ...

    def unlink(self, path: Path) -> None:
        """Delete a file; after a power cut it may be back."""
        ...

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name in its directory; after a power cut it may have the old one."""
        ...


class OsFiles:
    """The operating system's own."""

    read = staticmethod(os.pread)
    write = staticmethod(os.pwrite)
    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)
    unlink = staticmethod(os.unlink)
    rename = staticmethod(os.rename)

    def make_directory(self, path: Path) -> None:
        """Sync the parent in any case: whoever made the directory may not have come to it."""
        new = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in dict.fromkeys((*reversed(new), path)):
            sync_directory(place.parent)

    def create(self, path: Path, size: int) -> int:
        """Reserve before use, so that a full disk is met here, in the background, and not in the middle of a record."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if sys.platform != "darwin":
                os.posix_fallocate(fd, 0, size)
            self.sync(fd)
            sync_directory(path.parent)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return fd

    def open(self, path: Path) -> int:
        """Read-only: Linux syncs such a descriptor as well."""
        return os.open(path, os.O_RDONLY)

    def open_lock(self, path: Path) -> int:
        """Sync its directory only when the file is new: other processes' locks are looked at often."""
        is_new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if is_new:
            sync_directory(path.parent)
        return fd

    def sync(self, fd: int, /) -> None:
        """`fdatasync`; on macOS, where that leaves the data in the drive's cache, what does flush it."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


OS_FILES = OsFiles()
