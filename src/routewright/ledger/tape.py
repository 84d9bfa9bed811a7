"""What the journal writes on: segments from their first record to their deletion, step by step, with no thread.

Each step may be taken by a thread of its own: `append` by whoever has something to say, `sync` and `make_spare` by the
syncer, `drain` by the drainer. What they share (the queue of segments, what is appended) is guarded by one lock, which
is never held during a sync or a store's commit.

What was written lately is remembered until the store has it, so that no file is read while the store keeps up. Beyond
a bound only what the disk may still lose is, and the rest is read back.

A disk that fails a sync or a write is not believed any more: the kernel may drop the pages it could not write, and call
the next sync a success. So nothing more goes to that file. What it is not known to have is remembered, and when the
store has taken it, `heal` goes on in a fresh segment.
"""

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

from routewright.errors import LedgerUnavailable
from routewright.ledger.files import OS_FILES, FileCalls
from routewright.ledger.segments import LINE_OVERHEAD, Segment, Slot, boots_in, encode_lines, slot_paths
from routewright.ledger.watermark import Watermark

log = logging.getLogger(__name__)

Position: TypeAlias = int
Sink: TypeAlias = Callable[[Sequence[bytes]], None]
"""Commits a batch durably before it returns; raises StoreUnavailable when it cannot do so now."""

MIB = 1024 * 1024
REMEMBERED_BYTES = 16 * MIB
"""Of what the store has not taken; several seconds' worth at a thousand requests a second."""
GOES_ON = "the journal goes on by itself once the store has what the disk may have lost"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Tape:
    """This process's segments, in the order in which they are drained; the last one is written to."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 4 * MIB,
        limit_bytes: int = 256 * MIB,
        remembered_bytes: int = REMEMBERED_BYTES,
        files: FileCalls = OS_FILES,
    ) -> None:
        """Take a slot in `directory`. Raises LedgerUnavailable when there is no room or no permission.

        `limit_bytes` bounds what the store has not taken; its last eighth is kept for records that close a hold.
        """
        self.boot = secrets.token_hex(8)
        """This process's name in the holds it writes; never used twice."""
        self.failure: str | None = None
        """Why nothing can be written until `heal`; None while all is well."""
        self.shortage: str | None = None
        """Why there is no spare segment; None while there is one, or one is about to be made."""
        self.appended = 0
        """The position of the last record."""
        self.syncing = 0
        """Up to where the sync goes that was begun last."""
        self.synced = Watermark()
        self.drained = Watermark()
        self.parked = 0
        """How many closing records the disk would not take, ever."""
        self.rescued = Watermark()
        """How many of them the store has."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._open_limit_bytes = limit_bytes - limit_bytes // 8
        self._most_remembered = remembered_bytes
        self._remembered_bytes = 0
        self._files = files
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._sync_turn = threading.Lock()  # held during a sync; taken before the other one
        self._queue: deque[Segment] = deque()
        self._unsynced: list[Segment] = []  # no longer written to, and not yet synced
        self._spare: Segment | None = None
        self._parked: deque[bytes] = deque()  # closing records that neither the disk nor the store has
        self._parked_bytes = 0
        self._is_closed = False
        self._adopted: dict[Path, Slot] = {}  # slots of dead processes, until they are drained
        self._slot = Slot.take_first_free(directory, files)
        try:
            self._numbers = count(self._slot.last_number() + 1)
            self._left_over = self._slot.segments()
            self.boots_before = self._slot.boots
            """Who wrote in this slot before, as far as it knows: they are dead, and it will not be read there again."""
            self._slot.sign(self.boot, *(self.boots_before if self._left_over else ()))
            self._enqueue(self._left_over, self._create_segment())
        except BaseException:
            self._slot.release()
            raise

    @property
    def backlog_bytes(self) -> int:
        """What the store has not taken yet."""
        return self.appended - self.drained.reached + self._parked_bytes

    @property
    def is_full(self) -> bool:
        """Whether only records that close a hold are taken, until the store has taken something."""
        return self.appended - self.drained.reached >= self._open_limit_bytes

    # -- writing

    def append(self, *payloads: bytes, closing: bool = False) -> Position:
        """Write records, without a line feed in them, at once; they now survive the death of this process.

        Records that are `closing` a hold may use the room kept back for them when the disk or the journal is full:
        that money is already spent. If the disk does not take them at all they wait in memory for the store, and count
        as far as `limit_bytes`' last eighth. Raises LedgerUnavailable, and has then written nothing.
        """
        data = encode_lines(payloads)
        size = len(data)
        self.check_process()
        with self._lock:
            limit = self._limit_bytes if closing else self._open_limit_bytes
            if self.appended + size - self.drained.reached > limit or self._is_closed:
                raise self._refusal(limit)
            trouble = self.failure or (None if closing else self.shortage) or self._write(data)
            if trouble is None:
                self._queue[-1].remember(*payloads)
                self.appended += size
                self._remembered_bytes += size
            elif not (closing and self._park(payloads, size)):
                raise LedgerUnavailable(trouble)
            return self.appended

    def _refusal(self, limit: int) -> LedgerUnavailable:
        if self._is_closed:
            return LedgerUnavailable(f"the journal in {self._directory} is closed")
        return LedgerUnavailable(
            f"journal full: {self._directory} holds {self.backlog_bytes} bytes that the store has not taken "
            f"(limit {limit}); mend the store, and it drains by itself"
        )

    def _write(self, data: bytes) -> str | None:
        """Why it could not be written."""
        segment = self._queue[-1]
        if segment.end + len(data) > self._segment_bytes and self._spare is not None:
            # Without a spare the segment grows on: making one here would stall the event loop.
            segment = self._rotate(self._spare)
            self._spare = None
        try:
            if self._files.write(segment.fd, data, segment.end) == len(data):
                return None
            self._files.truncate(segment.fd, segment.end)  # away with the part that did fit
        except OSError as error:
            trouble = f"cannot write to the journal's {segment.path}: {error.strerror}"
            if error.errno not in _NO_ROOM:
                self.poison(f"{trouble}; {GOES_ON}")
            return trouble
        return f"cannot write to the journal's {segment.path}: the disk is full; free some space"

    def _park(self, payloads: Sequence[bytes], size: int) -> bool:
        """Keep records for the store that the disk would not take; False when there are too many already."""
        if self._parked_bytes + size > self._limit_bytes // 8:
            return False
        self._parked.extend(payloads)
        self._parked_bytes += size
        self.parked += len(payloads)
        return True

    def _rotate(self, fresh: Segment) -> Segment:
        if self._queue:
            self._unsynced.append(self._queue[-1])
        fresh.start = self.appended
        self._queue.append(fresh)
        return fresh

    def _create_segment(self) -> Segment:
        path = self._slot.path / f"{next(self._numbers):012d}.log"
        try:
            return Segment(path, self._files.create(path, self._segment_bytes), files=self._files)
        except OSError as error:
            raise LedgerUnavailable(
                f"no segment can be added to the journal in {self._directory}: {error.strerror}", hint="check its disk"
            ) from error

    # -- syncing

    def sync(self) -> None:
        """Make durable what was appended until now."""
        with self._sync_turn:
            with self._lock:
                written = (*self._unsynced, self._queue[-1])
                # Of any other, the drainer may be closing the file.
                segments = [segment for segment in written if segment.final_position > self.synced.reached]
                self._unsynced.clear()
                target = self.syncing = self.appended
            if self.failure is None and target > self.synced.reached:
                self._sync_to(target, segments)

    def _sync_to(self, target: Position, segments: list[Segment]) -> None:
        for segment in segments:
            try:
                self._files.sync(segment.fd)
            except OSError as error:
                self.poison(f"cannot sync the journal's {segment.path}: {error.strerror}; {GOES_ON}")
                return
        if self._remembered_bytes > self._most_remembered:
            self._forget(target)
        self.synced.rise(target)

    def _forget(self, position: Position) -> None:
        """Leave to the files what they have for sure."""
        with self._lock:
            for segment in self._queue:
                self._remembered_bytes -= segment.forget(position - segment.start)

    def poison(self, reason: str) -> None:
        """Write nothing more, and let those go, with LedgerUnavailable, who wait for a sync."""
        self.failure = reason
        self.synced.fail(self.failure)
        log.error("nothing new is admitted: %s", self.failure)

    def make_spare(self) -> None:
        """Have a segment ready for when the one written to is full; see `shortage` if that fails."""
        if self._spare is not None or self.failure is not None:
            return
        try:
            self._spare, self.shortage = self._create_segment(), None
        except LedgerUnavailable as error:
            if self.shortage is None:
                log.error("nothing new is admitted: %s", error.message)
            self.shortage = error.message

    def heal(self) -> bool:
        """After a failure, go on in a fresh segment; False while the store has not taken everything.

        Raises LedgerUnavailable when the disk still fails.
        """
        if self.drained.reached < self.appended:
            return False
        fresh = self._create_segment()
        with self._sync_turn, self._lock:
            self._rotate(fresh)
            self._unsynced.clear()  # never synced again, and not needed: the store has their records
            self.failure = None
            self.synced.heal(self.appended)
        return True

    # -- draining

    def begin(self) -> None:
        """What dead processes left in this slot is drained from now on, whether `recover` was asked for it or not."""
        self._left_over = []

    def drain(self, sink: Sink) -> None:
        """Hand over all there is now, and delete what has arrived. Raises what the sink raises, and LedgerUnavailable.

        What is appended meanwhile waits for the next time: a commit of a few records costs much more for each.
        """
        target = self.appended
        while self.drained.reached < target:
            self._drain_batch(sink)
        self._drop_drained()
        self._drain_parked(sink)

    def _drain_batch(self, sink: Sink) -> None:
        with self._lock:
            segment = next(segment for segment in self._queue if segment.drained < segment.end)
            is_remembered = segment.drained >= segment.remembered_from
            records, reached = segment.recall() if is_remembered else ([], segment.remembered_from)
        if not is_remembered:
            records, reached = segment.read(segment.drained, reached)
        if records:
            sink(records)
        with self._lock:
            segment.drained = reached
            self._remembered_bytes -= segment.forget(reached)
        try:
            self._drop_drained()
        finally:
            self.drained.rise(segment.start + reached)

    def _drain_parked(self, sink: Sink) -> None:
        if parked := list(self._parked):
            sink(parked)
            with self._lock:
                for payload in parked:
                    self._parked_bytes -= len(payload) + LINE_OVERHEAD
                    self._parked.popleft()
            self.rescued.rise(self.rescued.reached + len(parked))

    def _drop_drained(self) -> None:
        """Delete what is in the store, except the segment still written to and those the syncer may still use."""
        while len(self._queue) > 1:
            head = self._queue[0]
            if head.drained < head.end or head.final_position > self.synced.reached:
                return
            with self._lock:
                self._queue.popleft()
            head.drop()
            home = head.path.parent
            if home in self._adopted and self._queue[0].path.parent != home:
                self._adopted.pop(home).release()

    # -- recovery

    def recover(self) -> Iterator[bytes]:
        """The records that dead processes left undrained, in order; see `Journal.recover`."""
        found, self._left_over = self._left_over, []
        adopted, fresh = self._adopt()
        try:
            for segment in (*found, *adopted):
                yield from segment.records()
        finally:
            if fresh is not None:
                self._enqueue(adopted, fresh)

    def boots_alive(self) -> set[str]:
        """The names of the processes that may still close a hold; see `Journal.boots_alive`."""
        with self._lock:
            undrained = [segment.boots for segment in self._queue if segment.drained < segment.end]
        alive = {self.boot}.union(*undrained)
        for path in self._other_slots():
            slot = Slot.take(path, self._files)
            if slot is None or slot.logs():
                alive.update(boots_in(path))
            if slot is not None:
                slot.release()
        return alive

    def _adopt(self) -> tuple[list[Segment], Segment | None]:
        """What dead processes left, their slots now locked; and the segment to go on in behind it, if there is any."""
        self.check_process()
        slots = {path: slot for path in self._other_slots() if (slot := Slot.take(path, self._files))}
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
                self.appended += segment.end
            self._rotate(fresh)

    # -- the end

    def refuse(self) -> bool:
        """Take nothing more; False if that was so already."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        return not was_closed

    def release(self) -> None:
        """Let the slot go; what is not drained waits there for the next process."""
        for segment in (*self._queue, *filter(None, (self._spare,))):
            if segment.drained == segment.end:
                segment.drop()
            else:
                segment.close()
        for slot in (self._slot, *self._adopted.values()):
            slot.release()
        if self._parked:
            log.error(
                "%d records that close a hold were taken by neither disk nor store: those holds count in full",
                len(self._parked),
            )

    def check_process(self) -> None:
        """Raises LedgerUnavailable in a fork of the process that opened this."""
        if os.getpid() != self._process:
            raise LedgerUnavailable(
                f"this journal belongs to process {self._process}, not to its fork {os.getpid()}",
                hint="open a Journal in each process, after the fork",
            )
