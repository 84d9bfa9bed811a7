from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Below, attempt, call, deployment, model
from routewright.call import Cause
from routewright.catalog.registry import MAX_ATTEMPTS
from routewright.errors import (
    AllAttemptsFailed,
    CircuitOpen,
    CoolingDown,
    DeadlineExceeded,
    FirstEventTimeout,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
)
from routewright.layers.retry import LONGEST_PAUSE_S, Retry, backoff_s
from routewright.testing import FakeClock

TWO_PLACES = model("swift", deployment("acme/swift"), deployment("other/swift"))


def tried(clock: FakeClock, below: Below, retries: int = 2, **changes: object) -> Sequence[tuple[str, ProviderError]]:
    """Run to failure; what each try met."""
    with pytest.raises(AllAttemptsFailed) as failed:
        clock.run(Retry(retries, clock, Random(1))(attempt(**changes), below))  # type: ignore[arg-type]
    return failed.value.failures


def test_a_passing_failure_is_tried_again_under_a_new_id_after_a_pause() -> None:
    clock, below = FakeClock(), Below(ProviderFailed("500"), None)
    clock.run(Retry(2, clock, Random(1))(attempt(), below))
    first, second = below.requests
    assert (first.cause, second.cause) == (Cause.FIRST, Cause.RETRY)
    assert first.id != second.id
    assert (first.number, second.number) == (1, 2)
    assert 0 < clock.monotonic() < 0.25


def test_no_more_tries_than_asked_for() -> None:
    assert len(tried(FakeClock(), Below(ProviderFailed("500")))) == 3


def test_no_retries_means_one_try() -> None:
    assert len(tried(FakeClock(), Below(ProviderFailed("500")), retries=0)) == 1


def test_a_call_may_say_how_often_it_is_tried_again() -> None:
    assert len(tried(FakeClock(), Below(ProviderFailed("500")), asked=call(max_retries=0))) == 1


def test_no_request_ever_makes_more_than_the_bound_of_attempts() -> None:
    below = Below(ProviderFailed("500"))
    tried(FakeClock(), below, retries=10, number=MAX_ATTEMPTS - 1)
    assert [each.number for each in below.requests] == [MAX_ATTEMPTS - 1, MAX_ATTEMPTS]


def test_what_will_not_help_in_the_same_place_is_tried_elsewhere_at_once() -> None:
    clock, below = FakeClock(), Below(FirstEventTimeout("silent"))
    tried(clock, below, at=TWO_PLACES)
    assert [each.deployment.id for each in below.requests] == ["acme/swift", "other/swift"]
    assert clock.monotonic() == 0


def test_tries_go_round_the_deployments() -> None:
    below = Below(ProviderFailed("500"))
    tried(FakeClock(), below, at=TWO_PLACES)
    assert [each.deployment.id for each in below.requests] == ["acme/swift", "other/swift", "acme/swift"]


def test_each_try_knows_the_deployments_that_are_left_after_it() -> None:
    passing, silent = Below(ProviderFailed("500")), Below(FirstEventTimeout("silent"))
    tried(FakeClock(), passing, at=TWO_PLACES)
    tried(FakeClock(), silent, at=TWO_PLACES)
    names = [[[each.id for each in one.others] for one in below.requests] for below in (passing, silent)]
    assert names == [[["other/swift"], ["acme/swift"], ["other/swift"]], [["other/swift"], []]]


def test_a_pause_the_provider_names_is_obeyed_when_nobody_else_could_serve() -> None:
    clock, below = FakeClock(), Below(ProviderOverloaded("429", retry_after_s=7.0), None)
    clock.run(Retry(2, clock, Random(1))(attempt(is_last_model=True), below))
    assert clock.monotonic() == pytest.approx(7)


def test_a_long_pause_is_left_to_the_next_model() -> None:
    clock = FakeClock()
    failures = tried(clock, Below(ProviderOverloaded("429", retry_after_s=7.0)), is_last_model=False)
    assert len(failures) == 1
    assert clock.monotonic() == 0


def test_a_pause_beyond_the_deadline_ends_it_at_once_and_is_told() -> None:
    clock = FakeClock()
    with pytest.raises(AllAttemptsFailed) as failed:
        clock.run(
            Retry(2, clock, Random(1))(
                attempt(call(deadline_at=5.0)), Below(ProviderOverloaded("429", retry_after_s=7.0))
            )
        )
    assert failed.value.http_status == 429
    assert failed.value.retry_after_s == 7.0
    assert clock.monotonic() == 0


def test_u27_a_deployment_that_rests_after_failures_is_not_waited_for() -> None:
    clock = FakeClock()
    with pytest.raises(AllAttemptsFailed) as failed:
        clock.run(Retry(2, clock, Random(1))(attempt(), Below(CircuitOpen("resting", retry_after_s=0.8))))
    assert (failed.value.http_status, failed.value.retry_after_s) == (503, 0.8)
    assert clock.monotonic() == 0


def test_a_pause_that_another_request_was_asked_for_is_obeyed_as_well() -> None:
    clock, below = FakeClock(), Below(CoolingDown("cooling down", retry_after_s=0.8), None)
    clock.run(Retry(2, clock, Random(1))(attempt(), below))
    assert clock.monotonic() == pytest.approx(0.8)


def test_nothing_is_started_that_cannot_finish() -> None:
    clock, below = FakeClock(), Below()
    with pytest.raises(DeadlineExceeded):
        clock.run(Retry(2, clock, Random(1))(attempt(call(deadline_at=0.01)), below))
    assert below.requests == []


@given(st.integers(1, 60), st.integers())
def test_pauses_have_full_jitter_and_a_longest(tries: int, seed: int) -> None:
    assert 0 <= backoff_s(tries, Random(seed)) <= min(LONGEST_PAUSE_S, 0.25 * 2 ** (tries - 1))


def test_an_errand_tried_again_is_still_that_errand() -> None:
    clock, below = FakeClock(), Below(ProviderFailed("500"), None)
    clock.run(Retry(2, clock, Random(1))(attempt(cause=Cause.JUDGE), below))
    assert [each.cause for each in below.requests] == [Cause.JUDGE, Cause.JUDGE]
