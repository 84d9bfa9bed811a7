import contextlib
import logging

import pytest

from builders import Below, attempt, deployment, model
from routewright.call import Attempt
from routewright.errors import CredentialRefused, CredentialResting, ProviderFailed, RoutewrightError
from routewright.layers.credentials import LONGEST_REST_S, MOST_REFUSED, Credentials, Refusals
from routewright.layers.incidents import Incidents, Watch
from routewright.layers.service import Stack
from routewright.secret import Secret
from routewright.testing import FakeClock

NOT_VALID = CredentialRefused("refused", provider_status=401)
NOT_ALLOWED = CredentialRefused("forbidden", provider_status=403)


def at(name: str = "acme/swift", key: str = "good") -> Attempt:
    return attempt(at=model("any", deployment(name, key=Secret(key))))


class House:
    """The layer, and below it who notes what became of a call, over a provider that answers by a script."""

    def __init__(self, *script: RoutewrightError | None) -> None:
        self.clock = FakeClock()
        self.below = Below(*script)
        self.refusals = Refusals()
        watch = Watch(Incidents(self.clock), self.refusals, self.clock)
        self.ask = Stack.outermost(Credentials(self.refusals, self.clock)).then(watch).over(self.below)

    async def is_called(self, asked: Attempt) -> bool:
        """Whether an attempt gets through the layer, whatever comes of it."""
        before = len(self.below.requests)
        with contextlib.suppress(RoutewrightError):
            await self.ask(asked)
        return len(self.below.requests) > before


@pytest.mark.parametrize(
    ("error", "same_place", "other_place"), [(NOT_VALID, False, False), (NOT_ALLOWED, False, True)]
)
async def test_u13_a_refused_key_rests_wherever_it_is_used_and_a_forbidden_model_only_there(
    error: CredentialRefused, same_place: bool, other_place: bool
) -> None:
    house = House(error, None)
    assert await house.is_called(at())
    assert await house.is_called(at()) is same_place
    assert await house.is_called(at("acme/other")) is other_place
    assert await house.is_called(at(key="another")), "another key of the same provider"
    assert await house.is_called(at("zenith/swift")), "another provider"


async def test_u13_a_resting_key_is_told_as_a_refused_one_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    house = House(NOT_VALID)
    with caplog.at_level(logging.ERROR), pytest.raises(CredentialRefused, match="refused"):
        await house.ask(at(key="sk-secret"))
    assert "acme/swift is not called with this key" in caplog.text
    assert "sk-secret" not in caplog.text
    with pytest.raises(CredentialResting, match="a moment ago"):
        await house.ask(at(key="sk-secret"))


async def test_one_call_tries_a_key_again_after_a_rest_that_doubles() -> None:
    house = House(NOT_VALID)
    for rest_s in (1, 2, 4, 8, 16, 32, LONGEST_REST_S, LONGEST_REST_S):
        assert await house.is_called(at())
        house.clock.advance(rest_s - 0.01)
        assert not await house.is_called(at())
        house.clock.advance(0.01)


async def test_a_key_that_is_good_again_is_used_by_all_at_once() -> None:
    house = House(NOT_VALID, NOT_VALID, None, NOT_VALID, None)
    await house.is_called(at())
    house.clock.advance(1)
    await house.is_called(at())
    house.clock.advance(2)
    assert [await house.is_called(at()) for _ in range(2)] == [True, True]
    house.clock.advance(1)
    assert await house.is_called(at()), "and is forgiven: the next rest is a short one again"


async def test_another_failure_says_nothing_about_the_key() -> None:
    house = House(ProviderFailed("500"))
    assert [await house.is_called(at()) for _ in range(3)] == [True] * 3


async def test_no_more_keys_are_remembered_than_stated() -> None:
    house = House(NOT_VALID)
    for number in range(MOST_REFUSED + 1):
        assert await house.is_called(at(key=f"key-{number}"))
    assert await house.is_called(at(key="key-0"))
    assert not await house.is_called(at(key=f"key-{MOST_REFUSED}"))
