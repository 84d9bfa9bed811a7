"""Deadlines: one over the whole request, and one on the first event of each attempt."""

import asyncio
from collections.abc import Awaitable
from math import inf

from msgspec import structs

from routewright.call import Attempt, Call
from routewright.clock import Clock
from routewright.errors import DeadlineExceeded, FirstEventTimeout
from routewright.layers.alarms import Alarms
from routewright.layers.service import Service
from routewright.layers.slowness import HARMLESS_S, Wait, Waits
from routewright.reply import Reply


class Deadline:
    """Over classification, every attempt and every pause; what it leaves of the time travels in `Call.deadline_at`.

    Reading the rest of a stream is under the same deadline: the leaf looks at `deadline_at` before it waits.
    """

    def __init__(self, limit_s: float, clock: Clock) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._alarms = Alarms(clock)

    async def __call__(self, call: Call, forward: Service[Call]) -> Reply:
        limit_s, asked_s = self._limit_s, call.options.deadline_s
        if asked_s and asked_s < limit_s:
            limit_s = asked_s
        deadline_at = self._clock.monotonic() + limit_s
        if call.deadline_at < deadline_at:
            deadline_at = call.deadline_at
        try:
            with self._alarms.at(deadline_at):
                return await forward(structs.replace(call, deadline_at=deadline_at))
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within the deadline of {limit_s:g} s",
                hint="allow more with x-routewright-deadline-ms or policy.deadline_ms, or stream the answer",
            ) from error


class FirstEventDeadline:
    """Innermost, so that our own queueing is not blamed on the provider.

    A streamed answer must begin within `stream_limit_s`, an unstreamed one must be whole within `whole_limit_s`. The
    request's last model is let off: giving up on it would help nobody, and the deadline over everything still holds.
    But for a place that takes far longer than its siblings do, while one of these is left: it would help.
    """

    def __init__(self, stream_limit_s: float, whole_limit_s: float, waits: Waits, clock: Clock) -> None:
        self._stream_limit_s = stream_limit_s
        self._whole_limit_s = whole_limit_s
        self._waits = waits
        self._clock = clock
        self._alarms = Alarms(clock)

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        limit_s = self._limit_of(attempt)
        if attempt.routed.call.stream:
            return self._streamed(attempt, forward, limit_s)
        if attempt.others:
            return self._whole(attempt, forward, limit_s)
        return forward(attempt) if limit_s == inf else self._limited(attempt, forward, limit_s)

    async def _whole(self, attempt: Attempt, forward: Service[Attempt], limit_s: float) -> Reply:
        """The same; and how long it took is remembered."""
        began_at = self._clock.monotonic()
        reply = await (forward(attempt) if limit_s == inf else self._limited(attempt, forward, limit_s))
        now = self._clock.monotonic()
        self._waits.note(attempt.deployment.id, Wait.WHOLE, now, now - began_at)
        return reply

    async def _limited(self, attempt: Attempt, forward: Service[Attempt], limit_s: float) -> Reply:
        try:
            with self._alarms.at(self._clock.monotonic() + limit_s):
                return await forward(attempt)
        except TimeoutError as error:
            raise FirstEventTimeout(f"{attempt.deployment.id} gave no answer within {limit_s:g} s") from error

    async def _streamed(self, attempt: Attempt, forward: Service[Attempt], limit_s: float) -> Reply:
        """The same; and how long a stream was waited for in vain is remembered."""
        began_at = self._clock.monotonic()
        try:
            return await (forward(attempt) if limit_s == inf else self._limited(attempt, forward, limit_s))
        except asyncio.CancelledError:
            now = self._clock.monotonic()
            if now - began_at >= HARMLESS_S:  # what it would have been is at least that
                self._waits.note(attempt.deployment.id, Wait.BEGINNING, now, now - began_at)
            raise

    def _limit_of(self, attempt: Attempt) -> float:
        is_stream = attempt.routed.call.stream
        if not attempt.is_last_model:
            return attempt.model.first_event_timeout_s or self._stream_limit_s if is_stream else self._whole_limit_s
        if not attempt.others:
            return inf
        here, now = attempt.deployment.id, self._clock.monotonic()
        places = (place.id for place in attempt.model.deployments)
        if is_stream:
            return self._waits.patience_s(here, places, now)
        return max(self._whole_limit_s, self._waits.whole_patience_s(here, places, now))
