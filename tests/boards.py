"""A board in memory: gateways of one process, and time by a fake clock, as the script does it in Redis."""

from routewright.clock import Clock
from routewright.errors import RedisUnavailable
from routewright.layers.hearsay import News
from routewright.shared.board import ALIVE_S, TURN_S, Heard, Rumour, Told


class Place:
    """What all see."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_away = False
        self.rounds = 0
        self.forget()

    def forget(self) -> None:
        """It comes back empty."""
        self.seen: dict[str, float] = {}
        self.used: dict[tuple[str, str], tuple[float, float]] = {}
        self.turns: dict[str, tuple[str, float]] = {}
        self.findings: dict[tuple[str, str, News], tuple[Rumour, float]] = {}


class MemoryBoard:
    """One gateway's way there."""

    def __init__(self, place: Place, me: str) -> None:
        self.place = place
        self._me = me

    async def exchange(self, told: Told) -> Heard:
        """See `Board.exchange`."""
        place, now = self._reach(), self.place.clock.monotonic()
        place.rounds += 1
        place.seen = {name: at for name, at in {**place.seen, self._me: now}.items() if now - at < ALIVE_S}
        used = []
        for take in told.takes:
            was, at = place.used.get((take.kind, take.key), (0.0, now))
            left = max(0.0, max(0.0, was - (now - at) * take.limit / 60) + take.amount)
            place.used[take.kind, take.key] = left, now
            used.append(left)
        for circuit, (holder, _) in list(place.turns.items()):
            if holder == self._me and circuit in told.probing:
                place.turns[circuit] = holder, now + TURN_S
            elif holder == self._me:
                del place.turns[circuit]
        for circuit, finding in told.findings:
            rumour = Rumour(self._me, circuit, finding)
            place.findings[self._me, circuit, finding.news] = rumour, now + finding.lasts_s
        rumours = [each for each, ends_at in place.findings.values() if each.by != self._me and now < ends_at]
        return Heard(len(place.seen), used, rumours)

    async def take_turn(self, circuit: str) -> bool:
        """See `Board.take_turn`."""
        place, now = self._reach(), self.place.clock.monotonic()
        holder, until = place.turns.get(circuit, ("", 0.0))
        if holder != self._me and now < until:
            return False
        place.turns[circuit] = self._me, now + TURN_S
        return True

    def _reach(self) -> Place:
        if self.place.is_away:
            raise RedisUnavailable("away")
        return self.place
