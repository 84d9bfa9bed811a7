"""The escrow against a model: processes that claim, admit, settle, die and are forgotten, in any order.

After every commit: nothing is granted beyond the limit (E6), what is posted is what was delivered, and what all have
spent and hold stays within the limit but for what overruns and lowered limits made unavoidable.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from databases import open_database
from routewright.ledger.accounts import close_what_crashed
from routewright.ledger.database import Database, Row
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.store import Store
from routewright.testing import FakeClock
from sharing import SHARED, Sharer, in_use

TABLES = ("events", "open_holds", "attempts_rollup", "budget_windows", "grants")
amounts = st.integers(0, 400)
alive = st.integers(0, 2)


class Sharing(RuleBasedStateMachine):
    """Three processes at a time; who dies is followed by another."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.store = Store(database)
        self.escrow = DatabaseEscrow(database)
        self.budget = SHARED
        self.highest_limit = SHARED.limit_nanousd
        self.overrun = 0
        self.delivered_cost = 0
        self.boots = 0
        self.dead: list[Sharer] = []
        self.gone_cost = 0
        with database.transaction() as transaction:
            for table in TABLES:
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 names from above
        self.sharers = [self.new_process() for _ in range(3)]

    def new_process(self) -> Sharer:
        self.boots += 1
        return Sharer(f"p{self.boots}", self.escrow, self.store)

    @initialize()
    def make_the_window(self) -> None:
        self.sharers[0].claim(0, self.budget)

    @rule(who=alive, amount=amounts, keeps=st.booleans(), hears=st.booleans())
    def claim(self, who: int, amount: int, keeps: bool, hears: bool) -> None:
        room = self.budget.limit_nanousd - self.row["posted_nanousd"] - self.row["leased_nanousd"]
        sharer = self.sharers[who]
        grant = sharer.claim(amount, self.budget, keeps=keeps, hears=hears)
        assert grant.granted_nanousd >= sharer.in_use or grant.is_frozen or self.overrun
        if 0 < amount <= room - self.overrun and not grant.is_frozen:  # an overrun may not have been delivered yet
            assert grant.granted_nanousd >= sharer.in_use + amount

    @rule(who=alive, amount=amounts)
    def admit(self, who: int, amount: int) -> None:
        self.sharers[who].admit(amount)

    @rule(who=alive, share=st.integers(0, 100))
    def settle(self, who: int, share: int) -> None:
        sharer = self.sharers[who]
        for attempt, held in list(sharer.holds.items())[:1]:
            sharer.settle(attempt, held * share // 100)

    @rule(who=alive, more=st.integers(1, 300))
    def overrun_a_hold(self, who: int, more: int) -> None:
        sharer = self.sharers[who]
        for attempt, held in list(sharer.holds.items())[:1]:
            sharer.settle(attempt, held + more)
            self.overrun += more

    @rule(who=alive, twice=st.booleans())
    def deliver(self, who: int, twice: bool) -> None:
        batch = list(self.sharers[who].undelivered)
        self.sharers[who].deliver()
        if twice:
            self.store.absorb(batch)

    @rule(who=alive)
    def die(self, who: int) -> None:
        self.dead.append(self.sharers[who])
        self.sharers[who] = self.new_process()

    @precondition(lambda self: self.dead)
    @rule()
    def recover(self) -> None:
        """As the next process does: bring in what was left, settle what is open, forget the dead."""
        dead = self.dead.pop(0)
        dead.deliver()
        others = {sharer.boot for sharer in (*self.sharers, *self.dead)}
        self.store.absorb(list(close_what_crashed(self.store.pending(lambda: others), FakeClock())))
        self.escrow.forget(frozenset({dead.boot}))
        self.gone_cost += dead.in_use

    @rule(limit=st.integers(0, 1500))
    def set_the_limit(self, limit: int) -> None:
        self.budget = replace(self.budget, limit_nanousd=limit)
        self.highest_limit = max(self.highest_limit, limit)
        self.sharers[0].claim(0, self.budget)

    @rule()
    def thaw(self) -> None:
        self.escrow.thaw(SHARED.name)

    @property
    def row(self) -> Row:
        return self.database.read("SELECT * FROM budget_windows")[0]

    @invariant()
    def e6_nothing_is_promised_beyond_the_limit(self) -> None:
        rows = self.database.read("SELECT * FROM budget_windows")
        unavoidable = self.highest_limit - self.budget.limit_nanousd + self.overrun
        for row in rows:
            assert row["posted_nanousd"] + row["leased_nanousd"] <= row["limit_nanousd"] + row["excess_nanousd"]
            assert 0 <= row["excess_nanousd"] <= unavoidable
        spent_and_held = in_use((*self.sharers, *self.dead)) + self.gone_cost
        assert spent_and_held <= self.highest_limit + self.overrun

    @invariant()
    def what_is_leased_is_the_sum_of_the_grants(self) -> None:
        leases = [
            max(0, row["granted_nanousd"] - row["settled_nanousd"])
            for row in self.database.read("SELECT * FROM grants")
        ]
        assert sum(row["leased_nanousd"] for row in self.database.read("SELECT * FROM budget_windows")) == sum(leases)

    @invariant()
    def what_is_posted_is_what_was_delivered(self) -> None:
        costs = self.database.read("SELECT coalesce(sum(cost_nanousd), 0) AS sum FROM events WHERE kind = 'settled'")
        posted = [row["posted_nanousd"] for row in self.database.read("SELECT * FROM budget_windows")]
        assert sum(posted) == costs[0]["sum"]

    def teardown(self) -> None:
        """In the end nothing is leased to anybody, and all that is left can be had by one."""
        while self.dead:
            self.recover()
        for sharer in self.sharers:
            for attempt, held in list(sharer.holds.items()):
                sharer.settle(attempt, held)
            sharer.deliver()
        self.escrow.thaw(SHARED.name)
        self.escrow.forget(frozenset(sharer.boot for sharer in self.sharers))
        left = max(0, self.budget.limit_nanousd - in_use(self.sharers) - self.gone_cost)
        assert self.new_process().claim(left, self.budget).granted_nanousd == left
        assert self.row["leased_nanousd"] == left


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    opened = open_database(place)
    yield opened
    opened.close()


def test_e6_no_order_of_events_promises_more_than_the_limit(database: Database) -> None:
    class SharingHere(Sharing):
        def __init__(self) -> None:
            super().__init__(database)

    run_state_machine_as_test(SharingHere, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))
