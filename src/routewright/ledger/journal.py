"""An append-only local log: written before we spend, durable before we answer.

`append` is one synchronous write to a file: from then on a record survives the death of the process. A syncer thread
runs `fdatasync` for everything written meanwhile: `durable` waits for that, and from then on the record survives a
power cut. A drainer thread hands the records, in order, to a store and deletes what the store has committed. So a
slow, locked, full or absent store costs nothing until the journal's own bound is reached. They are two threads because
the store may block for seconds while nobody should wait longer than one `fdatasync` for durability.

    directory/slot-0/lock                 held by the one process that writes here, and signed by it
    directory/slot-0/000000000001.log     a segment: pre-allocated; one record a line; its tail is NULs until written
    directory/slot-0/….log.corrupt        a segment in which a line was damaged: reported and never deleted

A record is known by its position: the count of bytes that have gone through the journal of this process up to and
including it. Everything the threads share (the queue of segments, what is appended) is guarded by one lock, which is
never held during a sync or a store's commit.
"""

import asyncio
import errno
import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.segments import FileCalls, OsFiles, Segment, Slot, boots_in, encode_line, slot_paths
from routewright.ledger.watermark import Watermark

log = logging.getLogger(__name__)

Position: TypeAlias = int
Sink: TypeAlias = Callable[[Sequence[bytes]], None]
"""Commits a batch durably before it returns; raises StoreUnavailable when it cannot do so now."""

_MIB = 1024 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Pace(Struct, frozen=True, kw_only=True):
    """How long the threads gather work before they begin, in seconds."""

    gather_s: float = 0.002
    """Before a sync, in any case."""
    idle_s: float = 0.01
    """Before a sync that nobody waits for yet: most are over before the provider's answer begins."""
    drain_s: float = 1.0
    """Before a drain, unless somebody waits in `flush`."""
    retry_s: float = 0.1
    """Before a failed drain or segment is tried again; a drain's pause doubles each time."""
    longest_retry_s: float = 5.0


_PACE = Pace()
_FILES = OsFiles()


class Journal:
    """This process's log. Open it, `recover`, `start` the drainer, `append`; `close` at the end.

    Safe to use from any thread and any event loop of the process that opened it, and from no other process.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 4 * _MIB,
        limit_bytes: int = 256 * _MIB,
        pace: Pace = _PACE,
        files: FileCalls = _FILES,
    ) -> None:
        """Take a slot in `directory`. Raises LedgerUnavailable when there is no room or no permission.

        `limit_bytes` bounds what the store has not taken; its last eighth is kept for records that close a hold.
        """
        self.boot = secrets.token_hex(8)
        """This process's name in the holds it writes; never used twice."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._pace = pace
        self._files = files
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._sync_turn = threading.Lock()  # held during a sync; taken before the other one
        self._queue: deque[Segment] = deque()  # undrained, in order; the last one is written to
        self._unsynced: list[Segment] = []  # no longer written to, and not yet synced
        self._spare: Segment | None = None
        self._shortage: str | None = None  # why there is no spare segment
        self._failure: str | None = None  # why nothing can be written
        self._appended = 0
        self._synced = Watermark()
        self._drained = Watermark()
        self._adopted: dict[Path, Slot] = {}  # slots of dead processes, until they are drained
        self._is_closed = False
        self._stopping = threading.Event()
        self._to_sync = threading.Event()
        self._is_awaited = threading.Event()
        self._to_drain = threading.Event()
        self._hurry = threading.Event()
        self._slot = Slot.take_first_free(directory)
        try:
            self._numbers = count(self._slot.last_number() + 1)
            self._left_over = self._slot.segments()
            self._enqueue(self._left_over, self._create_segment())
            self._slot.sign(self.boot, *(self._slot.boots if self._left_over else ()))
            self._syncer = threading.Thread(target=self._keep_syncing, name="journal-syncer", daemon=True)
            self._syncer.start()
        except BaseException:
            self._slot.release()
            raise
        self._drainer: threading.Thread | None = None

    @property
    def position(self) -> Position:
        """Of the last record appended."""
        return self._appended

    @property
    def backlog_bytes(self) -> int:
        """What the store has not taken yet."""
        return self._appended - self._drained.reached

    @property
    def failure(self) -> str | None:
        """Why nothing can be appended until `reopen` or `close`; None while all is well."""
        return self._failure

    # -- writing

    def append(self, *payloads: bytes, closing: bool = False) -> Position:
        """Write records, without a line feed in them, at once; they now survive the death of this process.

        Records that are `closing` a hold may use the room kept back for them when the disk or the journal is full:
        that money is already spent. Raises LedgerUnavailable, and has then written nothing.
        """
        for payload in payloads:
            if b"\n" in payload:
                raise ValueError("a journal record is one line: its payload must not contain a line feed")
        lines = b"".join(map(encode_line, payloads))
        self._check_process()
        with self._lock:
            if refusal := self._refusal(len(lines), closing):
                raise LedgerUnavailable(refusal)
            segment = self._queue[-1]
            if segment.end + len(lines) > self._segment_bytes and self._spare is not None:
                # Without a spare the segment grows on: making one here would stall the event loop.
                segment = self._rotate(self._spare)
                self._spare = None
            self._write(segment, lines)
            segment.end += len(lines)
            self._appended += len(lines)
            position = self._appended
        if not self._to_sync.is_set():
            self._to_sync.set()
        return position

    def _refusal(self, size: int, closing: bool) -> str | None:
        if self._is_closed:
            return f"the journal in {self._directory} is closed"
        if self._failure is not None:
            return self._failure
        limit = self._limit_bytes if closing else self._limit_bytes - self._limit_bytes // 8
        if self._appended + size - self._drained.reached > limit:
            return (
                f"journal full: {self._directory} holds {self.backlog_bytes} bytes that the store has not taken "
                f"(limit {limit}); mend the store, and it drains by itself"
            )
        return None if closing else self._shortage

    def _write(self, segment: Segment, lines: bytes) -> None:
        try:
            if self._files.write(segment.fd, lines, segment.end) == len(lines):
                return
            os.ftruncate(segment.fd, segment.end)  # away with the part that did fit
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self._poison(f"cannot write to the journal's {segment.path}: {error.strerror}")
            raise LedgerUnavailable(f"cannot write to the journal's {segment.path}: {error.strerror}") from error
        raise LedgerUnavailable(f"cannot write to the journal's {segment.path}: the disk is full; free some space")

    def _rotate(self, fresh: Segment) -> Segment:
        if self._queue:
            self._unsynced.append(self._queue[-1])
        fresh.start = self._appended
        self._queue.append(fresh)
        return fresh

    def _create_segment(self) -> Segment:
        path = self._slot.path / f"{next(self._numbers):012d}.log"
        try:
            return Segment(path, self._files.create(path, self._segment_bytes))
        except OSError as error:
            raise LedgerUnavailable(
                f"no segment can be added to the journal in {self._directory}: {error.strerror}; check its disk"
            ) from error

    def _poison(self, reason: str) -> None:
        self._failure = f"{reason}; nothing more is written until the journal is reopened"
        self._synced.fail(self._failure)
        log.error("%s", self._failure)

    # -- syncing

    async def durable(self, position: Position) -> None:
        """Return once the record at `position` survives a power cut; does not suspend when it already does.

        Raises LedgerUnavailable when the disk failed first: what it then holds cannot be known.
        """
        if self._synced.reached < position:
            self._check_process()
            self._is_awaited.set()
            await self._synced.wait(position)

    def durable_blocking(self, position: Position) -> None:
        """The same for callers without an event loop."""
        if self._synced.reached < position:
            self._check_process()
            self._is_awaited.set()
            self._synced.wait_blocking(position)

    def _keep_syncing(self) -> None:
        try:
            self._sync_until_stopped()
        except Exception as error:  # the outermost edge of a thread: without it, everyone would wait for ever
            log.exception("the journal's syncer failed")
            self._poison(f"the journal's syncer failed: {error!r}")

    def _sync_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._to_sync.wait(self._pace.retry_s if self._shortage else None)
            self._is_awaited.wait(self._pace.idle_s)
            self._stopping.wait(self._pace.gather_s)
            self._is_awaited.clear()
            self._to_sync.clear()
            self._sync()
            if self._spare is None and not self._stopping.is_set():
                self._make_spare()
        self._sync()

    def _sync(self) -> None:
        with self._sync_turn:
            with self._lock:
                written = (*self._unsynced, self._queue[-1])
                # Of any other, the drainer may be closing the file.
                segments = [segment for segment in written if segment.final_position > self._synced.reached]
                self._unsynced.clear()
                target = self._appended
            if self._failure is None and target > self._synced.reached:
                self._sync_to(target, segments)
        self._to_drain.set()

    def _sync_to(self, target: int, segments: list[Segment]) -> None:
        for segment in segments:
            try:
                self._files.sync(segment.fd)
            except OSError as error:
                # The kernel may drop the pages it could not write, and then call the next sync a success.
                self._poison(f"cannot sync the journal's {segment.path}: {error.strerror}")
                return
        self._synced.rise(target)

    def _make_spare(self) -> None:
        try:
            self._spare, self._shortage = self._create_segment(), None
        except LedgerUnavailable as error:
            if self._shortage is None:
                log.error("%s", error.message)
            self._shortage = error.message

    # -- draining

    def start(self, sink: Sink) -> None:
        """Begin to feed `sink`, from a thread of its own, with all that was recovered and all that is appended."""
        self._left_over = []
        self._drainer = threading.Thread(target=self._keep_draining, args=(sink,), name="journal-drainer", daemon=True)
        self._drainer.start()
        self._to_drain.set()

    async def flush(self, timeout_s: float = 10.0) -> None:
        """Return once the store has everything appended so far. Raises LedgerUnavailable after `timeout_s` seconds."""
        self._ask_for_drain()
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait(self._appended)
        except TimeoutError:
            raise LedgerUnavailable(self._not_flushed(timeout_s)) from None

    def flush_blocking(self, timeout_s: float = 10.0) -> None:
        """The same for callers without an event loop."""
        self._ask_for_drain()
        if not self._drained.wait_blocking(self._appended, timeout_s):
            raise LedgerUnavailable(self._not_flushed(timeout_s))

    def _ask_for_drain(self) -> None:
        self._check_process()
        self._hurry.set()
        self._to_drain.set()

    def _not_flushed(self, timeout_s: float) -> str:
        return (
            f"the store did not take {self.backlog_bytes} bytes within {timeout_s:g} s; "
            f"they are safe in {self._directory} and will be taken up when the store is back, or at the next start"
        )

    def _keep_draining(self, sink: Sink) -> None:
        pause_s = self._pace.retry_s
        while not self._stopping.is_set():
            self._to_drain.wait()
            self._hurry.wait(self._pace.drain_s)
            self._hurry.clear()
            self._to_drain.clear()
            if self._drain(sink):
                pause_s = self._pace.retry_s
                continue
            self._hurry.wait(pause_s)
            self._to_drain.set()
            pause_s = min(2 * pause_s, self._pace.longest_retry_s)

    def _drain(self, sink: Sink) -> bool:
        """Hand over all there is; False when the sink would not take it."""
        try:
            while self._drain_batch(sink):
                pass
            self._drop_drained()
        except (StoreUnavailable, LedgerUnavailable) as error:
            log.warning("the journal keeps %d bytes and will try again: %s", self.backlog_bytes, error.message)
            return False
        except Exception:  # the outermost edge of a thread: a bug in the store must not lose a record
            log.exception("the journal keeps %d bytes and will try again", self.backlog_bytes)
            return False
        return True

    def _drain_batch(self, sink: Sink) -> bool:
        with self._lock:
            segment = next((segment for segment in self._queue if segment.drained < segment.end), None)
        if segment is None:
            return False
        records, reached = segment.read(segment.drained)
        if records:
            sink(records)
        segment.drained = reached
        try:
            self._drop_drained()
        finally:
            self._drained.rise(segment.start + reached)
        return True

    def _drop_drained(self) -> None:
        """Delete what is in the store, except the segment still written to and those the syncer may still use."""
        while len(self._queue) > 1:
            head = self._queue[0]
            if head.drained < head.end or head.final_position > self._synced.reached:
                return
            with self._lock:
                self._queue.popleft()
            head.drop()
            home = head.path.parent
            if home in self._adopted and self._queue[0].path.parent != home:
                self._adopted.pop(home).release()

    # -- recovery

    def recover(self) -> Iterator[bytes]:
        """The records that dead processes left undrained, in order; some may be in the store already.

        Read it to its end before `start` to see this slot's own left-overs as well. It may be called again later, to
        take over from processes that died since. What it yields is drained into the store like everything else; once
        `flush` has returned, the store alone tells the whole story.

        Raises LedgerUnavailable when a file cannot be read or there is no room to go on in.
        """
        found, self._left_over = self._left_over, []
        adopted, fresh = self._adopt()
        try:
            for segment in (*found, *adopted):
                yield from segment.records()
        finally:
            if fresh is not None:
                self._enqueue(adopted, fresh)

    def boots_alive(self) -> set[str]:
        """The names of the processes that may still close a hold: this one, and all others that write here now.

        A dead process counts as alive until the store has all that it left: the end of its hold may be in there.
        """
        with self._lock:
            undrained = [segment.boots for segment in self._queue if segment.drained < segment.end]
        alive = {self.boot}.union(*undrained)
        for path in self._other_slots():
            slot = Slot.take(path)
            if slot is None or slot.logs():
                alive.update(boots_in(path))
            if slot is not None:
                slot.release()
        return alive

    def _adopt(self) -> tuple[list[Segment], Segment | None]:
        """What dead processes left, their slots now locked; and the segment to go on in behind it, if there is any."""
        self._check_process()
        slots = {path: slot for path in self._other_slots() if (slot := Slot.take(path))}
        try:
            segments = {path: found for path, slot in slots.items() if (found := slot.segments())}
            fresh = self._create_segment() if segments else None
        except LedgerUnavailable:
            segments = {}
            raise
        finally:
            for path in slots.keys() - segments.keys():
                slots.pop(path).release()
        self._adopted |= slots
        return [segment for found in segments.values() for segment in found], fresh

    def _other_slots(self) -> list[Path]:
        return [path for path in slot_paths(self._directory) if path != self._slot.path and path not in self._adopted]

    def _enqueue(self, segments: list[Segment], fresh: Segment) -> None:
        """Put segments that another process wrote behind everything appended so far, and go on in a fresh one."""
        with self._lock:
            for segment in segments:
                self._rotate(segment)
                self._appended += segment.end
            self._rotate(fresh)
        self._to_sync.set()

    # -- the end

    def reopen(self, timeout_s: float = 10.0) -> None:
        """Go on after a disk failure, in a fresh segment, once the store has all that the failed one may have lost.

        Raises LedgerUnavailable when the store does not take it within `timeout_s` seconds, or the disk still fails.
        """
        self.flush_blocking(timeout_s)
        fresh = self._create_segment()
        with self._sync_turn, self._lock:
            self._rotate(fresh)
            self._unsynced.clear()  # never synced again, and not needed: the store has their records
            self._failure = None
            self._synced.heal(self._appended)
        self._to_sync.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most `timeout_s` seconds and let the slot go; what is left waits there for the next process."""
        self._check_process()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._drainer is not None:
            try:
                self.flush_blocking(timeout_s)
            except LedgerUnavailable as error:
                log.warning("closing the journal: %s", error.message)
        self._stop_threads(timeout_s)
        closed = f"the journal in {self._directory} is closed"
        self._synced.fail(closed)
        self._drained.fail(closed)

    def _stop_threads(self, timeout_s: float) -> None:
        self._stopping.set()
        for event in (self._to_sync, self._is_awaited, self._to_drain, self._hurry):
            event.set()
        self._syncer.join()
        if self._drainer is not None:
            self._drainer.join(timeout_s)
            if self._drainer.is_alive():
                log.warning("the store still holds a batch: the journal's slot is free when this process ends")
                return
        self._release_files()

    def _release_files(self) -> None:
        for segment in (*self._queue, *filter(None, (self._spare,))):
            if segment.drained == segment.end:
                segment.drop()
            else:
                os.close(segment.fd)
        for slot in (self._slot, *self._adopted.values()):
            slot.release()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise LedgerUnavailable(
                f"this journal belongs to process {self._process}, not to its fork {os.getpid()}",
                hint="open a Journal in each process, after the fork",
            )
