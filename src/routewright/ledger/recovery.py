"""What processes left that died beside living ones: their undrained records go into the store, their holds are settled.

It needs no journal of its own: whoever gets a slot's lock knows that its writer is gone, and keeps others out until
the store has everything. Nothing is told to be dead because nobody here has heard of it: on a shared database it may
live on another machine.
"""

import logging
import os
from pathlib import Path

from msgspec import Struct

from routewright.clock import Clock
from routewright.ledger.accounts import close_what_crashed
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import is_job
from routewright.ledger.segments import Segment, Slot, boots_in, slot_paths
from routewright.ledger.store import Store

log = logging.getLogger(__name__)


class Recovered(Struct, frozen=True):
    """What a look at the slots found to do."""

    records: int = 0
    """Brought into the store from journals of the dead; some may have been there already."""
    holds: int = 0
    """Settled at their upper bound."""

    def __add__(self, other: "Recovered") -> "Recovered":
        return Recovered(self.records + other.records, self.holds + other.holds)


class Recovery:
    """Looks at the slots of a journal's directory as often as it is told to; by one thread at a time.

    A look that finds nothing new costs one `flock` for each slot, and no query.
    """

    def __init__(self, directory: Path, store: Store, clock: Clock) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._escrow = DatabaseEscrow(store.database)
        self._done: dict[Path, tuple[str, ...]] = {}

    def look(self) -> Recovered:
        """Take over from every process that is gone. Raises StoreUnavailable, LedgerUnavailable: then look again."""
        found = Recovered()
        for path in slot_paths(self._directory):
            slot = Slot.take(path)
            if slot is None:  # its process lives; our own is among them
                continue
            try:
                found += self._take_over(slot)
            finally:
                slot.release()
        return found

    def settle_the_forgotten(self) -> Recovered:
        """Settle what is open of processes that no slot knows any more, and give back what they were granted.

        Only where all that write, write here.
        """
        holds = self._store.pending(lambda: boots_alive(self._directory))
        if holds:
            self._store.absorb(list(close_what_crashed(holds, self._clock)))
        self._escrow.forget_all_but(lambda: boots_alive(self._directory))
        self._escrow.forget_old_jobs()
        return Recovered(holds=len(holds))

    def settle_old_jobs(self) -> None:
        """Settle what is open of jobs that nobody has resumed for days, and give back what they were granted.

        In any store: a job is resumed by whoever has its files, and not by who made it. Raises StoreUnavailable.
        """
        holds = [hold for hold in self._store.unattended() if is_job(hold.boot)]
        if holds:
            self._store.absorb(list(close_what_crashed(holds, self._clock)))
        self._escrow.forget_old_jobs()

    def _take_over(self, slot: Slot) -> Recovered:
        boots = slot.boots
        records = self._drain(slot) if slot.logs() else 0
        if not records and self._done.get(slot.path) == boots:
            return Recovered()
        holds = [hold for hold in self._store.unattended() if hold.boot in boots]
        if holds:
            self._store.absorb(list(close_what_crashed(holds, self._clock)))
        self._escrow.forget(frozenset(boots))  # nothing of them is open or undrained any more
        self._done[slot.path] = boots
        if records or holds:
            log.warning(
                "recovered %d ledger events and settled %d holds of a process that ended without closing",
                records,
                len(holds),
            )
        return Recovered(records, len(holds))

    def _drain(self, slot: Slot) -> int:
        segments = slot.segments()
        count = 0
        try:
            while segments:
                count += self._drain_segment(segments[0])
                segments.pop(0).drop()
        finally:
            for segment in segments:
                os.close(segment.fd)
        return count

    def _drain_segment(self, segment: Segment) -> int:
        count = offset = 0
        while offset < segment.end:
            records, offset = segment.read(offset)
            if records:
                self._store.absorb(records)
            count += len(records)
        return count


def writers_in(directory: Path) -> list[Path]:
    """The slots that a living process writes to now."""
    living = []
    for path in slot_paths(directory):
        if slot := Slot.take(path):
            slot.release()
        else:
            living.append(path)
    return living


def boots_alive(directory: Path) -> set[str]:
    """The names of the processes that may still close a hold, as far as they write here."""
    return {boot for path in writers_in(directory) for boot in boots_in(path)}


def has_left_overs(directory: Path) -> bool:
    """Whether a process that is gone left something that is not in the store."""
    living = writers_in(directory)
    return any(any(path.glob("*.log")) for path in slot_paths(directory) if path not in living)
