"""Replicas that hammer one budget at the same time, each with connections of its own, also while PostgreSQL dies."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random

from msgspec.structs import replace

from databases import PostgresServer, open_database
from routewright.errors import StoreUnavailable
from routewright.ledger.budgets import ALL_TIME, Budget
from routewright.ledger.database import Database
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.store import Store
from sharing import SHARED, Sharer

REPLICAS = 3
HOLD = 10
MOST_TURNS = 20_000


class Replica(Sharer):
    """A sharer on a thread of its own: holds, settles at random costs, delivers, until nothing more fits anywhere."""

    def __init__(self, boot: str, database: Database, together: "Together") -> None:
        super().__init__(boot, DatabaseEscrow(database), Store(database))
        self.failures = 0
        self._together = together
        self._random = Random(boot)

    def run(self) -> None:
        """Until the limit is used up, as far as holds fit."""
        for _ in range(MOST_TURNS):
            if self._together.is_used_up():
                return
            try:
                self.turn()
            except StoreUnavailable:
                self.failures += 1
                assert self._together.is_up.wait(timeout=60)
            self._together.count_a_turn()

    def turn(self) -> None:
        """Ask, hold, and close what is held, or some of it."""
        self.claim(HOLD, self._together.budget, keeps=self._random.random() < 0.5)
        while len(self.holds) < 3 and self.admit(HOLD):
            pass
        for attempt in list(self.holds)[: self._random.randint(1, 3)]:
            self.settle(attempt, self._random.randint(1, HOLD))
        self.deliver()


class Together:
    """All replicas, as one who sees into all of them would."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.replicas: list[Replica] = []
        self.turns = 0
        self.is_up = threading.Event()
        self.is_up.set()
        self._turned = threading.Condition()

    def is_used_up(self) -> bool:
        """Whether no hold fits any more, wherever it was made."""
        return self.budget.limit_nanousd - sum(replica.spent for replica in self.replicas) < HOLD

    def count_a_turn(self) -> None:
        """Somebody has had one."""
        with self._turned:
            self.turns += 1
            self._turned.notify_all()

    def wait_for_turns(self, more: int) -> None:
        """Let so many turns go by."""
        with self._turned:
            goal = self.turns + more
            assert self._turned.wait_for(lambda: self.turns >= goal, timeout=60)


@contextmanager
def hammering(place: Path | str, budget: Budget = SHARED) -> Iterator[Together]:
    """Replicas at work; afterwards they are done."""
    together = Together(budget)
    with ExitStack() as stack:
        for number in range(REPLICAS):
            database = stack.enter_context(closing(open_database(place)))
            together.replicas.append(Replica(f"replica-{number}", database, together))
        threads = [threading.Thread(target=replica.run) for replica in together.replicas]
        for thread in threads:
            thread.start()
        try:
            yield together
        finally:
            for thread in threads:
                thread.join(timeout=120)
        for replica in together.replicas:
            for attempt in list(replica.holds):
                replica.settle(attempt, 0)
            replica.deliver()
        check(together, stack.enter_context(closing(open_database(place))))


def check(together: Together, database: Database) -> None:
    """Nothing beyond the limit, nothing lost, and all that fits was granted."""
    limit = together.budget.limit_nanousd
    spent = sum(replica.spent for replica in together.replicas)
    (row,) = database.read("SELECT * FROM budget_windows")
    assert row["posted_nanousd"] == spent
    assert limit - HOLD < spent <= limit
    assert row["excess_nanousd"] == row["overruns"] == 0
    DatabaseEscrow(database).forget(frozenset(replica.boot for replica in together.replicas))
    left = DatabaseEscrow(database).claim(together.budget, ALL_TIME, boot="last", granted_nanousd=0, needed_nanousd=0)
    assert left.granted_nanousd == limit - spent


def test_m01_replicas_use_a_limit_up_and_never_exceed_it(new_place: Callable[[], Path | str]) -> None:
    with hammering(new_place()) as together:
        together.wait_for_turns(1)


def test_s06_a_postgres_that_dies_in_the_middle_of_claims_promises_nothing_twice(
    postgres_server: PostgresServer,
) -> None:
    kills = 2
    with hammering(postgres_server.new_schema(), replace(SHARED, limit_nanousd=4_000)) as together:
        for _ in range(kills):
            together.wait_for_turns(20)
            together.is_up.clear()
            postgres_server.stop_at_once()
            postgres_server.start()
            together.is_up.set()
    assert sum(replica.failures for replica in together.replicas) >= kills
