"""The two files of a job: what is written there stays, and is what counts after a crash.

A line goes out with one `write`, so `kill -9` leaves whole lines and at most one that is torn; the store is told of it
later, once it is on the disk. So everything behind what the store knows is read again by the next run, and a torn line
is cut off. One process at a time has a job's files: the kernel gives its lock back however it ends.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from routewright.errors import BadInput, JobRefused
from routewright.jobs.results import read_written

_COPIED_AT_ONCE = 1 << 20


class Place(Struct, frozen=True):
    """Where a line is: in the output file, or in the error file."""

    is_ok: bool
    offset: int
    length: int


class Found(Struct, frozen=True):
    """A line that the store was not told of."""

    custom_id: str
    request_id: str
    code: str
    """Why nothing was asked; empty where something was."""
    place: Place


class LineFile:
    """One file that only grows."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput, JobRefused."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}", hint="choose another one with -o") from error
        try:
            self._lock()
        except BaseException:
            os.close(self._fd)
            raise
        self.size = os.fstat(self._fd).st_size

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobRefused(f"another process is writing to {self.path}", hint="wait for it, or stop it") from None

    def untold(self, told_bytes: int) -> Iterator[tuple[int, bytes]]:
        """The whole lines behind what the store knows, with their offsets; what is torn at the end is cut off.

        Raises JobRefused when there is less than it knows.
        """
        if self.size < told_bytes:
            raise JobRefused(
                f"{self.path} is shorter than it was: somebody has changed it",
                hint="put it back, or begin anew with another -o",
            )
        with self.path.open("rb") as file:
            file.seek(told_bytes)
            offset = told_bytes
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield offset, line
                offset += len(line)
        if offset < self.size:
            os.ftruncate(self._fd, offset)
            self.size = offset

    def append(self, line: bytes) -> int:
        """Write a line, whole or not at all, and return its offset. Raises OSError."""
        offset = self.size
        try:
            written = os.write(self._fd, line)
            while written < len(line):  # a full disk says so with the next write
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, offset)
            raise
        self.size += len(line)
        return offset

    def restart(self, content: Path | None = None) -> None:
        """Have nothing in it but what another file has, if one is named. Raises OSError."""
        os.ftruncate(self._fd, 0)
        self.size = 0
        if content is not None:
            with content.open("rb") as file:
                while data := file.read(_COPIED_AT_ONCE):
                    self.append(data)
        self.sync()

    def read(self, offset: int, length: int) -> bytes:
        """A line by its place."""
        return os.pread(self._fd, length, offset)

    def sync(self) -> None:
        """Return once all that was written is on the disk. Raises OSError."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of it; one without a line is not left behind."""
        if not self.size:
            self.path.unlink(missing_ok=True)  # before the lock is given back
        os.close(self._fd)


class JobFiles:
    """Output and errors of one job."""

    def __init__(self, output: Path, errors: Path) -> None:
        """Raises BadInput, JobRefused."""
        self.output = LineFile(output)
        try:
            self.errors = LineFile(errors)
        except BaseException:
            self.output.close()
            raise

    def recovered(self, output_bytes: int, error_bytes: int) -> Iterator[Found]:
        """What was written and not told; to be read to its end before anything is written. Raises JobRefused."""
        for file, told_bytes, is_ok in ((self.output, output_bytes, True), (self.errors, error_bytes, False)):
            for offset, line in file.untold(told_bytes):
                yield _found(file.path, line, Place(is_ok, offset, len(line)))

    def write(self, line: bytes, *, is_ok: bool) -> Place:
        """Write a line. Raises OSError, and has then written nothing."""
        offset = (self.output if is_ok else self.errors).append(line)
        return Place(is_ok, offset, len(line))

    def read(self, place: Place) -> bytes:
        """A line that was written."""
        return (self.output if place.is_ok else self.errors).read(place.offset, place.length)

    @property
    def sizes(self) -> tuple[int, int]:
        """Of output and errors, in bytes."""
        return self.output.size, self.errors.size

    def sync(self) -> None:
        """Return once all that was written is on the disk. Raises OSError."""
        self.output.sync()
        self.errors.sync()

    def close(self) -> None:
        """Let go of both."""
        self.output.close()
        self.errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _found(path: Path, line: bytes, place: Place) -> Found:
    try:
        written = read_written(line)
    except msgspec.DecodeError as error:
        raise JobRefused(f"{path} has a line that is not ours: {error}", hint="begin anew with another -o") from error
    request_id = written.response.request_id if written.response else ""
    return Found(written.custom_id, request_id, written.error.code if written.error else "", place)


def unordered(output: Path) -> Path:
    """Where answers are written as they come, of those that are to be put in order at the end."""
    return output.with_name(f"{output.name}.part")


def arrange(source: LineFile, target: Path, places: Iterable[Place]) -> None:
    """Write lines of a file in another order into a new one, whole or not at all. Raises OSError."""
    beside = target.with_name(f"{target.name}.tmp")
    with beside.open("wb", buffering=_COPIED_AT_ONCE) as file:
        for place in places:
            file.write(source.read(place.offset, place.length))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)
