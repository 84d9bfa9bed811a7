"""What a job holds for its attempts at a provider that answers in hours: the job is a holder, as a process is one.

Its part of every budget is granted to it in the database, for many attempts in one claim; its holds are in the store
before anything is sent, and whoever resumes the job closes them. Decision 35 says why.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.errors import Details, HoldRefused
from routewright.ledger.accounts import AttemptHold, JournaledLedger, RequestAccount
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Refusal, Window
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import Charge, Released, Reserved, encode_event
from routewright.ledger.store import Store

TRIES, PAUSE_S = 20, 0.25
"""For a claim: together a few rounds of the other processes."""

_Windows: TypeAlias = Mapping[Charge, tuple[Budget, Window]]


class StoreLog:
    """A `Log` that brings events to the store when it is told to, and not before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[bytes] = []
        self.trouble: str | None = None

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """See `Log.append`."""
        self._waiting += payloads
        return 0

    async def durable(self, position: int) -> None:
        """What is closed by this log was durable before."""

    def flush(self) -> None:
        """Have the store take all. Raises StoreUnavailable; then it can be told again."""
        self._store.absorb(self._waiting)
        self._waiting = []

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting = []


class _Noting(Balances):
    """Admits everything, and notes what it comes to: the escrow decides for all together."""

    def __init__(self, of_process: Balances) -> None:
        super().__init__()
        self._of_process = of_process
        self.needed: Counter[Charge] = Counter()

    def charges_of(self, attempt: Attempt, now_ns: int) -> tuple[Charge, ...]:
        return self._of_process.charges_of(attempt, now_ns)

    def is_metered(self, charges: Sequence[Charge]) -> bool:
        return self._of_process.is_metered(charges)

    def admit(self, attempt_id: str, charges: Sequence[Charge], amount_nanousd: int) -> Refusal | None:
        for charge in charges:
            self.needed[charge] += amount_nanousd
        return None


class ResumedLedger(JournaledLedger):
    """Closes holds that were written before, and makes no others."""

    reserved: Mapping[str, Reserved] = {}
    """By attempt."""

    def hold(self, attempt: Attempt, input_tokens_ub: int) -> AttemptHold:
        """The one that the job has for this attempt."""
        return self.take_over(attempt, self.reserved[attempt.id])


class JobHolds:
    """The holds of one job. Raises StoreUnavailable from every verb; but for `reserve`, they belong into a thread."""

    def __init__(self, job_id: str, store: Store, balances: Balances, clock: Clock) -> None:
        self._job_id = job_id
        self._store = store
        self._balances = balances
        self._clock = clock
        self._escrow = DatabaseEscrow(store.database)
        self.log = StoreLog(store)
        self.ledger = ResumedLedger(self.log, boot=job_id, clock=clock)

    async def reserve(self, asked: Sequence[tuple[Attempt, int]]) -> None:
        """Hold the dearest that attempts can cost, each with an upper bound of its input tokens: all, or none.

        In the event loop, to which budgets belong. Raises HoldRefused when a budget has no room for all of them,
        UnpricedModel.
        """
        noting, log = _Noting(self._balances), StoreLog(self._store)
        for attempt, tokens_ub in asked:
            account = RequestAccount(self._clock.monotonic())
            hold = AttemptHold(log, account, attempt, boot=self._job_id, clock=self._clock, balances=noting)
            hold.reserve(tokens_ub)
        hard = {charge: self._balances.window_of(charge) for charge in noting.needed}
        windows = {charge: found for charge, found in sorted(hard.items(), key=_order) if found[0].is_hard}
        had = await asyncio.to_thread(self._had, windows)
        for _ in range(TRIES):  # what other processes were granted and do not use, they give back by and by
            short = await asyncio.to_thread(self._claim, windows, had, noting.needed)
            if short is None:
                await asyncio.to_thread(log.flush)
                return
            await asyncio.sleep(PAUSE_S)
        await asyncio.to_thread(self._claim, windows, had, Counter())
        details: Details = {"name": short, "asked_nanousd": max(noting.needed.values())}
        raise HoldRefused(f'budget "{short}" has no room for a whole file of this batch', details=details)

    def resume(self) -> Mapping[str, Reserved]:
        """The holds that are open, by attempt; `ledger` knows them from now on."""
        self.ledger.reserved = {hold.attempt_id: hold for hold in self._store.holds_of(self._job_id)}
        return self.ledger.reserved

    def release(self, attempt_ids: Iterable[str], outcome: str) -> None:
        """Close the holds of attempts that cost nothing, as far as they are open."""
        now_ns = self._clock.time_ns()
        for attempt_id in attempt_ids:
            if hold := self.ledger.reserved.get(attempt_id):
                self.log.append(encode_event(released(hold, outcome, now_ns)))
        self.log.flush()

    def give_back(self) -> None:
        """The job holds nothing any more: what it was granted and did not need is there for others."""
        self._escrow.forget(frozenset({self._job_id}))

    def _had(self, windows: Iterable[Charge]) -> Mapping[Charge, int]:
        return {charge: self._escrow.granted_nanousd(charge, self._job_id) for charge in windows}

    def _claim(self, windows: _Windows, had: Mapping[Charge, int], needed: Counter[Charge]) -> str | None:
        """Ask for so much more of each; which budget does not have it yet, if one does not."""
        short = None
        for charge, (budget, window) in windows.items():
            wanted = had[charge] + needed[charge]
            grant = self._escrow.claim(
                budget,
                window,
                boot=self._job_id,
                granted_nanousd=had[charge],
                needed_nanousd=wanted,
                is_exact=True,
            )
            if grant.granted_nanousd < wanted:
                short = budget.name
        return short


def _order(found: tuple[Charge, tuple[Budget, Window]]) -> tuple[str, int]:
    """In which all processes lock windows."""
    return found[0].budget, found[0].starts_ns


def released(hold: Reserved, outcome: str, now_ns: int) -> Released:
    """The end of a hold that nobody used."""
    return Released(
        attempt_id=hold.attempt_id,
        request_id=hold.request_id,
        at_ns=now_ns,
        model=hold.model,
        deployment=hold.deployment,
        cause=hold.cause,
        outcome=outcome,
        total_ms=max(0, now_ns - hold.at_ns) // 1_000_000,
        boot=hold.boot,
        held_nanousd=hold.amount_nanousd,
        key=hold.key,
        team=hold.team,
        tags=hold.tags,
        tier=hold.tier,
        charges=hold.charges,
    )
