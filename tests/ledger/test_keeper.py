import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from routewright.errors import StoreUnavailable
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Grant, Period, Refusal, Scope
from routewright.ledger.keeper import PATIENCE_S, POLL_S, SILENCE_S, Keeper
from routewright.ledger.ledger import Charge
from routewright.tenant import NOBODY
from routewright.testing import FakeClock, MemoryEscrow

ALL = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=100, period=Period.FOREVER)
CHARGES = (Charge("all", 0),)


async def inline(work: Callable[[], Grant]) -> Grant:
    """The escrow in memory does not block, and a thread would not keep to the fake clock."""
    return work()


class Process:
    """One process with its keeper, over an escrow that several share."""

    def __init__(
        self,
        escrow: MemoryEscrow,
        clock: FakeClock,
        boot: str = "boot-1",
        *budgets: Budget,
    ) -> None:
        self.clock = clock
        self.balances = Balances(budgets or (ALL,))
        self.keeper = Keeper(self.balances, escrow, boot=boot, clock=clock, aside=inline)

    async def admit(self, attempt: str, amount: int, wait_s: float = 0.0) -> Refusal | None:
        """Hold it, once there is room."""
        charges = self.balances.charges_for(NOBODY, (), "m", "first", self.clock.time_ns())
        refusal = await self.keeper.room(charges, amount, until=self.clock.monotonic() + wait_s)
        return refusal or self.balances.admit(attempt, charges, amount)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def escrow() -> MemoryEscrow:
    return MemoryEscrow()


def test_the_first_hold_is_granted_while_it_waits_and_the_next_ones_at_once(
    clock: FakeClock, escrow: MemoryEscrow
) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        assert await one.admit("a", 60) is None
        claims = escrow.claims
        assert await one.admit("b", 40) is None
        assert escrow.claims == claims
        refusal = await one.admit("c", 1)
        assert refusal is not None
        assert clock.monotonic() == 0, "nobody else has any of it, so there is nothing to wait for"

    clock.run(main())


def test_a_hold_waits_for_others_to_settle_and_is_woken(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        assert await one.admit("a", 100) is None
        waiting = [
            asyncio.create_task(one.admit(name, amount, 10)) for name, amount in (("b", 50), ("c", 60), ("d", 30))
        ]
        await asyncio.sleep(2)
        one.balances.settle("a", 10)
        await asyncio.sleep(0.01)
        assert [task.done() for task in waiting] == [True, False, True], "first come, first served, as far as it fits"
        one.balances.release("b")
        assert await waiting[1] is None
        assert clock.monotonic() == pytest.approx(2.01)
        assert await asyncio.gather(*waiting) == [None, None, None]

    clock.run(main())


def test_waiting_ends_when_the_time_is_up(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        assert await one.admit("a", 100) is None
        refusal = await one.admit("b", 50, 3)
        assert refusal is not None
        assert (refusal.held_nanousd, refusal.is_final) == (100, False)
        assert clock.monotonic() == pytest.approx(3)
        assert one.balances.positions(clock.time_ns(), 0) == [], "nothing is wanted any more"

    clock.run(main())


def test_what_can_never_fit_is_not_waited_for(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        refusal = await one.admit("a", 101, 10)
        assert refusal is not None
        assert refusal.is_final
        assert await one.admit("b", 100) is None
        waiting = asyncio.create_task(one.admit("c", 1, 10))
        await asyncio.sleep(1)
        one.balances.settle("b", 100)
        refusal = await waiting
        assert refusal is not None
        assert clock.monotonic() == 1

    clock.run(main())


def test_what_one_process_does_not_use_another_gets(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one, two = Process(escrow, clock, "boot-1"), Process(escrow, clock, "boot-2")
        assert await one.admit("a", 10) is None
        assert one.balances.spare(CHARGES[0]) == 90, "all ahead, as it was alone"
        assert await two.admit("b", 90) is None
        assert clock.monotonic() <= 2 * POLL_S + 0.01
        assert await one.admit("c", 1) is not None

    clock.run(main())


def test_two_that_each_have_a_part_of_what_both_need_do_not_block_each_other(
    clock: FakeClock, escrow: MemoryEscrow
) -> None:
    async def main() -> None:
        one, two = Process(escrow, clock, "boot-1"), Process(escrow, clock, "boot-2")
        assert await one.admit("a", 50) is None
        assert await two.admit("b", 50) is None
        one.balances.release("a")
        two.balances.release("b")
        first, second = await asyncio.gather(one.admit("c", 70, 1), two.admit("d", 80, 1))
        assert sorted((first is None, second is None)) == [False, True], "one of both is served"

    clock.run(main())


def test_without_the_escrow_what_is_granted_can_be_spent_and_no_more(
    clock: FakeClock, escrow: MemoryEscrow, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        assert await one.admit("a", 10) is None
        Process(escrow, clock, "boot-2").keeper.claim_blocking()
        one.balances.give_back(CHARGES[0])
        escrow.failure = StoreUnavailable("gone")
        assert await one.admit("b", 20) is not None
        told.append(one.keeper.is_cut_off)
        assert await one.admit("c", 0) is None
        await asyncio.sleep(5)
        escrow.failure = None
        await asyncio.sleep(1)
        told.append(one.keeper.is_cut_off)
        assert await one.admit("d", 20) is None

    told: list[bool] = []

    with caplog.at_level("INFO"):
        clock.run(main())
    assert told == [True, False]
    assert caplog.text.count("nothing more can be granted") == 1
    assert caplog.text.count("answers again") == 1


def test_s06_a_database_that_stands_still_keeps_nobody_waiting_until_it_goes_on(
    clock: FakeClock, escrow: MemoryEscrow
) -> None:
    async def main() -> None:
        goes_on = asyncio.Event()

        async def standing_still(work: Callable[[], Grant]) -> Grant:
            await goes_on.wait()
            return work()

        one = Process(escrow, clock)
        one.keeper = Keeper(one.balances, escrow, boot="boot-1", clock=clock, aside=standing_still)
        assert None not in await asyncio.gather(one.admit("a", 10), one.admit("b", 20))
        assert (one.keeper.is_cut_off, clock.monotonic()) == (True, began_at + SILENCE_S)
        assert await one.admit("c", 10) is not None
        assert clock.monotonic() == began_at + SILENCE_S, "who comes now knows it at once"
        goes_on.set()
        await asyncio.sleep(POLL_S)
        assert not one.keeper.is_cut_off
        assert await one.admit("d", 10) is None

    began_at = clock.monotonic()
    clock.run(main())


def test_a_bug_in_a_round_is_told_and_leaves_nobody_waiting(
    clock: FakeClock, escrow: MemoryEscrow, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(work: Callable[[], Grant]) -> Grant:
        raise ZeroDivisionError

    async def main() -> None:
        balances = Balances((ALL,))
        keeper = Keeper(balances, escrow, boot="boot-1", clock=clock, aside=broken)
        charges = balances.charges_for(NOBODY, (), "m", "first", clock.time_ns())
        assert await keeper.room(charges, 1, until=0, patience_s=0) is not None

    clock.run(main())
    assert "a round of claims failed" in caplog.text


def test_the_first_claim_needs_no_event_loop(clock: FakeClock, escrow: MemoryEscrow) -> None:
    soft = Budget(name="soft", scope=Scope.TOTAL, limit_nanousd=1, period=Period.DAY, is_hard=False)
    one = Process(escrow, clock, "boot-1", ALL, soft)
    one.keeper.claim_blocking()
    assert one.balances.room(CHARGES) == 100
    escrow.post("boot-0", (Charge("soft", 0),), 5, 5)
    told = Process(escrow, clock, "boot-2", replace(soft, period=Period.FOREVER))
    told.keeper.claim_blocking()
    assert told.balances.standings(0)[0].spent_nanousd == 5
    escrow.failure = StoreUnavailable("gone")
    three = Process(escrow, clock, "boot-3")
    three.keeper.claim_blocking()
    assert three.keeper.is_cut_off


def test_at_the_end_everything_is_given_back(
    clock: FakeClock, escrow: MemoryEscrow, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(boots: frozenset[str]) -> None:
        raise StoreUnavailable("gone")

    async def main() -> None:
        one = Process(escrow, clock)
        one.keeper.start()
        one.keeper.start()
        assert await one.admit("a", 10) is None
        one.balances.release("a")
        await asyncio.sleep(1)
        await one.keeper.stop()
        claims = escrow.claims
        await asyncio.sleep(5)
        assert escrow.claims == claims
        one.keeper.give_back_all()
        assert escrow.windows[CHARGES[0]].leased == 0
        await one.keeper.stop()
        escrow.forget = gone  # type: ignore[method-assign]
        one.keeper.give_back_all()  # done already
        assert caplog.text == ""
        Process(escrow, clock, "boot-2").keeper.give_back_all()

    clock.run(main())
    assert "could not be given back now: gone" in caplog.text


def test_another_event_loop_starts_it_anew(clock: FakeClock, escrow: MemoryEscrow) -> None:
    one = Process(escrow, clock)
    assert clock.run(one.admit("a", 60)) is None
    one.balances.give_back(CHARGES[0])
    Process(escrow, clock, "boot-2").keeper.claim_blocking()
    assert clock.run(one.admit("b", 40)) is None
    clock.run(one.keeper.stop())


def test_without_hard_budgets_nothing_runs(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one = Process(
            escrow,
            clock,
            "boot-1",
            Budget(name="soft", scope=Scope.TOTAL, limit_nanousd=1, period=Period.DAY, is_hard=False),
        )
        one.keeper.start()
        await asyncio.sleep(PATIENCE_S)
        assert escrow.claims == 0

    clock.run(main())


def test_budgets_that_are_taken_away_leave_nobody_waiting(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        charges = one.balances.charges_for(NOBODY, (), "m", "first", clock.time_ns())
        one.balances.adopt([])
        assert await one.keeper.room(charges, 1, until=0, patience_s=0) is not None

    clock.run(main())


def test_many_budgets_have_their_turn(clock: FakeClock, escrow: MemoryEscrow) -> None:
    async def main() -> None:
        budgets = [
            Budget(name=f"b{number}", scope=Scope.TOTAL, limit_nanousd=100, period=Period.FOREVER)
            for number in range(100)
        ]
        one = Process(escrow, clock, "boot-1", *budgets)
        one.balances.claim_ahead(clock.time_ns())
        one.keeper.start()
        await asyncio.sleep(4 * POLL_S)
        assert len(escrow.windows) == 100

    clock.run(main())


def test_a_claim_that_comes_after_all_was_given_back_is_none(clock: FakeClock, escrow: MemoryEscrow) -> None:
    late: list[Callable[[], Grant]] = []

    async def stuck(work: Callable[[], Grant]) -> Grant:
        late.append(work)
        await asyncio.Event().wait()
        return work()

    async def main() -> None:
        balances = Balances((ALL,))
        keeper = Keeper(balances, escrow, boot="boot-1", clock=clock, aside=stuck)
        charges = balances.charges_for(NOBODY, (), "m", "first", clock.time_ns())
        asking = asyncio.create_task(keeper.room(charges, 1, until=0))
        await asyncio.sleep(1)
        asking.cancel()
        await keeper.stop()
        keeper.give_back_all()
        with pytest.raises(StoreUnavailable, match="has given back"):
            late[0]()

    clock.run(main())
    assert escrow.claims == 0


def test_a_round_that_asked_nothing_does_not_say_that_the_escrow_answers(
    clock: FakeClock, escrow: MemoryEscrow, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        one = Process(escrow, clock)
        assert await one.admit("a", 10) is None
        escrow.failure = StoreUnavailable("gone")
        await asyncio.sleep(1.5 * POLL_S)  # in the middle between two rounds that ask for everything
        assert one.keeper.is_cut_off
        one.keeper._calls.set()
        await asyncio.sleep(POLL_S / 4)
        assert one.keeper.is_cut_off

    with caplog.at_level("INFO"):
        clock.run(main())
    assert caplog.text.count("nothing more can be granted") == 1
    assert "answers again" not in caplog.text
