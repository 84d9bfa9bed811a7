"""Rounds: ten times a second, aside, a gateway tells the others what it took and found, and hears what they did.

No request waits for a round. What is told late or not at all costs exactness and nothing else: while no round is
answered, each gateway goes on with its own share of every limit, by the number of gateways last seen, and with its own
judgement of health.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.errors import RedisUnavailable
from routewright.layers.breaker import Circuits
from routewright.layers.hearsay import News
from routewright.layers.key_quota import KeyQuota
from routewright.secret import Secret
from routewright.shared.board import Board, Rumour, Told

ROUND_S = 0.1


class Rounds:
    """What is shared of circuits and of the rates of keys. Await `follow` for as long as it should be."""

    def __init__(
        self,
        board: Board,
        circuits: Circuits,
        key_quota: KeyQuota,
        deployments: Callable[[], Iterable[Deployment]],
        clock: Clock,
    ) -> None:
        """`deployments` are those that may be called now."""
        self.gateways = 1
        """How many there were in the last round that was answered, this one included."""
        self.is_together = False
        """Whether the last round was answered."""
        self._board = board
        self._circuits = circuits
        self._key_quota = key_quota
        self._deployments = deployments
        self._clock = clock
        self._heard: Mapping[tuple[str, str, News], int] = {}
        """Of each gateway, circuit and kind, which finding was the last one."""

    async def follow(self) -> None:
        """One round after the other, for as long as it is awaited."""
        while True:
            await self.go_round()
            await asyncio.sleep(ROUND_S)

    async def go_round(self) -> None:
        """One round."""
        now = self._clock.monotonic()
        circuits = self._circuits.all()
        told = Told(
            takes=self._key_quota.takes(),
            findings=[(_name(*place), each) for place, circuit in circuits for each in circuit.findings(now)],
            probing=frozenset(_name(*place) for place, circuit in circuits if circuit.is_probed),
        )
        try:
            heard = await self._board.exchange(told)
        except RedisUnavailable:
            self.is_together = False
            self._key_quota.untold(told.takes)
            self._key_quota.divide(self.gateways)
            return
        self.is_together, self.gateways = True, heard.gateways
        self._key_quota.divide(1)
        self._key_quota.heard(told.takes, heard.used)
        self._hear(heard.rumours)

    async def take(self, deployment: Deployment) -> bool:
        """Whether it is this gateway's turn to probe; where the others cannot be asked, it is."""
        try:
            return await self._board.take_turn(_name(deployment.id, deployment.key))
        except RedisUnavailable:
            return True

    def _hear(self, rumours: Sequence[Rumour]) -> None:
        """Pass on what is new: what holds is told in every round."""
        heard = {(each.by, each.circuit, each.finding.news): each for each in rumours}
        news = [each for key, each in heard.items() if self._heard.get(key) != each.finding.number]
        self._heard = {key: each.finding.number for key, each in heard.items()}
        if not news:
            return
        places, now = {_name(each.id, each.key): each for each in self._deployments()}, self._clock.monotonic()
        for each in news:
            if (place := places.get(each.circuit)) is not None:
                self._circuits.of(place).heard(each.finding, now)


def _name(deployment: str, key: Secret | None) -> str:
    """A circuit's name among gateways: the same for the same deployment and key, which cannot be read from it."""
    text = f"{deployment} {'' if key is None else key.reveal()}"
    return f"{deployment} {sha256(text.encode()).hexdigest()[:16]}"
