import errno
import os
from pathlib import Path

import pytest

from routewright.errors import LedgerUnavailable
from routewright.ledger import segments
from routewright.ledger.files import OsFiles
from routewright.ledger.segments import BATCH_BYTES, Segment, Slot, boots_in, encode_lines


class BadFiles(OsFiles):
    """A disk on which one call fails."""

    def __init__(self, call: str) -> None:
        self.call = call

    def fail(self, call: str) -> None:
        if call == self.call:
            raise OSError(errno.EIO, "bad sector")

    def open(self, path: Path) -> int:
        self.fail("open")
        return super().open(path)

    def read(self, fd: int, size: int, offset: int, /) -> bytes:
        self.fail("read")
        return os.pread(fd, size, offset)

    def sync(self, fd: int, /) -> None:
        self.fail("sync")

    def unlink(self, path: Path) -> None:  # type: ignore[override]
        self.fail("unlink")
        path.unlink()


def segment_at(path: Path, *payloads: bytes) -> Segment:
    """A segment that this process writes."""
    segment = Segment(path, os.open(path, os.O_RDWR | os.O_CREAT))
    for payload in payloads:
        line = encode_lines([payload])
        os.pwrite(segment.fd, line, segment.end)
        segment.remember(payload)
    return segment


@pytest.mark.parametrize("call", ["open", "read"])
def test_what_cannot_be_read_is_said_with_its_path(tmp_path: Path, call: str) -> None:
    path = tmp_path / "000000000001.log"
    path.write_bytes(encode_lines([b"{}"]))
    with pytest.raises(LedgerUnavailable, match=rf"cannot read what the journal left in {path}: bad sector"):
        Segment.reopen(path, files=BadFiles(call))


def test_a_read_that_fails_later_is_said_too(tmp_path: Path) -> None:
    path = tmp_path / "000000000001.log"
    path.write_bytes(encode_lines([b"{}"]))
    files = BadFiles("nothing")
    segment = Segment.reopen(path, files=files)
    files.call = "read"
    with pytest.raises(LedgerUnavailable, match="cannot read the journal's"):
        segment.read(0)
    segment.close()


def test_a_file_that_cannot_be_deleted_is_told_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "000000000001.log"
    path.write_bytes(encode_lines([b"{}"]))
    segment = Segment.reopen(path, files=BadFiles("unlink"))
    segment.drop()
    assert path.exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(segment.fd)
    assert "cannot be deleted: bad sector" in caplog.text


def test_a_slot_that_cannot_be_signed_durably_is_refused(tmp_path: Path) -> None:
    files = BadFiles("nothing")
    slot = Slot.take(tmp_path / "slot-0", files)
    assert slot is not None
    files.call = "sync"
    with pytest.raises(LedgerUnavailable, match=r"cannot write the journal's .*slot-0/lock: bad sector"):
        slot.sign("a")
    slot.release()


@pytest.mark.parametrize("torn", [b"", b"\0\0\0", b'{"pid":1,"boo', b'{"pid":1}'])
def test_a_signature_that_the_power_tore_is_nobodys(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "lock").write_bytes(torn)
    assert boots_in(tmp_path) == ()


def test_a_shorter_signature_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    slot = Slot.take(tmp_path)
    assert slot is not None
    slot.sign("first", "second", "third")
    slot.sign("fourth")
    assert slot.boots == ("fourth",)
    slot.release()


def test_at_most_sixteen_processes_are_remembered(tmp_path: Path) -> None:
    slot = Slot.take(tmp_path)
    assert slot is not None
    slot.sign(*(f"boot-{number}" for number in range(20)))
    assert slot.boots == tuple(f"boot-{number}" for number in range(16))
    slot.release()


def test_what_is_remembered_is_recalled_from_where_the_store_is(tmp_path: Path) -> None:
    segment = segment_at(tmp_path / "1.log", b"one", b"two", b"three")
    assert segment.remembered_from == 0
    assert segment.recall() == ([b"one", b"two", b"three"], segment.end)
    assert segment.forget(13 + 12) == 13, "a record of which the end is not reached is remembered"
    assert segment.remembered_from == 13
    segment.drained = 13
    assert segment.recall() == ([b"two", b"three"], segment.end)
    assert segment.forget(segment.end) == 28
    assert segment.remembered_from == segment.end
    assert segment.read(0, 13) == ([b"one"], 13)
    segment.close()


def test_a_batch_from_memory_ends_where_one_from_the_file_would(tmp_path: Path) -> None:
    payload = b"x" * (BATCH_BYTES // 4 - 10)
    segment = segment_at(tmp_path / "1.log", *[payload] * 9)
    records, reached = segment.recall()
    assert (len(records), reached) == (4, BATCH_BYTES)
    assert segment.read(0) == (records, reached)
    segment.close()


def test_the_highest_number_counts_also_of_what_was_kept_aside(tmp_path: Path) -> None:
    slot = Slot.take(tmp_path)
    assert slot is not None
    assert slot.last_number() == 0
    (tmp_path / "000000000007.log.corrupt").touch()
    (tmp_path / "000000000003.log").touch()
    assert slot.last_number() == 7
    slot.release()


def test_a_record_longer_than_a_batch_is_read_whole(tmp_path: Path) -> None:
    long = b"x" * (3 * BATCH_BYTES)
    segment = segment_at(tmp_path / "000000000001.log", long, b"next")
    records, reached = segment.read(0)
    assert records == [long, b"next"]
    assert reached == segment.end
    segment.close()


def test_a_line_feed_that_no_longer_reads_as_one_loses_its_line_and_no_other(tmp_path: Path) -> None:
    segment = segment_at(tmp_path / "000000000001.log", b"first", b"second")
    os.pwrite(segment.fd, b"?", segment.end - 1)
    records, offset = segment.read(0)
    assert records == [b"first"]
    assert segment.read(offset) == ([], segment.end)
    assert segment.is_damaged
    segment.close()


def test_more_processes_than_there_are_slots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_MOST_SLOTS", 2)
    taken = [Slot.take_first_free(tmp_path) for _ in range(2)]
    assert [slot.path.name for slot in taken] == ["slot-0", "slot-1"]
    with pytest.raises(LedgerUnavailable, match="all 2 slots of the journal"):
        Slot.take_first_free(tmp_path)
    for slot in taken:
        slot.release()
