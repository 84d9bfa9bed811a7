import asyncio

import pytest

from routewright.layers.alarms import FEWEST_STOPPED, Alarms
from routewright.testing import FakeClock


async def limited(alarms: Alarms, at: float, work_s: float) -> str:
    """What becomes of work that takes so long."""
    try:
        with alarms.at(at):
            await asyncio.sleep(work_s)
    except TimeoutError:
        return "late"
    return "done"


def test_who_is_late_is_cancelled_at_its_time_and_nobody_else() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(limited(alarms, at, work_s=4) for at in (9, 3, 5, 1)))

    assert clock.run(all_of_them()) == ["done", "late", "done", "late"]
    assert clock.monotonic() == pytest.approx(4)


def test_an_earlier_alarm_is_set_while_a_later_one_waits() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)

    async def outer_and_inner() -> str:
        with alarms.at(60):
            return await limited(alarms, 2, work_s=100)

    assert clock.run(outer_and_inner()) == "late"
    assert clock.monotonic() == pytest.approx(2)


def test_an_alarm_in_the_past_rings_at_once() -> None:
    clock = FakeClock()
    clock.advance(10)
    assert clock.run(limited(Alarms(clock), 3, work_s=100)) == "late"
    assert clock.monotonic() == pytest.approx(10)


def test_somebody_elses_cancellation_stays_one() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)

    async def cancelled() -> None:
        task = asyncio.ensure_future(limited(alarms, 60, work_s=100))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    clock.run(cancelled())


def test_a_cancellation_at_the_same_moment_is_not_swallowed() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)

    async def both() -> None:
        task = asyncio.ensure_future(limited(alarms, 5, work_s=100))
        asyncio.get_running_loop().call_at(5, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    clock.run(both())


def test_what_was_stopped_does_not_pile_up() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)

    async def many() -> None:
        for _ in range(20 * FEWEST_STOPPED):
            assert await limited(alarms, 1_000, work_s=0) == "done"

    clock.run(many())
    assert len(alarms) <= FEWEST_STOPPED + 1


def test_an_alarm_rings_in_the_next_event_loop_too() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)
    assert clock.run(limited(alarms, 60, work_s=1)) == "done"
    assert clock.run(limited(alarms, 50, work_s=100)) == "late"
    assert clock.monotonic() == pytest.approx(50)
