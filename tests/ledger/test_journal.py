import asyncio
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.files import FileCalls, OsFiles
from routewright.ledger.journal import Journal, Pace
from routewright.ledger.segments import Segment, decode_line, encode_lines
from routewright.ledger.tape import Tape
from routewright.ledger.watermark import Watermark

AT_ONCE = Pace(gather_s=0, idle_s=0, drain_s=0, retry_s=0.001, longest_retry_s=0.001)
Open = Callable[..., Journal]


def fail(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class FailingFiles(OsFiles):
    """The operating system's calls, until told to fail."""

    def __init__(self) -> None:
        self.writable_bytes: int | None = None
        self.write_fault: OSError | None = None
        self.sync_fault: OSError | None = None
        self.create_fault: OSError | None = None
        self.syncs = 0
        self.has_created = threading.Event()
        self.has_refused = threading.Event()

    def create(self, path: Path, size: int) -> int:
        if self.create_fault is not None:
            self.has_refused.set()
            raise self.create_fault
        fd = OsFiles().create(path, size)
        self.has_created.set()
        return fd

    def write(self, fd: int, data: bytes, offset: int, /) -> int:  # type: ignore[override]
        if self.write_fault is not None:
            raise self.write_fault
        return os.pwrite(fd, data[: self.writable_bytes], offset)

    def sync(self, fd: int, /) -> None:
        self.syncs += 1
        if self.sync_fault is not None:
            raise self.sync_fault


class SlowFiles(FailingFiles):
    """A sync takes until it may end."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def sync(self, fd: int, /) -> None:
        super().sync(fd)
        self.has_begun.set()
        self.may_end.wait(10)


class Store:
    """A sink that remembers what it took, and can be told to refuse."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.refusals = 0
        self.fault: Exception | None = None
        self.has_refused = threading.Event()

    def absorb(self, batch: Sequence[bytes]) -> None:
        if self.fault is not None:
            self.refusals += 1
            self.has_refused.set()
            raise self.fault
        self.taken += batch


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Open]:
    """Opens journals in `tmp_path` and closes them at the end."""
    opened: list[Journal] = []

    def open_one(directory: Path = tmp_path, *, files: FileCalls | None = None, **bounds: int) -> Journal:
        opened.append(Journal(directory, pace=AT_ONCE, files=files or OsFiles(), **bounds))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close(timeout_s=0.01)


def leave(directory: Path, *segments: bytes, slot: int = 0) -> None:
    """What a dead process left behind."""
    path = directory / f"slot-{slot}"
    path.mkdir(parents=True)
    for number, data in enumerate(segments, 1):
        (path / f"{number:012d}.log").write_bytes(data)


def lines(*payloads: bytes) -> bytes:
    return encode_lines(payloads)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what a thread is about to do."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.001)


def numbered(numbers: range) -> list[bytes]:
    return [b'{"n":%d}' % number for number in numbers]


# ---- lines


@given(st.binary().filter(lambda payload: b"\n" not in payload))
def test_a_line_gives_its_payload_back(payload: bytes) -> None:
    line = encode_lines([payload])
    assert line.count(b"\n") == 1
    assert decode_line(line.removesuffix(b"\n")) == payload


@given(st.data(), st.binary(min_size=1, max_size=50).filter(lambda payload: b"\n" not in payload))
def test_no_single_changed_byte_goes_unnoticed(data: st.DataObject, payload: bytes) -> None:
    line = bytearray(encode_lines([payload])[:-1])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert decode_line(bytes(line)) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payloads=st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")), max_size=8),
    data=st.data(),
    tail=st.sampled_from([b"", b"\0" * 100]),
)
def test_any_cut_of_a_segment_leaves_exactly_the_records_before_it(
    tmp_path: Path, payloads: list[bytes], data: st.DataObject, tail: bytes
) -> None:
    written = lines(*payloads)
    cut = data.draw(st.integers(0, len(written)))
    path = tmp_path / "000000000001.log"
    path.write_bytes(written[:cut] + tail)
    segment = Segment.reopen(path)
    ends = [len(lines(*payloads[: number + 1])) for number in range(len(payloads))]
    assert list(segment.records()) == [payload for payload, end in zip(payloads, ends, strict=True) if end <= cut]
    assert not segment.is_damaged
    os.close(segment.fd)


def test_a_record_longer_than_a_batch_is_read_whole(tmp_path: Path) -> None:
    long = b"x" * 1_000_000
    path = tmp_path / "000000000001.log"
    path.write_bytes(lines(b"before", long, b"after"))
    segment = Segment.reopen(path)
    assert list(segment.records()) == [b"before", long, b"after"]
    os.close(segment.fd)


# ---- appending and durability


def test_positions_grow_with_every_record(open_journal: Open) -> None:
    journal = open_journal()
    first, second = journal.append(b"{}"), journal.append(b"{}")
    assert 0 < first < second == journal.position


def test_a_line_feed_in_a_payload_is_refused(open_journal: Open) -> None:
    with pytest.raises(ValueError, match="line feed"):
        open_journal().append(b'{"text":\n"two lines"}')


def test_a_written_record_survives_the_process_before_any_sync(open_journal: Open, tmp_path: Path) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    files.sync_fault = fail(errno.EIO)
    journal.append(b"{}")
    leave(tmp_path / "after", min((tmp_path / "slot-0").glob("*.log")).read_bytes())
    assert list(open_journal(tmp_path / "after").recover()) == [b"{}"]


async def test_durable_returns_when_the_record_is_synced(open_journal: Open) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    before = files.syncs
    await journal.durable(journal.append(b"{}"))
    assert files.syncs > before


def test_what_nobody_waits_for_is_gathered_before_it_is_synced_and_drained(tmp_path: Path) -> None:
    files, store = FailingFiles(), Store()
    patient = Journal(tmp_path / "patient", files=files, pace=Pace(idle_s=3600, drain_s=3600))
    hasty = Journal(tmp_path / "hasty", pace=AT_ONCE)
    patient.start(store.absorb)
    before, sent = files.syncs, numbered(range(20))
    for payload in sent:
        patient.append(payload)
        hasty.durable_blocking(hasty.append(payload))  # takes long enough for a thread that does not wait
    assert files.syncs == before
    patient.durable_blocking(patient.append(b"{}"))
    for payload in sent:
        hasty.durable_blocking(hasty.append(payload))
    assert files.syncs == before + 1
    assert store.taken == []
    patient.flush_blocking()
    assert store.taken == [*sent, b"{}"]
    patient.close()
    hasty.close()


async def test_an_event_loop_that_waits_does_not_wait_for_a_group_to_fill_either(tmp_path: Path) -> None:
    journal = Journal(tmp_path, pace=Pace(idle_s=3600, drain_s=3600))
    store = Store()
    journal.start(store.absorb)
    async with asyncio.timeout(10):
        await journal.durable(journal.append(b"{}"))
        await journal.flush()
    assert store.taken == [b"{}"]
    journal.close()


async def test_what_is_not_durable_yet_is_not_waited_for_after_a_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, pace=Pace(idle_s=3600))
    position = journal.append(b"{}")
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LedgerUnavailable, match="belongs to process"):
            await asyncio.wait_for(journal.durable(position), 10)
        with pytest.raises(LedgerUnavailable, match="belongs to process"):
            journal.durable_blocking(position)
    journal.close()


async def test_durable_does_not_suspend_when_it_is_durable_already(open_journal: Open) -> None:
    journal = open_journal()
    position = journal.append(b"{}")
    journal.durable_blocking(position)
    with pytest.raises(StopIteration):
        journal.durable(position).send(None)


async def test_while_answers_come_quicker_than_syncs_a_hold_is_synced_before_anybody_waits(tmp_path: Path) -> None:
    files = FailingFiles()
    journal = Journal(tmp_path / "ours", files=files, pace=Pace(gather_s=0, idle_s=3600, drain_s=3600, eager_s=3600))
    hasty = Journal(tmp_path / "hasty", pace=AT_ONCE)
    before = files.syncs
    await journal.durable(journal.append(b"{}"))
    journal.append(b"{}")
    until(lambda: files.syncs == before + 2)
    journal.append(b"{}", closing=True)
    for payload in numbered(range(20)):
        hasty.durable_blocking(hasty.append(payload))  # takes long enough for a thread that does not wait
    assert files.syncs == before + 2, "nobody will wait for the end of an attempt"
    journal.close()
    hasty.close()


async def test_once_nobody_had_to_wait_for_a_while_holds_are_gathered_again(tmp_path: Path) -> None:
    files = FailingFiles()
    journal = Journal(tmp_path / "ours", files=files, pace=Pace(gather_s=0, idle_s=3600, drain_s=3600, eager_s=0))
    hasty = Journal(tmp_path / "hasty", pace=AT_ONCE)
    await journal.durable(journal.append(b"{}"))
    before = files.syncs
    journal.append(b"{}")
    for payload in numbered(range(20)):
        hasty.durable_blocking(hasty.append(payload))
    assert files.syncs == before
    journal.close()
    hasty.close()


async def test_who_waits_for_what_the_sync_under_way_covers_asks_for_no_other(tmp_path: Path) -> None:
    files = SlowFiles()
    journal = Journal(tmp_path / "ours", files=files, pace=Pace(gather_s=0, idle_s=3600, drain_s=3600))
    hasty = Journal(tmp_path / "hasty", pace=AT_ONCE)
    before = files.syncs
    files.has_begun.clear()
    files.may_end.clear()
    hold = journal.append(b"{}")
    first = asyncio.create_task(journal.durable(hold))
    assert await asyncio.to_thread(files.has_begun.wait, 10)
    second = asyncio.create_task(journal.durable(hold))
    await asyncio.sleep(0)
    end = journal.append(b"{}", closing=True)
    files.may_end.set()
    await asyncio.gather(first, second)
    for payload in numbered(range(20)):
        hasty.durable_blocking(hasty.append(payload))  # takes long enough for a thread that does not wait
    assert files.syncs == before + 1
    await journal.durable(end)
    assert files.syncs == before + 2
    journal.close()
    hasty.close()


def test_after_a_quiet_moment_nobody_waits_for_company(tmp_path: Path) -> None:
    files = FailingFiles()
    journal = Journal(tmp_path, pace=Pace(gather_s=3600, drain_s=3600), files=files)
    before = files.syncs
    journal.durable_blocking(journal.append(b"{}"))
    assert files.syncs == before + 1
    journal.close()


def test_who_waits_does_not_wait_for_a_group_to_fill(tmp_path: Path) -> None:
    journal = Journal(tmp_path, pace=Pace(idle_s=3600, drain_s=3600))
    store = Store()
    journal.start(store.absorb)
    journal.durable_blocking(journal.append(b"{}"))
    journal.flush_blocking()
    assert store.taken == [b"{}"]
    journal.close()


async def test_one_group_wakes_an_event_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Watermark()
    waiting = [asyncio.ensure_future(mark.wait(position)) for position in range(1, 101)]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    wake_up, wake_ups = loop.call_soon_threadsafe, []

    def counted(*arguments: object) -> asyncio.Handle:
        wake_ups.append(arguments)
        return wake_up(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    mark.rise(60)
    await asyncio.gather(*waiting[:60])
    assert len(wake_ups) == 1
    assert not any(task.done() for task in waiting[60:])
    mark.rise(100)
    await asyncio.gather(*waiting)
    assert len(wake_ups) == 2


async def test_a_waiter_that_gave_up_is_passed_over() -> None:
    mark = Watermark()
    gone, stays = (asyncio.ensure_future(mark.wait(1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    mark.rise(1)
    await stays
    assert gone.cancelled()


def test_a_closed_event_loop_does_not_hinder_the_others() -> None:
    mark = Watermark()
    loop = asyncio.new_event_loop()
    task = loop.create_task(mark.wait(1))
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    mark.rise(1)
    assert mark.wait_blocking(1, timeout_s=0)


def test_use_after_a_fork_is_refused(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        for use in (lambda: journal.append(b"{}"), journal.flush_blocking, journal.close, lambda: [*journal.recover()]):
            with pytest.raises(LedgerUnavailable, match="belongs to process"):
                use()
    journal.append(b"{}")


def test_a_closed_journal_refuses(open_journal: Open) -> None:
    journal = open_journal()
    journal.close()
    journal.close()
    with pytest.raises(LedgerUnavailable, match="is closed"):
        journal.append(b"{}")
    with pytest.raises(LedgerUnavailable, match="is closed"):
        journal.durable_blocking(1)


# ---- full and failing disks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_refuses_a_record_and_heals(open_journal: Open, code: int) -> None:
    files, store = FailingFiles(), Store()
    journal = open_journal(files=files)
    journal.append(b'{"n":1}')
    files.write_fault = fail(code)
    with pytest.raises(LedgerUnavailable, match="cannot write"):
        journal.append(b'{"n":2}')
    files.write_fault = None
    journal.append(b'{"n":3}')
    journal.start(store.absorb)
    journal.flush_blocking()
    assert store.taken == [b'{"n":1}', b'{"n":3}']


@pytest.mark.parametrize("fitting", [0, 1, 8, 9, 27, 28])
def test_a_record_that_fits_in_part_leaves_no_trace(open_journal: Open, tmp_path: Path, fitting: int) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    journal.append(b"{}")
    files.writable_bytes = fitting
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        journal.append(b'{"a long":"record"}')
    segment = min((tmp_path / "slot-0").glob("*.log"))
    assert segment.read_bytes() == lines(b"{}")
    files.writable_bytes = None
    journal.append(b"[]")
    assert segment.read_bytes() == lines(b"{}", b"[]")


def test_without_room_for_the_next_segment_only_records_that_close_a_hold_are_taken(open_journal: Open) -> None:
    files = FailingFiles()
    journal = open_journal(files=files, segment_bytes=100)
    files.has_created.wait()
    files.create_fault = fail(errno.ENOSPC)
    while not files.has_refused.is_set():
        journal.durable_blocking(journal.append(b"{}", closing=True))
    journal.durable_blocking(journal.append(b"{}", closing=True))
    with pytest.raises(LedgerUnavailable, match="no segment can be added"):
        journal.append(b"{}")
    journal.append(b"{}", closing=True)
    files.has_created.clear()
    files.create_fault = None
    files.has_created.wait()
    journal.durable_blocking(journal.append(b"{}", closing=True))
    journal.append(b"{}")


def test_no_room_at_the_start_is_said(tmp_path: Path) -> None:
    files = FailingFiles()
    files.create_fault = fail(errno.ENOSPC)
    with pytest.raises(LedgerUnavailable, match="no segment can be added"):
        Journal(tmp_path, files=files)


def test_s03_a_file_whose_sync_failed_is_never_synced_again(open_journal: Open) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    kept = journal.append(b'{"n":1}')
    journal.durable_blocking(kept)
    files.sync_fault = fail(errno.EIO)
    lost = journal.append(b'{"n":2}')
    with pytest.raises(LedgerUnavailable, match="cannot sync"):
        journal.durable_blocking(lost)
    files.sync_fault = None
    syncs = files.syncs
    with pytest.raises(LedgerUnavailable, match="cannot sync"):
        journal.append(b'{"n":3}')
    with pytest.raises(LedgerUnavailable, match="cannot sync"):
        journal.durable_blocking(lost)
    journal.durable_blocking(kept)
    assert files.syncs == syncs, "a sync that failed once must not be tried again and trusted"
    assert journal.trouble == "the journal's disk failed"


async def test_a_failed_sync_reaches_those_who_wait(open_journal: Open) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    files.sync_fault = fail(errno.EIO)
    position = journal.append(b"{}")
    with pytest.raises(LedgerUnavailable, match="cannot sync"):
        await journal.durable(position)


def test_s03_a_write_error_that_is_not_a_full_disk_is_the_end_of_that_file(open_journal: Open) -> None:
    files = FailingFiles()
    journal, store = open_journal(files=files), Store()
    files.write_fault = fail(errno.EIO)
    with pytest.raises(LedgerUnavailable, match="cannot write"):
        journal.append(b'{"n":1}')
    files.write_fault = None
    journal.start(store.absorb)
    until(lambda: journal.trouble is None)
    journal.append(b'{"n":2}')
    journal.flush_blocking()
    assert store.taken == [b'{"n":2}']


def test_s03_a_journal_goes_on_by_itself_once_the_store_has_what_the_disk_may_have_lost(
    open_journal: Open, caplog: pytest.LogCaptureFixture
) -> None:
    files, store = FailingFiles(), Store()
    journal = open_journal(files=files)
    files.sync_fault = fail(errno.EIO)
    lost = journal.append(b'{"n":1}')
    with pytest.raises(LedgerUnavailable):
        journal.durable_blocking(lost)
    files.sync_fault = None
    store.fault = StoreUnavailable("locked")
    journal.start(store.absorb)
    assert store.has_refused.wait(5)
    with pytest.raises(LedgerUnavailable):
        journal.append(b'{"n":2}')
    with caplog.at_level(logging.WARNING):
        store.fault = None
        until(lambda: "goes on in a fresh segment" in caplog.text)
    assert journal.trouble is None
    journal.durable_blocking(lost)
    journal.durable_blocking(journal.append(b'{"n":2}'))
    journal.flush_blocking()
    assert store.taken == [b'{"n":1}', b'{"n":2}']


def test_a_bug_in_the_syncer_lets_nobody_wait_for_ever(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    monkeypatch.setattr(files, "sync", lambda fd: 1 / 0)
    with pytest.raises(LedgerUnavailable, match=r"syncer failed: ZeroDivisionError.*; restart the process$"):
        journal.durable_blocking(journal.append(b"{}"))


@pytest.mark.parametrize(
    ("trouble", "told"),
    [("failure", "the journal's disk failed"), ("shortage", "the journal's disk has no room")],
)
def test_what_is_in_the_way_is_said_without_a_path(open_journal: Open, trouble: str, told: str) -> None:
    journal = open_journal()
    assert journal.trouble is None
    setattr(journal._tape, trouble, "/a/path")
    assert journal.trouble == told


def test_a_full_journal_says_so_until_the_store_takes_something(open_journal: Open) -> None:
    journal, store = open_journal(limit_bytes=80), Store()
    for _ in range(7):
        journal.append(b"")
    assert journal.trouble == "the journal is full, as the store takes nothing"
    journal.start(store.absorb)
    journal.flush_blocking()
    until(lambda: journal.trouble is None)


def test_s03_a_disk_that_still_fails_is_asked_again(open_journal: Open) -> None:
    files, store = FailingFiles(), Store()
    journal = open_journal(files=files)
    files.sync_fault = fail(errno.EIO)
    with pytest.raises(LedgerUnavailable):
        journal.durable_blocking(journal.append(b"{}"))
    files.create_fault = fail(errno.EIO)
    journal.start(store.absorb)
    assert files.has_refused.wait(5)
    assert journal.trouble is not None
    files.sync_fault = files.create_fault = None
    until(lambda: journal.trouble is None)
    journal.durable_blocking(journal.append(b"[]"))
    journal.flush_blocking()
    assert store.taken == [b"{}", b"[]"]


class Tapes:
    """A tape and its store, taken step by step."""

    def __init__(self, directory: Path, **bounds: int) -> None:
        self.files, self.store = FailingFiles(), Store()
        self.tape = Tape(directory, files=self.files, **bounds)


def test_s03_what_the_failed_file_lost_reaches_the_store_from_memory(tmp_path: Path) -> None:
    world = Tapes(tmp_path)
    tape = world.tape
    tape.append(b'{"n":1}')
    tape.sync()
    tape.append(b'{"n":2}', b'{"n":3}')
    world.files.sync_fault = fail(errno.EIO)
    tape.sync()
    path = min((tmp_path / "slot-0").glob("*.log"))
    path.write_bytes(lines(b'{"n":1}').ljust(path.stat().st_size, b"\0"))  # as after a failed write-back
    assert not tape.heal(), "the store has nothing yet"
    tape.drain(world.store.absorb)
    assert world.store.taken == numbered(range(1, 4))
    world.files.sync_fault = None
    assert tape.heal()
    assert tape.failure is None
    tape.release()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_closing_record_that_no_disk_takes_reaches_the_store_from_memory(tmp_path: Path, code: int) -> None:
    world = Tapes(tmp_path)
    tape = world.tape
    tape.append(b'{"n":1}')
    world.files.write_fault = fail(code)
    tape.append(b'{"n":2}', closing=True)
    assert tape.backlog_bytes == len(lines(b'{"n":1}', b'{"n":2}'))
    world.store.fault = StoreUnavailable("locked")
    with pytest.raises(StoreUnavailable):
        tape.drain(world.store.absorb)
    world.store.fault = None
    tape.drain(world.store.absorb)
    tape.drain(world.store.absorb)
    assert world.store.taken == numbered(range(1, 3))
    assert tape.backlog_bytes == 0
    tape.release()


def test_closing_records_in_memory_are_bounded_and_what_is_left_at_the_end_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tape = Tapes(tmp_path, limit_bytes=800).tape
    tape.poison("test")
    record = b"x" * 40  # 50 bytes a line
    for _ in range(2):
        tape.append(record, closing=True)
    with pytest.raises(LedgerUnavailable, match="test"):
        tape.append(record, closing=True)
    tape.release()
    assert "2 records that close a hold were taken by neither disk nor store" in caplog.text


# ---- draining


def test_everything_is_drained_in_order(open_journal: Open) -> None:
    journal, store = open_journal(segment_bytes=1000), Store()
    sent = numbered(range(500))
    for payload in sent[:250]:
        journal.append(payload)
    journal.start(store.absorb)
    for payload in sent[250:]:
        journal.append(payload)
    journal.flush_blocking()
    assert store.taken == sent
    assert journal.backlog_bytes == 0


async def test_flush_waits_without_blocking_the_event_loop(open_journal: Open) -> None:
    journal, store = open_journal(), Store()
    journal.start(store.absorb)
    journal.append(b"{}")
    await journal.flush()
    assert store.taken == [b"{}"]


async def test_flush_says_what_is_left_when_the_store_does_not_answer(open_journal: Open) -> None:
    journal, store = open_journal(), Store()
    store.fault = StoreUnavailable("locked")
    journal.start(store.absorb)
    journal.append(b"{}")
    with pytest.raises(LedgerUnavailable, match="did not take 12 bytes"):
        await journal.flush(timeout_s=0)


@pytest.mark.parametrize("fault", [StoreUnavailable("locked"), ZeroDivisionError("a bug")])
def test_a_refused_batch_is_kept_and_offered_again(open_journal: Open, fault: Exception) -> None:
    journal, store = open_journal(), Store()
    store.fault = fault
    journal.start(store.absorb)
    sent = numbered(range(5))
    for payload in sent:
        journal.append(payload)
    assert store.has_refused.wait(5)
    assert store.taken == []
    store.fault = None
    journal.flush_blocking()
    assert store.taken == sent


def test_a_store_that_refuses_is_left_alone_until_its_pause_is_over_or_somebody_asks(tmp_path: Path) -> None:
    journal, store = Journal(tmp_path, pace=Pace(gather_s=0, idle_s=0, drain_s=0, retry_s=3600)), Store()
    refused: list[int] = []

    def refuse(batch: Sequence[bytes]) -> None:
        refused.append(len(batch))
        store.absorb(batch)

    store.fault = StoreUnavailable("locked")
    journal.start(refuse)
    journal.append(b"{}")
    assert store.has_refused.wait(5)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="did not take"):
            journal.flush_blocking(timeout_s=0.05)
    assert 1 <= len(refused) <= 3, "once, and when it was asked for"
    store.fault = None
    journal.flush_blocking()
    assert store.taken == [b"{}"]
    journal.close()


def test_drained_segments_are_deleted(open_journal: Open, tmp_path: Path) -> None:
    journal, store = open_journal(segment_bytes=200), Store()
    for payload in numbered(range(100)):
        journal.durable_blocking(journal.append(payload))
    assert len(list((tmp_path / "slot-0").glob("*.log"))) > 5
    journal.start(store.absorb)
    journal.flush_blocking()
    left = len(list((tmp_path / "slot-0").glob("*.log")))
    assert left <= 2, "only the segment being written and the spare one remain"
    journal.close()
    assert [path.name for path in (tmp_path / "slot-0").iterdir()] == ["lock"]


def test_a_full_journal_refuses_until_the_store_takes_something(open_journal: Open) -> None:
    journal, store = open_journal(limit_bytes=1600), Store()
    store.fault = StoreUnavailable("locked")
    journal.start(store.absorb)
    record = b"x" * 90  # 100 bytes a line
    for _ in range(14):
        journal.append(record)
    with pytest.raises(LedgerUnavailable, match="journal full"):
        journal.append(record)
    for _ in range(2):
        journal.append(record, closing=True)
    with pytest.raises(LedgerUnavailable, match="journal full"):
        journal.append(record, closing=True)
    store.fault = None
    journal.flush_blocking()
    journal.append(record)
    assert store.taken == [record] * 16


def test_closing_without_a_store_leaves_everything_for_the_next_process(open_journal: Open) -> None:
    journal, store = open_journal(), Store()
    sent = numbered(range(3))
    for payload in sent:
        journal.append(payload)
    store.fault = StoreUnavailable("locked")
    journal.start(store.absorb)
    journal.close(timeout_s=0.01)
    assert list(open_journal().recover()) == sent


def test_closing_does_not_wait_for_ever_for_a_store_that_hangs(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal()
    goes_on = threading.Event()

    def hang(batch: Sequence[bytes]) -> None:
        goes_on.wait(10)

    journal.start(hang)
    journal.append(b"{}")
    journal.close(timeout_s=0.01)
    assert open_journal().boots_alive() >= {journal.boot}, "its batch may still be committed: the slot stays taken"
    goes_on.set()


# ---- recovery


def test_a_torn_last_line_is_ignored(open_journal: Open, tmp_path: Path) -> None:
    leave(tmp_path, lines(b'{"n":1}', b'{"n":2}') + lines(b'{"n":3}')[:-1])
    assert list(open_journal().recover()) == numbered(range(1, 3))


def test_a_damaged_line_in_the_middle_is_reported_and_its_file_kept(
    open_journal: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = lines(b'{"n":1}') + lines(b'{"n":2}').replace(b"2", b"7") + lines(b'{"n":3}')
    leave(tmp_path, damaged, lines(b'{"n":4}'))
    journal, store = open_journal(), Store()
    with caplog.at_level(logging.ERROR):
        assert list(journal.recover()) == [b'{"n":1}', b'{"n":3}', b'{"n":4}']
    assert "damaged" in caplog.text
    journal.start(store.absorb)
    journal.close()
    assert store.taken == [b'{"n":1}', b'{"n":3}', b'{"n":4}']
    kept = tmp_path / "slot-0" / "000000000001.log.corrupt"
    assert kept.read_bytes() == damaged
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name, "lock"]


def test_a_kept_file_is_never_overwritten(open_journal: Open, tmp_path: Path) -> None:
    for turn in range(2):
        leave(tmp_path / str(turn), b"damaged\n")
    journal, store = open_journal(tmp_path / "0"), Store()
    journal.start(store.absorb)
    journal.close()
    (tmp_path / "1" / "slot-0" / "000000000001.log").rename(tmp_path / "0" / "slot-0" / "000000000002.log")
    journal = open_journal(tmp_path / "0")
    journal.start(store.absorb)
    journal.close()
    assert len(list((tmp_path / "0" / "slot-0").glob("*.corrupt"))) == 2


def test_left_overs_are_drained_before_anything_new(open_journal: Open, tmp_path: Path) -> None:
    leave(tmp_path, lines(b'{"n":1}'), lines(b'{"n":2}'))
    journal, store = open_journal(), Store()
    journal.append(b'{"n":3}')
    journal.start(store.absorb)
    journal.flush_blocking()
    assert store.taken == numbered(range(1, 4))


def test_two_journals_take_two_slots_and_know_of_each_other(open_journal: Open, tmp_path: Path) -> None:
    first, second = open_journal(), open_journal()
    first.append(b"{}")
    second.append(b"{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slot-0", "slot-1"]
    assert first.boots_alive() == second.boots_alive() == {first.boot, second.boot}
    assert list(second.recover()) == [], "what a living process wrote is its own to drain"


def test_a_dead_process_counts_as_alive_until_its_records_are_drained(open_journal: Open) -> None:
    watcher, store = open_journal(), Store()
    dead = open_journal()
    dead.append(b"{}")
    dead.close()
    assert watcher.boots_alive() == {watcher.boot, dead.boot}, "nobody has drained it yet"
    heir = open_journal()
    assert heir.boots_alive() == watcher.boots_alive() == {watcher.boot, dead.boot, heir.boot}
    heir.start(store.absorb)
    heir.flush_blocking()
    assert heir.boots_alive() == {watcher.boot, heir.boot}
    heir.close()
    last = open_journal()
    assert watcher.boots_alive() == {watcher.boot, last.boot}


def test_slots_of_dead_processes_are_taken_over_once(open_journal: Open, tmp_path: Path) -> None:
    leave(tmp_path, lines(b'{"n":0}'), slot=0)
    leave(tmp_path, lines(b'{"n":1}'), slot=1)
    leave(tmp_path, lines(b'{"n":2}'), slot=10)
    journal, store = open_journal(), Store()
    other = open_journal()  # lives in slot 1, and so recovers that one's left-overs itself
    assert list(journal.recover()) == [b'{"n":0}', b'{"n":2}']
    assert list(journal.recover()) == []
    assert list(other.recover()) == [b'{"n":1}']
    journal.start(store.absorb)
    journal.flush_blocking()
    assert store.taken == [b'{"n":0}', b'{"n":2}']
    journal.close()
    assert [path.name for path in (tmp_path / "slot-10").iterdir()] == ["lock"]
    assert other.boots_alive() == {other.boot}


def test_a_process_that_dies_later_is_taken_over_while_we_run(open_journal: Open, tmp_path: Path) -> None:
    journal, store = open_journal(), Store()
    journal.start(store.absorb)
    journal.append(b'{"n":0}')
    leave(tmp_path, lines(b'{"n":1}'), slot=7)
    assert list(journal.recover()) == [b'{"n":1}']
    journal.durable_blocking(journal.append(b'{"n":2}'))
    journal.flush_blocking()
    assert store.taken == numbered(range(3))


def test_no_room_leaves_the_slots_of_the_dead_for_another_time(open_journal: Open, tmp_path: Path) -> None:
    files = FailingFiles()
    journal = open_journal(files=files)
    leave(tmp_path, lines(b"{}"), slot=1)
    files.create_fault = fail(errno.ENOSPC)
    with pytest.raises(LedgerUnavailable, match="no segment can be added"):
        list(journal.recover())
    files.create_fault = None
    assert list(journal.recover()) == [b"{}"]


WRITER = """
import sys
from pathlib import Path
from routewright.ledger.journal import Journal, Pace

journal = Journal(Path(sys.argv[1]), segment_bytes=4000, pace=Pace(gather_s=0, idle_s=0))
print(journal.boot, flush=True)
for number in range(100_000):
    position = journal.append(b'{"n":%d}' % number)
    print(number, flush=True)
"""


def start_writer(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True)


def test_kill_9_loses_no_acknowledged_record(open_journal: Open, tmp_path: Path) -> None:
    with start_writer(tmp_path) as writer:
        assert writer.stdout is not None
        boot = writer.stdout.readline().strip()
        acknowledged = [int(writer.stdout.readline()) for _ in range(2000)]
        neighbour = open_journal()
        assert neighbour.boots_alive() == {boot, neighbour.boot}
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]
    assert neighbour.boots_alive() == {boot, neighbour.boot}
    recovered, store = list(neighbour.recover()), Store()
    assert len(recovered) >= len(acknowledged) >= 2000
    assert recovered == numbered(range(len(recovered)))
    neighbour.start(store.absorb)
    neighbour.flush_blocking()
    assert store.taken == recovered
    assert neighbour.boots_alive() == {neighbour.boot}
