"""Alarms: `asyncio.timeout` for limits of which hardly one is ever reached, at a third of its cost.

All that are set share one timer of the event loop. It goes off for the earliest there was when it was set, looks which
are due, and is set for the earliest that is left; to set an alarm and to stop it is to note that, and no more.
"""

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from types import TracebackType

from msgspec import Struct

from routewright.clock import Clock

FEWEST_STOPPED = 64
"""So many that were stopped may lie about; more are swept out once they are the most."""


class Alarm(Struct, eq=False):
    """As a context: cancels the task within at its time, and makes a TimeoutError of that cancellation."""

    alarms: "Alarms"
    task: "asyncio.Task[object] | None"
    """None once it was stopped: it may lie about for longer than what it was set for should."""
    cancelling: int
    """How often the task's cancellation was asked for before."""
    has_rung: bool = False

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        if not self.has_rung:
            self.alarms.stopped += 1
        elif task is not None and task.uncancel() <= self.cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Alarms:
    """Those of one layer. In one event loop at a time."""

    def __init__(self, clock: Clock) -> None:
        self.stopped = 0
        """How many of those that lie about are not needed any more."""
        self._clock = clock
        self._set: list[tuple[float, int, Alarm]] = []
        """A heap by their times; those that were stopped are in it until then, or until they are the most."""
        self._number = count()
        self._goes_off_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        """Those that are set, and those that were stopped and lie about."""
        return len(self._set)

    def at(self, time: float) -> Alarm:
        """One for the current task, in monotonic seconds; to be entered at once."""
        # Of the loop that is known from before, if there is one: to ask which one runs is a system call.
        task = (self._loop and asyncio.current_task(self._loop)) or asyncio.current_task()
        assert task is not None
        alarm = Alarm(self, task, task.cancelling())
        if self.stopped > FEWEST_STOPPED and 2 * self.stopped > len(self._set):
            self._sweep()
        heappush(self._set, (time, next(self._number), alarm))
        loop = task.get_loop()
        if time < self._goes_off_at or loop is not self._loop:
            self._wait(loop)
        return alarm

    def _sweep(self) -> None:
        self._set = [entry for entry in self._set if entry[2].task is not None]
        heapify(self._set)
        self.stopped = 0

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """For the earliest; in a loop that is closed nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop, self._goes_off_at = loop, self._set[0][0]
        self._timer = loop.call_at(self._goes_off_at, self._look)

    def _look(self) -> None:
        self._timer, self._goes_off_at, now = None, inf, self._clock.monotonic()
        while self._set and (self._set[0][0] <= now or self._set[0][2].task is None):
            _, _, alarm = heappop(self._set)
            if alarm.task is not None:
                alarm.has_rung = True
                alarm.task.cancel()
            else:
                self.stopped -= 1
        if self._set:
            self._wait(asyncio.get_running_loop())
