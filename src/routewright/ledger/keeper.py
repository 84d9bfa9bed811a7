"""Keeper: brings this process its share of the hard budgets, and gives back what another one needs more.

It asks the escrow when somebody waits for room, and otherwise a few times a second: so that it notices the need of
other processes, and how far everybody has spent. One round at a time; the escrow is asked in a thread, and everything
else happens in the event loop, where nothing can come between looking at a balance and holding against it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import TypeAlias

from msgspec import Struct

from routewright.clock import Clock
from routewright.errors import StoreUnavailable
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Escrow, Grant, Position, Refusal
from routewright.ledger.ledger import Charge

Aside: TypeAlias = Callable[[Callable[[], Grant]], Awaitable[Grant]]
"""Runs what blocks, and awaits its result."""

log = logging.getLogger(__name__)

POLL_S = 0.25
CLAIMS_A_ROUND = 32
"""Budgets nobody waits for that are looked at in one round; with more of them, each has its turn later."""
PATIENCE_S = 1.0
"""How long room that other processes were granted and do not use is waited for: they look every POLL_S."""
SILENCE_S = 5.0
"""A database that says nothing for so long is taken for one that does not answer: its machine may stand still, and then
no error ever comes."""


class _Waiter(Struct):
    """Somebody who waits for room."""

    charges: tuple[Charge, ...]
    amount: int
    woken: asyncio.Event


class Keeper:
    """Between `Balances` and the `Escrow`. It runs from the first use in an event loop until `stop`."""

    def __init__(
        self,
        balances: Balances,
        escrow: Escrow,
        *,
        boot: str,
        clock: Clock,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        """`aside` runs the escrow's calls, which block: as a rule in a thread."""
        self.balances = balances
        self._escrow = escrow
        self._boot = boot
        self._clock = clock
        self._aside = aside
        self._tickets = count(1)
        self._waiters: dict[int, _Waiter] = {}
        self._yielding: set[Charge] = set()
        """Budgets of which another process could not get what it needs: what is spare goes back in the next round."""
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls = asyncio.Event()
        self._is_waking = False
        self._begun = 0
        self._ended = asyncio.Condition()
        self._rounds_ended = 0
        self._asking = threading.Lock()  # a claim whose round was cancelled runs on in its thread
        self._has_given_back = False
        self.is_cut_off = False
        """The escrow does not answer: only what was granted before can be spent."""
        balances.on_room = self._room_was_made
        balances.steady = clock.monotonic

    # -- asked by layers

    async def room(
        self, charges: tuple[Charge, ...], amount_nanousd: int, *, until: float, patience_s: float = PATIENCE_S
    ) -> Refusal | None:
        """Wait until a hold would fit: None then, and else why it does not.

        The escrow is asked first, if it may help. Then holds are waited for to settle, `until` a moment (monotonic
        seconds; one that has passed, for no waiting), or until it is clear that no waiting helps. What other processes
        have to spare is waited for in any case, for `patience_s`.
        """
        refusal = self.balances.refusal(charges, amount_nanousd)
        if refusal is None or refusal.is_final:
            return refusal
        ticket, waiter = next(self._tickets), _Waiter(charges, amount_nanousd, asyncio.Event())
        self.balances.want(ticket, charges, amount_nanousd)
        self._waiters[ticket] = waiter
        try:
            return await self._wait(refusal, waiter, until, patience_s)
        finally:
            del self._waiters[ticket]
            self.balances.stop_wanting(ticket)

    async def _wait(self, refusal: Refusal, waiter: _Waiter, until: float, patience_s: float) -> Refusal | None:
        patience_ends = self._clock.monotonic() + patience_s
        if refusal.may_be_granted and not self.is_cut_off:
            await self._next_round()
        while True:
            waiter.woken.clear()
            now_refused = self.balances.refusal(waiter.charges, waiter.amount)
            if now_refused is None or now_refused.is_final:
                return now_refused
            is_elsewhere = now_refused.may_be_granted and not self.is_cut_off
            left_s = (max(until, patience_ends) if is_elsewhere else until) - self._clock.monotonic()
            if left_s <= 0:
                return now_refused
            try:
                async with asyncio.timeout(left_s):
                    await waiter.woken.wait()
            except TimeoutError:
                until = patience_ends = self._clock.monotonic()

    def _room_was_made(self) -> None:
        """Wake whom it concerns, once for all that happens in this turn of the loop."""
        if self._waiters and not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._is_waking = False
        asked = [(ticket, waiter.charges, waiter.amount) for ticket, waiter in self._waiters.items()]
        for ticket in self.balances.fitting(asked):
            self._waiters[ticket].woken.set()

    # -- the task

    def start(self) -> None:
        """Run in this event loop from now on, if there is anything to do; does nothing where it runs already."""
        loop = asyncio.get_running_loop()
        if self._loop is loop or not self.balances.has_hard:
            return
        self._loop = loop
        self._calls, self._ended, self._is_waking = asyncio.Event(), asyncio.Condition(), False
        self._rounds_ended = self._begun
        self._task = loop.create_task(self._keep(), name="budget-keeper")

    async def stop(self) -> None:
        """Ask the escrow for nothing more."""
        task, self._task = self._task, None
        if task is not None and self._loop is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
        self._loop = None

    async def _keep(self) -> None:
        poll_at = self._clock.monotonic()
        while True:
            self._calls.clear()
            is_poll = self._clock.monotonic() >= poll_at
            if is_poll:
                poll_at = self._clock.monotonic() + POLL_S
            self._begun += 1
            begun = self._begun
            try:
                await self._round(CLAIMS_A_ROUND if is_poll else 0)
            except Exception:  # the outermost edge of a task: without it, everybody would wait for ever
                log.exception("budgets: a round of claims failed")
            async with self._ended:
                self._rounds_ended = begun
                self._ended.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_at - self._clock.monotonic()):
                    await self._calls.wait()

    async def _next_round(self) -> None:
        """Return when the escrow was asked for everything that is wanted by now, or has said nothing for too long."""
        self.start()
        if self._task is None:  # the budgets were taken away just now
            return
        wanted = self._begun + 1
        self._calls.set()
        try:
            async with asyncio.timeout(SILENCE_S), self._ended:
                await self._ended.wait_for(lambda: self._rounds_ended >= wanted)
        except TimeoutError:
            self._cut_off(StoreUnavailable(f"the ledger's database has said nothing for {SILENCE_S:g} s"))

    async def _round(self, most: int) -> None:
        """Claim what somebody waits for, and `most` others."""
        for position in self.balances.positions(self._clock.time_ns(), most):
            asked_at = self._clock.monotonic()
            try:
                grant = await self._aside(partial(self._ask, position, self._to_keep(position)))
            except StoreUnavailable as error:
                self._cut_off(error)
                return
            self._reached()
            self._take(position.charge, grant, asked_at)

    def _to_keep(self, position: Position) -> int:
        """What to say that we have: all that was granted, or less if another process needs what we do not use.

        We may need more ourselves, and have only a part of that: it is given back all the same, so that the escrow can
        put such parts together for one of us.
        """
        if position.charge not in self._yielding:
            return position.granted_nanousd
        self._yielding.discard(position.charge)
        return self.balances.give_back(position.charge)

    def _ask(self, position: Position, granted: int) -> Grant:
        with self._asking:
            if self._has_given_back:
                raise StoreUnavailable("this process has given back what it was granted")
            return self._escrow.claim(
                position.budget,
                position.window,
                boot=self._boot,
                granted_nanousd=granted,
                needed_nanousd=position.needed_nanousd,
            )

    def _take(self, charge: Charge, grant: Grant, asked_at: float) -> None:
        self.balances.grant(charge, grant, asked_at)
        if grant.is_wanted_elsewhere and self.balances.spare(charge) > 0:
            self._yielding.add(charge)

    # -- without an event loop

    def claim_blocking(self) -> None:
        """Claim every budget that has one subject, so that it is known how it stands and the first requests need not
        wait. Raises nothing."""
        now_ns, asked_at = self._clock.time_ns(), self._clock.monotonic()
        self.balances.claim_ahead(now_ns)
        try:
            for position in self.balances.positions(now_ns):
                grant = self._ask(position, position.granted_nanousd)
                self._take(position.charge, grant, asked_at)
        except StoreUnavailable as error:
            self._cut_off(error)

    def give_back_all(self) -> None:
        """Give back what this process has not spent: it is at its end, and everything it spent is in the store.

        Done once; to say it again does nothing. A claim that is under way is waited for, and none comes after it.
        """
        with self._asking:
            if self._has_given_back:
                return
            self._has_given_back = True
            try:
                self._escrow.forget(frozenset({self._boot}))
            except StoreUnavailable as error:
                log.warning("budgets: what this process did not spend could not be given back now: %s", error.message)

    def _cut_off(self, error: StoreUnavailable) -> None:
        if not self.is_cut_off:
            log.error("budgets: nothing more can be granted, what is granted already can be spent: %s", error.message)
        self.is_cut_off = True

    def _reached(self) -> None:
        if self.is_cut_off:
            log.info("budgets: the escrow answers again")
        self.is_cut_off = False
