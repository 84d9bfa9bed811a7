import asyncio
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DOLLAR_PRICES, Below, attempt, call, deployment, model, reply
from routewright.call import Attempt, Call
from routewright.catalog.pricing import Tariff
from routewright.layers.balance import Balance, draw
from routewright.layers.breaker import Circuits
from routewright.layers.circuit import Pass
from routewright.layers.pace import Measure, Paces
from routewright.layers.quota import DeploymentQuota
from routewright.layers.service import Stack
from routewright.reply import Reply
from routewright.testing import FakeClock

PLACES = tuple(deployment(f"{name}/swift") for name in ("first", "second", "third"))
SWIFT = model("swift", *PLACES)


class House:
    """The layer with all it asks."""

    def __init__(self, warm: str | None = None) -> None:
        self.clock, self.paces, self.circuits = FakeClock(), Paces(), Circuits(Random(1))
        self.quota = DeploymentQuota(self.clock)
        self.below = Below()
        self.warm = warm
        self.balance = Balance(self.paces, self.quota, self.circuits, self.clock, Random(1), self)

    def warm_place(self, call: Call, model: str) -> str | None:
        """As it was told."""
        return self.warm

    async def order(self, at: Attempt) -> list[str]:
        """In which order the places are to be tried."""
        await self.balance(at, self.below)
        asked = self.below.requests[-1]
        return [asked.deployment.id, *(each.id for each in asked.others)]


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.integers())
def test_the_most_loaded_of_all_is_never_drawn(loads: list[float], seed: int) -> None:
    drawn = loads[draw(loads, Random(seed))]
    assert drawn <= sorted(loads)[-2]


async def test_a_model_with_one_place_is_left_alone() -> None:
    house = House()
    assert await house.order(attempt()) == ["acme/swift"]
    assert house.clock.monotonic() == 0


async def test_the_slowest_place_comes_last_and_every_place_comes_once() -> None:
    house = House()
    for place, took_s in zip(PLACES, (5.0, 0.2, 0.1), strict=True):
        house.paces.of(place).began(0, took_s, is_stream=True)
    orders = [await house.order(attempt(at=SWIFT)) for _ in range(50)]
    assert {order[-1] for order in orders} == {"first/swift"}
    assert all(len(set(order)) == 3 for order in orders)
    assert {order[0] for order in orders} == {"second/swift", "third/swift"}


async def test_a_conversation_stays_where_it_is_warm() -> None:
    house = House(warm="first/swift")
    house.paces.of(PLACES[0]).began(0, 5.0, is_stream=True)
    assert (await house.order(attempt(at=SWIFT)))[0] == "first/swift"


async def test_resting_places_keep_to_the_end() -> None:
    house = House(warm="second/swift")
    house.circuits.of(PLACES[1]).failed(Pass(0), 0, is_lasting=True)
    assert {(await house.order(attempt(at=SWIFT)))[-1] for _ in range(20)} == {"second/swift"}


async def test_where_all_rest_the_order_of_the_settings_holds() -> None:
    house = House()
    for place in PLACES:
        house.circuits.of(place).failed(Pass(0), 0, is_lasting=True)
    assert await house.order(attempt(at=SWIFT)) == [place.id for place in PLACES]


async def test_a_place_with_another_price_is_no_equal() -> None:
    house = House()
    dear = deployment("dear/swift", tariff=Tariff(DOLLAR_PRICES))
    orders = [await house.order(attempt(at=model("swift", *PLACES[:2], dear))) for _ in range(20)]
    assert {order[-1] for order in orders} == {"dear/swift"}


def test_f7_of_three_places_one_ten_times_slower_gets_hardly_any_call() -> None:
    house = House()
    stack = Stack.outermost(house.balance).then(house.quota).then(Measure(house.paces, house.clock))

    async def serve(request: Attempt) -> Reply:
        await asyncio.sleep(2.0 if request.deployment is PLACES[0] else 0.2)
        return reply(request)

    asked: Counter[str] = Counter()

    async def ask() -> None:
        answer = await stack.over(serve)(attempt(call(stream=True), SWIFT))
        asked[answer.attempt.deployment.id] += 1
        answer.close()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3000):
                group.create_task(ask())
                await asyncio.sleep(0.02)

    house.clock.run(main())
    assert asked["first/swift"] < 0.01 * 3000
    assert asked["second/swift"] == pytest.approx(asked["third/swift"], rel=0.2)
