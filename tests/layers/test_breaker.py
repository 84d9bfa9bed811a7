import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Below, attempt, reply
from routewright.errors import (
    CircuitOpen,
    InvalidRequest,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    StreamCut,
)
from routewright.layers.breaker import FAILURES_IN_A_ROW, LONGEST_REST_S, WINDOW_S, Breaker, Circuit, Circuits, State
from routewright.testing import FakeClock


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES_IN_A_ROW):
        circuit.failed(now)
    assert circuit.state is State.OPEN
    return circuit


def test_a_few_failures_in_a_row_open_the_circuit() -> None:
    circuit = opened()
    assert not circuit.admits(0.5)


def test_half_of_ten_calls_failing_opens_the_circuit() -> None:
    circuit = Circuit()
    for number in range(9):
        (circuit.failed if number % 2 else circuit.succeeded)(number)
        assert circuit.state is State.CLOSED
    circuit.failed(9)
    assert circuit.state is State.OPEN


def test_failures_older_than_the_window_do_not_count() -> None:
    circuit = Circuit()
    for _ in range(4):
        circuit.failed(0)
        circuit.succeeded(0)
    for number in range(6):
        circuit.succeeded(WINDOW_S + 1 + number)
    circuit.failed(WINDOW_S + 8)
    assert circuit.state is State.CLOSED


def test_after_a_rest_one_probe_passes_and_its_answer_closes_the_circuit() -> None:
    circuit = opened()
    assert circuit.admits(1.1)
    assert not circuit.admits(1.1), "one probe at a time"
    circuit.answered()
    assert circuit.state is State.CLOSED
    assert circuit.admits(1.2)


def test_a_failed_probe_doubles_the_rest_up_to_the_longest() -> None:
    circuit, now = opened(), 0.0
    rests = []
    for _ in range(10):
        rest_s = circuit.rests_for_s(now)
        rests.append(rest_s)
        now += rest_s
        assert circuit.admits(now)
        circuit.failed(now)
    assert rests[:4] == pytest.approx([1, 2, 4, 8])
    assert rests[-1] == pytest.approx(LONGEST_REST_S)


def test_a_probe_without_verdict_lets_the_next_call_probe() -> None:
    circuit = opened()
    assert circuit.admits(2)
    circuit.gave_no_verdict()
    assert circuit.admits(2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["failed", "succeeded", "answered", "gave_no_verdict", "admits"]), st.floats(0, 5))
    )
)
def test_whatever_happens_a_circuit_always_admits_again_after_the_longest_rest(steps: list[tuple[str, float]]) -> None:
    circuit, now = Circuit(), 0.0
    for step, pause in steps:
        now += pause
        method = getattr(circuit, step)
        method() if step in ("answered", "gave_no_verdict") else method(now)
    if circuit.state is State.HALF_OPEN:
        circuit.gave_no_verdict()
    assert circuit.admits(now + LONGEST_REST_S + 1)


async def test_an_open_circuit_refuses_without_asking_below() -> None:
    clock, circuits = FakeClock(), Circuits()
    below = Below(ProviderFailed("500"))
    breaker = Breaker(circuits, clock)
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(ProviderFailed):
            await breaker(attempt(), below)
    with pytest.raises(CircuitOpen) as refused:
        await breaker(attempt(), below)
    assert refused.value.retry_after_s == pytest.approx(1)
    assert len(below.requests) == FAILURES_IN_A_ROW
    assert "acme/swift" in circuits.resting(clock.monotonic())


@pytest.mark.parametrize("error", [ProviderRejected("no"), ProviderOverloaded("slow down")])
async def test_mistakes_of_the_caller_and_429_are_not_illness(error: ProviderError) -> None:
    breaker = Breaker(Circuits(), FakeClock())
    for _ in range(20):
        with pytest.raises(type(error)):
            await breaker(attempt(), Below(error))


async def test_a_named_pause_cools_the_deployment_for_every_request() -> None:
    clock = FakeClock()
    breaker = Breaker(Circuits(), clock)
    with pytest.raises(ProviderOverloaded):
        await breaker(attempt(), Below(ProviderOverloaded("slow down", retry_after_s=7)))
    clock.advance(6.9)
    with pytest.raises(CircuitOpen):
        await breaker(attempt(), Below())
    clock.advance(0.2)
    await breaker(attempt(), Below())


async def test_streams_that_break_count_as_failures_and_clients_that_leave_do_not() -> None:
    circuits = Circuits()
    breaker = Breaker(circuits, FakeClock())

    async def broken(_: object):  # type: ignore[no-untyped-def]  # a reply
        return reply(attempt(), StreamCut("gone"))

    for _ in range(FAILURES_IN_A_ROW):
        answer = await breaker(attempt(), Below())
        answer.close()
    assert circuits.of("acme/swift").state is State.CLOSED
    for _ in range(FAILURES_IN_A_ROW):
        answer = await breaker(attempt(), Below(make=broken))
        await answer.next()
        with pytest.raises(StreamCut):
            await answer.next()
    assert circuits.of("acme/swift").state is State.OPEN


async def test_an_error_that_is_not_the_providers_says_nothing() -> None:
    circuits = Circuits()
    with pytest.raises(InvalidRequest):
        await Breaker(circuits, FakeClock())(attempt(), Below(InvalidRequest("bad")))
    assert circuits.of("acme/swift").state is State.CLOSED
