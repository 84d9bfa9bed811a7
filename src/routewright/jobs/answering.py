"""Asking many questions: so many at a time, waiting out what passes, and without asking twice what may be paid for.

What was sent and failed is tried again by the engine, as often as the call says, and then it has failed: an outage is
not multiplied. What was *not* sent, because every place is known to be down or to want a pause, or met a 429, has cost
nothing and says nothing of the question; a batch has time, so it waits until somebody answers again. A budget that has
no room while other answers are awaited may have some when they have settled. Credentials, a budget that is spent and a
ledger that takes nothing more concern all questions alike: they end the run, and what is left can be asked later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.clock import Clock
from routewright.engine import Engine
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    CredentialRefused,
    CredentialResting,
    OperatorError,
    ProviderError,
    ProviderOverloaded,
    RateLimited,
    RoutewrightError,
)
from routewright.layers.lanes import Lane
from routewright.layers.window import Window
from routewright.reply import Event, Reply
from routewright.settings.schema import PolicySettings

Q = TypeVar("Q")
R = TypeVar("R")

PATIENCE_S = 600.0
"""How long a batch waits for the first answer after everybody was down; then its questions fail one by one."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
_FOR_ALL = (CredentialRefused, CredentialResting)


class Limits(Struct, frozen=True, kw_only=True):
    """How hard a batch may work."""

    concurrency: int
    """To begin with."""
    max_concurrency: int
    retries: int = 1
    """Of each model, for each item."""

    @property
    def window(self) -> Window:
        """How many go at a time, as nothing has been asked yet."""
        return Window(self.concurrency, self.max_concurrency)


def limits_of(
    policy: PolicySettings, *, concurrency: int | None = None, max_concurrency: int | None = None, retries: int = 1
) -> Limits:
    """What somebody gave, and what the settings say of the rest."""
    given = concurrency or min(policy.batch_concurrency, max_concurrency or policy.batch_concurrency)
    most = max(given, max_concurrency or policy.batch_max_concurrency)
    return Limits(concurrency=given, max_concurrency=most, retries=retries)


class RunEnded(Exception):
    """Nothing more can be asked now; `cause` says why. Of the question that met it nothing is decided."""

    def __init__(self, cause: RoutewrightError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class Asker:
    """Asks for one batch. All of it is in one event loop."""

    def __init__(self, engine: Engine, clock: Clock, random: Random, *, patience_s: float = PATIENCE_S) -> None:
        self._engine = engine
        self._clock = clock
        self._random = random
        self._patience_s = patience_s
        self._asking = 0
        self._settled = 0
        """How many questions are over, but for those that a budget had no room for."""
        self._has_news = asyncio.Event()
        self._down_since: float | None = None

    async def ask(self, call: Call, take: Callable[[Reply, tuple[Event, ...]], None]) -> Reply:
        """The closed reply to an unstreamed call. `take` gets the whole answer *before* its attempt is settled.

        So whoever keeps the answer has it before the ledger says that it was answered: a process that dies between the
        two leaves an answer with an open hold, and never a settled attempt whose answer is lost.

        Raises RoutewrightError when the question has failed, RunEnded when nothing more can be asked, and what `take`
        raises.
        """
        return await self.insist(call, lambda call: self._once(call, take))

    async def insist(self, call: Call, once: Callable[[Call], Awaitable[R]]) -> R:
        """The same of whoever is asked: what `once` comes to, tried for as long as its failures say nothing."""
        while True:
            settled = self._settled
            try:
                with self._counted():
                    result = await once(call)
            except BudgetExceeded as error:
                if not await self._has_more_settled(settled):
                    raise RunEnded(error) from error
            except RateLimited as error:  # by the limits of who pays: these refill, and a batch has time
                await asyncio.sleep(error.retry_after_s)
            except OperatorError as error:
                raise RunEnded(error) from error
            except AllAttemptsFailed as error:
                failures = [failure for _, failure in error.failures]
                if all(isinstance(failure, _FOR_ALL) for failure in failures):
                    raise RunEnded(error) from error
                if not all(map(_says_nothing, failures)) or not await self._calm(call, error.retry_after_s or 0.0):
                    raise
            else:
                self._down_since = None
                return result
            call = replace(call, id=self._engine.mint_id())

    async def _once(self, call: Call, take: Callable[[Reply, tuple[Event, ...]], None]) -> Reply:
        reply = await self._engine.ask(call)
        try:
            take(reply, await reply.next())  # all of an unstreamed answer comes together
            await reply.next()
        finally:
            reply.close()
        return reply

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._asking += 1
        has_held = True
        try:
            yield
        except BudgetExceeded:
            has_held = False
            raise
        finally:
            self._asking -= 1
            self._settled += has_held
            self._has_news.set()

    async def _has_more_settled(self, than: int) -> bool:
        """Once one of the others is over that had held something; False when none is asked any more that could be."""
        while self._settled == than and self._asking:
            self._has_news.clear()
            await self._has_news.wait()
        return self._settled != than

    async def _calm(self, call: Call, named_s: float) -> bool:
        """Pause, the longer the longer nobody answers; unless patience or the call's time is at its end."""
        now = self._clock.monotonic()
        if self._down_since is None:
            self._down_since = now
        down_s = now - self._down_since
        longest_s = min(max(FIRST_PAUSE_S, down_s), LONGEST_PAUSE_S)
        pause_s = named_s + self._random.uniform(longest_s / 2, longest_s)
        if down_s > self._patience_s or now + pause_s >= call.deadline_at:
            return False
        await asyncio.sleep(pause_s)
        return True


def _says_nothing(failure: ProviderError) -> bool:
    """Of the question: it was not sent, or there were too many others."""
    return failure.is_unsent or isinstance(failure, ProviderOverloaded)


async def spread(questions: Iterator[Q], work: Callable[[Q], Awaitable[None]], lane: Lane) -> None:
    """Work on questions, as many at a time as the lane lets in; each is drawn when there is room for it."""

    async def worker() -> None:
        is_more = True
        while is_more:
            await lane.questions.enter()
            try:
                await asyncio.sleep(0)  # what is ready is sent, and what has come is read, before one more is prepared
                is_more = await work_on_next()
            finally:
                lane.questions.leave()

    async def work_on_next() -> bool:
        for question in questions:
            await work(question)
            return True
        return False

    async with asyncio.TaskGroup() as group:
        for _ in range(2 * lane.window.most):  # as many are ahead as go at a time, at most
            group.create_task(worker())
