import asyncio

import pytest

from builders import Below, attempt, call, deployment, model, reply
from routewright.call import Attempt, Call, Options
from routewright.errors import DeadlineExceeded, FirstEventTimeout
from routewright.layers.deadline import Deadline, FirstEventDeadline
from routewright.layers.slowness import SHORTEST_PATIENCE_S, Wait, Waits
from routewright.reply import Reply
from routewright.testing import FakeClock


async def slow(_: object) -> Reply:
    await asyncio.sleep(100)
    return reply()


async def answered(layer: FirstEventDeadline, asked: Attempt) -> Reply:
    return await layer(asked, slow)


def test_the_whole_request_has_one_deadline() -> None:
    clock = FakeClock()
    with pytest.raises(DeadlineExceeded, match="deadline of 30 s"):
        clock.run(Deadline(30, clock)(call(), slow))
    assert clock.monotonic() == pytest.approx(30)


def test_what_is_left_travels_with_the_call() -> None:
    clock, below = FakeClock(), Below()
    clock.advance(5)
    clock.run(Deadline(30, clock)(call(), below))
    asked: Call = below.requests[0]
    assert asked.deadline_at == pytest.approx(35)


@pytest.mark.parametrize(("wish_s", "limit_s"), [(2.0, 2.0), (500.0, 30.0)])
def test_a_caller_may_ask_for_less_and_never_for_more(wish_s: float, limit_s: float) -> None:
    clock = FakeClock()
    with pytest.raises(DeadlineExceeded):
        clock.run(Deadline(30, clock)(call(options=Options(deadline_s=wish_s)), slow))
    assert clock.monotonic() == pytest.approx(limit_s)


@pytest.mark.parametrize(("stream", "limit_s"), [(True, 3.0), (False, 60.0)])
def test_an_attempt_must_begin_in_time(stream: bool, limit_s: float) -> None:
    clock = FakeClock()
    with pytest.raises(FirstEventTimeout):
        clock.run(
            answered(FirstEventDeadline(3, 60, Waits(), clock), attempt(call(stream=stream), is_last_model=False))
        )
    assert clock.monotonic() == pytest.approx(limit_s)


def test_a_model_may_be_given_more_time() -> None:
    clock = FakeClock()
    thinker = model(first_event_timeout_s=20.0)
    with pytest.raises(FirstEventTimeout):
        clock.run(
            answered(
                FirstEventDeadline(3, 60, Waits(), clock), attempt(call(stream=True), thinker, is_last_model=False)
            )
        )
    assert clock.monotonic() == pytest.approx(20)


def test_the_last_model_is_waited_for() -> None:
    clock = FakeClock()
    clock.run(answered(FirstEventDeadline(3, 60, Waits(), clock), attempt(call(stream=True), is_last_model=True)))
    assert clock.monotonic() == pytest.approx(100)


def test_u04_a_silent_place_of_the_last_model_is_left_for_a_sibling_that_begins_far_sooner() -> None:
    clock, waits = FakeClock(), Waits()
    two = model("swift", deployment("acme/swift"), deployment("other/swift"))
    for _ in range(5):
        waits.note("other/swift", Wait.BEGINNING, 0, 0.4)
    with pytest.raises(FirstEventTimeout):
        clock.run(answered(FirstEventDeadline(3, 60, waits, clock), attempt(call(stream=True), two)))
    assert clock.monotonic() == pytest.approx(SHORTEST_PATIENCE_S)


def test_u04_a_place_of_the_last_model_that_keeps_silent_is_left_for_a_sibling_whose_whole_answers_take_no_time() -> (
    None
):
    clock, below = FakeClock(), Below()
    layer = FirstEventDeadline(3, 60, Waits(), clock)
    here, there = deployment("acme/swift"), deployment("other/swift")
    two = model("swift", here, there)

    async def silent_after_answers_elsewhere() -> None:
        for _ in range(5):
            await layer(attempt(at=two, deployment=there, others=(here,)), below)
        await answered(layer, attempt(at=two, others=(there,)))

    with pytest.raises(FirstEventTimeout, match="no answer within 60 s"):
        clock.run(silent_after_answers_elsewhere())
    assert clock.monotonic() == pytest.approx(60)


@pytest.mark.parametrize("took_s", [None, 20.0])
def test_a_whole_answer_of_the_last_model_is_waited_for_where_siblings_are_unknown_or_slow_too(
    took_s: float | None,
) -> None:
    clock, waits = FakeClock(), Waits()
    here, there = deployment("acme/swift"), deployment("other/swift")
    for _ in range(5):
        if took_s is not None:
            waits.note("other/swift", Wait.WHOLE, 0, took_s)
    clock.run(answered(FirstEventDeadline(3, 60, waits, clock), attempt(at=model("swift", here, there))))
    assert clock.monotonic() == pytest.approx(100)
