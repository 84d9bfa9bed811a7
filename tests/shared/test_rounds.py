"""Several gateways over one board in memory, by a fake clock; over a real Redis they are in tests/faultlab."""

from random import Random
from typing import Any

import pytest

from boards import MemoryBoard, Place
from builders import Below, call, deployment
from routewright.errors import RateLimited
from routewright.layers.breaker import Circuits
from routewright.layers.circuit import FAILURES_IN_A_ROW, Circuit, State
from routewright.layers.key_quota import KeyQuota
from routewright.secret import Secret
from routewright.shared.rounds import ROUND_S, Rounds
from routewright.tenant import Tenant
from routewright.testing import FakeClock

SWIFT = deployment("acme/swift", key=Secret("very-secret"))


class One:
    """A gateway: what of it is shared."""

    def __init__(self, place: Place, name: str, clock: FakeClock) -> None:
        self.clock = clock
        self.known = [SWIFT]
        self.circuits = Circuits(Random(1))
        self.quota = KeyQuota(clock)
        self.rounds = Rounds(MemoryBoard(place, name), self.circuits, self.quota, lambda: self.known, clock)

    @property
    def circuit(self) -> Circuit:
        return self.circuits.of(SWIFT)

    async def asks(self, **limits: Any) -> bool:
        """Whether the key may ask once more here."""
        try:
            reply = await self.quota(call(tenant=Tenant(key="k", **limits)), Below())
        except RateLimited:
            return False
        reply.close()
        return True

    def remaining(self, **limits: Any) -> int:
        standing = self.quota.standing(Tenant(key="k", **limits))
        assert standing is not None
        assert standing.requests is not None
        return standing.requests.remaining

    def breaks(self, failures: int = FAILURES_IN_A_ROW) -> None:
        now = self.clock.monotonic()
        for _ in range(failures):
            passed = self.circuit.admit(now)
            assert passed is not None
            self.circuit.failed(passed, now)


class Several:
    """Gateways that go their rounds one after the other."""

    def __init__(self, count: int) -> None:
        self.clock = FakeClock()
        self.place = Place(self.clock)
        self.all = [One(self.place, str(number), self.clock) for number in range(count)]

    async def go_round(self) -> None:
        for one in self.all:
            await one.rounds.go_round()
        self.clock.advance(ROUND_S)

    async def take_all(self, **limits: Any) -> int:
        """How many requests pass if each gateway is asked as often as it says yes."""
        taken = 0
        for one in self.all:
            while await one.asks(**limits):
                taken += 1
        return taken


async def several(count: int) -> Several:
    gateways = Several(count)
    for _ in range(2):
        await gateways.go_round()
    assert [one.rounds.gateways for one in gateways.all] == [count] * count
    return gateways


async def test_a_minutes_requests_are_counted_together() -> None:
    gateways = await several(3)
    first, second, third = gateways.all
    for one in (first, first, second):
        assert await one.asks(requests_per_minute=4)
        await gateways.go_round()
    assert await third.asks(requests_per_minute=4)
    await gateways.go_round()
    for one in gateways.all:
        await one.asks(requests_per_minute=4)  # a gateway hears of the keys that it is asked by
    await gateways.go_round()
    assert [await one.asks(requests_per_minute=4) for one in gateways.all] == [False] * 3


async def test_what_all_take_at_once_is_a_debt_for_all() -> None:
    gateways = await several(3)
    assert await gateways.take_all(requests_per_minute=60) == 180, "the bound: a full bucket at each, once"
    began = gateways.clock.monotonic()
    while not await gateways.take_all(requests_per_minute=60):
        await gateways.go_round()
    assert gateways.clock.monotonic() - began == pytest.approx(121, abs=0.5)


@pytest.mark.parametrize("seed", range(5))
async def test_over_time_no_more_is_given_than_the_limit_and_once_what_one_round_takes(seed: int) -> None:
    random, gateways = Random(seed), await several(3)
    taken, most, began = 0, 0, gateways.clock.monotonic()
    for _ in range(1200):
        here = [0, 0, 0]
        for number in random.choices(range(3), k=random.choice((0, 0, 1, 5))):
            here[number] += await gateways.all[number].asks(requests_per_minute=120)
        taken, most = taken + sum(here), max(most, *here)
        await gateways.go_round()
    due = 120 + 2 * (gateways.clock.monotonic() - began)
    assert due - 10 < taken <= due + 2 * most


async def test_s09_without_redis_each_takes_its_share() -> None:
    gateways = await several(4)
    gateways.place.is_away = True
    await gateways.go_round()
    assert await gateways.take_all(requests_per_minute=60) == 60
    gateways.clock.advance(60)
    assert await gateways.take_all(requests_per_minute=60) == 60


async def test_s09_what_was_taken_without_redis_is_counted_when_it_is_back() -> None:
    gateways = await several(2)
    gateways.place.is_away = True
    await gateways.go_round()
    assert await gateways.take_all(requests_per_minute=60) == 60
    gateways.clock.advance(30)
    gateways.place.is_away = False
    for _ in range(2):
        assert [await one.asks(requests_per_minute=60) for one in gateways.all] == [True, True]
        await gateways.go_round()
    assert [one.remaining(requests_per_minute=60) for one in gateways.all] == pytest.approx([27, 26], abs=1)


async def test_s09_what_was_taken_without_redis_is_told_though_nobody_asks_any_more() -> None:
    gateways = await several(2)
    gateways.place.is_away = True
    await gateways.go_round()
    one, other = gateways.all
    while await one.asks(requests_per_minute=60):
        pass
    await gateways.go_round()
    gateways.place.is_away = False
    await gateways.go_round()
    assert await other.asks(requests_per_minute=60)
    await gateways.go_round()
    assert other.remaining(requests_per_minute=60) == 29


async def test_s09_an_hour_without_redis_leaves_no_debt() -> None:
    gateways = await several(2)
    gateways.place.is_away = True
    for _ in range(60):
        await gateways.go_round()
        await gateways.take_all(requests_per_minute=60)
        gateways.clock.advance(60)
    gateways.place.is_away = False
    for _ in range(2):
        await gateways.go_round()
    assert await gateways.all[0].asks(requests_per_minute=60)


async def test_s09_a_redis_that_comes_back_empty_gives_a_bucket_anew_and_nothing_else() -> None:
    gateways = await several(2)
    while await gateways.all[0].asks(requests_per_minute=60):
        await gateways.go_round()
    gateways.place.forget()
    for _ in range(2):
        await gateways.go_round()
        assert [one.rounds.is_together for one in gateways.all] == [True, True]
    assert await gateways.take_all(requests_per_minute=60) <= 2 * 61


async def test_a_gateway_rests_when_another_opens_its_circuit() -> None:
    gateways = await several(2)
    one, other = gateways.all
    one.breaks()
    await gateways.go_round()
    assert other.circuit.state is State.OPEN
    assert "another gateway" in other.circuit.why


async def test_a_pause_that_one_was_asked_for_is_kept_by_all() -> None:
    gateways = await several(2)
    one, other = gateways.all
    passed = one.circuit.admit(gateways.clock.monotonic())
    assert passed is not None
    assert other.circuit.cools_for_s(gateways.clock.monotonic()) == 0
    one.circuit.cooled(passed, gateways.clock.monotonic(), 30)
    await gateways.go_round()
    assert other.circuit.cools_for_s(gateways.clock.monotonic()) == pytest.approx(29.9)


async def test_a_circuit_of_another_key_is_another() -> None:
    gateways = await several(2)
    one, other = gateways.all
    theirs = deployment("acme/swift", key=Secret("another"))
    other.circuits.of(theirs)
    one.breaks()
    await gateways.go_round()
    assert other.circuits.of(theirs).state is State.CLOSED


async def test_what_was_heard_once_is_not_heard_again_while_it_is_told() -> None:
    gateways = await several(2)
    one, other = gateways.all
    one.breaks()
    for _ in range(3):  # each rest is longer than the one before
        gateways.clock.advance(10)
        one.breaks(failures=1)
    for _ in range(3):
        await gateways.go_round()
    gateways.clock.advance(0.7)
    assert list(one.circuit.findings(gateways.clock.monotonic()))
    probe = other.circuit.admit(gateways.clock.monotonic(), is_only=True)
    assert probe is not None
    other.circuit.answered(probe, gateways.clock.monotonic())
    await other.rounds.go_round()
    assert other.circuit.state is State.HALF_OPEN


async def test_one_gateway_probes_at_a_time_and_what_it_proves_holds_for_all() -> None:
    gateways = await several(3)
    one, *others = gateways.all
    one.breaks()
    await gateways.go_round()
    gateways.clock.advance(5)
    for number in range(3):
        now = gateways.clock.monotonic()
        probe = one.circuit.admit(now)
        assert probe is not None
        assert await one.rounds.take(SWIFT)
        assert [await each.rounds.take(SWIFT) for each in others] == [False, False], number
        await gateways.go_round()
        assert [await each.rounds.take(SWIFT) for each in others] == [False, False], "the turn goes on"
        one.circuit.answered(probe, now)
    await gateways.go_round()
    assert [each.circuit.state for each in gateways.all] == [State.RAMPING] * 3


async def test_s09_without_redis_everybody_probes_for_himself() -> None:
    gateways = await several(2)
    gateways.place.is_away = True
    assert [await each.rounds.take(SWIFT) for each in gateways.all] == [True, True]


async def test_no_key_of_a_provider_is_written_up() -> None:
    gateways = await several(1)
    gateways.all[0].breaks()
    await gateways.go_round()
    await gateways.all[0].rounds.take(SWIFT)
    written = repr((gateways.place.findings, gateways.place.turns))
    assert "acme/swift" in written
    assert "very-secret" not in written


async def test_a_deployment_that_is_not_known_here_is_passed_over() -> None:
    gateways = await several(2)
    gateways.all[0].breaks()
    gateways.all[1].known.clear()
    await gateways.go_round()
    assert list(gateways.all[1].circuits.all()) == []
