import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from routewright.errors import LedgerUnavailable
from routewright.ledger.files import OsFiles
from routewright.ledger.segments import BATCH_BYTES
from routewright.ledger.tape import Tape

RECORD = b"x" * 90
"""100 bytes a line."""


class CountingFiles(OsFiles):
    """The system's calls, with reads and syncs counted, until syncs fail."""

    def __init__(self) -> None:
        self.reads = 0
        self.syncs = 0
        self.fails = False

    def read(self, fd: int, size: int, offset: int, /) -> bytes:
        self.reads += 1
        return os.pread(fd, size, offset)

    def sync(self, fd: int, /) -> None:
        self.syncs += 1
        if self.fails:
            raise OSError(errno.EIO, "bad sector")


class Shelf:
    """A sink that keeps batches apart."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    def take(self, batch: Sequence[bytes]) -> None:
        self.batches.append(list(batch))

    @property
    def records(self) -> list[bytes]:
        return [record for batch in self.batches for record in batch]


@pytest.fixture
def files() -> CountingFiles:
    return CountingFiles()


def test_no_file_is_read_while_the_store_keeps_up(tmp_path: Path, files: CountingFiles) -> None:
    tape, shelf = Tape(tmp_path, segment_bytes=500, files=files), Shelf()
    for _ in range(5):
        for _ in range(4):
            tape.append(RECORD)
        tape.sync()
        tape.make_spare()
        tape.drain(shelf.take)
    assert len(shelf.records) == 20
    assert files.reads == 0
    tape.release()


def test_beyond_the_bound_only_what_the_disk_may_lose_is_remembered(tmp_path: Path, files: CountingFiles) -> None:
    tape, shelf = Tape(tmp_path, remembered_bytes=1000, files=files), Shelf()
    for number in range(10):
        tape.append(b"%090d" % number)
    tape.sync()
    assert (tape._remembered_bytes, files.reads) == (1000, 0)
    tape.append(b"%090d" % 10)
    assert tape._remembered_bytes == 1100
    tape.sync()
    assert tape._remembered_bytes == 0
    tape.append(b"%090d" % 11)
    tape.drain(shelf.take)
    assert files.reads == 1
    assert shelf.records == [b"%090d" % number for number in range(12)]
    assert tape._remembered_bytes == 0
    tape.release()


def test_a_store_is_given_batches_of_a_bounded_size(tmp_path: Path) -> None:
    tape, shelf = Tape(tmp_path), Shelf()
    payload = b"x" * (BATCH_BYTES // 2 - 10)
    for _ in range(5):
        tape.append(payload)
    tape.drain(shelf.take)
    assert [len(batch) for batch in shelf.batches] == [2, 2, 1]
    tape.release()


def test_what_is_appended_during_a_drain_waits_for_the_next(tmp_path: Path) -> None:
    tape, shelf = Tape(tmp_path), Shelf()

    def take(batch: Sequence[bytes]) -> None:
        shelf.take(batch)
        tape.append(RECORD)

    tape.append(RECORD)
    tape.drain(take)
    assert len(shelf.batches) == 1
    tape.drain(shelf.take)
    assert shelf.records == [RECORD, RECORD]
    tape.release()


def test_seven_eighths_are_for_what_is_new(tmp_path: Path) -> None:
    tape, shelf = Tape(tmp_path, limit_bytes=800), Shelf()
    for _ in range(7):
        assert not tape.is_full
        tape.append(RECORD)
    assert tape.is_full
    with pytest.raises(LedgerUnavailable, match=r"holds 700 bytes .*limit 700"):
        tape.append(b"")
    tape.append(RECORD, closing=True)
    with pytest.raises(LedgerUnavailable, match=r"holds 800 bytes .*limit 800"):
        tape.append(b"", closing=True)
    tape.drain(shelf.take)
    assert tape.backlog_bytes == 0
    tape.append(RECORD)
    tape.release()


def test_a_segment_that_is_exactly_full_is_filled_before_the_next_one_begins(tmp_path: Path) -> None:
    tape = Tape(tmp_path, segment_bytes=200)
    tape.make_spare()
    first, second = sorted((tmp_path / "slot-0").glob("*.log"))
    tape.append(RECORD, RECORD)
    assert second.read_bytes().rstrip(b"\0") == b""
    tape.append(RECORD)
    assert (first.stat().st_size, len(second.read_bytes().rstrip(b"\0"))) == (200, 100)
    tape.release()


def test_one_spare_is_enough(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    for _ in range(3):
        tape.make_spare()
    assert len(list((tmp_path / "slot-0").glob("*.log"))) == 2
    tape.release()
    assert len(list((tmp_path / "slot-0").glob("*.log"))) == 0


def test_what_is_synced_is_not_synced_again(tmp_path: Path, files: CountingFiles) -> None:
    tape = Tape(tmp_path, files=files)
    before = files.syncs
    tape.sync()
    assert files.syncs == before
    position = tape.append(RECORD)
    assert tape.synced.reached < position
    tape.sync()
    tape.sync()
    assert files.syncs == before + 1
    assert tape.synced.reached == position == 100
    tape.release()


def test_every_segment_written_since_the_last_sync_is_synced(tmp_path: Path, files: CountingFiles) -> None:
    tape = Tape(tmp_path, segment_bytes=100, files=files)
    tape.append(RECORD)
    tape.make_spare()
    tape.append(RECORD)
    before = files.syncs
    tape.sync()
    assert files.syncs == before + 2
    assert tape.synced.reached == 200
    tape.release()


def test_a_drained_segment_stays_until_it_is_synced(tmp_path: Path) -> None:
    tape, shelf = Tape(tmp_path, segment_bytes=100), Shelf()
    tape.append(RECORD)
    tape.make_spare()
    tape.append(RECORD)
    tape.drain(shelf.take)
    assert len(list((tmp_path / "slot-0").glob("*.log"))) == 2, "the syncer may be using it"
    tape.sync()
    tape.drain(shelf.take)
    assert len(list((tmp_path / "slot-0").glob("*.log"))) == 1
    assert shelf.records == [RECORD, RECORD]
    tape.release()


def test_s03_after_healing_the_new_segment_is_written_and_synced(tmp_path: Path, files: CountingFiles) -> None:
    tape, shelf = Tape(tmp_path, files=files), Shelf()
    tape.append(RECORD)
    files.fails = True
    tape.sync()
    with pytest.raises(LedgerUnavailable, match=r"cannot sync .*bad sector; the journal goes on by itself"):
        tape.synced.wait_blocking(100)
    tape.make_spare()
    assert len(list((tmp_path / "slot-0").glob("*.log"))) == 1, "nothing is made on a disk that failed"
    tape.drain(shelf.take)
    with pytest.raises(LedgerUnavailable, match="no segment can be added"):
        tape.heal()
    assert tape.failure is not None
    files.fails = False
    assert tape.heal()
    assert tape.synced.wait_blocking(100, 0), "the store has it"
    position = tape.append(RECORD)
    before = files.syncs
    tape.sync()
    assert files.syncs == before + 1, "the failed one is left alone"
    assert tape.synced.reached == position
    tape.drain(shelf.take)
    assert shelf.records == [RECORD, RECORD]
    tape.release()
    assert list((tmp_path / "slot-0").glob("*.log")) == []


def test_refusing_is_told_once(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    assert tape.refuse()
    assert not tape.refuse()
    with pytest.raises(LedgerUnavailable, match="is closed"):
        tape.append(RECORD, closing=True)
    tape.release()
