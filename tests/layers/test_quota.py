import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Below, attempt, call, deployment, model, reply
from routewright.call import Attempt, Priority
from routewright.clock import SystemClock
from routewright.errors import DeploymentBusy, ProviderFailed, ProviderOverloaded
from routewright.layers import quota
from routewright.layers.quota import BACK_IN_S, CUT, CUT_EVERY_S, PATIENCE_S, DeploymentQuota, Limit
from routewright.layers.turns import LONG_S
from routewright.reply import Allowance, Reply
from routewright.tenant import Tenant
from routewright.testing import FakeClock

NARROW = model("narrow", deployment("acme/narrow", concurrency=1))


async def test_the_next_call_waits_until_the_answer_before_it_has_closed() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    first = await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    assert len(below.requests) == 1
    first.close()
    (await waiting).close()
    assert len(below.requests) == 2


async def test_a_failed_call_gives_its_place_back() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below(ProviderFailed("500"), None)
    with pytest.raises(ProviderFailed):
        await layer(attempt(at=NARROW), below)
    await layer(attempt(at=NARROW), below)


async def test_a_full_waiting_room_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "WAITING_ROOM", 1)
    layer, below = DeploymentQuota(SystemClock()), Below()
    await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    with pytest.raises(DeploymentBusy):
        await layer(attempt(at=NARROW), below)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_one_that_stops_waiting_takes_no_place() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    first = await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.close()
    await layer(attempt(at=NARROW), below)


async def test_without_a_limit_nobody_waits() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    for _ in range(50):
        await layer(attempt(), below)


def test_a_429_cuts_the_limit_once_a_second() -> None:
    limit = Limit(100)
    limit.overloaded(0, 20)
    limit.overloaded(0.1, 19)
    assert limit.size(0.1) == pytest.approx(20 * CUT, abs=1), "the refusals of one burst are one sign"
    limit.overloaded(CUT_EVERY_S, 10)
    assert limit.size(CUT_EVERY_S) == pytest.approx(7)


def test_f8_what_refuses_everything_takes_as_much_as_before_when_it_is_back() -> None:
    limit = Limit(None)
    for second in range(60):
        limit.overloaded(second, 32 if second == 0 else 1)
    assert limit.size(59) == 1
    assert limit.size(59 + BACK_IN_S / 2) > 25, "fast at first"
    assert limit.size(59 + BACK_IN_S) == 32


def test_what_is_too_much_at_a_place_that_answers_is_felt_for_from_below() -> None:
    limit = Limit(None)
    limit.overloaded(0, 40)
    limit.went_well(4, started_at=1)
    limit.overloaded(4, 30)
    assert limit.size(4) == pytest.approx(21, abs=0.5)
    calm_at = 4 + BACK_IN_S
    assert limit.size(calm_at) == pytest.approx(28.5, abs=0.5), "a little less than what was too much"
    for _ in range(30):
        limit.went_well(calm_at + 0.5, started_at=5)
    assert limit.size(calm_at + 0.5) == pytest.approx(29.5, abs=0.5), "one more after a round of answers"


def test_f8_once_calls_wait_for_long_the_newest_goes_first() -> None:
    clock = FakeClock()
    layer, below, order = DeploymentQuota(clock), Below(), list[str]()

    async def ask(name: str) -> None:
        answer = await layer(attempt(at=NARROW), below)
        order.append(name)
        answer.close()

    async def story() -> None:
        for wait_s in (LONG_S / 2, LONG_S + 1):
            running = await layer(attempt(at=NARROW), below)
            asking = [asyncio.ensure_future(ask("old"))]
            await asyncio.sleep(wait_s)
            asking.append(asyncio.ensure_future(ask("new")))
            await asyncio.sleep(0)
            running.close()
            await asyncio.gather(*asking)

    clock.run(story())
    assert order == ["old", "new", "new", "old"]


@given(st.lists(st.one_of(st.none(), st.integers(1, 200)), max_size=200), st.one_of(st.none(), st.integers(1, 100)))
def test_the_limit_is_never_less_than_one_call_nor_more_than_the_settings(
    steps: list[int | None], most: int | None
) -> None:
    limit = Limit(most)
    for second, in_flight in enumerate(steps):
        if in_flight is None:
            limit.went_well(second, second)
        else:
            limit.overloaded(second, in_flight)
        assert 1 <= limit.size(second) <= (most or float("inf"))
        assert limit.admits(second, 0)


def test_new_settings_hold_at_once_and_what_was_learned_stays() -> None:
    limit = Limit(10)
    limit.adopt(20)
    assert limit.size(0) == 20
    limit.overloaded(0, 10)
    limit.adopt(30)
    assert limit.size(0) == pytest.approx(7)
    limit.adopt(3)
    assert limit.size(0) == 3


def test_what_the_headers_leave_is_not_exceeded_and_then_refills_evenly() -> None:
    limit = Limit(None)
    limit.told(0, Allowance(2, 1.0, 60.0))
    for _ in range(2):
        assert limit.admits(0, 0)
        limit.started(0)
    assert not limit.admits(0.9, 0)
    assert limit.admits(1.0, 0)
    limit.started(1.0)
    assert not limit.admits(1.5, 0)
    assert limit.admits(2.0, 0)
    assert limit.admits(60.0, 0)
    limit.started(60.0)
    assert limit.admits(60.0, 0), "all is as if nothing had been called"


def test_what_an_answer_leaves_is_less_by_the_calls_that_it_may_not_count_yet() -> None:
    limit = Limit(None)
    limit.told(0.0, Allowance(3, 0.5, 30.0), in_flight=2)
    limit.started(0.0)
    assert limit.opens_at(0.0) == 0.5


def test_answers_do_not_delay_the_pace() -> None:
    limit = Limit(None)
    limit.told(0.0, Allowance(0, 0.5, 30.0))
    limit.told(0.4, Allowance(0, 0.5, 30.0))
    assert limit.opens_at(0.4) == 0.5
    limit.told(9.0, Allowance(0, 0.5, 30.0))
    assert limit.opens_at(9.0) == 8.5, "what was not used is no burst"


def test_a_burst_is_served_at_the_pace_that_the_headers_tell() -> None:
    clock, began_at = FakeClock(), []
    layer = DeploymentQuota(clock)

    async def serve(request: Attempt) -> Reply:
        began_at.append(clock.monotonic())
        await asyncio.sleep(0.01)
        answer = reply(request)
        answer.allowance = Allowance(0, 0.5, 30.0)
        return answer

    async def ask() -> None:
        (await layer(attempt(), serve)).close()

    async def burst() -> None:
        await ask()
        await asyncio.gather(*(ask() for _ in range(10)))

    clock.run(burst())
    pauses = [later - earlier for earlier, later in pairwise(began_at)]
    assert min(pauses) == pytest.approx(0.5)
    assert len(began_at) == 11


@pytest.mark.parametrize("is_last_model", [True, False])
def test_a_long_pause_is_only_waited_for_where_nobody_else_could_serve(is_last_model: bool) -> None:
    clock = FakeClock()
    layer, below = DeploymentQuota(clock), Below()

    async def full(request: Attempt) -> Reply:
        answer = reply(request)
        answer.allowance = Allowance(0, 5 * PATIENCE_S, 30.0)
        return answer

    async def story() -> None:
        (await layer(attempt(), full)).close()
        with pytest.raises(DeploymentBusy) as busy:
            await layer(attempt(call(deadline_at=3.0)), below)
        assert busy.value.retry_after_s == pytest.approx(5)
        asked = attempt(is_last_model=is_last_model)
        if is_last_model:
            (await layer(asked, below)).close()
            assert clock.monotonic() == pytest.approx(5)
        else:
            with pytest.raises(DeploymentBusy):
                await layer(asked, below)

    clock.run(story())


async def test_live_calls_go_before_those_of_a_batch_and_these_before_shadows() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    running = await layer(attempt(at=NARROW), below)

    async def ask(priority: Priority) -> None:
        answer = await layer(attempt(call(priority=priority), NARROW), below)
        await asyncio.sleep(0)
        answer.close()

    order = (Priority.SHADOW, Priority.BATCH, Priority.LIVE, Priority.BATCH, Priority.LIVE)
    waiting = [asyncio.ensure_future(ask(priority)) for priority in order]
    await asyncio.sleep(0)
    running.close()
    await asyncio.gather(*waiting)
    assert [request.call.priority for request in below.requests[1:]] == sorted(order)


async def test_in_a_full_waiting_room_the_last_of_the_least_urgent_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "WAITING_ROOM", 1)
    layer, below = DeploymentQuota(SystemClock()), Below()
    running = await layer(attempt(at=NARROW), below)
    batch = asyncio.ensure_future(layer(attempt(call(priority=Priority.BATCH), NARROW), below))
    await asyncio.sleep(0)
    live = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    with pytest.raises(DeploymentBusy, match="others come first"):
        await batch
    running.close()
    (await live).close()


async def test_one_that_is_cancelled_in_the_moment_of_its_turn_gives_it_to_the_next() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    for leaves_first in (True, False):
        running = await layer(attempt(at=NARROW), below)
        first, second = (asyncio.ensure_future(layer(attempt(at=NARROW), below)) for _ in range(2))
        await asyncio.sleep(0)
        for step in (running.close, first.cancel) if leaves_first else (first.cancel, running.close):
            step()
        (await second).close()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_429_is_learned_from() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    running = [await layer(attempt(), below) for _ in range(9)]
    with pytest.raises(ProviderOverloaded):
        await layer(attempt(), Below(ProviderOverloaded("429")))
    waiting = asyncio.ensure_future(layer(attempt(), below))
    await asyncio.sleep(0)
    for answer in running[:2]:
        answer.close()
        await asyncio.sleep(0)
    assert not waiting.done(), "seven are in flight, and seven was what it takes"
    running[2].close()
    (await waiting).close()


async def queue(layer: DeploymentQuota, below: Below, tenants: str) -> tuple[Reply, list["asyncio.Task[Reply]"]]:
    """One call in the only place, and one of each tenant behind it, in this order."""
    running = await layer(attempt(at=NARROW), below)
    waiting = []
    for tenant in tenants:
        waiting.append(asyncio.create_task(layer(attempt(call(tenant=Tenant(key=tenant)), NARROW), below)))
        await asyncio.sleep(0)
    return running, waiting


async def test_m06_tenants_that_wait_take_turns_whoever_has_piled_up_most() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    running, waiting = await queue(layer, below, "aaaaabbc")
    running.close()
    while waiting:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            waiting.remove(task)
            task.result().close()
    assert "".join(asked.call.tenant.key for asked in below.requests) == "abcabaaa"


async def test_m06_one_that_comes_while_another_floods_is_next_but_one() -> None:
    layer, below = DeploymentQuota(SystemClock()), Below()
    running, waiting = await queue(layer, below, "a" * 50)
    for _ in range(20):
        running.close()
        running = await waiting.pop(0)
    late = asyncio.create_task(layer(attempt(call(tenant=Tenant(key="b")), NARROW), below))
    await asyncio.sleep(0)
    running.close()
    (await waiting.pop(0)).close()
    (await late).close()
    assert below.requests[-1].call.tenant.key == "b"
    for task in waiting:
        (await task).close()


async def test_m06_in_a_full_waiting_room_the_newest_of_who_has_most_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "WAITING_ROOM", 4)
    layer, below = DeploymentQuota(SystemClock()), Below()
    running, waiting = await queue(layer, below, "aaaab")
    with pytest.raises(DeploymentBusy, match="others come first"):
        await waiting.pop(3)
    with pytest.raises(DeploymentBusy, match="others come first"):
        await layer(attempt(call(tenant=Tenant(key="a")), NARROW), below)
    running.close()
    for task in (waiting[0], waiting[3], waiting[1], waiting[2]):
        (await task).close()


def test_f8_in_a_full_waiting_room_the_stalest_gives_way_once_calls_wait_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quota, "WAITING_ROOM", 3)
    clock = FakeClock()
    layer, below = DeploymentQuota(clock), Below()

    async def story() -> None:
        running, stale = await queue(layer, below, "aab")
        await asyncio.sleep(LONG_S)
        fresh = asyncio.create_task(layer(attempt(call(tenant=Tenant(key="a")), NARROW), below))
        with pytest.raises(DeploymentBusy, match="others come first"):
            await stale.pop(0)
        running.close()
        for task in (fresh, stale[1], stale[0]):
            (await task).close()

    clock.run(story())


def test_f8_those_that_wait_for_long_are_served_after_all_others_and_the_newest_of_them_first() -> None:
    clock = FakeClock()
    layer, below, order = DeploymentQuota(clock), Below(), list[str]()

    async def ask(name: str) -> None:
        answer = await layer(attempt(at=NARROW), below)
        order.append(name)
        answer.close()

    async def story() -> None:
        running = await layer(attempt(at=NARROW), below)
        asking = []
        for name, pause_s in (("late 1", 0.1), ("late 2", 0.1), ("late 3", LONG_S), ("new 1", 0.1), ("new 2", 0.1)):
            asking.append(asyncio.create_task(ask(name)))
            await asyncio.sleep(pause_s)
        running.close()
        await asyncio.gather(*asking)

    clock.run(story())
    assert order == ["new 1", "new 2", "late 3", "late 2", "late 1"]


def test_f8_refusals_that_come_faster_than_answers_lower_the_limit_all_the_same() -> None:
    limit = Limit(None)
    limit.overloaded(0, 60)
    for second in range(1, 30):
        limit.overloaded(second, 50)
        limit.went_well(second + 0.5, started_at=second - 2.5)
    assert limit.size(29 + BACK_IN_S) < 50
