"""Failing providers before the whole engine: what clients see, and what providers are asked meanwhile."""

import asyncio
from pathlib import Path

import pytest

from routewright.errors import AllAttemptsFailed, ConnectFailed, RoutewrightError
from routewright.ledger.ledger import Settled
from routewright.reply import Answer
from routewright.testing import ScriptedResponse
from storms import STREAM, House, down


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_u01_a_place_that_refuses_connections_costs_no_request(house: House) -> None:
    house.down["one"] = ConnectFailed("refused")
    results = house.clock.run(house.traffic(30))
    assert all(isinstance(result, Answer) for _, result in results)
    assert sum(name == "one" for _, name in house.asked) < 20
    assert len(house.asked) <= 1.1 * len(results)


@pytest.mark.parametrize("seed", range(5))
def test_u25_a_provider_that_fails_now_and_then_costs_no_request_while_another_does_well(
    tmp_path: Path, seed: int
) -> None:
    house = House(tmp_path, seed)

    async def story() -> list[tuple[float, Answer | RoutewrightError]]:
        await house.traffic(5)
        house.down, house.failing_share = {"one": down()}, 0.3
        return await house.traffic(120)

    results = house.clock.run(story())
    assert all(isinstance(result, Answer) for _, result in results)
    assert len(house.asked) <= 1.1 * (len(results) + 100), "E7"


@pytest.mark.parametrize("seed", range(5))
def test_u27_an_outage_of_everything_gets_fast_503s_and_ends_within_two_seconds(tmp_path: Path, seed: int) -> None:
    house = House(tmp_path, seed)

    async def story() -> list[tuple[float, Answer | RoutewrightError]]:
        await house.traffic(5)
        house.down = {"one": down(), "two": down()}
        before = len(house.asked)
        failed = await house.traffic(60)
        assert len(house.asked) - before <= 1.1 * len(failed)
        assert len(house.asked) - before < 200, "F8: an outage is not multiplied"
        refused = [result for _, result in failed[100:] if isinstance(result, AllAttemptsFailed)]
        assert len(refused) == len(failed[100:])
        fast = [error for error in refused if error.http_status == 503]
        assert len(fast) > 0.85 * len(refused)
        assert all(error.retry_after_s and error.retry_after_s <= 1 for error in fast)
        house.down = {}
        return await house.traffic(10)

    results = house.clock.run(story())
    first = results[0][0]
    served = [began_at - first for began_at, result in results if isinstance(result, Answer)]
    assert served[0] <= 2
    late = [result for began_at, result in results if began_at - first > 2]
    assert all(isinstance(result, Answer) for result in late)


def test_u27_one_provider_alone_recovers_as_soon(house: House) -> None:
    async def story() -> list[tuple[float, Answer | RoutewrightError]]:
        house.down = {"one": down()}
        await house.traffic(60, "lone")
        house.down = {}
        return await house.traffic(10, "lone")

    results = house.clock.run(story())
    first = results[0][0]
    assert min(began_at - first for began_at, result in results if isinstance(result, Answer)) <= 2
    assert all(isinstance(result, Answer) for began_at, result in results if began_at - first > 3)


def test_u10_a_named_pause_holds_for_all_requests_and_others_serve(house: House) -> None:
    house.down["one"] = ScriptedResponse(429, [], {"retry-after": "7"})
    results = house.clock.run(house.traffic(6))
    assert all(isinstance(result, Answer) for _, result in results)
    assert sum(name == "one" for _, name in house.asked) <= 3, "those that were on their way"


def test_u10_one_provider_alone_is_waited_for_and_not_asked_before(house: House) -> None:
    async def story() -> None:
        house.down["one"] = ScriptedResponse(429, [], {"retry-after": "7"})
        waiting = asyncio.ensure_future(house.ask("lone"))
        await asyncio.sleep(1)
        house.down = {}
        impatient = await house.ask("lone", deadline_s=3.0)
        assert isinstance(impatient, AllAttemptsFailed)
        assert impatient.http_status == 429
        assert impatient.retry_after_s == pytest.approx(6, abs=0.01)
        assert isinstance(await waiting, Answer)

    house.clock.run(story())
    first, second = (at for at, _ in house.asked)
    assert second - first >= 7


def test_u26_a_provider_that_flaps_is_probed_one_call_at_a_time(house: House) -> None:
    async def story() -> None:
        for _ in range(6):
            house.down = {"one": down()}
            await house.traffic(5)
            house.down = {}
            await house.traffic(5)

    house.clock.run(story())
    assert len(house.asked) <= 1.1 * 60 * 20


def test_c16_a_deadline_that_no_attempt_can_keep_is_refused_with_504_and_costs_nothing(house: House) -> None:
    async def story() -> AllAttemptsFailed | object:
        for _ in range(10):
            assert isinstance(await house.ask(stream=True), Answer)
        before = len(house.asked)
        refused = await house.ask(stream=True, deadline_s=0.06)
        assert len(house.asked) == before
        return refused

    refused = house.clock.run(story())
    assert isinstance(refused, AllAttemptsFailed)
    assert refused.http_status == 504


def test_of_a_hedged_request_both_attempts_are_in_the_books(tmp_path: Path) -> None:
    house = House(tmp_path, hedge_after_ms=500)

    async def story() -> Answer | RoutewrightError:
        house.down = {"one": ScriptedResponse(200, [60.0]), "two": ScriptedResponse(200, [0.6, STREAM])}
        return await house.ask(stream=True)

    answer = house.clock.run(story())
    assert isinstance(answer, Answer)
    assert [name for _, name in house.asked] in (["one", "two"], ["two", "one"])
    loser, winner = answer.receipt.attempts
    assert (winner.outcome, winner.is_estimated) == ("complete", False)
    assert (loser.outcome, loser.is_estimated) == ("abandoned", True)
    assert sorted([loser.cause, winner.cause]) == ["first", "hedge"]
    closed = [event for event in house.log.events if isinstance(event, Settled)]
    assert len(closed) == 2
