"""Time as a value that is handed in: durations from a monotonic clock, dates from the wall clock, never mixed."""

import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks that everything above the decision reads; `routewright.testing.FakeClock` stands in for them."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; the same clock as the running event loop's `time()`."""
        ...

    def time_ns(self) -> int:
        """UTC, in nanoseconds since 1970."""
        ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
