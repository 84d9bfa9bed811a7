from itertools import pairwise
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routewright.layers.circuit import (
    DEAD_AFTER,
    FAILURES_IN_A_ROW,
    FIRST_REST_S,
    LONGEST_REST_S,
    OUTAGE_REST_S,
    RAMP_S,
    SUCCESSES_TO_PROVE,
    TRANSITIONS,
    WINDOW_S,
    Change,
    Circuit,
    Origin,
    Pass,
    State,
)


def admitted(circuit: Circuit, now: float) -> Pass:
    """One call that passes."""
    passed = circuit.admit(now)
    assert passed is not None
    return passed


def fail(circuit: Circuit, now: float, origin: Origin = Origin.PROVIDER) -> None:
    circuit.failed(admitted(circuit, now), now, origin)


def succeed(circuit: Circuit, now: float) -> None:
    passed = admitted(circuit, now)
    circuit.answered(passed, now)
    circuit.succeeded(passed, now)


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(Random(1))
    for _ in range(FAILURES_IN_A_ROW):
        fail(circuit, now)
    assert circuit.state is State.OPEN
    return circuit


def dead(now: float = 0.0) -> Circuit:
    circuit = opened(now)
    for _ in range(DEAD_AFTER - FAILURES_IN_A_ROW):
        passed = circuit.admit(now, is_only=True)
        assert passed is not None
        circuit.failed(passed, now)
    assert circuit.is_dead
    return circuit


def test_the_table_has_no_way_into_open_but_a_failure_and_none_past_a_probe() -> None:
    assert {change for (_, change), to in TRANSITIONS.items() if to is State.OPEN} == {Change.TRIPPED}
    assert [start for (start, _), to in TRANSITIONS.items() if to is State.HALF_OPEN] == [State.OPEN]
    assert [start for (start, _), to in TRANSITIONS.items() if to is State.CLOSED] == [State.RAMPING]


def test_a_few_failures_in_a_row_open_the_circuit() -> None:
    circuit = opened()
    assert circuit.admit(0.4) is None
    assert circuit.why == "it failed 5 times in a row"


def test_half_of_ten_calls_failing_opens_the_circuit() -> None:
    circuit = Circuit(Random(1))
    for number in range(9):
        (fail if number % 2 else succeed)(circuit, number)
        assert circuit.state is State.CLOSED
    fail(circuit, 9)
    assert circuit.state is State.OPEN
    assert circuit.why == "it failed in 5 of 10 calls"


def test_failures_older_than_the_window_do_not_count() -> None:
    circuit = Circuit(Random(1))
    for _ in range(4):
        fail(circuit, 0)
        succeed(circuit, 0)
    for number in range(6):
        succeed(circuit, WINDOW_S + 1 + number)
    fail(circuit, WINDOW_S + 8)
    assert circuit.state is State.CLOSED


def test_faults_that_may_be_ours_are_counted_apart_from_the_providers() -> None:
    circuit = Circuit(Random(1))
    for origin in [Origin.PROVIDER] * 3 + [Origin.LOCAL] * 4:
        fail(circuit, 0, origin)
    assert circuit.state is State.CLOSED, "seven failures in a row, five of neither kind"
    fail(circuit, 0, Origin.LOCAL)
    assert circuit.why == "it could not be reached 5 times in a row"


def test_a_lasting_fault_opens_at_once() -> None:
    circuit = Circuit(Random(1))
    circuit.failed(admitted(circuit, 0), 0, is_lasting=True)
    assert circuit.state is State.OPEN


def test_after_a_rest_one_probe_at_a_time_and_three_that_succeed_end_it() -> None:
    circuit, now = opened(), 1.1
    for _ in range(SUCCESSES_TO_PROVE):
        probe = admitted(circuit, now)
        assert circuit.admit(now) is None, "one probe at a time"
        circuit.answered(probe, now)
    assert circuit.state is State.RAMPING


def test_the_share_that_passes_grows_until_all_pass() -> None:
    circuit, start = opened(), 1.1
    for _ in range(SUCCESSES_TO_PROVE):
        succeed(circuit, start)
    shares = [
        sum(circuit.admit(start + part * RAMP_S) is not None for _ in range(1000)) / 1000 for part in (0, 0.5, 0.99)
    ]
    assert shares == pytest.approx([0.25, 0.62, 0.99], abs=0.05)
    assert all(circuit.admit(start, is_only=True) for _ in range(20)), "nobody is sent away who has no other place"
    admitted(circuit, start + RAMP_S + 0.01)
    assert circuit.state is State.CLOSED


def test_a_failure_while_the_share_grows_opens_again_for_longer() -> None:
    circuit = opened()
    for _ in range(SUCCESSES_TO_PROVE):
        succeed(circuit, 1.1)
    circuit.failed(Pass(1), 1.2)
    assert circuit.state is State.OPEN
    assert circuit.rests_for_s(1.2) > 1


def test_what_began_before_the_circuit_opened_says_nothing_about_its_recovery() -> None:
    circuit = Circuit(Random(1))
    early = admitted(circuit, 0)
    for _ in range(FAILURES_IN_A_ROW):
        fail(circuit, 0)
    probe = admitted(circuit, 1.1)
    circuit.answered(early, 1.2)
    circuit.failed(early, 1.2)
    circuit.gave_no_verdict(early)
    assert circuit.state is State.HALF_OPEN
    assert circuit.admit(1.2) is None, "the probe is still out"
    circuit.answered(probe, 1.3)
    assert circuit.admit(1.3) is not None


def test_a_failed_probe_doubles_the_rest_up_to_the_longest() -> None:
    circuit, now, rests = opened(), 0.0, []
    for _ in range(10):
        rest_s = circuit.rests_for_s(now)
        rests.append(rest_s)
        now += rest_s
        fail(circuit, now)
    for number, rest_s in enumerate(rests):
        longest = min(LONGEST_REST_S, FIRST_REST_S * 2**number)
        assert longest / 2 <= rest_s <= longest
    assert len(set(rests)) == len(rests), "no two rests are equally long"


def test_f6_in_an_outage_of_a_minute_a_deployment_with_others_beside_it_is_probed_at_most_once_in_5_s() -> None:
    for seed in range(50):
        circuit, probes = Circuit(Random(seed)), 0
        for step in range(6000):
            passed = circuit.admit(step / 100)
            if passed is not None:
                probes += passed.is_probe
                circuit.failed(passed, step / 100)
        assert probes <= 60 / 5


def test_u26_one_that_flaps_rests_longer_each_time() -> None:
    """5 s up, 5 s down, ten calls a second: after some rounds hardly any call meets a failure."""
    circuit, failures = Circuit(Random(1)), []
    for step in range(6000):
        now = step / 10
        passed = circuit.admit(now)
        if passed is None:
            continue
        if now % 10 < 5:
            circuit.answered(passed, now)
            circuit.succeeded(passed, now)
        else:
            failures.append(now)
            circuit.failed(passed, now)
    assert len(failures) < 60, "without a memory of the last opening it would be 5 in each of 60 rounds, and probes"


def test_u27_where_nobody_else_is_left_it_is_probed_every_second() -> None:
    circuit, probed_at = dead(), []
    for step in range(6000):
        passed = circuit.admit(step / 100, is_only=True)
        if passed is not None:
            probed_at.append(step / 100)
            circuit.failed(passed, step / 100)
    pauses = [later - earlier for earlier, later in pairwise(probed_at)]
    assert max(pauses) <= OUTAGE_REST_S + 0.02
    assert len(probed_at) <= 60 / OUTAGE_REST_S * 2


@pytest.mark.parametrize("failing", [0.3, 0.5, 0.8])
def test_where_nobody_else_is_left_one_that_fails_at_times_takes_every_call(failing: float) -> None:
    circuit, random, opened, refused = Circuit(Random(1)), Random(2), 0, 0
    for step in range(3000):
        now = step / 10
        passed = circuit.admit(now, is_only=True)
        opened += circuit.state is not State.CLOSED
        if passed is None:
            refused += 1
        elif random.random() < failing:
            circuit.failed(passed, now)
        else:
            circuit.answered(passed, now)
            circuit.succeeded(passed, now)
    assert opened, "calls that have somebody else to ask are sent there"
    assert refused == 0


def test_one_answer_brings_a_dead_place_back_also_of_a_call_from_before() -> None:
    circuit = Circuit(Random(1))
    early = admitted(circuit, 0)
    for _ in range(DEAD_AFTER):
        circuit.failed(early, 0)
    assert circuit.is_dead
    assert circuit.admit(0.1, is_only=True) is None
    circuit.answered(early, 0.2)
    assert circuit.admit(0.2, is_only=True) is not None
    assert circuit.admit(0.2) is None


def test_u03_a_fault_that_lasts_is_death_at_once_and_slowness_never() -> None:
    circuit = Circuit(Random(1))
    for _ in range(DEAD_AFTER):
        circuit.failed(admitted(circuit, 0) if circuit.state is State.CLOSED else Pass(1), 0, Origin.SLOW)
    assert not circuit.is_dead
    circuit.failed(Pass(1), 0, is_lasting=True)
    assert circuit.is_dead


def test_a_probe_without_verdict_lets_the_next_call_probe() -> None:
    circuit = opened()
    circuit.gave_no_verdict(admitted(circuit, 2))
    assert circuit.admit(2) is not None


def test_who_fails_now_and_then_or_has_just_refused_is_not_proven() -> None:
    circuit = Circuit(Random(1))
    for number in range(20):
        (fail if number % 5 == 0 else succeed)(circuit, 0)
    assert not circuit.is_proven(0)
    for _ in range(20):
        succeed(circuit, 0)
    assert circuit.is_proven(0), "one in ten is few"
    circuit.cooled(admitted(circuit, 0), 0, 0)
    assert not circuit.is_proven(9)
    assert circuit.is_proven(11)


def test_proven_is_who_was_last_heard_of_well() -> None:
    circuit = Circuit(Random(1))
    assert not circuit.is_proven(0)
    succeed(circuit, 0)
    assert circuit.is_proven(1)
    assert not circuit.is_proven(WINDOW_S + 1)
    fail(circuit, 1)
    assert not circuit.is_proven(1)


class AnyLife(RuleBasedStateMachine):
    """Whatever calls meet, in whatever order they end."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(Random(1))
        self.now = 0.0
        self.out: list[Pass] = []

    @rule(seconds=st.floats(0, 70))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(is_only=st.booleans())
    def somebody_calls(self, is_only: bool) -> None:
        passed = self.circuit.admit(self.now, is_only=is_only)
        if passed is not None:
            self.out.append(passed)

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0), end=st.sampled_from(["answered", "succeeded", "failed", "cooled", "gone"]))
    def a_call_goes_on(self, which: int, end: str) -> None:
        passed = self.out[which % len(self.out)]
        if end == "answered":
            self.circuit.answered(passed, self.now)
            return
        self.out.remove(passed)
        if end == "succeeded":
            self.circuit.answered(passed, self.now)
            self.circuit.succeeded(passed, self.now)
        elif end == "failed":
            self.circuit.failed(passed, self.now)
        elif end == "cooled":
            self.circuit.cooled(passed, self.now, 7)
        else:
            self.circuit.gave_no_verdict(passed)

    @invariant()
    def no_more_than_one_probe_is_out(self) -> None:
        if self.circuit.state is State.HALF_OPEN and self.circuit.rests_for_s(self.now):
            assert self.circuit.admit(self.now) is None

    @invariant()
    def it_never_rests_longer_than_the_longest(self) -> None:
        assert self.circuit.rests_for_s(self.now) <= LONGEST_REST_S

    def teardown(self) -> None:
        for passed in self.out:
            self.circuit.gave_no_verdict(passed)
        assert self.circuit.admit(self.now + LONGEST_REST_S + 1, is_only=True) is not None


TestAnyLife = AnyLife.TestCase


# ---- slow, and silent ----------------------------------------------------------------------------------------------


def slow(now: float = 0.0) -> Circuit:
    circuit = Circuit(Random(1))
    circuit.failed(admitted(circuit, now), now, Origin.SLOW, is_lasting=True)
    assert circuit.state is State.OPEN
    return circuit


def test_who_is_merely_slow_takes_every_call_where_nobody_else_is_left() -> None:
    circuit = slow()
    assert circuit.admit(0.1) is None
    assert all(circuit.admit(0.1, is_only=True) for _ in range(5))


def test_f8_who_is_slow_after_an_outage_does_not_rest_as_if_that_went_on() -> None:
    circuit, now = opened(), 0.0
    for _ in range(6):
        now += circuit.rests_for_s(now)
        fail(circuit, now)
    now += circuit.rests_for_s(now)
    for _ in range(SUCCESSES_TO_PROVE):
        succeed(circuit, now)
    now += RAMP_S
    circuit.failed(admitted(circuit, now), now, Origin.SLOW, is_lasting=True)
    assert 0 < circuit.rests_for_s(now) <= FIRST_REST_S


def test_f6_where_nobody_else_is_left_the_first_answer_lets_all_pass() -> None:
    circuit = dead()
    probe = circuit.admit(1.1, is_only=True)
    assert probe is not None
    assert circuit.admit(1.2, is_only=True) is None
    circuit.answered(probe, 1.3)
    assert all(circuit.admit(1.3, is_only=True) for _ in range(20))


def test_f6_a_probe_that_hangs_keeps_no_other_from_finding_out_where_nobody_else_is_left() -> None:
    circuit = dead()
    hanging = circuit.admit(1.1, is_only=True)
    assert hanging is not None
    assert circuit.admit(1.1 + OUTAGE_REST_S, is_only=False) is None
    second = circuit.admit(1.1 + OUTAGE_REST_S, is_only=True)
    assert second is not None
    circuit.failed(hanging, 3)
    assert circuit.rests_for_s(3, is_only=True) == FIRST_REST_S, "the second one is still out, and decides"
    circuit.failed(second, 3)
    assert circuit.state is State.OPEN


def test_after_silence_within_answers_a_probe_must_come_to_its_end() -> None:
    circuit = Circuit(Random(1))
    for _ in range(FAILURES_IN_A_ROW):
        circuit.failed(admitted(circuit, 0), 0, fell_silent=True)
    for _ in range(SUCCESSES_TO_PROVE):
        probe = admitted(circuit, 1.1)
        circuit.answered(probe, 1.1)
        assert circuit.state is State.HALF_OPEN
        assert circuit.admit(1.1) is None
        circuit.succeeded(probe, 1.2)
    assert circuit.state is State.RAMPING
