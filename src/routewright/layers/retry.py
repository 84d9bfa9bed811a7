"""Retry: the same model again, after a pause drawn with full jitter, at its next deployment where it has several.

Full jitter, because clients that pause equally long come back together (M. Brooker, "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015). A provider that names a pause is obeyed; where another model is waiting its turn, a long
pause is left to that one instead.
"""

import asyncio
from random import Random

import msgspec

from routewright.call import Attempt, Cause
from routewright.catalog.registry import MAX_ATTEMPTS, Deployment
from routewright.clock import Clock
from routewright.errors import AllAttemptsFailed, DeadlineExceeded, ProviderError, Remedy
from routewright.ids import uuid7
from routewright.layers.service import Service
from routewright.reply import Reply

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0
PATIENCE_S = 1.0
"""How long a named pause may be before another model is the better choice."""
SHORTEST_USEFUL_S = 0.05
"""With less than this left before the deadline, nothing is started: it would be paid for and thrown away."""


def backoff_s(tries: int, random: Random) -> float:
    """The pause after the `tries`-th failure (1, 2, …), in seconds."""
    return random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1)))


class Retry:
    """Tries one model up to `1 + max_retries` times, or as often as the call says; raises AllAttemptsFailed with what
    each try met."""

    def __init__(self, max_retries: int, clock: Clock, random: Random) -> None:
        self._max_retries = max_retries
        self._clock = clock
        self._random = random

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        failures: list[tuple[str, ProviderError]] = []
        places: _Places | None = None
        deadline_at = attempt.routed.call.deadline_at
        while True:
            left_s = deadline_at - self._clock.monotonic()
            if left_s < SHORTEST_USEFUL_S:
                raise DeadlineExceeded(
                    f"{max(left_s, 0):.3f} s are left before the deadline: too little to start an attempt"
                )
            try:
                return await forward(attempt)
            except ProviderError as error:
                failures.append((attempt.deployment.id, error))
                places = places or _Places(attempt)
                places.note(attempt.deployment, error, self._clock.monotonic())
                pause_s = self._pause_s(attempt, error, places)
                if pause_s is None:
                    raise AllAttemptsFailed(failures) from error
            await asyncio.sleep(pause_s)
            attempt = self._next(attempt, places, 0 if failures[-1][1].is_unsent else 1)

    def _pause_s(self, attempt: Attempt, error: ProviderError, places: "_Places") -> float | None:
        """How long to wait before the next try; None when there is to be none."""
        max_retries = self._max_retries if attempt.routed.call.max_retries is None else attempt.routed.call.max_retries
        is_spent = places.tries > max_retries or attempt.number >= MAX_ATTEMPTS
        if is_spent or not places.left or error.remedy in (Remedy.NOTHING, Remedy.OTHER_MODEL):
            return None
        now, place = self._clock.monotonic(), places.following(attempt.deployment)
        named_s = places.named_until(place) - now
        if named_s <= 0:
            return backoff_s(places.tries, self._random) if place == attempt.deployment else 0.0
        too_long = named_s > PATIENCE_S and not attempt.is_last_model
        too_late = now + named_s >= attempt.routed.call.deadline_at - SHORTEST_USEFUL_S
        return None if too_long or too_late else named_s

    def _next(self, attempt: Attempt, places: "_Places", sent: int) -> Attempt:
        place = places.following(attempt.deployment)
        return msgspec.structs.replace(
            attempt,
            id=uuid7(self._clock.time_ns(), self._random),
            deployment=place,
            others=tuple(each for each in places.left if each is not place),
            number=attempt.number + sent,
            cause=attempt.cause if attempt.cause.is_errand else Cause.RETRY,
        )


class _Places:
    """The deployments that may still be tried, round and round, and the pauses that were named for them."""

    def __init__(self, attempt: Attempt) -> None:
        self.left = [attempt.deployment, *attempt.others]
        self.tries = 0
        """How many of `1 + max_retries` were used: by all that was sent, and all that is waited for."""
        self._all = tuple(self.left)
        self._named_until: dict[str, float] = {}

    def note(self, place: Deployment, error: ProviderError, now: float) -> None:
        """A try failed there."""
        if error.remedy is Remedy.ELSEWHERE:
            self.left.remove(place)
        if error.retry_after_s is not None:
            self._named_until[place.id] = now + error.retry_after_s
        self.tries += not (error.is_unsent and error.remedy is Remedy.ELSEWHERE)

    def named_until(self, place: Deployment) -> float:
        """When the pause that was named for a place is over; 0 without one."""
        return self._named_until.get(place.id, 0.0)

    def following(self, place: Deployment) -> Deployment:
        """The place after this one; those that asked for a pause later than all others, by the end of it."""
        start = self._all.index(place) + 1
        turn = [each for each in (*self._all[start:], *self._all[:start]) if each in self.left]
        return min(turn, key=self.named_until)
