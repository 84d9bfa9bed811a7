"""What a job holds, in both databases: for all of it at first, then file by file, over whatever ends its process."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

import builders
from routewright.call import Attempt
from routewright.errors import HoldRefused
from routewright.ledger import job_holds
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Period, Scope, window_at
from routewright.ledger.database import Database
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.job_holds import JobHolds
from routewright.ledger.ledger import JOB_HOLDS_LAST_NS, Charge
from routewright.ledger.recovery import Recovery
from routewright.ledger.store import Store
from routewright.testing import FakeClock
from routewright.usage import Usage

JOB = "batch_1"
CHARGE = Charge("all", 0)
ALL = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=0, period=Period.FOREVER)


class Process:
    """One that runs the job, over a budget with room for so many attempts."""

    def __init__(self, store: Store, room: int) -> None:
        self.store = store
        self.clock = FakeClock(time.time_ns())
        self.balances = Balances([replace(ALL, limit_nanousd=room * each(store))])
        self.holds = JobHolds(JOB, store, self.balances, self.clock)

    async def claim(self, count: int) -> None:
        """Hold for so many in all."""
        bound = self.holds.bound()
        for number in range(count):
            bound.add(asked(number))
        await self.holds.claim(bound)


def asked(number: int) -> Attempt:
    return builders.attempt(builders.call(id=f"request-{number}"), id=f"attempt-{number}")


def each(store: Store) -> int:
    """What one attempt can cost."""
    bound = JobHolds(JOB, store, Balances([ALL]), FakeClock()).bound()
    bound.add(asked(0))
    return bound.needed[CHARGE]


def leased(database: Database) -> int:
    rows = database.read("SELECT leased_nanousd AS n FROM budget_windows WHERE budget = 'all'")
    return int(rows[0]["n"]) if rows else 0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_holds, "TRIES", 2)
    monkeypatch.setattr(job_holds, "PAUSE_S", 0.0)


async def test_files_turn_what_was_claimed_for_all_into_holds_and_claim_no_more(store: Store) -> None:
    process = Process(store, room=4)
    await process.claim(4)
    assert leased(store.database) == 4 * each(store)
    await process.holds.reserve([asked(0), asked(1)])
    await process.holds.reserve([asked(2), asked(3)])
    assert leased(store.database) == 4 * each(store)
    holds = store.open_holds()
    assert {(hold.attempt_id, hold.boot) for hold in holds} == {(f"attempt-{n}", JOB) for n in range(4)}
    with pytest.raises(HoldRefused, match='"all" has no room'):
        await process.holds.reserve([asked(4)])
    assert leased(store.database) == 4 * each(store), "what did not fit is not kept"


async def test_what_does_not_fit_whole_is_not_claimed_in_part(store: Store) -> None:
    process = Process(store, room=3)
    with pytest.raises(HoldRefused):
        await process.claim(4)
    assert leased(store.database) == 0
    await process.claim(3)


async def test_the_next_process_claims_only_what_the_one_before_had_not(store: Store) -> None:
    await Process(store, room=4).claim(4)
    await Process(store, room=4).claim(4)
    assert leased(store.database) == 4 * each(store), "for the same is claimed once"
    first = Process(store, room=4)
    await first.claim(4)
    await first.holds.reserve([asked(0), asked(1)])
    await Process(store, room=4).claim(2)
    assert leased(store.database) == 4 * each(store), "two are held, and two are claimed for"
    with pytest.raises(HoldRefused):
        await Process(store, room=4).claim(3)


async def test_holds_are_closed_by_the_next_process_and_the_rest_is_given_back(store: Store) -> None:
    first = Process(store, room=3)
    await first.claim(3)
    await first.holds.reserve([asked(0), asked(1)])
    holds = Process(store, room=3).holds
    assert holds.resume(["attempt-0"]).keys() == {"attempt-0"}
    assert holds.resume(["attempt-0", "attempt-1", "attempt-9"]).keys() == {"attempt-0", "attempt-1"}
    attempt = asked(0)
    holds.ledger.open(attempt.call.id)
    holds.ledger.hold(attempt, 0).settle(
        outcome="complete", served_model="swift", usage=Usage(input=1), is_estimated=False, first_event_ms=None
    )
    holds.log.flush()
    holds.release(["attempt-1", "attempt-9"], "expired")
    assert store.open_holds() == []
    spent = store.totals().cost_nanousd
    row = store.database.read("SELECT posted_nanousd, leased_nanousd FROM budget_windows")[0]
    assert (row["posted_nanousd"], row["leased_nanousd"]) == (spent, 3 * each(store) - spent)
    holds.give_back()
    assert leased(store.database) == 0
    holds.give_back()
    row = store.database.read("SELECT posted_nanousd, leased_nanousd FROM budget_windows")[0]
    assert (row["posted_nanousd"], row["leased_nanousd"]) == (spent, 0)


async def test_a_process_that_recovers_leaves_jobs_alone_until_they_are_old(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = Process(store, room=3)
    await process.claim(3)
    await process.holds.reserve([asked(0)])
    recovery, escrow = Recovery(tmp_path / "journal", store, process.clock), DatabaseEscrow(store.database)
    escrow.forget_all_but(lambda: set())
    recovery.settle_old_jobs()
    assert (len(store.open_holds()), leased(store.database)) == (1, 3 * each(store))
    later_ns = time.time_ns() + JOB_HOLDS_LAST_NS + 60 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later_ns)
    escrow.forget_old_jobs()
    assert leased(store.database) == 3 * each(store), "a hold is open"
    held = store.open_holds()[0].amount_nanousd
    recovery.settle_old_jobs()
    assert (store.open_holds(), leased(store.database)) == ([], 0), "it takes nothing for ever"
    assert store.totals().cost_nanousd == held


async def test_other_processes_have_no_part_of_what_a_job_has(store: Store) -> None:
    process = Process(store, room=3)
    await process.claim(3)
    budget = replace(ALL, limit_nanousd=3 * each(store))
    window = window_at(Period.FOREVER, "UTC", 0)
    grant = DatabaseEscrow(store.database).claim(budget, window, boot="other", granted_nanousd=0, needed_nanousd=1)
    assert (grant.granted_nanousd, grant.leased_nanousd) == (0, 3 * each(store))
