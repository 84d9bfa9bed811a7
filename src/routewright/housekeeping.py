"""What a serving process does for its ledger beside serving: it recovers what neighbours left, seals days, prunes.

All of it runs in threads, one job at a time, in small steps with pauses between them, so that the event loop and the
journal's drainer hardly feel it; and it stops between two steps when the process does.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from routewright.clock import Clock
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.database import Database
from routewright.ledger.recovery import Recovery
from routewright.ledger.retention import can_prune, oldest_kept, prune
from routewright.ledger.seals import seal_due

log = logging.getLogger(__name__)

NEIGHBOURS_EVERY_S = 5.0
DAYS_EVERY_S = 3600.0
BREATH_S = 0.02
"""Between two steps of some 5 ms each."""


class _Stopped(Exception):
    """The process ends: whatever was being done is left as it is, and taken up by the next one."""


class Housekeeping:
    """Await `follow_neighbours` and `follow_days`; `stop` before the store is closed."""

    def __init__(self, database: Database, recovery: Recovery, clock: Clock, retention_days: Callable[[], int]) -> None:
        self._database = database
        self._recovery = recovery
        self._clock = clock
        self._retention_days = retention_days
        self._turn = threading.Lock()
        self._looking = threading.Lock()
        self._stopping = threading.Event()

    async def follow_neighbours(self) -> None:
        """Take over from processes that die, for as long as it is awaited."""
        while True:
            await asyncio.sleep(NEIGHBOURS_EVERY_S)
            await asyncio.to_thread(self.look_at_neighbours)

    async def follow_days(self) -> None:
        """Seal days that are over and delete what is older than it is kept, once an hour, while it is awaited."""
        while True:
            await asyncio.to_thread(self.keep_days)
            await asyncio.sleep(DAYS_EVERY_S)

    def look_at_neighbours(self) -> None:
        """Bring home what dead processes left, if there is any; a store that does not answer is asked again later."""
        with self._looking:
            if self._stopping.is_set():
                return
            try:
                self._recovery.look()
            except (StoreUnavailable, LedgerUnavailable) as error:
                log.warning("what another process left is not recovered yet: %s", error.message)

    def keep_days(self) -> None:
        """Settle what jobs left, seal what is due, delete what need not be kept; what is left is done in an hour."""
        with self._turn:
            try:
                self._breathe()
                self._recovery.settle_old_jobs()
                for seal in seal_due(self._database, self._clock.time_ns(), self._breathe):
                    log.info("sealed %s, supplement %d: %d rows", seal.day, seal.supplement, seal.rows)
                self._prune()
            except (StoreUnavailable, LedgerUnavailable) as error:
                log.warning("days are not sealed or pruned now: %s", error.message)
            except _Stopped:
                return

    def _prune(self) -> None:
        days = self._retention_days()
        if not days:
            return
        if not can_prune(self._database):
            log.warning("nothing is pruned: the ledger has no roll-ups, and reports would lose what is deleted")
            return
        now_ns = self._clock.time_ns()
        before = oldest_kept(now_ns, days)
        pruned = prune(self._database, before, now_ns, monotonic=time.monotonic, pause=self._breathe)
        if pruned.days:
            log.info("pruned %d rows of %d days up to %s", pruned.rows, len(pruned.days), pruned.days[-1])

    def _breathe(self) -> None:
        if self._stopping.wait(BREATH_S):
            raise _Stopped

    def stop(self) -> None:
        """Begin nothing more, and return when what runs has come to a step's end."""
        self._stopping.set()
        with self._turn, self._looking:
            return
