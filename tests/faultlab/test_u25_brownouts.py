"""U25–U27: providers that are slow, that flap, and that are all down, for minutes of a fake time; and once by HTTP."""

import asyncio
import time
from itertools import pairwise
from math import ceil
from pathlib import Path

import pytest
from faulty_upstream import Exchange
from lab import lab, model

from routewright.errors import AllAttemptsFailed, RoutewrightError
from routewright.layers.circuit import DEAD_AFTER
from routewright.reply import Answer
from storms import USUAL_S, House, down

HEALTHY_S, BROWNED_S = 30.0, 60.0


def p99(seconds: list[float]) -> float:
    """The time that all but a hundredth stay within."""
    return sorted(seconds)[ceil(len(seconds) * 0.99) - 1]


def answered(results: list[tuple[float, Answer | RoutewrightError]]) -> float:
    """The share of requests with an answer."""
    return sum(isinstance(result, Answer) for _, result in results) / len(results)


# ---- brown-outs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["ten times slower", "three of ten fail"])
def test_u25_a_brown_out_of_one_of_three_is_hardly_felt(tmp_path: Path, seed: int, kind: str) -> None:
    house = House(tmp_path, seed)

    async def story() -> tuple[float, float]:
        await house.traffic(HEALTHY_S, "wide")
        healthy = p99(house.seconds)
        before = len(house.asked)
        if kind == "ten times slower":
            house.took_s["one"] = 10 * USUAL_S
        else:
            house.down, house.failing_share = {"one": down()}, 0.3
        results = await house.traffic(BROWNED_S, "wide")
        assert answered(results) >= 0.9995
        asked = [name for _, name in house.asked[before:]]
        assert "one" in asked, "it was met"
        assert asked.count("one") < len(asked) / 3, "and given less to do"
        assert len(asked) <= 1.1 * len(results), "E7"
        return healthy, p99(house.seconds)

    healthy, browned = house.clock.run(story())
    assert browned <= 1.3 * healthy


# ---- flapping --------------------------------------------------------------------------------------------------------

CYCLES = 6
PHASE_S = 5.0


@pytest.mark.parametrize("seed", range(3))
def test_u26_one_that_flaps_beside_another_costs_no_request_and_a_call_a_second_at_most(
    tmp_path: Path, seed: int
) -> None:
    house = House(tmp_path, seed)

    async def story() -> list[list[float]]:
        phases = []
        for _ in range(CYCLES):
            house.down, before = {"one": down()}, len(house.asked)
            assert answered(await house.traffic(PHASE_S)) == 1
            phases.append([at for at, name in house.asked[before:] if name == "one"])
            house.down = {}
            assert answered(await house.traffic(PHASE_S)) == 1
        return phases

    phases = house.clock.run(story())
    assert all(len(phase) <= PHASE_S for phase in phases), "by its load, and by its circuit"
    assert any(phases), "it was met"
    assert len(house.asked) <= 1.1 * CYCLES * 2 * PHASE_S * 20, "E7"


@pytest.mark.parametrize("seed", range(3))
def test_u26_where_it_is_the_only_one_it_is_probed_once_a_second(tmp_path: Path, seed: int) -> None:
    house = House(tmp_path, seed)

    async def story() -> list[list[float]]:
        phases = []
        for _ in range(CYCLES):
            house.down, before = {"one": down()}, len(house.asked)
            await house.traffic(PHASE_S, "lone")
            phases.append([at for at, _ in house.asked[before:]])
            house.down = {}
            results = await house.traffic(PHASE_S, "lone")
            late = [result for began_at, result in results if began_at - results[0][0] > 3]
            assert all(isinstance(result, Answer) for result in late)
        return phases

    for phase in house.clock.run(story()):
        probes = phase[DEAD_AFTER:]
        assert len(probes) <= PHASE_S
        assert all(after - before >= 0.5 for before, after in pairwise(probes))


# ---- an outage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_u27_after_a_minute_without_anybody_all_is_as_before_within_five_seconds(tmp_path: Path, seed: int) -> None:
    house = House(tmp_path, seed)

    async def story() -> list[tuple[float, Answer | RoutewrightError]]:
        await house.traffic(5, "wide")
        house.down, before = dict.fromkeys(("one", "two", "three"), down()), len(house.asked)
        failed = await house.traffic(60, "wide")
        probes = len(house.asked) - before
        assert probes <= 3 * (DEAD_AFTER + 60 / 0.5), "each place once in each rest"
        assert probes <= 1.1 * len(failed), "F8"
        late = [result for _, result in failed[100:]]
        assert all(isinstance(each, AllAttemptsFailed) and each.http_status in (502, 503) for each in late)
        assert max(house.seconds[100:]) < 1, "nobody waits for nothing"
        house.down = {}
        return await house.traffic(20, "wide")

    results = house.clock.run(story())
    up_at = results[0][0]
    assert min(at for at, result in results if isinstance(result, Answer)) - up_at <= 2, "F6"
    assert answered([each for each in results if each[0] - up_at > 5]) >= 0.99


async def test_u27_clients_are_told_when_to_come_back_and_served_when_they_do(tmp_path: Path) -> None:
    is_down = True

    async def later_well(exchange: Exchange) -> None:
        await (exchange.refuse(500) if is_down else exchange.answer_well())

    names = ("a", "b")
    models = model("a", fallbacks=["b"]), model("b")
    async with lab(tmp_path, *models, faults=dict.fromkeys(names, later_well), policy="max_retry_attempts = 0") as it:
        seen = [await it.ask("a") for _ in range(4 * DEAD_AFTER)]
        resting = [each for each in seen if each.status == 503]
        assert resting, "both rest"
        for each in resting:
            assert 0 < int(each.headers["retry-after-ms"]) <= 1000
            assert each.seconds < 0.25
        is_down, began = False, time.monotonic()
        while (await it.ask("a")).status != 200:  # noqa: ASYNC110 a client that comes again
            await asyncio.sleep(0.05)
        assert time.monotonic() - began <= 2
        await it.audit()
