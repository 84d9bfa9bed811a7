"""What a job holds for its attempts at a provider that answers in hours: the job is a holder, as a process is one.

Its part of every budget is granted to it in the database, for many attempts in one claim: first for all that is to be
sent, then each file turns a part of that into holds. These are in the store before their file is sent, and whoever
resumes the job closes them. Decisions 35 and 38 say why.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.decision.tokens import upper_bound_tokens
from routewright.errors import Details, HoldRefused
from routewright.ledger.accounts import AttemptHold, JournaledLedger, Log, RequestAccount
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Refusal, Window
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import Charge, Released, Reserved, encode_event
from routewright.ledger.store import Store
from routewright.money import exact_usd

TRIES, PAUSE_S = 20, 0.25
"""For a claim: together a few rounds of the other processes."""
SLICE = 10
"""Holds between two moments for whatever else runs in this loop."""

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


class _Noting(Balances):
    """Admits everything, and notes what it comes to: the escrow decides for all together."""

    def __init__(self, of_process: Balances) -> None:
        super().__init__()
        self._of_process = of_process
        self.needed: Counter[Charge] = Counter()
        self.windows: dict[Charge, tuple[Budget, Window]] = {}

    def charges_of(self, attempt: Attempt, now_ns: int) -> tuple[Charge, ...]:
        charges = self._of_process.charges_of(attempt, now_ns)
        self.windows |= {charge: self._of_process.window_of(charge) for charge in charges if charge not in self.windows}
        return charges

    def is_metered(self, charges: Sequence[Charge]) -> bool:
        return self._of_process.is_metered(charges)

    def admit(self, attempt_id: str, charges: Sequence[Charge], amount_nanousd: int) -> Refusal | None:
        for charge in charges:
            self.needed[charge] += amount_nanousd
        return None


class _Nowhere:
    """A `Log` of what is only counted."""

    trouble: str | None = None

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """See `Log.append`."""
        return 0

    async def durable(self, position: int) -> None:
        """Nothing was written."""


class Bound:
    """The dearest that attempts can cost together, by budget; however many there are, it takes no more memory."""

    def __init__(self, job_id: str, log: Log, balances: Balances, clock: Clock) -> None:
        """`log` gets a hold of the job's for each attempt."""
        self._job_id = job_id
        self._log = log
        self._noting = _Noting(balances)
        self._clock = clock

    @property
    def needed(self) -> Mapping[Charge, int]:
        """In nano-USD."""
        return self._noting.needed

    @property
    def hard_windows(self) -> _Windows:
        """What stands behind those that are hard, in the order in which all processes lock them."""
        hard = [found for found in self._noting.windows.items() if found[1][0].is_hard]
        return dict(sorted(hard, key=_order))

    def add(self, attempt: Attempt) -> None:
        """One more. In the event loop, to which budgets belong. Raises UnpricedModel."""
        account = RequestAccount(self._clock.monotonic())
        hold = AttemptHold(self._log, account, attempt, boot=self._job_id, clock=self._clock, balances=self._noting)
        hold.reserve(upper_bound_tokens(attempt.call))


class _Elsewhere(Balances):
    """Of holds that no process counts: the store moves their cost from what the job was granted to what is spent."""

    def settle(self, attempt_id: str, cost_nanousd: int) -> None:
        pass

    def release(self, attempt_id: str) -> None:
        pass


class ResumedLedger(JournaledLedger):
    """Closes holds that were written before, and makes no others."""

    reserved: Mapping[str, Reserved] = {}
    """By attempt."""

    def hold(self, attempt: Attempt, input_tokens_ub: int) -> AttemptHold:
        """The one that the job has for this attempt."""
        return self.take_over(attempt, self.reserved[attempt.id])


class JobHolds:
    """The holds of one job. Raises StoreUnavailable from every verb; those that are not async belong into a thread."""

    def __init__(self, job_id: str, store: Store, balances: Balances, clock: Clock) -> None:
        self._job_id = job_id
        self._store = store
        self._balances = balances
        self._clock = clock
        self._escrow = DatabaseEscrow(store.database)
        self._unheld: dict[Charge, int] | None = None
        """Of what was granted, what no hold stands on, or a little less; None until it was read."""
        self.log = StoreLog(store)
        self.ledger = ResumedLedger(self.log, boot=job_id, clock=clock, balances=_Elsewhere())

    def bound(self) -> Bound:
        """To count what is to be sent."""
        return Bound(self._job_id, _Nowhere(), self._balances, self._clock)

    async def claim(self, bound: Bound) -> None:
        """Have as much granted as these attempts need, beside what is held: of every hard budget, or of none.

        What was granted before and not used is used first, whoever claimed it: so to claim the same again, in this
        process or after it, claims nothing. In the event loop. Raises HoldRefused.
        """
        windows, needed = bound.hard_windows, bound.needed
        if self._unheld is None:
            self._unheld = await asyncio.to_thread(self._escrow.unheld, self._job_id)
        more = {charge: max(0, needed[charge] - self._unheld.get(charge, 0)) for charge in windows}
        had = await asyncio.to_thread(self._had, windows)
        for _ in range(TRIES):  # what other processes were granted and do not use, they give back by and by
            short = await asyncio.to_thread(self._claim, windows, had, more)
            if short is None:
                for charge, amount in more.items():
                    self._unheld[charge] = self._unheld.get(charge, 0) + amount
                return
            await asyncio.sleep(PAUSE_S)
        await asyncio.to_thread(self._claim, windows, had, dict.fromkeys(windows, 0))
        assert short is not None, "the last claim fell short"
        name, asked = windows[short][0].name, needed[short]
        details: Details = {"name": name, "asked_nanousd": asked}
        raise HoldRefused(f'budget "{name}" has no room for {exact_usd(asked, least_decimals=2)} USD', details=details)

    async def reserve(self, attempts: Sequence[Attempt]) -> None:
        """Hold the dearest that attempts can cost: all, or none. In the event loop.

        Raises HoldRefused when a budget has no room for all of them, UnpricedModel.
        """
        log = StoreLog(self._store)
        bound = Bound(self._job_id, log, self._balances, self._clock)
        for number, attempt in enumerate(attempts):
            bound.add(attempt)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await self.claim(bound)
        assert self._unheld is not None, "it was read by the claim"
        for charge, amount in bound.needed.items():
            self._unheld[charge] = self._unheld.get(charge, 0) - amount
        await asyncio.to_thread(log.flush)

    def resume(self, attempt_ids: Iterable[str]) -> Mapping[str, Reserved]:
        """The holds that are open among these, by attempt; `ledger` knows them from now on, and no others."""
        self.ledger.reserved = {hold.attempt_id: hold for hold in self._store.holds_among(attempt_ids)}
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
        self._unheld = None

    def _had(self, windows: Iterable[Charge]) -> Mapping[Charge, int]:
        return {charge: self._escrow.granted_nanousd(charge, self._job_id) for charge in windows}

    def _claim(self, windows: _Windows, had: Mapping[Charge, int], more: Mapping[Charge, int]) -> Charge | None:
        """Ask for so much more of each; which budget does not have it yet, if one does not."""
        short = None
        for charge, (budget, window) in windows.items():
            wanted = had[charge] + more[charge]
            grant = self._escrow.claim(
                budget,
                window,
                boot=self._job_id,
                granted_nanousd=had[charge],
                needed_nanousd=wanted,
                is_exact=True,
            )
            if grant.granted_nanousd < wanted:
                short = charge
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
