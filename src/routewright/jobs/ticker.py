"""Telling the store what was written, aside: every half second, and never before it is on the disk."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from routewright.errors import StoreUnavailable
from routewright.jobs.job import ItemResult, Job, JobState
from routewright.jobs.output import JobFiles, Place
from routewright.jobs.store import JobStore

log = logging.getLogger(__name__)

EVERY_S = 0.5
MOST_UNTOLD = 5_000
"""Results that the store does not know yet; beyond them nothing more is asked until it does."""


class Ticker:
    """Has results until the store has them. Its verbs are called in the event loop."""

    def __init__(self, store: JobStore, job: Job, files: JobFiles, when_cancelled: Callable[[], None]) -> None:
        """`when_cancelled` is called when somebody has cancelled the job."""
        self._store = store
        self._job = job
        self._files = files
        self._when_cancelled = when_cancelled
        self.untold: list[ItemResult] = []
        """What was written and the store does not know."""
        self._unsettled: set[int] = set()
        """Where answers begin in the output whose results are still to come: no further is the store told of it."""
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_over = asyncio.Event()

    def expect(self, place: Place) -> None:
        """An answer was written, and its result will come once its attempt is settled."""
        self._unsettled.add(place.offset)

    def add(self, result: ItemResult) -> None:
        """A line was written, and this is the result."""
        if result.is_ok:
            self._unsettled.discard(result.offset)
        self.untold.append(result)
        if len(self.untold) >= MOST_UNTOLD:
            self._has_room.clear()

    async def room(self) -> None:
        """Until not too much is untold."""
        await self._has_room.wait()

    def end(self) -> None:
        """Have `follow` end."""
        self._is_over.set()

    async def follow(self) -> None:
        """Tell until the end; what the store does not take now is told again."""
        while not self._is_over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), EVERY_S)
            try:
                await self.tell()
            except StoreUnavailable as error:
                log.warning("the batch's results are in its files, and not in the store yet: %s", error.message)

    async def tell(self) -> None:
        """Have the store know all that was written until now. Raises StoreUnavailable, OSError."""
        told, (output_bytes, error_bytes) = len(self.untold), self._files.sizes
        sizes = min(self._unsettled, default=output_bytes), error_bytes
        if await asyncio.to_thread(self._tell, self.untold[:told], sizes) is JobState.CANCELLING:
            self._when_cancelled()
        del self.untold[:told]
        if len(self.untold) < MOST_UNTOLD:
            self._has_room.set()

    def _tell(self, results: list[ItemResult], sizes: tuple[int, int]) -> JobState:
        """`sizes` is how much of the files is told of with these results."""
        if results:
            self._files.sync()
            self._store.record(self._job, results, output_bytes=sizes[0], error_bytes=sizes[1])
        return self._store.get(self._job.id).state
