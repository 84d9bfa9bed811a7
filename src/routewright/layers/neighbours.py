"""Neighbours: how similar requests went, as the ledger tells, is the second opinion on what is unclear.

See `layers.second_opinion` for what becomes of failures.
"""

import asyncio
import logging
from collections.abc import Callable
from threading import Lock

import numpy as np

from routewright.call import Call, Routed
from routewright.catalog.registry import Tier
from routewright.clock import Clock
from routewright.decision.excerpt import excerpt
from routewright.decision.neighbours import Experience, Neighbour, Neighbourhood, Vector, opinion, unit
from routewright.errors import DeadlineExceeded, RoutewrightError, StoreUnavailable
from routewright.layers.embedder import Embedder
from routewright.layers.second_opinion import without_opinion
from routewright.layers.service import Service
from routewright.ledger.ledger import EmbeddedOutcome, EmbeddingRecorded, Experiences, Ledger
from routewright.route import Verdict

log = logging.getLogger(__name__)

READ_EVERY_S = 60.0
"""How soon a new outcome counts."""


class Memory:
    """How embedded requests went, as the ledger has it: read at the start, and from then on what is new.

    While the store does not answer, what was read before is what is known. For threads.
    """

    def __init__(
        self,
        experiences: Experiences,
        embedder: str,
        *,
        tier_of: Callable[[str], Tier | None],
        max_entries: int,
        clock: Clock,
    ) -> None:
        """`tier_of` a model's name; outcomes of models that are gone count no more."""
        self._experiences = experiences
        self._embedder = embedder
        self._tier_of = tier_of
        self._max_entries = max_entries
        self._clock = clock
        self._neighbourhood = Neighbourhood(max_entries)
        self._last = 0
        self._lock = Lock()
        self._read()

    def nearest(self, vector: Vector, *, k: int, least_similarity: float) -> tuple[Neighbour, ...]:
        """See `Neighbourhood.nearest`. Blocks: it may read from the store, and it looks at every vector."""
        with self._lock:
            if self._clock.monotonic() >= self._read_again_at:
                self._read()
            return self._neighbourhood.nearest(vector, k=k, least_similarity=least_similarity)

    def _read(self) -> None:
        self._read_again_at = self._clock.monotonic() + READ_EVERY_S
        try:
            outcomes = self._experiences.embedded_outcomes(self._embedder, self._last, self._max_entries)
        except StoreUnavailable as error:
            log.warning("outcomes of similar requests are not read now: %s", error.message)
            return
        for outcome in outcomes:
            self._last = outcome.sequence
            tier = self._tier_of(outcome.model)
            if tier is not None:
                self._neighbourhood.learn(_experience(outcome, tier))


class Neighbours:
    """A `SecondOpinion`: similar requests, and how they went."""

    def __init__(
        self,
        embedder: Embedder,
        memory: Memory,
        ledger: Ledger,
        clock: Clock,
        *,
        k: int,
        least_similarity: float,
        limit_s: float,
    ) -> None:
        self._embedder = embedder
        self._memory = memory
        self._ledger = ledger
        self._clock = clock
        self._k = k
        self._least_similarity = least_similarity
        self._limit_s = limit_s

    async def __call__(self, call: Call, first: Verdict, forward: Service[Routed]) -> Verdict:
        text = excerpt(call)
        if text is None:
            return without_opinion(first, "neighbours:nothing to compare")
        now = self._clock.monotonic()
        limit_s = max(0.0, min(self._limit_s, (call.deadline_at - now) / 2))
        try:
            async with asyncio.timeout(limit_s):
                vector = await self._embedder.embed(text, call, now + limit_s)
                self._remember(call, vector)
                neighbours = await asyncio.to_thread(
                    self._memory.nearest, vector, k=self._k, least_similarity=self._least_similarity
                )
        except TimeoutError:
            return without_opinion(first, f"neighbours:{DeadlineExceeded.code}")
        except RoutewrightError as error:
            return without_opinion(first, f"neighbours:{error.code}")
        second = opinion(first, neighbours, least_similarity=self._least_similarity)
        return second or without_opinion(first, f"neighbours:{len(neighbours)}, too few")

    def _remember(self, call: Call, vector: Vector) -> None:
        direction = unit(vector)
        if direction is not None:
            kept = direction.astype("<f2").tobytes()
            self._ledger.remember(
                EmbeddingRecorded(
                    request_id=call.id, at_ns=self._clock.time_ns(), embedder=self._embedder.name, vector=kept
                )
            )


def _experience(outcome: EmbeddedOutcome, tier: Tier) -> Experience:
    return Experience(
        request_id=outcome.request_id,
        vector=np.frombuffer(outcome.vector, "<f2").astype(np.float32),
        tier=tier,
        opinion=f"{outcome.source} {outcome.check} on {outcome.model}",
        score=outcome.score,
    )
