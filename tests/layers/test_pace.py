import asyncio

import pytest

from builders import Below, attempt, call, reply
from routewright.call import Attempt
from routewright.errors import TooLate
from routewright.layers.pace import FAILURE_S, MEMORY_S, Measure, Pace, Paces
from routewright.reply import Reply
from routewright.testing import FakeClock


def test_one_slow_answer_raises_the_load_at_once_and_fast_ones_lower_it_slowly() -> None:
    pace = Pace()
    pace.began(0, 0.1, is_stream=True)
    pace.began(1, 2.0, is_stream=True)
    assert pace.load(1, 0) == pytest.approx(2.0)
    pace.began(2, 0.1, is_stream=True)
    assert 1.5 < pace.load(2, 0) < 2.0


def test_time_without_news_lowers_it_as_well_so_that_who_was_slow_is_asked_again() -> None:
    pace = Pace()
    pace.began(0, 2.0, is_stream=True)
    assert pace.load(30, 0) < 0.2


def test_load_grows_with_what_is_in_flight() -> None:
    pace = Pace()
    pace.began(0, 0.5, is_stream=True)
    assert pace.load(0, 3) == pytest.approx(2.0)


def test_of_a_deployment_that_nobody_knows_one_call_finds_out() -> None:
    pace = Pace()
    assert pace.load(0, 0) == 0
    assert pace.load(0, 1) >= 10


def test_who_was_never_heard_of_and_was_waited_for_in_vain_is_not_taken_for_idle() -> None:
    known, silent = Pace(), Pace()
    known.began(0, 0.2, is_stream=True)
    silent.was_waited_for(8, 8.0)
    assert silent.load(9, 0) > known.load(9, 0)
    assert silent.load(60, 0) < 0.1, "after a while it is asked again"


def test_a_short_wait_says_nothing_of_who_was_never_heard_of() -> None:
    pace = Pace()
    pace.was_waited_for(1, 0.1)
    assert pace.load(1, 0) == 0
    assert pace.load(1, 1) >= 10


def test_an_error_that_comes_fast_is_no_reason_to_send_more() -> None:
    pace = Pace()
    pace.began(0, 0.1, is_stream=True)
    pace.failed(0, 0.001)
    assert pace.load(0, 0) == pytest.approx(FAILURE_S)


def test_the_least_time_is_that_of_streams_of_the_last_minute() -> None:
    pace = Pace()
    assert pace.least_s(0) == 0
    pace.began(1, 0.2, is_stream=False)
    pace.began(1, 2.0, is_stream=True)
    pace.began(2, 1.0, is_stream=True)
    assert pace.least_s(2) == 1.0
    assert pace.least_s(MEMORY_S + 5) == 1.0
    assert pace.least_s(2 * MEMORY_S + 10) == 0, "nobody is sent away for ever by what once was"


def test_c16_a_deadline_shorter_than_any_attempt_ends_it_before_anything_is_sent() -> None:
    clock, paces = FakeClock(), Paces()
    measure = Measure(paces, clock)

    async def slow(request: Attempt) -> Reply:
        await asyncio.sleep(0.8)
        return reply(request)

    async def main() -> None:
        (await measure(attempt(call(stream=True)), slow)).close()
        below = Below()
        with pytest.raises(TooLate, match=r"takes 0\.800 s to begin, and 0\.500 s are left"):
            await measure(attempt(call(deadline_at=clock.monotonic() + 0.5)), below)
        assert below.requests == []
        (await measure(attempt(call(deadline_at=clock.monotonic() + 0.9)), below)).close()

    clock.run(main())
