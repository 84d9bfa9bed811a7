"""Incidents: what a provider does that only an operator can mend: a refused key, a certificate, counts that cannot be.

Every one is counted. To be told, by `alerts`, is only the first of a kind at a deployment, and the next an hour later.
"""

import logging
from collections import Counter, deque
from enum import StrEnum

from msgspec import Struct

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.errors import CredentialRefused, TlsFailed
from routewright.layers.credentials import Refusals
from routewright.layers.service import Service
from routewright.reply import Reply

log = logging.getLogger(__name__)

TOLD_AGAIN_AFTER_S = 3600.0
MOST_UNTOLD = 100
"""Incidents that nobody has fetched yet, as where no gateway runs; beyond it the oldest go."""


class Kind(StrEnum):
    """What happened."""

    TLS = "tls"
    """Its certificate cannot be trusted."""
    CREDENTIAL = "credential"
    """It refuses our key."""
    USAGE = "usage"
    """The token counts that it reports cannot be, so that its costs are estimated."""


class Incident(Struct, frozen=True, kw_only=True):
    """One to be told."""

    kind: Kind
    deployment: str
    message: str
    """In words, without secrets."""
    at_ns: int
    """UTC."""


class Incidents:
    """All there were, kept over reloads. In the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self.counts: Counter[tuple[str, Kind]] = Counter()
        """By deployment and kind, since the start."""
        self._clock = clock
        self._told_at: dict[tuple[str, Kind], float] = {}
        self._untold: deque[Incident] = deque(maxlen=MOST_UNTOLD)

    def note(self, deployment: str, kind: Kind, message: str) -> None:
        """It happened."""
        key, now = (deployment, kind), self._clock.monotonic()
        self.counts[key] += 1
        if key in self._told_at and now - self._told_at[key] < TOLD_AGAIN_AFTER_S:
            return
        self._told_at[key] = now
        at_ns = self._clock.time_ns()
        self._untold.append(Incident(kind=kind, deployment=deployment, message=message, at_ns=at_ns))

    def take(self, most: int) -> list[Incident]:
        """Up to so many that are to be told, each once."""
        return [self._untold.popleft() for _ in range(min(most, len(self._untold)))]


class Watch:
    """Sees what became of every attempt, and changes nothing."""

    def __init__(self, incidents: Incidents, refusals: Refusals, clock: Clock) -> None:
        self._incidents = incidents
        self._refusals = refusals
        self._clock = clock

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        try:
            reply = await forward(attempt)
        except TlsFailed as error:
            self._incidents.note(attempt.deployment.id, Kind.TLS, error.message)
            raise
        except CredentialRefused as error:
            self._incidents.note(attempt.deployment.id, Kind.CREDENTIAL, error.message)
            self._refusals.refused(attempt.deployment, error, self._clock.monotonic())
            log.error("%s is not called with this key for now: %s", attempt.deployment.id, error.message)
            raise
        if self._refusals.resting:
            self._refusals.accepted(attempt.deployment)
        return reply.on_close(self._close)

    def _close(self, reply: Reply) -> None:
        if reply.is_usage_odd:
            told = "it reports token counts that cannot be: what it costs is estimated meanwhile"
            self._incidents.note(reply.attempt.deployment.id, Kind.USAGE, told)
