import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from builders import Below, attempt, call, deployment, message, model, reply
from routewright.call import Attempt, Call, Cause
from routewright.catalog.pricing import Price, PriceSchedule, Tariff
from routewright.catalog.served import Priced
from routewright.errors import (
    ConnectFailed,
    FirstEventTimeout,
    HoldRefused,
    LedgerUnavailable,
    ProviderFailed,
    StreamCut,
    UnpricedModel,
)
from routewright.layers.budget import FASTEST_TOKENS_PER_S, TOKENS_IN_FLIGHT, Budget
from routewright.layers.quota import DeploymentQuota
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.balances import Balances
from routewright.ledger.billing import same_price
from routewright.ledger.budgets import Budget as Limit
from routewright.ledger.budgets import Grant, Period, Scope
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import Charge, LedgerEvent, Released, Reserved, Settled, decode_event
from routewright.reply import Event, Reply
from routewright.tenant import Tenant
from routewright.testing import FakeClock, MemoryEscrow, MemoryLog
from routewright.usage import Usage


async def inline(work: Callable[[], Grant]) -> Grant:
    """The escrow in memory does not block."""
    return work()


class House:
    """A budget layer over a ledger in memory."""

    def __init__(self, log: MemoryLog | None = None, *budgets: Limit) -> None:
        self.clock = FakeClock()
        self.log = log or MemoryLog()
        self.balances = Balances(budgets)
        self.ledger = JournaledLedger(self.log, boot="boot-1", clock=self.clock, balances=self.balances)
        self.ledger.open("request-1")
        self.keeper = Keeper(self.balances, MemoryEscrow(), boot="boot-1", clock=self.clock, aside=inline)
        self.layer = Budget(self.ledger, self.clock, self.keeper, patience_s=1.0)

    @property
    def events(self) -> list[LedgerEvent]:
        """What is written, and what waits for the request's own row."""
        waiting = self.ledger.account("request-1").held_back
        return [*self.log.events, *map(decode_event, waiting)]

    def settled(self) -> Settled:
        """The one settlement there is."""
        (event,) = [event for event in self.events if isinstance(event, Settled)]
        return event


async def test_the_hold_is_written_before_anything_is_sent_and_is_an_upper_bound() -> None:
    house = House()
    seen: list[object] = []

    async def below(request: Attempt) -> Reply:
        seen.extend(house.log.events)
        return reply(request)

    asked = call("Hello", max_output_tokens=50)
    await house.layer(attempt(asked), below)
    (hold,) = seen
    assert isinstance(hold, Reserved)
    assert hold.amount_nanousd is not None
    assert hold.amount_nanousd >= 50 * 2_000 + len("Hello") * 1_000
    assert (hold.attempt_id, hold.boot, hold.price_version) == ("attempt-1", "boot-1", "test")


async def test_what_the_provider_reports_is_settled_to_the_nano_dollar() -> None:
    house = House()
    answer = await house.layer(attempt(), Below())
    while await answer.next():
        pass
    settled = house.settled()
    assert settled.cost_nanousd == 10 * 1_000 + 20 * 2_000
    assert (settled.outcome, settled.is_estimated) == ("complete", False)
    assert [report.cost_nanousd for report in house.ledger.account("request-1").reports] == [50_000]


async def test_u17_usage_without_what_was_generated_is_completed_and_flagged() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        started = Event(usage=Usage(input=7, output=1), is_usage_partial=True)
        return reply(request, (started,), (Event(text="x" * 85),))

    answer = await house.layer(attempt(), below)
    while await answer.next():
        pass
    settled = house.settled()
    assert settled.usage == Usage(input=7, output=90 // 3)
    assert (settled.outcome, settled.is_estimated) == ("complete", True)


async def test_closing_twice_settles_once() -> None:
    house = House()
    answer = await house.layer(attempt(), Below())
    answer.close()
    answer.close()
    assert len(house.events) == 2


async def test_an_attempt_that_was_never_sent_costs_nothing() -> None:
    house = House()
    with pytest.raises(ConnectFailed):
        await house.layer(attempt(), Below(ConnectFailed("refused")))
    released = house.log.events[-1]
    assert isinstance(released, Released)
    assert released.outcome == "upstream_connect_failed"


async def test_an_error_answer_costs_nothing() -> None:
    house = House()
    with pytest.raises(ProviderFailed):
        await house.layer(attempt(), Below(ProviderFailed("500")))
    assert isinstance(house.log.events[-1], Released)


@pytest.mark.parametrize(
    ("is_streamed", "silence_s", "output"),
    [(True, 0.5, 0.5 * FASTEST_TOKENS_PER_S + TOKENS_IN_FLIGHT), (True, 100, 4_000), (False, 0.5, 4_000)],
)
def test_a_stream_that_never_began_is_settled_by_its_time_and_a_whole_answer_in_full(
    is_streamed: bool, silence_s: float, output: int
) -> None:
    house = House()

    async def silent(request: Attempt) -> Reply:
        await asyncio.sleep(silence_s)
        raise FirstEventTimeout("silent")

    with pytest.raises(FirstEventTimeout):
        house.clock.run(house.layer(attempt(call(stream=is_streamed)), silent))
    settled = house.settled()
    assert settled.usage == Usage(input=125, output=output)
    assert settled.is_estimated


async def test_a_cancelled_attempt_is_settled_as_abandoned() -> None:
    house = House()

    async def endless(request: Attempt) -> Reply:
        await asyncio.get_running_loop().create_future()
        return reply()

    running = asyncio.ensure_future(house.layer(attempt(), endless))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (house.settled().outcome, house.settled().is_estimated) == ("abandoned", True)


async def test_an_attempt_given_up_while_it_waited_for_its_turn_costs_nothing() -> None:
    house, quota = House(), DeploymentQuota(FakeClock())
    narrow = attempt(at=model("narrow", deployment("acme/narrow", concurrency=1)), id="attempt-0")

    async def below(request: Attempt) -> Reply:
        return await quota(request, Below())

    await below(narrow)
    running = asyncio.ensure_future(house.layer(replace(narrow, id="attempt-1"), below))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    released = house.log.events[-1]
    assert isinstance(released, Released)
    assert released.outcome == "abandoned"


@pytest.mark.parametrize(
    ("end", "outcome"),
    [(lambda answer: answer.close(), "abandoned"), (None, "upstream_stream_cut")],
)
async def test_a_broken_stream_is_estimated_from_what_was_seen(
    end: Callable[[Reply], None] | None, outcome: str
) -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(text="x" * 85),), StreamCut("gone"))

    answer = await house.layer(attempt(), below)
    await answer.next()
    await answer.next()
    if end is not None:
        end(answer)
    else:
        with pytest.raises(StreamCut):
            await answer.next()
    settled = house.settled()
    assert settled.outcome == outcome
    assert settled.usage == Usage(input=125, output=90 // 3 + TOKENS_IN_FLIGHT)
    assert settled.is_estimated


async def test_usage_told_before_a_stream_broke_is_kept_where_it_is_more() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(usage=Usage(input=7, cache_read=3, output=500)),), StreamCut("gone"))

    answer = await house.layer(attempt(), below)
    with pytest.raises(StreamCut):
        await answer.read()
    assert house.settled().usage == Usage(input=7, cache_read=3, output=500)


async def test_a_complete_answer_without_usage_is_estimated_and_flagged() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(text="x" * 25, finish="stop"),))

    answer = await house.layer(attempt(), below)
    while await answer.next():
        pass
    assert house.settled().usage == Usage(input=125, output=10)
    assert house.settled().is_estimated


async def test_an_explicit_zero_is_zero() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(usage=Usage(), finish="stop"),))

    answer = await house.layer(attempt(), below)
    while await answer.next():
        pass
    assert (house.settled().cost_nanousd, house.settled().is_estimated) == (0, False)


async def test_a_model_without_a_price_is_told_as_unknown_and_never_as_zero() -> None:
    house = House()
    answer = await house.layer(attempt(at=model(prices=None)), Below())
    while await answer.next():
        pass
    assert house.settled().cost_nanousd is None


async def test_the_first_byte_waits_until_the_hold_is_durable() -> None:
    class Slow(MemoryLog):
        def __init__(self) -> None:
            super().__init__()
            self.is_durable = asyncio.Event()

        async def durable(self, position: int) -> None:
            await self.is_durable.wait()

    log = Slow()
    asking = asyncio.ensure_future(House(log).layer(attempt(), Below()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asking.done()
    log.is_durable.set()
    (await asking).close()


async def test_a_ledger_that_cannot_write_lets_nothing_be_sent() -> None:
    class Full(MemoryLog):
        def append(self, *payloads: bytes, closing: bool = False) -> int:
            raise LedgerUnavailable("the journal is full")

    house, below = House(Full()), Below()
    with pytest.raises(LedgerUnavailable):
        await house.layer(attempt(), below)
    assert below.requests == []


async def test_a_ledger_that_fails_before_the_first_byte_gives_the_answer_up() -> None:
    class Failing(MemoryLog):
        async def durable(self, position: int) -> None:
            raise LedgerUnavailable("cannot sync")

    below = Below()
    with pytest.raises(LedgerUnavailable):
        await House(Failing()).layer(attempt(), below)
    assert below.replies[0].outcome == "abandoned"


def test_a_long_conversation_holds_more() -> None:
    def held(asked: Call) -> int:
        house = House()
        house.ledger.hold(attempt(asked), 10_000 if len(asked.messages) > 1 else 10)
        (event,) = house.log.events
        assert isinstance(event, Reserved)
        assert event.amount_nanousd is not None
        return event.amount_nanousd

    assert held(call("a", messages=(message("a"), message("b")))) > held(call("a"))


async def test_what_an_errand_cost_is_written_at_once_and_its_route_is_not_the_requests() -> None:
    house = House()
    (await house.layer(attempt(cause=Cause.SUMMARY), Below())).close()
    assert [type(event) for event in house.log.events] == [Reserved, Settled]
    account = house.ledger.account("request-1")
    assert (account.held_back, account.route) == ([], None)
    own = attempt(id="attempt-2")
    (await house.layer(own, Below())).close()
    assert account.route is own.routed.route
    assert [report.cause for report in account.reports] == [Cause.SUMMARY, Cause.FIRST]


FLEX = PriceSchedule((Price(input=500_000, output=1_000_000),))


async def test_an_answer_is_settled_in_the_tier_it_says_it_was_served_in() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(finish="stop", usage=Usage(input=10, output=20), service_tier="flex"),))

    answer = await house.layer(attempt(call(service_tier="flex"), model(variants={"flex": FLEX})), below)
    while await answer.next():
        pass
    settled = house.settled()
    assert (settled.service_tier, settled.cost_nanousd, settled.is_estimated) == ("flex", 10 * 500 + 20 * 1_000, False)
    (hold,) = [event for event in house.events if isinstance(event, Reserved)]
    assert hold.amount_nanousd is not None
    assert hold.amount_nanousd >= 4_000 * 2_000, "flex may be refused, and then the usual price holds"


async def test_an_unknown_tier_is_settled_at_the_dearest_price_and_flagged() -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(finish="stop", usage=Usage(input=10, output=20), service_tier="scale"),))

    answer = await house.layer(attempt(at=model(variants={"flex": FLEX})), below)
    while await answer.next():
        pass
    assert (house.settled().cost_nanousd, house.settled().is_estimated) == (50_000, True)


async def test_what_is_charged_beside_tokens_is_told_and_flagged(caplog: pytest.LogCaptureFixture) -> None:
    house = House()

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(finish="stop", usage=Usage(input=10, output=20), unpriced="3 web searches"),))

    answer = await house.layer(attempt(), below)
    while await answer.next():
        pass
    assert (house.settled().cost_nanousd, house.settled().is_estimated) == (50_000, True)
    assert "acme/swift charges for 3 web searches, which is not in the ledger" in caplog.text


async def test_u24_the_ledger_has_who_was_asked_and_who_answered_at_the_prices_of_who_answered() -> None:
    house = House()
    dear = Priced(Tariff(PriceSchedule((Price(input=7_000_000, output=7_000_000),))), "strong@1")
    house.ledger.served = lambda model, deployment, served: dear if served == "strong" else None

    async def below(request: Attempt) -> Reply:
        return reply(request, (Event(finish="stop", usage=Usage(input=10, output=20), model="strong"),))

    answer = await house.layer(attempt(), below)
    house.ledger.served = same_price
    while await answer.next():
        pass
    settled = house.settled()
    assert (settled.model, settled.deployment, settled.served_model) == ("swift", "acme/swift", "strong")
    assert (settled.cost_nanousd, settled.price_version) == (30 * 7_000, "strong@1")


# ---- budgets

ALL = Limit(name="all", scope=Scope.TOTAL, limit_nanousd=10_000_000, period=Period.FOREVER)
SOFT = Limit(name="soft", scope=Scope.TEAM, limit_nanousd=1, period=Period.FOREVER, is_hard=False)
HOLD = 8_000_000 + (19 + 32) * 1_000
"""What an attempt at the plain model holds: 4,000 tokens of output, and every byte and separator of the input."""


async def test_an_attempt_is_held_against_its_budgets_and_every_event_says_who_pays() -> None:
    house = House(None, ALL, SOFT)
    tenant = Tenant(key="k1", team="research", tags=("blue",))
    charges = (Charge("all", 0), Charge("soft/research", 0))
    answer = await house.layer(attempt(call(tenant=tenant)), Below())
    assert answer.budget_remaining_nanousd == ALL.limit_nanousd - HOLD
    assert [standing.held_nanousd for standing in house.balances.standings(0)] == [HOLD, HOLD]
    while await answer.next():
        pass
    assert [standing.spent_nanousd for standing in house.balances.standings(0)] == [50_000, 50_000]
    assert answer.budget_remaining_nanousd == ALL.limit_nanousd - 50_000, "what was not used is there again"
    held, settled = house.events
    assert isinstance(held, Reserved)
    assert isinstance(settled, Settled)
    for event in (held, settled):
        assert (event.key, event.team, event.tags, event.tier) == ("k1", "research", ("blue",), "standard")
        assert (event.charges, event.boot) == (charges, "boot-1")
    assert (held.amount_nanousd, settled.held_nanousd) == (HOLD, HOLD)
    await house.keeper.stop()


async def test_what_cost_nothing_is_given_back_to_its_budgets() -> None:
    house = House(None, ALL)
    with pytest.raises(ConnectFailed):
        await house.layer(attempt(), Below(ConnectFailed("refused")))
    assert house.balances.standings(0)[0].remaining_nanousd == ALL.limit_nanousd
    released = house.log.events[-1]
    assert isinstance(released, Released)
    assert (released.charges, released.held_nanousd) == ((Charge("all", 0),), HOLD)
    await house.keeper.stop()


def test_an_attempt_waits_for_room() -> None:
    house = House(None, ALL)

    async def main() -> None:
        first = await house.layer(attempt(), Below())
        asyncio.get_running_loop().call_later(0.5, first.close)
        (await house.layer(attempt(id="attempt-2"), Below())).close()
        await house.keeper.stop()

    house.clock.run(main())
    assert house.clock.monotonic() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cause", "deadline_s", "waited_s"),
    [(Cause.FALLBACK, 600, 1.0), (Cause.FALLBACK, 0.45, 0.4), (Cause.SUMMARY, 600, 0)],
)
def test_an_attempt_that_does_not_fit_in_time_is_refused_and_nothing_is_sent(
    cause: Cause, deadline_s: float, waited_s: float
) -> None:
    house, below = House(None, ALL), Below()

    async def main() -> None:
        first = await house.layer(attempt(), Below())
        asked = attempt(call(deadline_at=deadline_s), id="attempt-2", cause=cause)
        with pytest.raises(HoldRefused, match='budget "all" of'):
            await house.layer(asked, below)
        first.close()
        await house.keeper.stop()

    house.clock.run(main())
    assert below.requests == []
    assert house.clock.monotonic() == pytest.approx(waited_s)
    assert [type(event) for event in house.events] == [Reserved, Settled], "a hold that was refused was none"


async def test_without_a_keeper_a_hold_fits_or_not() -> None:
    house = House(None, ALL)
    with pytest.raises(HoldRefused):
        await Budget(house.ledger, house.clock)(attempt(), Below())


async def test_a_hold_that_could_not_be_written_is_no_hold() -> None:
    class Full(MemoryLog):
        def append(self, *payloads: bytes, closing: bool = False) -> int:
            raise LedgerUnavailable("the journal is full")

    for house in (House(Full(), ALL), House(Full())):
        with pytest.raises(LedgerUnavailable):
            await house.layer(attempt(), Below())
        assert sum(standing.held_nanousd for standing in house.balances.standings(0)) == 0
        await house.keeper.stop()


async def test_a_settlement_that_could_not_be_written_is_counted_all_the_same() -> None:
    class Closed(MemoryLog):
        def append(self, *payloads: bytes, closing: bool = False) -> int:
            if closing:
                raise LedgerUnavailable("the disk is gone")
            return super().append(*payloads)

    house = House(Closed(), ALL)
    answer = await house.layer(attempt(cause=Cause.SUMMARY), Below())
    with pytest.raises(LedgerUnavailable):
        answer.close()
    (standing,) = house.balances.standings(0)
    assert standing.held_nanousd == 0
    assert standing.spent_nanousd > 0
    await house.keeper.stop()


async def test_a_model_without_a_price_is_refused_where_a_budget_must_be_kept_and_only_there() -> None:
    with pytest.raises(UnpricedModel, match="swift has no price"):
        await House(None, ALL).layer(attempt(at=model(prices=None)), Below())
    house = House(None, SOFT)
    answer = await house.layer(attempt(call(tenant=Tenant(team="a")), model(prices=None)), Below())
    answer.close()
    assert house.balances.standings(0)[0].spent_nanousd == 0
