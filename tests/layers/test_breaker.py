import asyncio
from random import Random

import pytest

from builders import Below, attempt, call, deployment, model, reply
from routewright.call import Attempt
from routewright.errors import (
    CircuitOpen,
    ConnectFailed,
    CoolingDown,
    CredentialRefused,
    FirstEventTimeout,
    HoldRefused,
    InvalidRequest,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    StreamCut,
    TlsFailed,
)
from routewright.layers.breaker import Breaker, Circuits
from routewright.layers.circuit import DEAD_AFTER, FAILURES_IN_A_ROW, OUTAGE_REST_S, Pass, State
from routewright.layers.slowness import Waits
from routewright.reply import Reply
from routewright.secret import Secret
from routewright.testing import FakeClock

TWO_PLACES = model("swift", deployment("acme/swift"), deployment("other/swift"))
SWIFT, OTHER = TWO_PLACES.deployments


async def test_an_open_circuit_refuses_without_asking_below() -> None:
    clock, circuits = FakeClock(), Circuits(Random(1))
    below = Below(ProviderFailed("500"))
    breaker = Breaker(circuits, Waits(), clock)
    here = attempt(at=TWO_PLACES)
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(ProviderFailed):
            await breaker(here, below)
    with pytest.raises(CircuitOpen, match="it failed 5 times in a row") as refused:
        await breaker(here, below)
    assert 0 < (refused.value.retry_after_s or 0) <= 1
    assert len(below.requests) == FAILURES_IN_A_ROW
    assert "acme/swift" in circuits.resting(clock.monotonic())


async def test_u27_the_only_place_is_asked_by_all_until_it_is_dead_and_then_answers_fast() -> None:
    circuits = Circuits(Random(1))
    breaker, below = Breaker(circuits, Waits(), FakeClock()), Below(ProviderFailed("500"))
    for _ in range(DEAD_AFTER):
        with pytest.raises(ProviderFailed):
            await breaker(attempt(), below)
    assert circuits.of(SWIFT).state is State.OPEN
    with pytest.raises(CircuitOpen) as refused:
        await breaker(attempt(), below)
    assert 0 < (refused.value.retry_after_s or 0) <= OUTAGE_REST_S
    assert len(below.requests) == DEAD_AFTER


@pytest.mark.parametrize("error", [ProviderRejected("no"), ProviderOverloaded("slow down")])
async def test_mistakes_of_the_caller_and_429_are_not_illness(error: ProviderError) -> None:
    breaker = Breaker(Circuits(Random(1)), Waits(), FakeClock())
    for _ in range(20):
        with pytest.raises(type(error)):
            await breaker(attempt(), Below(error))


@pytest.mark.parametrize("error", [TlsFailed("not trusted"), CredentialRefused("401")])
async def test_a_refused_key_or_certificate_opens_at_once_and_a_new_key_starts_anew(error: ProviderError) -> None:
    breaker, below = Breaker(Circuits(Random(1)), Waits(), FakeClock()), Below(error)
    old, new = (attempt(at=model("swift", deployment(key=Secret(key)))) for key in ("old", "new"))
    with pytest.raises(type(error)):
        await breaker(old, below)
    with pytest.raises(CircuitOpen):
        await breaker(old, below)
    await breaker(new, Below())


async def test_u01_what_opened_it_says_whether_it_was_reached() -> None:
    circuits = Circuits(Random(1))
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(ConnectFailed):
            await Breaker(circuits, Waits(), FakeClock())(attempt(), Below(ConnectFailed("refused")))
    assert "it could not be reached 5 times in a row" in circuits.resting(0)["acme/swift"]


async def test_slow_first_events_count() -> None:
    circuits = Circuits(Random(1))
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(FirstEventTimeout):
            await Breaker(circuits, Waits(), FakeClock())(attempt(), Below(FirstEventTimeout("silent")))
    assert circuits.of(SWIFT).state is State.OPEN


async def test_u10_a_named_pause_cools_the_deployment_for_every_request() -> None:
    clock = FakeClock()
    breaker = Breaker(Circuits(Random(1)), Waits(), clock)
    with pytest.raises(ProviderOverloaded):
        await breaker(attempt(), Below(ProviderOverloaded("slow down", retry_after_s=7)))
    clock.advance(6.9)
    with pytest.raises(CoolingDown) as refused:
        await breaker(attempt(), Below())
    assert refused.value.retry_after_s == pytest.approx(0.1)
    clock.advance(0.2)
    await breaker(attempt(), Below())


def test_the_last_place_of_a_route_is_probed_although_it_rests() -> None:
    clock, circuits = FakeClock(), Circuits(Random(1))
    breaker, sick = Breaker(circuits, Waits(), clock), Below(ProviderFailed("500"))
    here, there = attempt(at=TWO_PLACES), attempt(at=TWO_PLACES, deployment=OTHER)

    async def calls() -> None:
        for _ in range(9):
            with pytest.raises(ProviderFailed):
                await breaker(here, sick)
            rest_s = circuits.of(SWIFT).rests_for_s(clock.monotonic())
            await asyncio.sleep(rest_s + 0.001)
        with pytest.raises(ProviderFailed):
            await breaker(here, sick)
        await asyncio.sleep(OUTAGE_REST_S)
        with pytest.raises(CircuitOpen):
            await breaker(here, sick)
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(ProviderFailed):
                await breaker(there, sick)
        (await breaker(here, Below())).close()

    clock.run(calls())


async def test_streams_that_break_count_as_failures_and_clients_that_leave_do_not() -> None:
    circuits = Circuits(Random(1))
    breaker = Breaker(circuits, Waits(), FakeClock())

    async def broken(_: object) -> Reply:
        return reply(attempt(), StreamCut("gone"))

    for _ in range(FAILURES_IN_A_ROW):
        answer = await breaker(attempt(), Below())
        answer.close()
    assert circuits.of(SWIFT).state is State.CLOSED
    for _ in range(FAILURES_IN_A_ROW):
        answer = await breaker(attempt(), Below(make=broken))
        await answer.next()
        with pytest.raises(StreamCut):
            await answer.next()
    assert circuits.of(SWIFT).state is State.OPEN


@pytest.mark.parametrize("error", [InvalidRequest("bad"), HoldRefused("full", details={})])
async def test_an_error_that_is_not_the_providers_says_nothing(error: Exception) -> None:
    circuits = Circuits(Random(1))
    for _ in range(20):
        with pytest.raises(type(error)):
            await Breaker(circuits, Waits(), FakeClock())(attempt(), Below(error))  # type: ignore[arg-type]
    assert circuits.of(SWIFT).state is State.CLOSED


def test_t02_what_is_met_while_the_event_loop_stands_still_opens_no_breaker() -> None:
    clock, circuits = FakeClock(), Circuits(Random(1))
    breaker = Breaker(circuits, Waits(), clock)

    async def stalls(_: Attempt) -> Reply:
        await asyncio.sleep(1)
        clock.advance(2)  # the loop was busy elsewhere: nothing ran meanwhile
        await asyncio.sleep(0)
        raise FirstEventTimeout("fired late")

    async def calls() -> None:
        for _ in range(2 * FAILURES_IN_A_ROW):
            with pytest.raises(FirstEventTimeout):
                await breaker(attempt(), stalls)

    clock.run(calls())
    assert circuits.of(SWIFT).state is State.CLOSED


def test_t02_a_loop_that_runs_excuses_nobody() -> None:
    clock, circuits = FakeClock(), Circuits(Random(1))

    async def silent(_: Attempt) -> Reply:
        await asyncio.sleep(3)
        raise FirstEventTimeout("silent")

    async def calls() -> None:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(FirstEventTimeout):
                await Breaker(circuits, Waits(), clock)(attempt(), silent)

    clock.run(calls())
    assert circuits.of(SWIFT).state is State.OPEN


def test_deployments_and_credentials_that_are_gone_are_forgotten() -> None:
    circuits = Circuits(Random(1))
    kept = circuits.of(SWIFT)
    gone = circuits.of(OTHER)
    circuits.keep_only([SWIFT])
    assert circuits.of(SWIFT) is kept
    assert circuits.of(OTHER) is not gone


async def answer_at(breaker: Breaker, attempted: Attempt, first_s: float, pause_s: float) -> None:
    """A stream at the attempt's place, read to its end, with these two waits."""
    answer = reply(attempted)
    answer.first_wait_s, answer.longest_pause_s = first_s, pause_s

    async def below(_: Attempt) -> Reply:
        return answer

    await (await breaker(attempted, below)).next()
    while await answer.next():
        pass


@pytest.mark.parametrize("in_the_middle", [False, True])
async def test_f7_a_place_far_slower_than_its_sibling_is_left_alone(in_the_middle: bool) -> None:
    circuits, clock = Circuits(Random(1)), FakeClock()
    breaker = Breaker(circuits, Waits(), clock)
    for _ in range(5):
        await answer_at(breaker, attempt(call(stream=True), TWO_PLACES, deployment=OTHER), 0.4, 0.1)
    for _ in range(10):
        if circuits.of(SWIFT).state is State.CLOSED:
            here = attempt(call(stream=True), TWO_PLACES, deployment=SWIFT)
            await answer_at(breaker, here, *(0.4, 10.0) if in_the_middle else (4.0, 0.1))
    assert circuits.of(SWIFT).state is State.OPEN
    assert "far slower" in circuits.of(SWIFT).why
    assert circuits.of(OTHER).state is State.CLOSED


async def test_f8_of_three_places_only_one_is_left_alone_for_its_slowness() -> None:
    three = model("swift", *(deployment(f"{name}/swift") for name in ("fast", "slow", "slower")))
    circuits, clock = Circuits(Random(1)), FakeClock()
    breaker = Breaker(circuits, Waits(), clock)
    for place, first_s in zip(three.deployments, (0.4, 4.0, 8.0), strict=True):
        for _ in range(10):
            if circuits.of(place).state is State.CLOSED:
                await answer_at(breaker, attempt(call(stream=True), three, deployment=place), first_s, 0.1)
    assert [circuits.of(place).state for place in three.deployments] == [State.CLOSED, State.OPEN, State.CLOSED]


def test_only_circuits_that_are_not_calm_are_looked_at_and_a_forgotten_one_disturbs_nobody() -> None:
    circuits = Circuits(Random(1))
    places = [deployment(f"acme/{name}") for name in ("one", "two")]
    ill, other = map(circuits.of, places)
    assert circuits.resting(0) == {}
    ill.cooled(Pass(0), 0, 5.0)
    other.cooled(Pass(0), 0, 20.0)
    assert set(circuits.resting(1)) == {"acme/one", "acme/two"}
    assert set(circuits.resting(6)) == {"acme/two"}
    circuits.keep_only(places[:1])
    other.cooled(Pass(0), 6, 20.0)  # a call that was in flight when its place was forgotten
    assert circuits.resting(7) == {}
    ill.cooled(Pass(0), 7, 5.0)
    assert set(circuits.resting(8)) == {"acme/one"}, "calm in between, and told anew"
