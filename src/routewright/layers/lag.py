"""Lag: whether our own event loop stood still lately, so that what was met then is not blamed on a provider.

A beat is due ten times a second, as long as something is in flight; one that comes late says for how long nothing ran.
"""

import asyncio
from math import inf

from routewright.clock import Clock

BEAT_S = 0.1
TOLERATED_S = 0.25
"""A beat that is later than this: answers lay unread, and time-outs fired that were none."""
AFTERMATH_S = 5.0
"""How long what is met may still come of it: as long as connecting and beginning to answer may take."""


class Lag:
    """How late the loop's beats come; `begin` and `end` enclose what is in flight. In the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight = 0
        self._due_at = inf
        self._last_at = -inf

    def begin(self) -> None:
        """Something is in flight from now on."""
        self._in_flight += 1
        if self._due_at == inf:
            self._arm()

    def end(self) -> None:
        """It is over."""
        self._in_flight -= 1

    def stood_still(self, since: float, now: float) -> bool:
        """Whether the loop did between these monotonic seconds, and not too long before `now` to matter."""
        last_at = now if now - self._due_at > TOLERATED_S else self._last_at
        return last_at >= max(since, now - AFTERMATH_S)

    def _arm(self) -> None:
        self._due_at = self._clock.monotonic() + BEAT_S
        asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now = self._clock.monotonic()
        if now - self._due_at > TOLERATED_S:
            self._last_at = now
        self._due_at = inf
        if self._in_flight:
            self._arm()
