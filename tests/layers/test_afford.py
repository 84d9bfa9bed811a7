import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from builders import Below, attempt, call, model, registry, route
from routewright.call import Call, Cause, Routed
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Model
from routewright.decision.holds import hold_nanousd
from routewright.decision.tokens import upper_bound_tokens
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    HoldRefused,
    LedgerUnavailable,
    ProviderFailed,
    StoreUnavailable,
    UnpricedModel,
)
from routewright.layers.afford import Afford, Spending
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Grant, Period, Scope, WhenFull
from routewright.ledger.keeper import Keeper
from routewright.reply import Reply
from routewright.testing import FakeClock, MemoryEscrow

DEAR = model("dear", prices=PriceSchedule((Price(input=10_000_000, output=50_000_000),)))
CHEAP = model("cheap")
UNPRICED = model("unpriced", prices=None)
EVERY_STEP = (WhenFull.WAIT, WhenFull.CHEAPER, WhenFull.SHORTEN, WhenFull.REFUSE)
ASKED = call(max_output_tokens=1000)


def needed(asked: Call, of: Model) -> int:
    """What the attempt holds."""
    amount = hold_nanousd(attempt(asked, of), upper_bound_tokens(asked), 1_800_000_000)
    assert amount is not None
    return amount


async def inline(work: Callable[[], Grant]) -> Grant:
    return work()


class House:
    """An afford layer over one budget, granted as far as the test says."""

    def __init__(self, limit: int, *steps: WhenFull, **changes: Any) -> None:
        self.clock = FakeClock()
        plain = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=limit, period=Period.MONTH)
        self.balances = Balances((replace(plain, **changes),))
        self.escrow = MemoryEscrow()
        self.keeper = Keeper(self.balances, self.escrow, boot="boot-1", clock=self.clock, aside=inline)
        spending = Spending(steps=steps or EVERY_STEP, wait_s=1.0, least_output_tokens=100)
        self.layer = Afford(self.keeper, spending, registry(DEAR, CHEAP, UNPRICED), self.clock)
        self.below = Below()

    def ask(self, *models: Model, asked: Call = ASKED, cause: Cause = Cause.FIRST, **decided: Any) -> Routed:
        """What arrives below."""
        self.clock.run(self._ask(Routed(asked, route(*models, **decided), cause)))
        (seen,) = self.below.requests
        assert isinstance(seen, Routed)
        return seen

    async def _ask(self, routed: Routed) -> Reply:
        return await self.layer(routed, self.below)

    def hold(self, amount: int, name: str = "other") -> None:
        """Another attempt holds so much."""

        async def held() -> None:
            charges = self.balances.charges_for(ASKED.tenant, (), "m", "first", self.clock.time_ns())
            assert await self.keeper.room(charges, amount, until=0) is None
            assert self.balances.admit(name, charges, amount) is None
            await self.keeper.stop()

        self.clock.run(held())


def names(seen: Routed) -> list[str]:
    return [candidate.model for candidate in seen.route.eligible]


def test_what_fits_goes_on_as_it_came() -> None:
    house = House(needed(ASKED, DEAR))
    routed = Routed(ASKED, route(DEAR, CHEAP))
    assert house.ask(DEAR, CHEAP) == routed
    assert routed.route.spending == ()


def test_without_a_hard_budget_nothing_is_looked_at() -> None:
    house = House(0, is_hard=False)
    assert names(house.ask(UNPRICED, DEAR)) == ["unpriced", "dear"]
    assert house.escrow.claims == 0


def test_it_waits_for_others_to_settle() -> None:
    house = House(needed(ASKED, DEAR))
    house.hold(1)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.5, house.balances.release, "other")
        await house._ask(Routed(ASKED, route(DEAR, CHEAP)))

    house.clock.run(main())
    (seen,) = house.below.requests
    assert names(seen) == ["dear", "cheap"]
    assert seen.route.spending == ("waited 0.50 s for all",)


def test_waiting_ends_before_the_deadline() -> None:
    house = House(needed(ASKED, DEAR), WhenFull.WAIT)
    house.hold(1)
    with pytest.raises(BudgetExceeded):
        house.ask(DEAR, asked=replace(ASKED, deadline_at=house.clock.monotonic() + 0.3))
    assert house.clock.monotonic() == pytest.approx(0.25)


def test_the_first_cheaper_model_that_fits_is_taken_and_the_others_are_told_why_not() -> None:
    house = House(needed(ASKED, CHEAP), WhenFull.CHEAPER, WhenFull.SHORTEN)
    seen = house.ask(DEAR, replace(DEAR, name="dear"), CHEAP)
    assert names(seen) == ["cheap"]
    assert seen.route.chosen.model == "cheap"
    assert seen.route.spending == ("dear does not fit all",)
    assert {each.reason for each in seen.route.candidates[1:]} == {'does not fit budget "all"'}
    assert seen.call is ASKED


def test_another_model_for_want_of_money_is_not_taken_for_the_choice_that_was_made() -> None:
    house = House(needed(ASKED, CHEAP), WhenFull.CHEAPER)
    seen = house.ask(DEAR, CHEAP, first_choice="dear", propensity=0.01)
    assert (seen.route.chosen.model, seen.route.first_choice, seen.route.propensity) == ("cheap", "dear", 0.01)


def test_models_behind_the_first_that_fits_stay() -> None:
    house = House(needed(ASKED, CHEAP), WhenFull.CHEAPER)
    seen = house.ask(DEAR, CHEAP, replace(CHEAP, name="cheap"))
    assert names(seen) == ["cheap", "cheap"]


def test_an_answer_is_shortened_to_the_last_token_that_can_be_afforded() -> None:
    house = House(needed(replace(ASKED, max_output_tokens=300), DEAR) + 49_999, WhenFull.SHORTEN)
    seen = house.ask(DEAR, CHEAP)
    assert seen.call.max_output_tokens == 300
    assert seen.route.max_output_tokens == 300
    assert seen.route.output_tokens == 200
    assert seen.route.spending == ("max_tokens 300 instead of 1000 for all",)


def test_a_model_s_own_longest_answer_is_shortened_too() -> None:
    asked = replace(ASKED, max_output_tokens=None)
    house = House(needed(replace(ASKED, max_output_tokens=120), DEAR), WhenFull.SHORTEN)
    seen = house.ask(DEAR, asked=asked)
    assert (seen.call.max_output_tokens, seen.route.output_tokens) == (120, 120)


@pytest.mark.parametrize("wanted", [1000, 99])
def test_an_answer_is_not_shortened_below_the_least(wanted: int) -> None:
    house = House(needed(replace(ASKED, max_output_tokens=98), DEAR), WhenFull.SHORTEN)
    with pytest.raises(BudgetExceeded):
        house.ask(DEAR, asked=replace(ASKED, max_output_tokens=wanted))


def test_what_others_hold_is_not_counted_on_when_an_answer_is_shortened() -> None:
    house = House(needed(ASKED, DEAR) - 1, WhenFull.SHORTEN)
    other = House(needed(ASKED, DEAR) - 1)
    taken = Keeper(other.balances, house.escrow, boot="boot-2", clock=house.clock, aside=inline)

    async def main() -> None:
        charges = other.balances.charges_for(ASKED.tenant, (), "m", "first", house.clock.time_ns())
        assert await taken.room(charges, 50_000_000 - 300 * 50_000, until=0) is None
        assert other.balances.admit("other", charges, 50_000_000 - 300 * 50_000) is None
        await house._ask(Routed(ASKED, route(DEAR)))

    house.clock.run(main())
    (seen,) = house.below.requests
    assert seen.call.max_output_tokens == 299


def test_the_steps_are_taken_in_their_order() -> None:
    house = House(needed(replace(ASKED, max_output_tokens=300), DEAR), WhenFull.SHORTEN, WhenFull.CHEAPER)
    assert names(house.ask(DEAR, CHEAP)) == ["dear", "cheap"]
    other = House(needed(replace(ASKED, max_output_tokens=300), DEAR), WhenFull.CHEAPER, WhenFull.SHORTEN)
    assert names(other.ask(DEAR, CHEAP)) == ["cheap"]


def test_nothing_comes_after_refusing() -> None:
    house = House(needed(ASKED, CHEAP), WhenFull.REFUSE, WhenFull.CHEAPER)
    with pytest.raises(BudgetExceeded):
        house.ask(DEAR, CHEAP)


def test_the_refusal_names_the_budget_its_limit_what_is_spent_and_held_and_when_it_resets() -> None:
    house = House(1_000, time_zone="Europe/Berlin")
    house.hold(400, "spent")
    house.balances.settle("spent", 400)
    house.hold(100)
    with pytest.raises(BudgetExceeded) as refused:
        house.ask(DEAR, CHEAP)
    assert refused.value.message == (
        'budget "all" of $0.000001 per month has no room for $0.05051, the most that this request may cost: '
        "$0.0000004 spent, $0.0000001 held; it resets at 2027-02-01T00:00:00+01:00"
    )
    assert needed(ASKED, DEAR) == 50_510_000
    assert refused.value.details == {
        "name": "all",
        "period": "month",
        "limit_nanousd": 1_000,
        "spent_nanousd": 400,
        "held_nanousd": 100,
        "asked_nanousd": needed(ASKED, DEAR),
        "resets_at": "2027-02-01T00:00:00+01:00",
        "is_frozen": False,
    }
    assert house.clock.monotonic() == 0, "it can never fit, so nothing was waited for"


def test_a_budget_for_ever_does_not_reset() -> None:
    with pytest.raises(BudgetExceeded, match=r"\$0\.00 in all has no room.*does not reset"):
        House(0, period=Period.FOREVER).ask(DEAR)


def test_what_others_were_granted_is_told() -> None:
    house = House(needed(ASKED, DEAR))
    other = Keeper(
        Balances((house.balances.standings(house.clock.time_ns())[0].budget,)),
        house.escrow,
        boot="boot-2",
        clock=house.clock,
    )
    other.claim_blocking()
    with pytest.raises(BudgetExceeded, match="granted to other processes"):
        house.ask(DEAR)
    assert house.clock.monotonic() >= 1, "it might have given some of it back"


def test_m04_a_frozen_budget_says_what_to_do() -> None:
    house = House(10**12)
    house.hold(10)
    house.balances.settle("other", 11)
    with pytest.raises(BudgetExceeded, match="is frozen") as refused:
        house.ask(DEAR)
    assert refused.value.hint is not None
    assert "budgets thaw all" in refused.value.hint


def test_an_errand_neither_waits_nor_is_changed() -> None:
    house = House(needed(ASKED, CHEAP))
    house.hold(1)
    with pytest.raises(BudgetExceeded):
        house.ask(CHEAP, cause=Cause.SUMMARY)
    assert house.clock.monotonic() == 0


def test_a_model_without_a_price_is_passed_over_where_a_budget_must_be_kept() -> None:
    house = House(needed(ASKED, CHEAP))
    seen = house.ask(UNPRICED, CHEAP)
    assert names(seen) == ["cheap"]
    assert seen.route.candidates[1].reason == "has no price, and a hard budget must be kept"


def test_a_request_to_models_without_a_price_is_refused() -> None:
    with pytest.raises(UnpricedModel, match="unpriced has no price"):
        House(10**12).ask(UNPRICED)


def test_a_model_without_a_price_is_no_matter_of_another_s_budget() -> None:
    house = House(0, scope=Scope.TEAM, subject="research")
    assert names(house.ask(UNPRICED)) == ["unpriced"]


def test_s06_without_the_database_what_does_not_fit_is_refused_as_ours_to_mend() -> None:
    house = House(10**12, WhenFull.WAIT)
    house.escrow.failure = StoreUnavailable("gone")
    with pytest.raises(LedgerUnavailable, match="does not fit into what was granted"):
        house.ask(DEAR)


def test_when_no_attempt_could_hold_anything_it_is_the_budget_that_is_told() -> None:
    house = House(10**12)
    failures = [
        ("a/dear", HoldRefused("no room", details={"name": "all"})),
        ("a/cheap", HoldRefused("nor", details={})),
    ]
    house.below = Below(AllAttemptsFailed(failures))
    with pytest.raises(BudgetExceeded, match="no room") as refused:
        house.ask(DEAR, CHEAP)
    assert refused.value.details == {"name": "all"}
    house.keeper.is_cut_off = True
    with pytest.raises(LedgerUnavailable):
        house.ask(DEAR, CHEAP)


def test_when_an_attempt_failed_otherwise_that_is_told() -> None:
    house = House(10**12)
    house.below = Below(
        AllAttemptsFailed([("a/dear", ProviderFailed("500")), ("a/cheap", HoldRefused("no", details={}))])
    )
    with pytest.raises(AllAttemptsFailed):
        house.ask(DEAR, CHEAP)


def test_only_a_step_of_waiting_has_patience() -> None:
    assert Spending(steps=EVERY_STEP, wait_s=1.5, least_output_tokens=1).patience_s == 1.5
    assert Spending(steps=(WhenFull.CHEAPER,), wait_s=1.5, least_output_tokens=1).patience_s == 0
