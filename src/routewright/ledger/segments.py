"""The journal's files: numbered segments of checked lines, in slots that one process at a time may write to."""

import fcntl
import logging
import os
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from routewright.errors import LedgerUnavailable
from routewright.ledger.files import OS_FILES, FileCalls

log = logging.getLogger(__name__)

BATCH_BYTES = 1024 * 1024
"""A commit's worth, and what is read at once: what a commit costs beside its rows is then a third of it; larger ones
are hardly cheaper, and hold up the event loop for longer."""
_MOST_SLOTS = 1024
_MOST_BOOTS = 16
LINE_OVERHEAD = 10
"""Bytes of a line beside its payload."""


# ---- lines ------------------------------------------------------------------------------------------------------


def encode_lines(payloads: Sequence[bytes]) -> bytes:
    """Records as they stand in a segment: checksum, payload, line feed, each copied once.

    Raises ValueError for a payload with a line feed in it.
    """
    parts: list[bytes] = []
    for payload in payloads:
        if b"\n" in payload:
            raise ValueError("a journal record is one line: its payload must not contain a line feed")
        parts += (b"%08x " % zlib.crc32(payload), payload, b"\n")
    return b"".join(parts)


def decode_line(line: bytes) -> bytes | None:
    """The payload of a line (without its line feed), or None when its checksum does not match."""
    payload = line[9:]
    return payload if line[:9] == b"%08x " % zlib.crc32(payload) else None


class Segment:
    """One numbered file: where it stands in the journal's count of bytes, how much is written and how much drained."""

    def __init__(
        self, path: Path, fd: int, *, end: int = 0, boots: tuple[str, ...] = (), files: FileCalls = OS_FILES
    ) -> None:
        self.path = path
        self.boots = boots
        """Which processes before this one may have written it."""
        self.fd = fd
        self.start = 0
        self.end = end
        self.drained = 0
        self.remembered: deque[tuple[int, bytes]] = deque()
        """The last records, each with the offset of its end: all that the disk may still lose, and what is recent."""
        self.is_damaged = False
        self._files = files

    @classmethod
    def reopen(cls, path: Path, boots: tuple[str, ...] = (), files: FileCalls = OS_FILES) -> Self:
        """A segment that another process left; its last line counts only if it is whole. Raises LedgerUnavailable."""
        try:
            fd = files.open(path)
            data = files.read(fd, path.stat().st_size, 0)
        except OSError as error:
            raise LedgerUnavailable(f"cannot read what the journal left in {path}: {error.strerror}") from error
        end = data.rfind(b"\n") + 1
        if torn := data[end:].rstrip(b"\0"):
            log.warning("%s ends in %d bytes of a record that was never fully written: ignored", path, len(torn))
        return cls(path, fd, end=end, boots=boots, files=files)

    @property
    def final_position(self) -> int:
        """The position of the last record written so far."""
        return self.start + self.end

    def remember(self, *payloads: bytes) -> None:
        """Their lines were written at the end."""
        for payload in payloads:
            self.end += len(payload) + LINE_OVERHEAD
            self.remembered.append((self.end, payload))

    def forget(self, offset: int) -> int:
        """Forget what ends at or before `offset`, and say how many bytes of lines that were."""
        forgotten = 0
        while self.remembered and self.remembered[0][0] <= offset:
            forgotten += len(self.remembered.popleft()[1]) + LINE_OVERHEAD
        return forgotten

    @property
    def remembered_from(self) -> int:
        """The offset up to which only the file knows."""
        if not self.remembered:
            return self.end
        end, payload = self.remembered[0]
        return end - len(payload) - LINE_OVERHEAD

    def recall(self) -> tuple[list[bytes], int]:
        """A batch of the records that are remembered, and the offset of its end."""
        records, limit = [], self.remembered_from + BATCH_BYTES
        reached = self.drained
        for reached, payload in self.remembered:
            records.append(payload)
            if reached >= limit:
                break
        return records, reached

    def read(self, offset: int, end: int | None = None) -> tuple[list[bytes], int]:
        """A batch of records from `offset` on, up to `end`, and where the next one begins. Raises LedgerUnavailable.

        Damaged lines are left out; the file is then kept aside when its time comes, so nothing is lost unseen.
        """
        data, reached = self._whole_lines(offset, self.end if end is None else end)
        payloads = [decode_line(line) for line in data.split(b"\n")]
        records = [payload for payload in payloads if payload is not None]
        if len(records) < len(payloads) and not self.is_damaged:
            self.is_damaged = True
            log.error("%s has damaged lines after byte %d: they are left out and the file is kept", self.path, offset)
        return records, reached

    def _whole_lines(self, offset: int, end: int) -> tuple[bytes, int]:
        size = BATCH_BYTES
        while True:
            try:
                data = self._files.read(self.fd, min(size, end - offset), offset)
            except OSError as error:
                raise LedgerUnavailable(f"cannot read the journal's {self.path}: {error.strerror}") from error
            if (cut := data.rfind(b"\n")) >= 0:
                return data[:cut], offset + cut + 1
            if offset + size >= end:  # what was written as a line feed no longer reads as one
                return data, end
            size *= 2

    def records(self) -> Iterator[bytes]:
        """All whole records, in order."""
        offset = 0
        while offset < self.end:
            records, offset = self.read(offset)
            yield from records

    def drop(self) -> None:
        """Delete the file, or keep it aside if part of it could not be read.

        One that stays is read again by the next process, and the store knows its records.
        """
        self.close()
        try:
            if self.is_damaged:
                self._files.rename(self.path, self.path.with_name(f"{self.path.name}.corrupt"))
            else:
                self._files.unlink(self.path)
        except OSError as error:
            log.warning("%s is not needed any more and cannot be deleted: %s", self.path, error.strerror)

    def close(self) -> None:
        """Leave the file to the next process."""
        self._files.close(self.fd)


# ---- slots ------------------------------------------------------------------------------------------------------


class _Owner(Struct, frozen=True):
    """Who writes in a slot; kept in its lock file."""

    pid: int
    boots: tuple[str, ...]
    """The writing process, then those before it of whom records may still lie here."""


class Slot:
    """A directory that one process writes to; the kernel frees its lock when that process dies, however it dies."""

    def __init__(self, path: Path, lock_fd: int, files: FileCalls) -> None:
        self.path = path
        self._lock_fd = lock_fd
        self._files = files

    @classmethod
    def take(cls, path: Path, files: FileCalls = OS_FILES) -> Self | None:
        """Lock the slot at `path`, or return None if a process that lives has it. Raises LedgerUnavailable."""
        try:
            files.make_directory(path)
            fd = files.open_lock(path / "lock")
        except OSError as error:
            raise LedgerUnavailable(
                f"cannot open the journal's {path}: {error.strerror}", hint="check its disk and permissions"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            files.close(fd)
            return None
        return cls(path, fd, files)

    @classmethod
    def take_first_free(cls, directory: Path, files: FileCalls = OS_FILES) -> Self:
        """Raises LedgerUnavailable when more processes write here than could be meant."""
        for number in range(_MOST_SLOTS):
            if slot := cls.take(directory / f"slot-{number}", files):
                return slot
        raise LedgerUnavailable(f"all {_MOST_SLOTS} slots of the journal in {directory} are taken; stop some processes")

    @property
    def boots(self) -> tuple[str, ...]:
        """Whose records may lie here, the newest first."""
        return boots_in(self.path)

    def sign(self, *boots: str) -> None:
        """Say, durably, who writes here from now on, and whose records may still lie here. Raises LedgerUnavailable."""
        owner = msgspec.json.encode(_Owner(os.getpid(), boots[:_MOST_BOOTS]))
        try:
            # One write that covers the old text: whoever reads meanwhile sees the old owner or the new one.
            self._files.write(self._lock_fd, owner.ljust(os.fstat(self._lock_fd).st_size), 0)
            self._files.sync(self._lock_fd)
        except OSError as error:
            raise LedgerUnavailable(f"cannot write the journal's {self.path}/lock: {error.strerror}") from error

    def segments(self) -> list[Segment]:
        """What was not drained, in order; files that hold nothing are removed."""
        found = [Segment.reopen(path, self.boots, self._files) for path in self.logs()]
        for empty in (segment for segment in found if not segment.end):
            empty.drop()
        return [segment for segment in found if segment.end]

    def logs(self) -> list[Path]:
        """The segments' files, in order."""
        return sorted(self.path.glob("*.log"))

    def last_number(self) -> int:
        """The highest number that a segment here has, or had when it was kept aside."""
        return max((int(path.name.split(".", 1)[0]) for path in self.path.glob("*.log*")), default=0)

    def release(self) -> None:
        """Let another process have the slot."""
        self._files.close(self._lock_fd)


def boots_in(slot: Path) -> tuple[str, ...]:
    """Who signed the slot at this path; nobody while its first process is about to, or if the power went meanwhile."""
    try:
        return msgspec.json.decode((slot / "lock").read_bytes(), type=_Owner).boots
    except msgspec.DecodeError:
        return ()


def slot_paths(directory: Path) -> list[Path]:
    """Every slot there is, in order of its number."""
    numbered = {path.name.removeprefix("slot-"): path for path in directory.glob("slot-*")}
    return [numbered[name] for name in sorted(filter(str.isdecimal, numbered), key=int)]
