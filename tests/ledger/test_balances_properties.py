"""Several processes spend from the same budgets in any order, with crashes: what must never happen does not."""

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Period, Scope
from routewright.ledger.ledger import NANOSECONDS, Charge
from routewright.tenant import Tenant
from routewright.testing import MemoryEscrow

HOUR_NS = 3_600 * NANOSECONDS
TEAMS = ("red", "blue")
BUDGETS = (
    Budget(name="all", scope=Scope.TOTAL, limit_nanousd=100, period=Period.DAY),
    Budget(name="ever", scope=Scope.TOTAL, limit_nanousd=700, period=Period.FOREVER),
    Budget(name="teams", scope=Scope.TEAM, limit_nanousd=70, period=Period.DAY),
    Budget(name="told", scope=Scope.TOTAL, limit_nanousd=10, period=Period.WEEK, is_hard=False),
)
LIMITS = {"all": 100, "ever": 700, "teams/red": 70, "teams/blue": 70}


class Process:
    """One process: its balances, its open attempts, and settlements that have not arrived."""

    def __init__(self, boot: str) -> None:
        self.boot = boot
        self.balances = Balances(BUDGETS)
        self.open: dict[str, tuple[tuple[Charge, ...], int]] = {}
        self.undrained: list[tuple[tuple[Charge, ...], int, int]] = []

    def settle(self, attempt: str, cost: int) -> None:
        charges, amount = self.open.pop(attempt)
        self.balances.settle(attempt, cost)
        self.undrained.append((charges, cost, amount))


class Spending(RuleBasedStateMachine):
    """Rules are what processes do; invariants look at all of them together."""

    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.escrow = MemoryEscrow()
        self.now_ns = 1_800_000_000 * NANOSECONDS
        self.latest_ns = self.now_ns
        self.names = count(1)
        self.processes = [Process(f"boot-{next(self.names)}") for _ in range(3)]
        self.overrun: set[Charge] = set()

    @initialize()
    def begin(self) -> None:
        for process in self.processes:
            process.balances.claim_ahead(self.now_ns)

    # -- what a process does

    @rule(
        target=attempts,
        which=st.integers(0, 2),
        team=st.sampled_from(TEAMS),
        amount=st.integers(0, 60),
        asks=st.booleans(),
    )
    def begin_attempt(self, which: int, team: str, amount: int, asks: bool) -> tuple[int, str]:
        process = self.processes[which]
        attempt = f"attempt-{next(self.names)}"
        charges = process.balances.charges_for(Tenant(team=team), (), "m", "first", self.now_ns)
        if asks and process.balances.refusal(charges, amount) is not None:
            process.balances.want(1, charges, amount)
            self.claim(process)
            process.balances.stop_wanting(1)
        if process.balances.admit(attempt, charges, amount) is None:
            process.open[attempt] = charges, amount
        return which, attempt

    @rule(chosen=consumes(attempts), share=st.integers(0, 100))
    def settle(self, chosen: tuple[int, str], share: int) -> None:
        process = self.processes[chosen[0]]
        if chosen[1] in process.open:
            process.settle(chosen[1], process.open[chosen[1]][1] * share // 100)

    @rule(chosen=consumes(attempts))
    def cancel(self, chosen: tuple[int, str]) -> None:
        process = self.processes[chosen[0]]
        if process.open.pop(chosen[1], None):
            process.balances.release(chosen[1])

    @precondition(lambda self: not self.overrun)
    @rule(chosen=consumes(attempts), more=st.integers(1, 20))
    def overrun_hold(self, chosen: tuple[int, str], more: int) -> None:
        process = self.processes[chosen[0]]
        if chosen[1] in process.open:
            charges, amount = process.open[chosen[1]]
            process.settle(chosen[1], amount + more)
            self.overrun.update(charge for charge in charges if charge.budget in LIMITS)
            if process.balances.is_metered(known := self.known(process, charges)):
                assert process.balances.admit("never", known, 0) is not None

    @rule(which=st.integers(0, 2))
    def drain(self, which: int) -> None:
        process = self.processes[which]
        for charges, cost, held in process.undrained:
            self.escrow.post(process.boot, charges, cost, held)
        process.undrained.clear()

    @rule(which=st.integers(0, 2))
    def poll(self, which: int) -> None:
        self.claim(self.processes[which])

    @rule(which=st.integers(0, 2))
    def give_back(self, which: int) -> None:
        process = self.processes[which]
        for position in process.balances.positions(self.now_ns):
            granted = process.balances.give_back(position.charge)
            told = self.escrow.claim(
                position.budget, position.window, boot=process.boot, granted_nanousd=granted, needed_nanousd=granted
            )
            process.balances.grant(position.charge, told, 0)

    @rule(which=st.integers(0, 2))
    def lose_an_answer(self, which: int) -> None:
        process = self.processes[which]
        for position in process.balances.positions(self.now_ns, 2):
            self.escrow.claim(
                position.budget,
                position.window,
                boot=process.boot,
                granted_nanousd=position.granted_nanousd,
                needed_nanousd=position.needed_nanousd + 10,
            )

    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        """Recovery drains what the dead process left, settles its open holds at their upper bound, and forgets it."""
        dead = self.processes[which]
        self.drain(which)
        for charges, amount in dead.open.values():
            self.escrow.post(dead.boot, charges, amount, amount)
        self.escrow.forget(frozenset({dead.boot}))
        self.processes[which] = Process(f"boot-{next(self.names)}")

    @rule(hours=st.sampled_from((-30, -1, 1, 5, 24)))
    def set_the_clock(self, hours: int) -> None:
        self.now_ns = max(self.now_ns + hours * HOUR_NS, self.latest_ns - 36 * HOUR_NS)
        self.latest_ns = max(self.latest_ns, self.now_ns)

    @rule()
    def wait_for_midnight(self) -> None:
        self.now_ns += 24 * HOUR_NS - self.now_ns % (24 * HOUR_NS)
        self.latest_ns = max(self.latest_ns, self.now_ns)

    def claim(self, process: Process) -> None:
        for position in process.balances.positions(self.now_ns):
            told = self.escrow.claim(
                position.budget,
                position.window,
                boot=process.boot,
                granted_nanousd=position.granted_nanousd,
                needed_nanousd=position.needed_nanousd,
            )
            process.balances.grant(position.charge, told, 0)

    def known(self, process: Process, charges: tuple[Charge, ...]) -> tuple[Charge, ...]:
        there = {position.charge for position in process.balances.positions(self.now_ns)}
        return tuple(charge for charge in charges if charge in there)

    # -- what must hold

    @invariant()
    def nobody_overshoots(self) -> None:
        for charge, used in self.used().items():
            if charge not in self.overrun:
                assert used <= LIMITS[charge.budget], charge

    @invariant()
    def what_is_used_was_granted(self) -> None:
        for process in self.processes:
            for position in process.balances.positions(self.now_ns):
                if position.budget.is_hard and position.charge not in self.overrun:
                    assert position.used_nanousd <= position.granted_nanousd

    def used(self) -> dict[Charge, int]:
        """Posted, on its way, and held by anybody, for each window of a hard budget."""
        used = {charge: row.posted for charge, row in self.escrow.windows.items() if charge.budget in LIMITS}
        for process in self.processes:
            entries = [(charges, cost) for charges, cost, _ in process.undrained]
            for charges, amount in (*entries, *process.open.values()):
                for charge in charges:
                    if charge.budget in LIMITS:
                        used[charge] = used.get(charge, 0) + amount
        return used

    def teardown(self) -> None:
        """In the end nothing is pending, and what is left can be had to the last nano-dollar, by anybody.

        By then the clock is right again: in a window that one process has left already, its grant stays with it.
        """
        self.now_ns = self.latest_ns
        for which, process in enumerate(self.processes):
            for attempt in list(process.open):
                process.settle(attempt, process.open[attempt][1])
            self.drain(which)
            self.give_back(which)
        assert not any(
            standing.held_nanousd for each in self.processes for standing in each.balances.standings(self.now_ns)
        )
        last = self.processes[0]
        charges = last.balances.charges_for(Tenant(team="red"), (), "m", "first", self.now_ns)
        if self.overrun.intersection(charges):
            return
        used = self.used()
        left = min(LIMITS[charge.budget] - used.get(charge, 0) for charge in charges if charge.budget in LIMITS)
        last.balances.want(1, charges, left)
        for _ in range(2):
            for which in (1, 2):
                self.give_back(which)
            self.claim(last)
        assert last.balances.admit("last", charges, left) is None


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
