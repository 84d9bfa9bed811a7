"""Circuits that hear of each other; how gateways come to is in tests/shared/test_rounds.py."""

from random import Random

import pytest

from builders import Below, attempt, deployment, model
from routewright.catalog.registry import Deployment
from routewright.errors import CircuitOpen, ProviderFailed
from routewright.layers.breaker import Breaker, Circuits
from routewright.layers.circuit import (
    DEAD_AFTER,
    FAILURES_IN_A_ROW,
    LONGEST_REST_S,
    RAMP_S,
    SUCCESSES_TO_PROVE,
    TURN_PAUSE_S,
    Circuit,
    Origin,
    Pass,
    State,
)
from routewright.layers.hearsay import Finding, News
from routewright.layers.slowness import Waits
from routewright.testing import FakeClock

SWIFT = deployment("acme/swift")
RESTS = Finding(News.RESTS, 1, 8.0, "it failed 5 times in a row")
PROVED = Finding(News.PROVED, 1, RAMP_S)


def new() -> Circuit:
    return Circuit(Random(1))


def admitted(circuit: Circuit, now: float) -> Pass:
    passed = circuit.admit(now)
    assert passed is not None
    return passed


def opened(origin: Origin = Origin.PROVIDER) -> Circuit:
    circuit = new()
    for _ in range(FAILURES_IN_A_ROW):
        circuit.failed(admitted(circuit, 0), 0, origin)
    return circuit


def told(circuit: Circuit, now: float) -> list[Finding]:
    return list(circuit.findings(now))


def test_a_sound_circuit_has_nothing_to_tell() -> None:
    assert told(new(), 0) == []


def test_an_opening_is_told_until_its_rest_is_over() -> None:
    circuit = opened()
    (found,) = told(circuit, 0.1)
    assert (found.news, found.number, found.why) == (News.RESTS, 1, "it failed 5 times in a row")
    assert found.lasts_s == pytest.approx(circuit.rests_for_s(0.1))
    assert told(circuit, 1.1) == []


def test_what_may_be_our_own_networks_fault_is_kept_to_oneself() -> None:
    circuit = opened(Origin.LOCAL)
    assert circuit.state is State.OPEN
    assert told(circuit, 0.1) == []
    circuit.heard(PROVED, 0.1)
    assert circuit.state is State.OPEN, "others reach it, we do not"


def test_who_hears_of_a_rest_rests_too_says_why_and_does_not_pass_it_on() -> None:
    circuit = new()
    circuit.heard(RESTS, 10)
    assert circuit.admit(17.9) is None
    assert circuit.why == "it failed 5 times in a row, as another gateway met"
    assert told(circuit, 10.1) == []
    assert admitted(circuit, 18.0).is_probe


def test_a_longer_rest_than_ones_own_is_kept_and_none_is_endless() -> None:
    circuit = opened()
    circuit.heard(RESTS, 0.1)
    assert circuit.rests_for_s(0.1) == pytest.approx(8)
    circuit.heard(Finding(News.RESTS, 2, 1.0), 0.1)
    assert circuit.rests_for_s(0.1) == pytest.approx(8)
    circuit.heard(Finding(News.RESTS, 3, 1e6), 0.1)
    assert circuit.rests_for_s(0.1) == pytest.approx(LONGEST_REST_S)
    assert circuit.why == "it failed 5 times in a row", "it was found here"


def test_where_nobody_else_is_left_one_is_probed_whatever_others_say() -> None:
    circuit = new()
    circuit.heard(RESTS, 0)
    assert circuit.admit(1.0, is_only=True) is not None


def test_a_pause_is_told_and_kept_by_those_who_hear_of_it() -> None:
    circuit = new()
    circuit.cooled(admitted(circuit, 0), 0, 30)
    (found,) = told(circuit, 10)
    assert (found.news, found.number, found.lasts_s) == (News.COOLS, 1, 20)
    other = new()
    other.heard(found, 100)
    assert other.admit(119.9) is None
    assert told(other, 100) == []
    admitted(other, 120)
    assert not other.is_proven(105), "it refused somebody a moment ago"


def test_a_429_without_a_time_is_not_told() -> None:
    circuit = new()
    circuit.cooled(admitted(circuit, 0), 0, 0)
    assert told(circuit, 0) == []


def test_who_hears_that_it_is_back_ramps_without_probes_of_its_own() -> None:
    circuit = opened()
    for number in range(SUCCESSES_TO_PROVE):
        circuit.answered(admitted(circuit, 1 + number), 1 + number)
    (found,) = told(circuit, 3)
    assert (found.news, found.lasts_s) == (News.PROVED, RAMP_S)
    assert told(circuit, 3 + RAMP_S) == []
    other = opened()
    other.heard(found, 0.2)
    assert other.state is State.RAMPING
    assert told(other, 0.2) == []
    sound = new()
    sound.heard(found, 0.2)
    assert sound.state is State.CLOSED


def test_what_is_heard_does_not_disturb_a_probe() -> None:
    circuit = opened()
    probe = admitted(circuit, 1)
    for finding in (RESTS, PROVED):
        circuit.heard(finding, 1)
        assert circuit.state is State.HALF_OPEN
    circuit.failed(probe, 1)
    assert circuit.state is State.OPEN


class Turns:
    """Whose turn it is, as the test says."""

    def __init__(self) -> None:
        self.is_ours = False
        self.asked = 0

    async def take(self, deployment: Deployment) -> bool:
        assert deployment == SWIFT
        self.asked += 1
        return self.is_ours


async def test_a_probe_is_sent_only_by_whose_turn_it_is() -> None:
    clock, circuits, turns = FakeClock(), Circuits(Random(1)), Turns()
    breaker, below = Breaker(circuits, Waits(), clock, turns), Below()
    asked = attempt(at=model("swift", SWIFT))
    for _ in range(DEAD_AFTER):
        with pytest.raises(ProviderFailed):
            await breaker(asked, Below(ProviderFailed("500")))
    assert turns.asked == 0
    clock.advance(1)
    for _ in range(10):
        with pytest.raises(CircuitOpen):
            await breaker(asked, below)
    assert turns.asked == 1, "it is not asked for by every call"
    clock.advance(TURN_PAUSE_S)
    turns.is_ours = True
    await breaker(asked, below)
    assert (turns.asked, len(below.requests)) == (2, 1)


async def test_whose_turn_it_is_not_passes_all_the_same_where_nobody_else_is_left_and_it_answers_at_times() -> None:
    clock, circuits, turns = FakeClock(), Circuits(Random(1)), Turns()
    breaker, below = Breaker(circuits, Waits(), clock, turns), Below()
    asked = attempt(at=model("swift", SWIFT))
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(ProviderFailed):
            await breaker(asked, Below(ProviderFailed("500")))
    clock.advance(1)
    for _ in range(10):
        await breaker(asked, below)
    assert (turns.asked, len(below.requests)) == (1, 10)
