"""Pace: how long deployments take to begin an answer.

Load is peak-EWMA times calls in flight (twitter/finagle, `PeakEwma`): one slow answer raises it at once, fast ones
lower it by and by, and so does time, so that who was slow is asked again. What is taken is the time to the first event;
an unstreamed answer has one event only. A failure counts as a slow answer, as an error that comes fast is no reason to
send more. How long a call waited here says nothing of who it waited for, so it is no part of the pace.
"""

import asyncio
from collections.abc import Iterable
from math import exp, inf

from routewright.call import Attempt
from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.errors import ProviderError, TooLate
from routewright.layers.service import Service
from routewright.reply import Reply

FADES_IN_S = 10.0
"""After so long without news, what is remembered of a time is a third."""
FAILURE_S = 5.0
"""What a failure counts as, at least."""
SHORTEST_S = 0.001
UNKNOWN_S = 10.0
"""Taken for a deployment that has a call in flight and was never heard of: one call at a time finds out."""
TELLING_S = 1.0
"""A wait in vain that says something of a deployment that was never heard of."""
MEMORY_S = 30.0
"""The fastest answer is that of the last 30 to 60 s."""


class Pace:
    """One deployment's. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._peak_s: float | None = None
        self._heard_at = 0.0
        self._fastest_s = inf
        self._fastest_before_s = inf
        self._fastest_since = 0.0
        self._least_s = 0.0

    def load(self, now: float, calls: float) -> float:
        """What one call more than these would wait for, about: comparable among deployments of a model."""
        if self._peak_s is None:
            return UNKNOWN_S * calls
        return max(SHORTEST_S, self._faded(self._peak_s, now)) * (calls + 1)

    def least_s(self, now: float) -> float:
        """What the fastest streamed answer of late took to begin, in seconds; 0 when there was none."""
        if now - self._fastest_since >= MEMORY_S:
            self._forget(now)
        return self._least_s

    def began(self, now: float, took_s: float, *, is_stream: bool) -> None:
        """An answer began."""
        weight = self._faded(1.0, now)
        if self._peak_s is None or took_s >= self._peak_s * weight:
            self._peak_s = took_s
        else:
            self._peak_s = self._peak_s * weight + took_s * (1 - weight)
        self._heard_at = now
        if is_stream:
            if now - self._fastest_since >= MEMORY_S:
                self._forget(now)
            self._fastest_s = min(self._fastest_s, took_s)
            self._least_s = min(self._fastest_s, self._fastest_before_s)

    def failed(self, now: float, took_s: float) -> None:
        """A call failed there."""
        self._peak_s = max(took_s, FAILURE_S, self._faded(self._peak_s or 0.0, now))
        self._heard_at = now

    def was_waited_for(self, now: float, took_s: float) -> None:
        """A call was given up, by its client or for a faster one: it would have taken longer than that.

        A place that was never heard of stays unknown for a short wait, which says nothing; but not for a long one, or
        who hangs from the start would be taken for idle, and asked first, again and again.
        """
        if took_s > (TELLING_S if self._peak_s is None else self._faded(self._peak_s, now)):
            self._peak_s, self._heard_at = took_s, now

    def _faded(self, value: float, now: float) -> float:
        return value * exp((self._heard_at - now) / FADES_IN_S)

    def _forget(self, now: float) -> None:
        is_recent = now - self._fastest_since < 2 * MEMORY_S
        self._fastest_before_s = self._fastest_s if is_recent else inf
        self._fastest_s, self._fastest_since = inf, now
        self._least_s = 0.0 if self._fastest_before_s == inf else self._fastest_before_s


class Paces:
    """One pace per deployment, kept over reloads of the settings."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def of(self, deployment: Deployment) -> Pace:
        """The pace of a deployment."""
        pace = self._paces.get(deployment.id)
        if pace is None:
            pace = self._paces[deployment.id] = Pace()
        return pace

    def keep_only(self, deployments: Iterable[Deployment]) -> None:
        """Forget deployments that the settings no longer name."""
        named = {each.id for each in deployments}
        self._paces = {name: pace for name, pace in self._paces.items() if name in named}


class Measure:
    """Takes the time of every attempt, and starts none that cannot be in time: it would be paid and thrown away."""

    def __init__(self, paces: Paces, clock: Clock) -> None:
        self._paces = paces
        self._clock = clock

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        call, pace, started_at = attempt.routed.call, self._paces.of(attempt.deployment), self._clock.monotonic()
        left_s, least_s = call.deadline_at - started_at, pace.least_s(started_at)
        if left_s < least_s:
            name = attempt.deployment.id
            raise TooLate(f"{name} takes {least_s:.3f} s to begin, and {left_s:.3f} s are left before the deadline")
        try:
            reply = await forward(attempt)
        except BaseException as error:
            now = self._clock.monotonic()
            if isinstance(error, asyncio.CancelledError):
                pace.was_waited_for(now, now - started_at)
            elif isinstance(error, ProviderError) and not error.is_unsent:
                pace.failed(now, now - started_at)
            raise
        now = self._clock.monotonic()
        pace.began(now, now - started_at, is_stream=call.stream)
        return reply
