import asyncio

from routewright.layers.lag import AFTERMATH_S, Lag
from routewright.testing import FakeClock


def test_a_loop_that_stood_still_is_noticed_for_a_while_by_what_was_in_flight() -> None:
    clock = FakeClock()

    async def main() -> None:
        lag = Lag(clock)
        lag.begin()
        await asyncio.sleep(1)
        assert not lag.stood_still(0, clock.monotonic())
        clock.advance(2)
        assert lag.stood_still(0, clock.monotonic()), "even before the late beat has come"
        await asyncio.sleep(0.2)
        now = clock.monotonic()
        assert lag.stood_still(0, now)
        assert not lag.stood_still(now, now), "what began after it is not excused"
        await asyncio.sleep(AFTERMATH_S)
        assert not lag.stood_still(0, clock.monotonic())
        lag.end()

    clock.run(main())


def test_nothing_beats_while_nothing_is_in_flight() -> None:
    clock = FakeClock()

    async def main() -> None:
        lag = Lag(clock)
        lag.begin()
        lag.end()
        await asyncio.sleep(10)
        clock.advance(2)
        assert not lag.stood_still(0, clock.monotonic())

    clock.run(main())
