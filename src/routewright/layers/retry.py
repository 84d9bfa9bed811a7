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
    """Tries one model up to `1 + max_retries` times; raises AllAttemptsFailed with what each try met."""

    def __init__(self, max_retries: int, clock: Clock, random: Random) -> None:
        self._max_retries = max_retries
        self._clock = clock
        self._random = random

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        failures: list[tuple[str, ProviderError]] = []
        places = [attempt.deployment, *attempt.others]
        while True:
            self._check_time(attempt)
            try:
                return await forward(attempt)
            except ProviderError as error:
                failures.append((attempt.deployment.id, error))
                if error.remedy is Remedy.ELSEWHERE:
                    places.remove(attempt.deployment)
                pause_s = self._pause_s(attempt, error, places, len(failures))
                if pause_s is None:
                    raise AllAttemptsFailed(failures) from error
            await asyncio.sleep(pause_s)
            attempt = self._next(attempt, places)

    def _check_time(self, attempt: Attempt) -> None:
        left_s = attempt.call.deadline_at - self._clock.monotonic()
        if left_s < SHORTEST_USEFUL_S:
            raise DeadlineExceeded(
                f"{max(left_s, 0):.3f} s are left before the deadline: too little to start an attempt"
            )

    def _pause_s(self, attempt: Attempt, error: ProviderError, places: list[Deployment], tries: int) -> float | None:
        """How long to wait before the next try; None when there is to be none."""
        is_spent = tries > self._max_retries or attempt.number >= MAX_ATTEMPTS
        if is_spent or not places or error.remedy in (Remedy.NOTHING, Remedy.OTHER_MODEL):
            return None
        if places != [attempt.deployment]:
            return 0.0
        if error.retry_after_s is None:
            return backoff_s(tries, self._random)
        too_long = error.retry_after_s > PATIENCE_S and not attempt.is_last_model
        too_late = self._clock.monotonic() + error.retry_after_s >= attempt.call.deadline_at - SHORTEST_USEFUL_S
        return None if too_long or too_late else error.retry_after_s

    def _next(self, attempt: Attempt, places: list[Deployment]) -> Attempt:
        """The next try: at the deployment after this one, round and round."""
        following = [*places, places[0]]
        deployment = places[0]
        if attempt.deployment in places:
            deployment = following[places.index(attempt.deployment) + 1]
        return msgspec.structs.replace(
            attempt,
            id=uuid7(self._clock.time_ns(), self._random),
            deployment=deployment,
            number=attempt.number + 1,
            cause=attempt.cause if attempt.cause.is_errand else Cause.RETRY,
        )
