"""Credentials: a key that a provider has refused rests, at every deployment that uses it.

One refusal is enough, since the same key is not better a moment later; but keys are mended at the provider, unseen
from here, and providers err too, so one call tries it again after a rest that doubles. A key that may not use one model
(403) may be good for others: then only that deployment rests.
"""

from collections.abc import Awaitable
from typing import TypeAlias

from routewright.call import Attempt
from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.errors import CredentialRefused, CredentialResting
from routewright.layers.service import Service
from routewright.reply import Reply
from routewright.secret import Secret

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
MOST_REFUSED = 1_000
"""Keys that are remembered as refused; beyond it the oldest is tried again early."""
_FORBIDDEN = 403

_Key: TypeAlias = tuple[str, Secret | None, str]
"""Provider and key, and the deployment where it is only that one."""


class Refusals:
    """Which keys rest, kept over reloads: another key is another entry. `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self.resting: dict[_Key, tuple[float, float]] = {}
        """Until when each rests, and for how long that was; empty as a rule, and asked for every request."""

    def admits(self, place: Deployment, now: float) -> bool:
        """Whether a call may use its key; the one that may after a rest is the only one until that is answered."""
        for key in _keys(place):
            if key not in self.resting:
                continue
            until, rest_s = self.resting[key]
            if now < until:
                return False
            self.resting[key] = now + rest_s, rest_s
        return True

    def accepted(self, place: Deployment) -> None:
        """The key is good."""
        for key in _keys(place):
            self.resting.pop(key, None)

    def refused(self, place: Deployment, error: CredentialRefused, now: float) -> None:
        """It is not, for now."""
        everywhere, here = _keys(place)
        key = here if error.provider_status == _FORBIDDEN else everywhere
        _, rested_s = self.resting.pop(key, (0.0, FIRST_REST_S / 2))
        rest_s = min(2 * rested_s, LONGEST_REST_S)
        if len(self.resting) >= MOST_REFUSED:
            del self.resting[next(iter(self.resting))]
        self.resting[key] = now + rest_s, rest_s


class Credentials:
    """Above the breaker, as a call that is not made says nothing about health; below retry, which then goes on.

    Which keys are refused is noted by who sees every attempt: `incidents.Watch`.
    """

    def __init__(self, refusals: Refusals, clock: Clock) -> None:
        self._refusals = refusals
        self._clock = clock

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        place = attempt.deployment
        if self._refusals.resting and not self._refusals.admits(place, self._clock.monotonic()):
            raise CredentialResting(
                f"{place.provider} refused our key a moment ago",
                hint="check the key in the settings and what it is allowed to use",
            )
        return forward(attempt)


def _keys(place: Deployment) -> tuple[_Key, _Key]:
    return (place.provider, place.key, ""), (place.provider, place.key, place.id)
