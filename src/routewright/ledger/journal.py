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
including it. What is done to the files, step by step, is in `tape`; here are the threads that do it, and who waits.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path

from msgspec import Struct

from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.bell import Bell
from routewright.ledger.files import OS_FILES, FileCalls
from routewright.ledger.tape import MIB, Position, Sink, Tape

log = logging.getLogger(__name__)


class Pace(Struct, frozen=True, kw_only=True):
    """How long the threads gather work before they begin, in seconds."""

    gather_s: float = 0.002
    """Between a sync and the next, at least: what is written after a quiet moment is synced at once."""
    idle_s: float = 0.02
    """Before a sync that nobody waits for yet: most are over before the provider's answer begins. Who comes to wait
    cuts it short."""
    eager_s: float = 1.0
    """So long after somebody had to wait, answers are expected to come as quickly again: what opens a hold is then
    synced at once, beside the provider's work, and not when it is waited for."""
    drain_s: float = 1.0
    """Before a drain, unless somebody waits in `flush`."""
    retry_s: float = 0.1
    """Before a failed drain, segment or disk is tried again; the pause doubles each time for a drain and a disk."""
    longest_retry_s: float = 5.0


_PACE = Pace()


class Journal:
    """This process's log. Open it, `recover`, `start` the drainer, `append`; `close` at the end.

    Safe to use from any thread and any event loop of the process that opened it, and from no other process.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 4 * MIB,
        limit_bytes: int = 256 * MIB,
        pace: Pace = _PACE,
        files: FileCalls = OS_FILES,
    ) -> None:
        """See `Tape`."""
        self._tape = Tape(directory, segment_bytes=segment_bytes, limit_bytes=limit_bytes, files=files)
        self.boot = self._tape.boot
        """This process's name in the holds it writes; never used twice."""
        self.boots_before = frozenset(self._tape.boots_before)
        """Dead processes whose slot this one has taken: nobody else will find what they left any more."""
        self._directory = directory
        self._pace = pace
        self._stopping = threading.Event()
        self._to_sync = Bell()
        self._is_awaited = Bell()
        self._eager_until = -inf
        self._to_drain = Bell()
        self._hurry = Bell()
        self._drainer: threading.Thread | None = None
        self._syncer = threading.Thread(target=self._keep_syncing, name="journal-syncer", daemon=True)
        try:
            _start(self._syncer)
        except LedgerUnavailable:
            self._tape.release()
            raise
        self._to_sync.ring()

    @property
    def position(self) -> Position:
        """Of the last record appended."""
        return self._tape.appended

    @property
    def backlog_bytes(self) -> int:
        """What the store has not taken yet."""
        return self._tape.backlog_bytes

    @property
    def trouble(self) -> str | None:
        """Why nothing new is admitted now, in words without a path; None while all is well."""
        if self._tape.failure is not None:
            return "the journal's disk failed"
        if self._tape.shortage is not None:
            return "the journal's disk has no room"
        return "the journal is full, as the store takes nothing" if self._tape.is_full else None

    # -- writing

    def append(self, *payloads: bytes, closing: bool = False) -> Position:
        """Write records, without a line feed in them, at once; they now survive the death of this process.

        Records that are `closing` a hold may use the room kept back for them; see `Tape.append`. Raises
        LedgerUnavailable, and has then written nothing.
        """
        position = self._tape.append(*payloads, closing=closing)
        self._to_sync.ring()
        if not closing and time.monotonic() < self._eager_until:
            self._is_awaited.ring()
        return position

    # -- syncing

    async def durable(self, position: Position) -> None:
        """Return once the record at `position` survives a power cut; does not suspend when it already does.

        Raises LedgerUnavailable when the disk failed first: what it then holds cannot be known.
        """
        if self._tape.synced.reached < position:
            self._ask_for_sync(position)
            await self._tape.synced.wait(position)

    def durable_blocking(self, position: Position) -> None:
        """The same for callers without an event loop."""
        if self._tape.synced.reached < position:
            self._ask_for_sync(position)
            self._tape.synced.wait_blocking(position)

    def _ask_for_sync(self, position: Position) -> None:
        """Unless the one under way goes that far: after it another would follow, for nobody."""
        self._tape.check_process()
        self._eager_until = time.monotonic() + self._pace.eager_s
        if self._tape.syncing < position:
            self._is_awaited.ring()

    def _keep_syncing(self) -> None:
        try:
            self._sync_until_stopped()
        except Exception as error:  # the outermost edge of a thread: without it, everyone would wait for ever
            log.exception("the journal's syncer failed")
            self._tape.poison(f"the journal's syncer failed: {error!r}; restart the process")

    def _sync_until_stopped(self) -> None:
        pause_s, synced_at = self._pace.retry_s, -inf
        while not self._stopping.is_set():
            self._to_sync.wait(self._pace.retry_s if self._tape.shortage else None)
            self._is_awaited.wait(self._pace.idle_s)
            self._sleep_if_idle()
            gather_s = synced_at + self._pace.gather_s - time.monotonic()
            if gather_s > 0:
                self._stopping.wait(gather_s)
            self._is_awaited.hush()
            self._tape.sync()
            synced_at = time.monotonic()
            self._to_drain.ring()
            if self._stopping.is_set():
                return
            if self._tape.failure is None:
                self._tape.make_spare()
                pause_s = self._pace.retry_s
            else:
                self._heal(pause_s)
                pause_s = min(2 * pause_s, self._pace.longest_retry_s)
        self._tape.sync()

    def _sleep_if_idle(self) -> None:
        """Have the next append wake the syncer, if nothing came for a while; while something comes, it looks by itself:
        to wake a thread takes the event loop longer than to write."""
        self._to_sync.hush()  # before the looks: whatever comes after them sets it
        if self._stopping.is_set() or self._tape.appended > self._tape.synced.reached:
            self._to_sync.ring()

    def _heal(self, pause_s: float) -> None:
        """Go on after a disk failure, once the store has all that the disk may have lost; ask again after a pause."""
        self._hurry.ring()
        self._to_drain.ring()
        self._stopping.wait(pause_s)
        self._to_sync.ring()
        try:
            if self._tape.heal():
                log.warning("the journal in %s goes on in a fresh segment; nothing was lost", self._directory)
        except LedgerUnavailable as error:
            log.error("nothing new is admitted yet: %s", error.message)

    # -- draining

    def start(self, sink: Sink) -> None:
        """Begin to feed `sink`, from a thread of its own, with all that was recovered and all that is appended.

        Raises LedgerUnavailable when there can be no more threads; the journal is then closed.
        """
        self._tape.begin()
        drainer = threading.Thread(target=self._keep_draining, args=(sink,), name="journal-drainer", daemon=True)
        try:
            _start(drainer)
        except LedgerUnavailable:
            self.close()
            raise
        self._drainer = drainer
        self._to_drain.ring()

    async def flush(self, timeout_s: float = 10.0) -> None:
        """Return once the store has everything appended so far. Raises LedgerUnavailable after `timeout_s` seconds."""
        self._ask_for_drain()
        try:
            async with asyncio.timeout(timeout_s):
                await self._tape.drained.wait(self._tape.appended)
                await self._tape.rescued.wait(self._tape.parked)
        except TimeoutError:
            raise LedgerUnavailable(self._not_flushed(timeout_s)) from None

    def flush_blocking(self, timeout_s: float = 10.0) -> None:
        """The same for callers without an event loop."""
        self._ask_for_drain()
        tape, begun = self._tape, time.monotonic()
        has_arrived = tape.drained.wait_blocking(tape.appended, timeout_s)
        left_s = max(0.0, timeout_s - (time.monotonic() - begun))
        if not has_arrived or not tape.rescued.wait_blocking(tape.parked, left_s):
            raise LedgerUnavailable(self._not_flushed(timeout_s))

    def _ask_for_drain(self) -> None:
        self._tape.check_process()
        self._hurry.ring()
        self._to_drain.ring()

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
            self._hurry.hush()
            self._to_drain.hush()
            if self._drain(sink):
                pause_s = self._pace.retry_s
                continue
            if self._hurry.wait(pause_s):
                self._hurry.ring()  # for the next drain too
            self._to_drain.ring()
            pause_s = min(2 * pause_s, self._pace.longest_retry_s)

    def _drain(self, sink: Sink) -> bool:
        """Hand over all there is; False when the sink would not take it."""
        try:
            self._tape.drain(sink)
        except (StoreUnavailable, LedgerUnavailable) as error:
            log.warning("the journal keeps %d bytes and will try again: %s", self.backlog_bytes, error.message)
            return False
        except Exception:  # the outermost edge of a thread: a bug in the store must not lose a record
            log.exception("the journal keeps %d bytes and will try again", self.backlog_bytes)
            return False
        return True

    # -- recovery

    def recover(self) -> Iterator[bytes]:
        """The records that dead processes left undrained, in order; some may be in the store already.

        Read it to its end before `start` to see this slot's own left-overs as well. It may be called again later, to
        take over from processes that died since. What it yields is drained into the store like everything else; once
        `flush` has returned, the store alone tells the whole story.

        Raises LedgerUnavailable when a file cannot be read or there is no room to go on in.
        """
        yield from self._tape.recover()
        self._to_sync.ring()

    def boots_alive(self) -> set[str]:
        """The names of the processes that may still close a hold: this one, and all others that write here now.

        A dead process counts as alive until the store has all that it left: the end of its hold may be in there.
        """
        return self._tape.boots_alive()

    # -- the end

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most `timeout_s` seconds and let the slot go; what is left waits there for the next process."""
        self._tape.check_process()
        if not self._tape.refuse():
            return
        if self._drainer is not None:
            try:
                self.flush_blocking(timeout_s)
            except LedgerUnavailable as error:
                log.warning("closing the journal: %s", error.message)
        self._stop_threads(timeout_s)
        closed = f"the journal in {self._directory} is closed"
        self._tape.synced.fail(closed)
        self._tape.drained.fail(closed)
        self._tape.rescued.fail(closed)

    def _stop_threads(self, timeout_s: float) -> None:
        self._stopping.set()
        for bell in (self._to_sync, self._is_awaited, self._to_drain, self._hurry):
            bell.ring()
        self._syncer.join()
        if self._drainer is not None:
            self._drainer.join(timeout_s)
            if self._drainer.is_alive():
                log.warning("the store still holds a batch: the journal's slot is free when this process ends")
                return
        self._tape.release()


def _start(thread: threading.Thread) -> None:
    """Raises LedgerUnavailable when the system gives no more threads."""
    try:
        thread.start()
    except RuntimeError as error:
        raise LedgerUnavailable(
            f"the ledger's thread {thread.name} cannot start: {error}",
            hint="allow this user, or this container, more processes (`ulimit -u`, `pids.max`), or end some",
        ) from error
