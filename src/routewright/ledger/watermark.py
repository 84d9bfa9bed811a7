"""How far the journal has come, and who waits for it: a position that only rises, for threads and event loops alike."""

import asyncio
import threading

from msgspec import Struct

from routewright.errors import LedgerUnavailable


class _Waiting(Struct, frozen=True):
    position: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Watermark:
    """A position that only rises; threads and event loops wait until it reaches theirs, or until it fails."""

    def __init__(self) -> None:
        self.reached = 0
        self._failure: str | None = None
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []

    def rise(self, position: int) -> None:
        """Let go everyone who waits for `position` or less."""
        with self._changed:
            self.reached = position
            self._changed.notify_all()
            ready = [waiting for waiting in self._waiting if waiting.position <= position]
            self._waiting = [waiting for waiting in self._waiting if waiting.position > position]
        _wake(ready, None)

    def fail(self, reason: str) -> None:
        """Let go everyone, with LedgerUnavailable."""
        with self._changed:
            self._failure = reason
            self._changed.notify_all()
            waiting, self._waiting = self._waiting, []
        _wake(waiting, reason)

    def heal(self, position: int) -> None:
        """Go on from `position` after a failure."""
        with self._changed:
            self._failure = None
        self.rise(position)

    async def wait(self, position: int) -> None:
        """Raises LedgerUnavailable when the position cannot be reached any more."""
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._has_reached(position):
                return
            future = loop.create_future()
            self._waiting.append(_Waiting(position, loop, future))
        await future

    def wait_blocking(self, position: int, timeout_s: float | None = None) -> bool:
        """The same without an event loop; False when it was not reached in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has_reached(position), timeout_s)

    def _has_reached(self, position: int) -> bool:
        if self.reached >= position:
            return True
        if self._failure is not None:
            raise LedgerUnavailable(self._failure)
        return False


def _wake(waiting: list[_Waiting], failure: str | None) -> None:
    """One wake-up per event loop, however many wait in it."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for one in waiting:
        futures.setdefault(one.loop, []).append(one.future)
    for loop, its in futures.items():
        try:
            loop.call_soon_threadsafe(_resolve, its, failure)
        except RuntimeError:  # the loop is closed: nobody waits in it any more
            continue


def _resolve(futures: list[asyncio.Future[None]], failure: str | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(LedgerUnavailable(failure))
