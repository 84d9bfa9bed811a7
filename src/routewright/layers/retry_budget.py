"""Retry budget: how much of the traffic may be further attempts, so that an outage is not multiplied by our patience.

A fixed number of tries is a factor on the load of a provider that can take none: three tries are three times the
traffic in the moment it hurts most. A share of the requests is not (twitter/finagle, "Retry Budgets"). Retries, hedges
and fallbacks to other models take from the same budget, as a provider behind two models is one provider.

An attempt at a place that was last heard of well takes nothing: it multiplies nothing, and is what a second place is
for. In an outage of everything nobody is well, so the bound holds when it is needed.
"""

from collections.abc import Awaitable

from routewright.call import Attempt, Cause
from routewright.clock import Clock
from routewright.errors import RetriesSpent
from routewright.layers.breaker import Circuits
from routewright.layers.service import Service
from routewright.reply import Reply

SHARE = 0.1
FLOOR = 3
"""Further attempts in a window that are free of the share: with little traffic it would forbid all."""
WINDOW_S = 10


class RetryBudget:
    """Counts the last ten seconds, second by second. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._requests = [0] * WINDOW_S
        self._further = [0] * WINDOW_S
        self._second = 0

    def request(self, now: float) -> None:
        """The first attempt of a request is made."""
        second = int(now)
        if second != self._second:
            self._move_to(second)
        self._requests[second % WINDOW_S] += 1

    def take(self, now: float) -> bool:
        """Whether one further attempt may be made, which is then counted."""
        self._move_to(int(now))
        if sum(self._further) + 1 > max(FLOOR, SHARE * sum(self._requests)):
            return False
        self._further[self._second % WINDOW_S] += 1
        return True

    def _move_to(self, second: int) -> None:
        for passed in range(max(self._second, second - WINDOW_S) + 1, second + 1):
            self._requests[passed % WINDOW_S] = self._further[passed % WINDOW_S] = 0
        self._second = second


class FurtherAttempts:
    """Below retry, hedge and breaker: what these refuse or never start takes nothing."""

    def __init__(self, budget: RetryBudget, circuits: Circuits, clock: Clock) -> None:
        self._budget = budget
        self._circuits = circuits
        self._clock = clock

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        now = self._clock.monotonic()
        if attempt.number == 1:
            self._budget.request(now)
        elif not (self._is_free(attempt, now) or self._budget.take(now)):
            raise RetriesSpent(f"{attempt.deployment.id} is not tried as well: too many attempts fail just now")
        return forward(attempt)

    def _is_free(self, attempt: Attempt, now: float) -> bool:
        """A hedge never is: it adds to what is asked of those that do well."""
        return attempt.cause is not Cause.HEDGE and self._circuits.of(attempt.deployment).is_proven(now)
