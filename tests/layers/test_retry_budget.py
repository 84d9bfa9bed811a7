import asyncio
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Below, attempt, call, deployment, model, registry, reply, route
from routewright.call import Attempt, Routed
from routewright.errors import AllAttemptsFailed, ProviderFailed, ProviderOverloaded, RetriesSpent, RoutewrightError
from routewright.layers.breaker import Breaker, Circuits
from routewright.layers.fallback import Fallback
from routewright.layers.retry import Retry
from routewright.layers.retry_budget import FLOOR, SHARE, WINDOW_S, FurtherAttempts, RetryBudget
from routewright.layers.service import Stack
from routewright.layers.slowness import Waits
from routewright.reply import Reply
from routewright.testing import FakeClock


def test_the_floor_is_there_without_traffic_and_again_in_the_next_window() -> None:
    budget = RetryBudget()
    assert [budget.take(0) for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]
    assert not budget.take(WINDOW_S - 0.1)
    assert budget.take(WINDOW_S)


def test_a_tenth_of_the_requests_may_be_tried_further() -> None:
    budget = RetryBudget()
    for number in range(100):
        budget.request(number / 100)
    assert [budget.take(5) for _ in range(11)] == [True] * 10 + [False]


@given(st.lists(st.tuples(st.floats(0, 8), st.sampled_from(["request", "take"])), max_size=300))
def test_no_window_ever_has_more_than_its_share(steps: list[tuple[float, str]]) -> None:
    budget, now = RetryBudget(), 0.0
    requests: list[int] = []
    taken: list[int] = []
    for pause, step in steps:
        now += pause
        if step == "request":
            budget.request(now)
            requests.append(int(now))
        elif budget.take(now):
            taken.append(int(now))
        window = range(int(now) - WINDOW_S + 1, int(now) + 1)
        # what was taken stays when the requests that it was a share of are forgotten
        before = sum(second > int(now) - 2 * WINDOW_S for second in requests)
        assert sum(second in window for second in taken) <= max(FLOOR, SHARE * before)


async def test_a_place_that_does_well_takes_nothing_and_is_never_refused() -> None:
    clock, circuits, budget = FakeClock(), Circuits(Random(1)), RetryBudget()
    stack = (
        Stack.outermost(Breaker(circuits, Waits(), clock)).then(FurtherAttempts(budget, circuits, clock)).over(Below())
    )
    (await stack(attempt())).close()
    for _ in range(20):
        (await stack(attempt(number=2))).close()
    assert budget.take(0)


async def test_a_first_attempt_is_never_refused() -> None:
    layer = FurtherAttempts(RetryBudget(), Circuits(Random(1)), FakeClock())
    for _ in range(20):
        await layer(attempt(), Below())


async def test_beyond_the_budget_a_further_attempt_is_refused_and_nothing_sent() -> None:
    layer, below = FurtherAttempts(RetryBudget(), Circuits(Random(1)), FakeClock()), Below()
    for _ in range(FLOOR):
        await layer(attempt(number=2), below)
    with pytest.raises(RetriesSpent):
        await layer(attempt(number=2), below)
    assert len(below.requests) == FLOOR


STRONG = model("strong", deployment("acme/strong"), deployment("other/strong"))
WEAK = model("weak", deployment("acme/weak"))


@pytest.mark.parametrize("breaker_opens", [True, False])
def test_f8_when_everything_fails_attempts_are_at_most_a_tenth_more_than_requests(breaker_opens: bool) -> None:
    """60 s at 50 requests a second; also with circuits that never open, as the budget must not lean on them."""
    clock, circuits = FakeClock(), Circuits(Random(1))
    below = Below(ProviderFailed("500"))
    registered = registry(STRONG, WEAK)
    stack = Stack.outermost(Fallback(registered, clock, Random(1))).then(Retry(2, clock, Random(1)))
    if breaker_opens:
        stack = stack.then(Breaker(circuits, Waits(), clock))
    service = stack.then(FurtherAttempts(RetryBudget(), circuits, clock)).over(below)
    requests = 3000

    async def ask() -> None:
        with pytest.raises(AllAttemptsFailed):
            await service(Routed(call(), route(STRONG, WEAK)))

    async def outage() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(requests):
                group.create_task(ask())
                await asyncio.sleep(0.02)

    clock.run(outage())
    assert len(below.requests) <= (1 + SHARE) * requests + FLOOR
    if breaker_opens:
        assert len(below.requests) < 0.2 * requests, "most are refused before anything is sent"


@pytest.mark.parametrize(("share", "error"), [(0.4, ProviderFailed("500")), (0.5, ProviderOverloaded("429"))])
def test_e7_where_every_place_fails_now_and_then_attempts_are_bounded_as_well(
    share: float, error: RoutewrightError
) -> None:
    clock, random = FakeClock(), Random(1)
    circuits, asked = Circuits(random), 0

    async def serve(request: Attempt) -> Reply:
        nonlocal asked
        asked += 1
        if random.random() < share:
            raise error
        return reply(request)

    service = (
        Stack.outermost(Fallback(registry(STRONG, WEAK), clock, random))
        .then(Retry(2, clock, random))
        .then(Breaker(circuits, Waits(), clock))
        .then(FurtherAttempts(RetryBudget(), circuits, clock))
        .over(serve)
    )
    requests = 3000

    async def ask() -> None:
        with suppress(AllAttemptsFailed):
            answer = await service(Routed(call(), route(STRONG, WEAK)))
            while await answer.next():
                pass

    async def traffic() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(requests):
                group.create_task(ask())
                await asyncio.sleep(0.02)

    clock.run(traffic())
    free = 10  # at places that did well, as far as one could know
    assert asked <= (1 + SHARE) * requests + FLOOR + free
