"""Hedging: a second attempt when the first is slow to begin; the first to answer wins, the other is cancelled.

It buys the tail of the waiting times with money (J. Dean and L. Barroso, "The Tail at Scale", 2013): both attempts have
a hold, both are settled, and the loser by an estimate, as nobody knows how far it came. So it is off unless asked for,
bounded by a price, taken from the retry budget, and not done for what is itself a further attempt. Only for streams:
how long a whole answer takes to come says nothing of the provider being slow.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Attempt, Cause
from routewright.clock import Clock
from routewright.errors import ProviderError
from routewright.ids import uuid7
from routewright.layers.service import Service
from routewright.reply import Reply


class Hedging(Struct, frozen=True):
    """When a second attempt is made, and how much it may be expected to cost."""

    after_s: float
    max_nanousd: int


class Hedge:
    """Below retry, so that both together are one try; above the breaker, which judges each by itself."""

    def __init__(self, hedging: Hedging, clock: Clock, random: Random) -> None:
        self._hedging = hedging
        self._clock = clock
        self._random = random

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        return self._hedged(attempt, forward) if self._may_hedge(attempt) else forward(attempt)

    async def _hedged(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        tries = [asyncio.ensure_future(_tried(attempt, forward))]
        winner = None
        try:
            await asyncio.wait(tries, timeout=self._hedging.after_s)
            if not tries[0].done():
                tries.append(asyncio.ensure_future(_tried(self._second(attempt), forward)))
            winner = await _first_to_answer(tries)
            return winner.result()
        finally:
            await _give_up(each for each in tries if each is not winner)

    def _may_hedge(self, attempt: Attempt) -> bool:
        if not attempt.call.stream or attempt.cause is not Cause.FIRST:
            return False
        expected = next(
            (each.expected_cost_nanousd for each in attempt.routed.route.eligible if each.model == attempt.model.name),
            None,
        )
        return expected is not None and expected <= self._hedging.max_nanousd

    def _second(self, attempt: Attempt) -> Attempt:
        """At the next place, if there is one; else at the same: one slow answer need not mean that all are."""
        return replace(
            attempt,
            id=uuid7(self._clock.time_ns(), self._random),
            deployment=attempt.others[0] if attempt.others else attempt.deployment,
            number=attempt.number + 1,
            cause=Cause.HEDGE,
        )


async def _tried(attempt: Attempt, forward: Service[Attempt]) -> Reply:
    """Also where it is refused before it is begun, the outcome is the try's own."""
    return await forward(attempt)


async def _first_to_answer(tries: Sequence[asyncio.Future[Reply]]) -> asyncio.Future[Reply]:
    """The first that has a reply, or an error that is not the provider's; the first of all, when none has."""
    running = set(tries)
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for each in tries:
            if each in done and not isinstance(each.exception(), ProviderError):
                return each
    return tries[0]


async def _give_up(tries: Iterable[asyncio.Future[Reply]]) -> None:
    """Cancel them, and see that they are settled: that is over before the loop is asked for anything else."""
    losers = list(tries)
    for each in losers:
        each.cancel()
    for outcome in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(outcome, Reply):  # it answered in the same moment
            outcome.is_spare = True
            outcome.close()
