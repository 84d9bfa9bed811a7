"""Alarms: `asyncio.timeout` for limits of which hardly one is ever reached, at a third of its cost.

All that are set share one timer of the event loop. It goes off for the earliest there was when it was set, looks which
are due, and is set for the earliest that is left; to set an alarm and to stop it is to note that, and no more.
"""

import asyncio
from heapq import heapify, heappop, heappush
from types import TracebackType

from routewright.clock import Clock

FEWEST_STOPPED = 64
"""So many that were stopped may lie about; more are swept out once they are the most."""


class Alarm:
    """As a context: cancels the task within at its time, and makes a TimeoutError of that cancellation."""

    __slots__ = ("_alarms", "_cancelling", "_has_rung", "_task", "at")

    def __init__(self, alarms: "Alarms", at: float, task: "asyncio.Task[object]") -> None:
        self._alarms = alarms
        self._task: asyncio.Task[object] | None = task
        """None once it was stopped: it may lie about for longer than what it was set for should."""
        self._cancelling = task.cancelling()
        self._has_rung = False
        self.at = at

    @property
    def is_set(self) -> bool:
        """Whether it is to ring."""
        return self._task is not None

    def __lt__(self, other: "Alarm") -> bool:
        return self.at < other.at

    def ring(self) -> None:
        """It is time; nothing, for one that was stopped."""
        if self._task is not None:
            self._has_rung = True
            self._task.cancel()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._has_rung:
            self._alarms.stopped()
        elif task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Alarms:
    """Those of one layer. In one event loop at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set: list[Alarm] = []
        """A heap; those that were stopped are in it until their time, or until they are the most."""
        self._stopped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        """Those that are set, and those that were stopped and lie about."""
        return len(self._set)

    def at(self, time: float) -> Alarm:
        """One for the current task, in monotonic seconds; to be entered at once."""
        task = asyncio.current_task()
        assert task is not None
        alarm = Alarm(self, time, task)
        heappush(self._set, alarm)
        loop = task.get_loop()
        if self._timer is None or time < self._timer.when() or loop is not self._loop:
            self._wait(loop)
        return alarm

    def stopped(self) -> None:
        """One that has not rung is not needed any more."""
        self._stopped += 1
        if self._stopped > FEWEST_STOPPED and 2 * self._stopped > len(self._set):
            self._set = [alarm for alarm in self._set if alarm.is_set]
            heapify(self._set)
            self._stopped = 0

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """For the earliest; in a loop that is closed nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop, self._timer = loop, loop.call_at(self._set[0].at, self._look)

    def _look(self) -> None:
        self._timer, now = None, self._clock.monotonic()
        while self._set and (self._set[0].at <= now or not self._set[0].is_set):
            alarm = heappop(self._set)
            if alarm.is_set:
                alarm.ring()
            else:
                self._stopped -= 1
        if self._set:
            self._wait(asyncio.get_running_loop())
