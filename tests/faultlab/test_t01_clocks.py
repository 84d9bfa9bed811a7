"""T01 and T02: a wall clock that is set, and an event loop that stands still."""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from faulty_upstream import Exchange
from lab import PATIENCE_S, lab, model
from oracles import Books

from routewright.dialects.wire import WireRequest
from routewright.errors import BudgetExceeded, FirstEventTimeout, RoutewrightError, StoreUnavailable
from routewright.layers import lag
from routewright.layers.circuit import FAILURES_IN_A_ROW
from routewright.ledger.ledger import Reserved, Settled
from routewright.reply import Answer
from routewright.testing import ScriptedResponse
from served import mock_upstream
from spending import Gateways, completion

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
JUMPS = {"an hour forward": HOUR_S, "an hour back": -HOUR_S, "a day back": -DAY_S, "a leap second": -1.0}
any_jump = pytest.mark.parametrize("jump_s", JUMPS.values(), ids=JUMPS)

DAILY = """
[budgets.all]
scope = "total"
limit_usd = "0.06"
period = "day"
[spending]
when_full = ["refuse"]
"""
"""Room for one answer of `dear` at its longest."""
LONGEST = 1000


def spends_all(_: WireRequest) -> ScriptedResponse:
    return completion(LONGEST)


# ---- durations -------------------------------------------------------------------------------------------------------


@any_jump
def test_t01_what_lasts_lasts_as_long_wherever_the_clock_is_set(tmp_path: Path, jump_s: float) -> None:
    house = Gateways(tmp_path, "", lambda _: completion(5, after_s=20.0))

    async def story() -> Answer | RoutewrightError:
        asked = asyncio.ensure_future(house.ask(house.call()))
        await asyncio.sleep(10)
        house.clock.set_wall(jump_s)
        return await asked

    began = house.clock.monotonic()
    assert isinstance(house.clock.run(story()), Answer)
    assert house.clock.monotonic() - began == pytest.approx(20)
    hold, settled = (event for event in house.events if isinstance(event, Reserved | Settled))
    assert isinstance(settled, Settled)
    assert settled.total_ms == 20_000
    assert settled.at_ns - hold.at_ns == round((20 + jump_s) * 1e9), "the fault was met"


@any_jump
def test_t01_a_pause_that_a_provider_asked_for_is_kept_to(tmp_path: Path, jump_s: float) -> None:
    told: list[float] = []

    def overloaded_once(_: WireRequest) -> ScriptedResponse:
        told.append(house.clock.monotonic())
        return ScriptedResponse(429, [], {"retry-after": "7"}) if len(told) == 1 else completion(5)

    house = Gateways(tmp_path, "", overloaded_once, retries=1)

    async def story() -> Answer | RoutewrightError:
        asked = asyncio.ensure_future(house.ask(house.call()))
        await asyncio.sleep(1)
        house.clock.set_wall(jump_s)
        return await asked

    assert isinstance(house.clock.run(story()), Answer)
    first, second = told
    assert 7 <= second - first < 9


# ---- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back_s", [1.0, HOUR_S, DAY_S, 3 * DAY_S])
def test_t01_a_clock_that_is_set_back_opens_no_window_that_is_spent(tmp_path: Path, back_s: float) -> None:
    house = Gateways(tmp_path, DAILY, spends_all)

    async def story() -> None:
        assert isinstance(await house.ask(house.call()), Answer)
        assert isinstance(await house.ask(house.call()), BudgetExceeded)
        house.clock.set_wall(DAY_S)
        assert isinstance(await house.ask(house.call()), Answer), "a new day"
        house.clock.set_wall(-back_s)
        for _ in range(3):
            assert isinstance(await house.ask(house.call()), BudgetExceeded), "and neither day again"
            await asyncio.sleep(1)

    house.clock.run(story())
    first, second = house.used.values()
    assert first == second > 0


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"], ids=["23 hours", "25 hours"])
def test_t01_a_day_begins_at_midnight_where_the_operator_lives_when_the_clocks_change(tmp_path: Path, day: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    hours = 23 if day < "2027-06" else 25
    house = Gateways(tmp_path, DAILY + 'time_zone = "Europe/Berlin"\n', spends_all)
    house.clock.set_wall(midnight.timestamp() + 1 - house.clock.time_ns() / 1e9)

    async def story() -> None:
        assert isinstance(await house.ask(house.call()), Answer)
        house.clock.set_wall(hours * HOUR_S - 10)
        assert isinstance(await house.ask(house.call()), BudgetExceeded)
        house.clock.set_wall(10)
        assert isinstance(await house.ask(house.call()), Answer)

    house.clock.run(story())


# ---- grants ----------------------------------------------------------------------------------------------------------


@any_jump
def test_t01_a_grant_outlives_a_clock_that_is_set_and_no_longer_than_it_lasts(tmp_path: Path, jump_s: float) -> None:
    house = Gateways(tmp_path, DAILY.replace("0.06", "0.5").replace('"day"', '"forever"'), lambda _: completion(5))

    async def story() -> None:
        assert isinstance(await house.ask(house.call()), Answer)
        house.escrow.failure = StoreUnavailable("away")
        house.clock.set_wall(jump_s)
        assert isinstance(await house.ask(house.call()), Answer), "it was granted half a minute ago at most"
        await asyncio.sleep(31)
        assert not isinstance(await house.ask(house.call()), Answer), "and not renewed since"

    house.clock.run(story())


# ---- a loop that stands still ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_told_apart", [True, False], ids=["as it is", "if nobody looked at the loop"])
async def test_t02_a_loop_that_stands_still_opens_no_circuit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told_apart: bool
) -> None:
    if not is_told_apart:
        monkeypatch.setattr(lag, "TOLERATED_S", 1e9)
    slow, policy = model("slow", "apart/slow", fallbacks=["ok"]), "max_retry_attempts = 0"
    with mock_upstream(tmp_path / "apart.jsonl") as port:  # in a process that goes on while our loop does not
        settings = f'[providers.apart]\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        async with lab(tmp_path, slow, settings=settings, policy=policy, patience_s=PATIENCE_S) as it:
            asked = [asyncio.create_task(it.ask("slow")) for _ in range(2 * FAILURES_IN_A_ROW)]
            await asyncio.sleep(0.1)
            time.sleep(0.8)  # noqa: ASYNC251 the fault: answers come meanwhile, and time-outs are due
            await asyncio.gather(*asked)
            assert timed_out(await it.books()) >= FAILURES_IN_A_ROW, "the fault was met"
            state = it.runtime.engine.breakers()["apart/slow"]
            assert state == ("closed" if is_told_apart else "open")


async def silent(exchange: Exchange) -> None:
    exchange.charge(0)
    await exchange.silence()


async def test_t02_a_loop_that_runs_excuses_nobody(tmp_path: Path) -> None:
    mute = model("silent", fallbacks=["ok"])
    async with lab(tmp_path, mute, faults={"silent": silent}, policy="max_retry_attempts = 0") as it:
        await asyncio.gather(*(it.ask("silent") for _ in range(FAILURES_IN_A_ROW)))
        assert timed_out(await it.books()) == FAILURES_IN_A_ROW
        assert it.runtime.engine.breakers()["mock/silent"] == "open"


def timed_out(books: Books) -> int:
    """Attempts that were given up because nothing came."""
    return sum(row.outcome == FirstEventTimeout.code for row in books.rows)
