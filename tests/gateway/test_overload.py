"""Who is refused when there is no room, and what is ended when there is no memory."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import reply
from routewright.errors import Overloaded
from routewright.gateway.overload import PAUSE_S, SHARE, Work, Workload

MOST = 100


def admitted(workload: Workload, tenant: str, tries: int) -> int:
    """How many of so many requests are let in."""
    count = 0
    with contextlib.suppress(Overloaded):
        for _ in range(tries):
            workload.admit(tenant, Work())
            count += 1
    return count


async def test_m06_one_that_floods_leaves_room_and_several_leave_more() -> None:
    workload = Workload(MOST)
    assert admitted(workload, "flood", 10 * MOST) == 90
    assert admitted(workload, "other", 1) == 1
    workload = Workload(MOST)
    for _ in range(MOST):
        admitted(workload, "one", 1)
        admitted(workload, "two", 1)
    assert admitted(workload, "third", MOST) > 0


@given(st.lists(st.integers(0, 5), max_size=400))
async def test_m06_there_is_always_room_for_somebody_new_until_twenty_tenants_flood(asked: list[int]) -> None:
    workload = Workload(MOST)
    for tenant in asked:
        admitted(workload, f"tenant {tenant}", 1)
    assert admitted(workload, "new", 1) == 1


async def test_what_is_over_makes_room_again_and_leaves_nothing() -> None:
    workload, works = Workload(MOST), [Work() for _ in range(90)]
    for work in works:
        workload.admit("flood", work)
    with pytest.raises(Overloaded, match="90 requests of this key are in flight") as refused:
        workload.admit("flood", Work())
    assert refused.value.retry_after_s == PAUSE_S
    for work in works:
        workload.leave("flood", work)
    assert admitted(workload, "flood", MOST) == SHARE * MOST // (SHARE + 1)


async def test_r04_at_90_percent_new_work_is_refused_unless_there_is_no_other() -> None:
    workload, work = Workload(MOST), Work()
    workload.weigh(90, 100)
    workload.admit("a", work)
    with pytest.raises(Overloaded, match="short of memory"):
        workload.admit("b", Work())
    workload.weigh(89, 100)
    workload.admit("b", Work())


async def test_r04_at_95_percent_the_largest_tenth_is_ended_each_time() -> None:
    workload, works = Workload(MOST), [Work() for _ in range(15)]

    async def run(work: Work, size: int) -> None:
        workload.admit("a", work)
        work.body_bytes, work.reply = size, reply()
        try:
            await asyncio.Event().wait()
        finally:
            workload.leave("a", work)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(work, size)) for size, work in enumerate(works)]
        await asyncio.sleep(0)
        assert workload.weigh(94, 100) == 0
        assert workload.weigh(95, 100) == 2
        assert workload.weigh(95, 100) == 2, "others than before"
        await asyncio.sleep(0)
        assert [task.cancelled() for task in tasks] == [False] * 11 + [True] * 4
        assert all(isinstance(work.error, Overloaded) for work in works[11:])
        for task in tasks:
            task.cancel()
