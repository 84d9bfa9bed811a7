"""The places of one batch."""

import asyncio

import pytest
from msgspec.structs import replace

from builders import Below, attempt, call
from routewright.call import Attempt
from routewright.clock import SystemClock
from routewright.errors import ProviderFailed, ProviderOverloaded
from routewright.layers.lanes import Gate, Lanes
from routewright.layers.quota import UNSENT
from routewright.layers.window import Window
from routewright.reply import Allowance, Reply

OURS = attempt(call(lane="ours"))


class Held:
    """A provider that answers when it is told to."""

    def __init__(self, reply_of: Below) -> None:
        self.asked = 0
        self._below = reply_of
        self._may_answer = asyncio.Semaphore(0)

    async def __call__(self, asked: Attempt) -> Reply:
        self.asked += 1
        await self._may_answer.acquire()
        return await self._below(asked)

    def answer(self) -> None:
        self._may_answer.release()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_place_is_free_with_the_last_byte_before_the_answer_is_settled() -> None:
    lanes, provider = Lanes(SystemClock()), Held(Below())
    with lanes.opened("ours", Window(1, 1)):
        first, second = (asyncio.ensure_future(lanes(OURS, provider)) for _ in range(2))
        await settled()
        assert provider.asked == 1
        provider.answer()
        reply = await first
        assert reply.ending is None, "nothing is settled yet"
        assert provider.asked == 2
        provider.answer()
        await second


async def test_a_stream_keeps_its_place_until_it_has_ended() -> None:
    lanes, provider = Lanes(SystemClock()), Held(Below())
    streamed = attempt(call(lane="ours", stream=True))
    with lanes.opened("ours", Window(1, 1)):
        first, second = (asyncio.ensure_future(lanes(streamed, provider)) for _ in range(2))
        provider.answer()
        reply = await first
        await settled()
        assert provider.asked == 1
        reply.close()
        provider.answer()
        (await second).close()


async def test_who_has_no_lane_waits_for_nobody() -> None:
    lanes, provider = Lanes(SystemClock()), Held(Below())
    with lanes.opened("ours", Window(1, 1)):
        waiting = [asyncio.ensure_future(lanes(each, provider)) for each in (OURS, attempt(), attempt())]
        await settled()
        assert provider.asked == 3
        for each in waiting:
            provider.answer()
            await each


@pytest.mark.parametrize("error", [ProviderFailed("500"), ProviderOverloaded("429")])
async def test_a_failed_call_gives_its_place_back(error: ProviderFailed) -> None:
    lanes, below = Lanes(SystemClock()), Below(error, None)
    with lanes.opened("ours", Window(1, 1)):
        with pytest.raises(type(error)):
            await lanes(OURS, below)
        await lanes(OURS, below)


async def test_one_that_stops_waiting_takes_no_place_and_was_not_sent() -> None:
    lanes, provider = Lanes(SystemClock()), Held(Below())
    with lanes.opened("ours", Window(1, 1)) as lane:
        first, second = (asyncio.ensure_future(lanes(OURS, provider)) for _ in range(2))
        await settled()
        second.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await second
        assert UNSENT in caught.value.__notes__
        provider.answer()
        await first
        assert lane.places.inside == 0


async def test_one_that_is_cancelled_when_it_has_its_turn_gives_it_on() -> None:
    gate = Gate(1)
    await gate.enter()
    waiting = [asyncio.ensure_future(gate.enter()) for _ in range(2)]
    await settled()
    gate.leave()
    waiting[0].cancel()
    await settled()
    assert waiting[1].done()
    assert gate.inside == 1


async def test_answers_that_leave_plenty_let_more_in() -> None:
    async def generous(asked: Attempt) -> Reply:
        await asyncio.sleep(0)
        reply = await Below()(asked)
        reply.allowance = Allowance(1_000, 0.0, 60.0)
        return reply

    lanes = Lanes(SystemClock())
    with lanes.opened("ours", Window(1, 64)) as lane:
        for number in range(40):
            await asyncio.gather(
                *(lanes(replace(OURS, id=f"{number}-{each}"), generous) for each in range(lane.window.size))
            )
        assert lane.window.size > 3
