"""Balance: at which of a model's deployments to begin.

Of two drawn by chance, the one with less load (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing", 2001): nearly as good as the least loaded of all, without everybody running to the same one. A conversation
stays where its beginning is in the provider's cache, which is worth more than a shorter queue.
"""

from collections.abc import Awaitable, Sequence
from random import Random
from typing import Protocol

from msgspec import structs

from routewright.call import Attempt, Call
from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.layers.breaker import Circuits
from routewright.layers.pace import Paces
from routewright.layers.quota import DeploymentQuota
from routewright.layers.service import Service
from routewright.reply import Reply


class WarmPlaces(Protocol):
    """Who knows where conversations are warm."""

    def warm_place(self, call: Call, model: str) -> str | None:
        """The id of the model's deployment that has the call's beginning in its cache; None if there is none."""
        ...


def draw(loads: Sequence[float], random: Random) -> int:
    """The index of the lesser of two loads drawn by chance."""
    if len(loads) == 1:
        return 0
    first = random.randrange(len(loads))
    second = (first + random.randrange(1, len(loads))) % len(loads)
    return first if loads[first] <= loads[second] else second


class Balance:
    """Above retry, which goes round the deployments from the one that was chosen here."""

    def __init__(
        self,
        paces: Paces,
        quota: DeploymentQuota,
        circuits: Circuits,
        clock: Clock,
        random: Random,
        warm_places: WarmPlaces | None = None,
    ) -> None:
        self._paces = paces
        self._quota = quota
        self._circuits = circuits
        self._clock = clock
        self._random = random
        self._warm_places = warm_places

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        if attempt.others:
            first, *others = self._arranged(attempt)
            attempt = structs.replace(attempt, deployment=first, others=tuple(others))
        return forward(attempt)

    def _arranged(self, attempt: Attempt) -> list[Deployment]:
        """The place to begin at, then its equals by their load, then the rest in the order of the settings."""
        places = [attempt.deployment, *attempt.others]
        now = self._clock.monotonic()
        alike = [each for each in places if each.tariff == places[0].tariff]
        equals = [each for each in alike if self._is_awake(each, now)] or alike
        loads = {each.id: self._paces.of(each).load(now, self._quota.ahead(each, now)) for each in equals}
        warm = self._warm_places and self._warm_places.warm_place(attempt.call, attempt.model.name)
        chosen = next((each for each in equals if each.id == warm), None)
        if chosen is None:
            chosen = equals[draw([loads[each.id] for each in equals], self._random)]
        equals.sort(key=lambda each: (each is not chosen, loads[each.id]))
        return [*equals, *(each for each in places if each not in equals)]

    def _is_awake(self, deployment: Deployment, now: float) -> bool:
        circuit = self._circuits.of(deployment)
        return not (circuit.rests_for_s(now) or circuit.cools_for_s(now))
