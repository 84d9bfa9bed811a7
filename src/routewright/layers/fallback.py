"""Fallback: the next model, as long as nothing of an answer has come."""

from random import Random

from routewright.call import Attempt, Cause, Routed
from routewright.catalog.registry import MAX_ATTEMPTS, Registry
from routewright.clock import Clock
from routewright.errors import AllAttemptsFailed, ProviderError
from routewright.ids import uuid7
from routewright.layers.service import Service
from routewright.reply import Reply


class Fallback:
    """Walks the route's eligible models in order; each gets its own tries from the layer below."""

    def __init__(self, registry: Registry, clock: Clock, random: Random) -> None:
        self._registry = registry
        self._clock = clock
        self._random = random

    async def __call__(self, routed: Routed, forward: Service[Attempt]) -> Reply:
        failures: list[tuple[str, ProviderError]] = []
        candidates = routed.route.eligible
        for left, candidate in zip(range(len(candidates) - 1, -1, -1), candidates, strict=True):
            if len(failures) >= MAX_ATTEMPTS:
                break
            attempt = Attempt(
                id=uuid7(self._clock.time_ns(), self._random),
                routed=routed,
                model=self._registry.models[candidate.model],
                deployment=self._registry.deployments[candidate.deployments[0]],
                others=tuple([self._registry.deployments[name] for name in candidate.deployments[1:]]),
                number=1 + routed.attempts_before + sum([not error.is_unsent for _, error in failures]),
                cause=Cause.FALLBACK if failures and not routed.cause.is_errand else routed.cause,
                is_last_model=left == 0,
            )
            try:
                return await forward(attempt)
            except AllAttemptsFailed as error:
                failures.extend(error.failures)
        raise AllAttemptsFailed(failures)
