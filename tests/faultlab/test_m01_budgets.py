"""Money under load, through the whole stack: rows M01 to M04 of the fault list."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from routewright.call import Cause
from routewright.dialects.wire import WireRequest
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    HoldRefused,
    InvalidResponse,
    ProviderFailed,
    RoutewrightError,
)
from routewright.ledger.ledger import NANOSECONDS, Released, Reserved, Settled
from routewright.reply import Answer
from routewright.tenant import Tenant
from routewright.testing import ScriptedResponse
from spending import Gateways, completion

BUDGET = '[budgets.all]\nscope = "total"\nlimit_usd = "{limit}"\n[spending]\nwhen_full = [{steps}]\n'


def budget(limit_nanousd: int, *steps: str) -> str:
    return BUDGET.format(limit=f"{limit_nanousd / 1e9:.9f}", steps=", ".join(f'"{step}"' for step in steps))


def hold_of(folder: Path) -> int:
    """What one request holds, as measured."""
    gateways = Gateways(folder, "", lambda request: completion(1))
    gateways.clock.run(gateways.ask(gateways.call()))
    (hold,) = [event for event in gateways.events if isinstance(event, Reserved)]
    assert hold.amount_nanousd is not None
    return hold.amount_nanousd


def counted(answers: list[Answer | RoutewrightError | None]) -> tuple[int, int]:
    """How many were answered, and how many refused for money."""
    return (
        sum(isinstance(answer, Answer) for answer in answers),
        sum(isinstance(answer, BudgetExceeded) for answer in answers),
    )


@pytest.mark.parametrize("processes", [1, 3])
def test_m01_of_a_thousand_at_once_exactly_as_many_are_admitted_as_fit(tmp_path: Path, processes: int) -> None:
    (tmp_path / "one").mkdir()
    hold = hold_of(tmp_path / "one")
    gateways = Gateways(
        tmp_path, budget(10 * hold + hold - 1, "refuse"), lambda request: completion(1000, 5.0), count=processes
    )

    async def main() -> list[Answer | RoutewrightError]:
        asked = [gateways.ask(gateways.call(), number % processes) for number in range(1000)]
        return await asyncio.gather(*asked)

    assert counted([*gateways.clock.run(main())]) == (10, 990)
    assert gateways.pending == 0
    assert gateways.held_nanousd == 0
    assert len(gateways.transport.requests) == 10, "who is refused is never sent"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("processes", [1, 3])
def test_m01_with_random_costs_and_cancels_nothing_overshoots_nothing_leaks_and_what_fits_is_admitted(
    tmp_path: Path, processes: int, seed: int
) -> None:
    (tmp_path / "one").mkdir()
    hold, random = hold_of(tmp_path / "one"), Random(seed)
    gateways = Gateways(
        tmp_path,
        budget(10 * hold, "wait", "refuse") + "wait_ms = 60_000\n",
        lambda request: completion(random.randint(1, 1000), random.uniform(0.01, 2.0)),
        count=processes,
        seed=seed,
    )

    async def one(number: int) -> Answer | RoutewrightError | None:
        asking = asyncio.create_task(gateways.ask(gateways.call(), number % processes))
        if number % 10 == 0:
            await asyncio.sleep(random.uniform(0, 3))
            asking.cancel()
        try:
            return await asking
        except asyncio.CancelledError:
            return None

    async def main() -> list[Answer | RoutewrightError | None]:
        return await asyncio.gather(*(one(number) for number in range(1000)))

    answered, refused = counted(gateways.clock.run(main()))
    assert answered >= 10
    assert refused >= 1
    assert gateways.pending == 0
    assert gateways.held_nanousd == 0
    (spent,) = gateways.used.values()
    assert 10 * hold - hold < spent <= 10 * hold, "nobody was refused whose hold would still fit"


def test_m02_nested_budgets_hold_all_or_nothing_and_reset_at_midnight_as_new_rows(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    hold = hold_of(tmp_path / "one")
    limits = {"all": 6, "teams": 3, "k1": 2}
    scopes = {"all": "total", "teams": "team", "k1": "key:k1"}
    settings = "[spending]\nwhen_full = []\n" + "".join(
        f'[budgets.{name}]\nscope = "{scopes[name]}"\nlimit_usd = "{limit * hold / 1e9:.9f}"\nperiod = "day"\n'
        for name, limit in limits.items()
    )
    gateways = Gateways(tmp_path, settings, lambda request: completion(1000, 1.0))
    red, blue = Tenant(key="k1", team="red"), Tenant(key="k2", team="blue")

    async def round_of() -> dict[str, int]:
        tenants = [red, blue, red, blue, red, blue, Tenant(key="k3", team="red")] * 20
        calls = [gateways.call(tenant) for tenant in tenants]
        answers = await asyncio.gather(*map(gateways.ask, calls))
        admitted = [call.tenant.key for call, answer in zip(calls, answers, strict=True) if isinstance(answer, Answer)]
        return {key: admitted.count(key) for key in ("k1", "k2", "k3")}

    async def main() -> list[dict[str, int]]:
        first = await round_of()
        gateways.clock.advance(86_400 - gateways.clock.time_ns() // NANOSECONDS % 86_400 - 0.5)
        late = asyncio.create_task(round_of())  # nothing is left of this day
        await asyncio.sleep(0.5)
        return [first, await late, await round_of()]

    first, late, second = gateways.clock.run(main())
    assert first == second == {"k1": 2, "k2": 3, "k3": 1}
    assert late == {"k1": 0, "k2": 0, "k3": 0}
    assert gateways.pending == 0
    windows = {charge.starts_ns for charge in gateways.used}
    assert len(windows) == 2
    for charge, used in gateways.used.items():
        if charge.budget in limits:
            assert used <= limits[charge.budget] * hold


def failing(request: WireRequest) -> ScriptedResponse | RoutewrightError:
    """The cheap model gives nonsense, which may be billed; the dear one answers."""
    return completion(5) if b'"dear"' in request.body else ScriptedResponse(200, [b"nonsense"])


def test_m03_a_fallback_to_a_dearer_model_has_its_own_hold(tmp_path: Path) -> None:
    gateways = Gateways(tmp_path, budget(10**9, "refuse"), failing)
    answer = gateways.clock.run(gateways.ask(gateways.call(model="cheap")))
    assert isinstance(answer, Answer)
    assert answer.model == "dear"
    holds = [event for event in gateways.events if isinstance(event, Reserved)]
    assert [(hold.model, hold.cause) for hold in holds] == [("cheap", Cause.FIRST), ("dear", Cause.FALLBACK)]
    assert len({hold.attempt_id for hold in holds}) == 2
    assert all(hold.charges for hold in holds)
    settled = [event for event in gateways.events if isinstance(event, Settled)]
    assert [event.is_estimated for event in settled] == [True, False]
    assert answer.receipt.cost_nanousd == sum(event.cost_nanousd or 0 for event in settled)
    assert gateways.engines[0].budgets()[0].spent_nanousd == answer.receipt.cost_nanousd


def test_m03_a_fallback_that_no_longer_fits_is_never_sent(tmp_path: Path) -> None:
    gateways = Gateways(tmp_path, budget(10_000_000, "wait", "refuse"), failing)
    answer = gateways.clock.run(gateways.ask(gateways.call(model="cheap")))
    assert isinstance(answer, AllAttemptsFailed)
    assert [type(failure) for _, failure in answer.failures] == [InvalidResponse, HoldRefused]
    assert len(gateways.transport.requests) == 1
    assert gateways.pending == 0


def test_m03_every_retry_has_its_own_hold(tmp_path: Path) -> None:
    failures: Iterator[ScriptedResponse | RoutewrightError] = iter(
        [ProviderFailed("500"), ProviderFailed("500"), completion(7)]
    )
    gateways = Gateways(tmp_path, budget(10**9, "refuse"), lambda request: next(failures), retries=2)
    assert isinstance(gateways.clock.run(gateways.ask(gateways.call())), Answer)
    holds = [event for event in gateways.events if isinstance(event, Reserved)]
    assert [hold.cause for hold in holds] == [Cause.FIRST, Cause.RETRY, Cause.RETRY]
    assert [type(event) for event in gateways.events if not isinstance(event, Reserved)][:3] == [
        Released,
        Released,
        Settled,
    ]
    assert gateways.pending == 0


def test_m04_an_answer_dearer_than_its_hold_is_posted_in_full_and_stops_the_budget(tmp_path: Path) -> None:
    gateways = Gateways(tmp_path, budget(10**9, "refuse"), lambda request: completion(5000), count=2)
    gateways.limits = {}  # it is overshot, if the provider charges more than it may: that is what is tested

    async def main() -> tuple[object, object, object]:
        first = await gateways.ask(gateways.call())
        second = await gateways.ask(gateways.call())
        await asyncio.sleep(1)
        return first, second, await gateways.ask(gateways.call(), 1)

    first, here, there = gateways.clock.run(main())
    assert isinstance(first, Answer)
    assert first.receipt.cost_nanousd == 5000 * 50_000 + 10 * 10_000
    assert isinstance(here, BudgetExceeded)
    assert isinstance(there, BudgetExceeded)
    assert "frozen" in here.message
    assert "frozen" in there.message
    assert [keeper.balances.overruns for keeper in gateways.keepers] == [1, 0]
    assert gateways.engines[0].budgets()[0].spent_nanousd == first.receipt.cost_nanousd
