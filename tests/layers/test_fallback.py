from random import Random

import pytest

from builders import Below, call, deployment, model, registry, route
from routewright.call import Cause, Routed
from routewright.catalog.registry import MAX_ATTEMPTS
from routewright.errors import AllAttemptsFailed, InvalidRequest, ProviderError, ProviderFailed, ProviderRejected
from routewright.layers.fallback import Fallback
from routewright.testing import FakeClock

STRONG = model("strong", deployment("acme/strong"), deployment("spare/strong"))
WEAK = model("weak")
REGISTRY = registry(STRONG, WEAK)


def spent(place: str, *errors: ProviderError) -> AllAttemptsFailed:
    return AllAttemptsFailed([(place, error) for error in errors])


async def test_the_next_model_is_asked_when_the_first_has_failed() -> None:
    below = Below(spent("acme/strong", ProviderFailed("500"), ProviderFailed("500")), None)
    await Fallback(REGISTRY, FakeClock(), Random(1))(Routed(call(), route(STRONG, WEAK)), below)
    first, second = below.requests
    assert (first.model.name, first.cause, first.number, first.is_last_model) == ("strong", Cause.FIRST, 1, False)
    assert (second.model.name, second.cause, second.number, second.is_last_model) == ("weak", Cause.FALLBACK, 3, True)
    assert [place.id for place in first.others] == ["spare/strong"]
    assert first.id != second.id


async def test_when_all_fail_the_error_has_every_attempt_in_order() -> None:
    below = Below(spent("acme/strong", ProviderFailed("one")), spent("acme/weak", ProviderFailed("two")))
    with pytest.raises(AllAttemptsFailed) as failed:
        await Fallback(REGISTRY, FakeClock(), Random(1))(Routed(call(), route(STRONG, WEAK)), below)
    assert [(place, error.message) for place, error in failed.value.failures] == [
        ("acme/strong", "one"),
        ("acme/weak", "two"),
    ]
    assert failed.value.http_status == 502
    assert "acme/strong: one; acme/weak: two" in failed.value.message


async def test_a_request_that_every_model_refuses_is_the_callers_400() -> None:
    below = Below(spent("acme/strong", ProviderRejected("no")), spent("acme/weak", ProviderRejected("no")))
    with pytest.raises(AllAttemptsFailed) as failed:
        await Fallback(REGISTRY, FakeClock(), Random(1))(Routed(call(), route(STRONG, WEAK)), below)
    assert failed.value.http_status == 400


async def test_the_bound_of_attempts_holds_over_all_models() -> None:
    below = Below(spent("acme/strong", *[ProviderFailed("500")] * MAX_ATTEMPTS))
    with pytest.raises(AllAttemptsFailed):
        await Fallback(REGISTRY, FakeClock(), Random(1))(Routed(call(), route(STRONG, WEAK)), below)
    assert len(below.requests) == 1


async def test_what_is_not_a_failed_attempt_passes_through() -> None:
    below = Below(InvalidRequest("bad"))
    with pytest.raises(InvalidRequest):
        await Fallback(REGISTRY, FakeClock(), Random(1))(Routed(call(), route(STRONG, WEAK)), below)
    assert len(below.requests) == 1


async def test_every_attempt_of_an_errand_has_the_errands_cause() -> None:
    below = Below(spent("acme/strong", ProviderFailed("500")), None)
    routed = Routed(call(), route(STRONG, WEAK), Cause.SUMMARY)
    await Fallback(REGISTRY, FakeClock(), Random(1))(routed, below)
    assert [attempt.cause for attempt in below.requests] == [Cause.SUMMARY, Cause.SUMMARY]
