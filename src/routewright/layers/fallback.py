"""Fallback: the next model, as long as nothing of an answer has come."""

from random import Random

from routewright.call import Attempt, Cause, Routed
from routewright.catalog.registry import MAX_ATTEMPTS, Registry
from routewright.clock import Clock
from routewright.errors import AllAttemptsFailed, ProviderError
from routewright.ids import uuid7
from routewright.layers.service import Service
from routewright.reply import Reply
from routewright.route import Candidate


class Fallback:
    """Walks the route's eligible models in order; each gets its own tries from the layer below."""

    def __init__(self, registry: Registry, clock: Clock, random: Random) -> None:
        self._registry = registry
        self._clock = clock
        self._random = random

    async def __call__(self, routed: Routed, forward: Service[Attempt]) -> Reply:
        failures: list[tuple[str, ProviderError]] = []
        candidates = routed.route.eligible
        number, cause = 1 + routed.attempts_before, routed.cause
        for candidate in candidates:
            if len(failures) >= MAX_ATTEMPTS:
                break
            try:
                return await forward(self._attempt(routed, candidate, number, cause, candidate is candidates[-1]))
            except AllAttemptsFailed as error:
                failures.extend(error.failures)
                number += sum(not each.is_unsent for _, each in error.failures)
                if not routed.cause.is_errand:
                    cause = Cause.FALLBACK
        raise AllAttemptsFailed(failures)

    def _attempt(self, routed: Routed, candidate: Candidate, number: int, cause: Cause, is_last: bool) -> Attempt:
        places, names = self._registry.deployments, candidate.deployments
        return Attempt(
            id=uuid7(self._clock.time_ns(), self._random),
            routed=routed,
            model=self._registry.models[candidate.model],
            deployment=places[names[0]],
            others=tuple([places[name] for name in names[1:]]) if len(names) > 1 else (),
            number=number,
            cause=cause,
            is_last_model=is_last,
        )
