"""What wakes a thread that waits: `threading.Event` for one waiter, without its condition, lock and list of waiters.

An event loop rings it for every request, and the thread that hears it holds the interpreter meanwhile: both are a call
in C here.
"""

import threading


class Bell:
    """Rung or not. Any thread may ring it; one waits for it, and it is silent again once that has heard it."""

    def __init__(self) -> None:
        self._is_silent = threading.Lock()
        self._is_silent.acquire()

    def ring(self) -> None:
        """Wake whoever waits, or have the next one who would not wait."""
        if self._is_silent.locked():
            try:
                self._is_silent.release()
            except RuntimeError:  # another thread was quicker
                return

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until it is rung; False when it was not within so many seconds."""
        return self._is_silent.acquire(timeout=-1 if timeout_s is None else timeout_s)

    def hush(self) -> None:
        """As if it had been heard."""
        self._is_silent.acquire(blocking=False)
