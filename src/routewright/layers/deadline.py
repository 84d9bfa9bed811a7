"""Deadlines: one over the whole request, and one on the first event of each attempt."""

import asyncio
from math import inf

import msgspec

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
        limit_s = min(call.options.deadline_s or self._limit_s, self._limit_s)
        deadline_at = min(call.deadline_at, self._clock.monotonic() + limit_s)
        try:
            with self._alarms.at(deadline_at):
                return await forward(msgspec.structs.replace(call, deadline_at=deadline_at))
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within the deadline of {limit_s:g} s",
                hint="allow more with x-routewright-deadline-ms or policy.deadline_ms, or stream the answer",
            ) from error


class FirstEventDeadline:
    """Innermost, so that our own queueing is not blamed on the provider.

    A streamed answer must begin within `stream_limit_s`, an unstreamed one must be whole within `whole_limit_s`. The
    request's last model is let off: giving up on it would help nobody, and the deadline over everything still holds.
    But for a stream from a place whose siblings begin far sooner: these would help.
    """

    def __init__(self, stream_limit_s: float, whole_limit_s: float, waits: Waits, clock: Clock) -> None:
        self._stream_limit_s = stream_limit_s
        self._whole_limit_s = whole_limit_s
        self._waits = waits
        self._clock = clock
        self._alarms = Alarms(clock)

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        limit_s, began_at = self._limit_s(attempt), self._clock.monotonic()
        try:
            if limit_s == inf:
                return await forward(attempt)
            with self._alarms.at(began_at + limit_s):
                return await forward(attempt)
        except asyncio.CancelledError:
            waited_s = self._clock.monotonic() - began_at
            if attempt.call.stream and waited_s >= HARMLESS_S:  # what it would have been is at least that
                self._waits.note(attempt.deployment.id, Wait.BEGINNING, self._clock.monotonic(), waited_s)
            raise
        except TimeoutError as error:
            raise FirstEventTimeout(f"{attempt.deployment.id} gave no answer within {limit_s:g} s") from error

    def _limit_s(self, attempt: Attempt) -> float:
        if not attempt.is_last_model:
            stream_limit_s = attempt.model.first_event_timeout_s or self._stream_limit_s
            return stream_limit_s if attempt.call.stream else self._whole_limit_s
        if not attempt.call.stream or not attempt.others:
            return inf
        places = (place.id for place in attempt.model.deployments)
        return self._waits.patience_s(attempt.deployment.id, places, self._clock.monotonic())
