"""A store that has to be waited for, in a thread of its own and with little patience: a cache must not slow anybody."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from routewright.cache.answers import AnswerStore
from routewright.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 0.05
"""For a look; what takes longer is not there."""
MOST_WAITING = 64
"""Looks and answers that wait for the thread; beyond it there is nothing, and nothing is kept."""


class Aside:
    """Implements `Answers` over an `AnswerStore`."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="routewright-cache")
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._is_closed = False
        self._is_failing = False

    async def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key, if the store says so in time."""
        looking = self._start(lambda: self._store.find(key, now_ns))
        if looking is None:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.wrap_future(looking)
        except (TimeoutError, StoreUnavailable):
            return None

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Hand it over; nobody waits for it."""
        self._start(lambda: self._store.keep(key, kept, until_ns=until_ns, now_ns=now_ns))

    async def close(self) -> None:
        """Wait for what was handed over, then close the store."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.to_thread(self._thread.shutdown)
            self._store.close()

    def _start(self, work: Callable[[], T]) -> "Future[T] | None":
        if self._is_closed or not self._room.acquire(blocking=False):
            return None
        started = self._thread.submit(work)
        started.add_done_callback(self._note)
        return started

    def _note(self, done: "Future[T]") -> None:
        """Told once for each time that the store begins to fail."""
        self._room.release()
        if done.cancelled():
            return
        error = done.exception()
        if error is not None and not self._is_failing:
            log.warning("the response cache is passed by: %s", error)
        self._is_failing = error is not None
