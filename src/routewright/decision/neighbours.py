"""Similar requests and how they went: nearest neighbours over one's own outcomes, and the opinion they make.

A request is a unit vector; its neighbours are the requests whose vectors have the largest cosine with it. Nearness
says which past outcomes count, and how much; the classifier's belief counts as a few outcomes more, so that little
experience moves little. From what is known of each tier the cheapest one is taken that did well.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from routewright.catalog.registry import Tier
from routewright.decision.selection import UPWARDS
from routewright.route import Verdict

Vector: TypeAlias = npt.NDArray[np.float32]
"""One dimension; a unit vector where that is said."""

BELIEF_WEIGHT = 2.0
"""The classifier's belief counts as much as so many outcomes of the same request."""
LEAST_WEIGHT = 1.0
"""With less than this, in outcomes of the same request, nothing is known of a tier."""
GOOD_RATE = 0.75
"""The mean score from which a tier is taken to do such requests well."""
_FIRST_ROWS = 256


class Experience(Struct, frozen=True, kw_only=True):
    """One outcome of a request that was embedded."""

    request_id: str
    vector: Vector
    """Of any length but zero."""
    tier: Tier
    """Of the model whose answer it was."""
    opinion: str
    """Whose opinion on which answer; a later one of the same name replaces it."""
    score: float
    """0 to 1."""


class Neighbour(Struct, frozen=True):
    """A past request."""

    similarity: float
    """Cosine, -1 to 1."""
    outcomes: tuple[tuple[Tier, float], ...]
    """Tier → score, once for each opinion."""


class Neighbourhood:
    """The requests whose outcomes are known, at most `max_entries`; the one met first goes first.

    Takes 4 bytes for each dimension of each request, and looks at all of them for each question: 50,000 requests of
    1,536 dimensions are 300 MB and some 20 ms. Not for threads.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._vectors: Vector = np.empty((0, 0), np.float32)
        self._ids: list[str] = []
        self._outcomes: list[dict[str, tuple[Tier, float]]] = []
        self._rows: dict[str, int] = {}
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._ids)

    def learn(self, experience: Experience) -> None:
        """Take an outcome up. One whose vector has no direction, or another length than those before, is left out."""
        row = self._rows.get(experience.request_id)
        if row is None:
            vector = unit(experience.vector)
            if vector is None or (self._ids and vector.size != self._vectors.shape[1]):
                return
            row = self._row_for(experience.request_id, vector)
        self._outcomes[row][experience.opinion] = (experience.tier, experience.score)

    def nearest(self, query: Vector, *, k: int, least_similarity: float) -> tuple[Neighbour, ...]:
        """At most `k` requests that are at least so similar, the most similar first."""
        direction = unit(query)
        if direction is None or not self._ids or direction.size != self._vectors.shape[1]:
            return ()
        similarities = self._vectors[: len(self._ids)] @ direction
        near = np.flatnonzero(similarities >= least_similarity)
        near = near[np.argsort(-similarities[near], kind="stable")][:k]
        return tuple(Neighbour(float(similarities[row]), tuple(self._outcomes[row].values())) for row in near)

    def _row_for(self, request_id: str, vector: Vector) -> int:
        if len(self._ids) < self._max_entries:
            row = len(self._ids)
            self._make_room(row + 1, vector.size)
            self._ids.append(request_id)
            self._outcomes.append({})
        else:
            row = self._oldest
            self._oldest = (row + 1) % self._max_entries
            del self._rows[self._ids[row]]
            self._ids[row], self._outcomes[row] = request_id, {}
        self._vectors[row] = vector
        self._rows[request_id] = row
        return row

    def _make_room(self, rows: int, dimensions: int) -> None:
        if rows <= len(self._vectors):
            return
        grown = np.empty((min(self._max_entries, max(_FIRST_ROWS, 2 * len(self._vectors))), dimensions), np.float32)
        grown[: len(self._ids)] = self._vectors[: len(self._ids)] if self._ids else 0
        self._vectors = grown


def unit(vector: Vector) -> Vector | None:
    """The vector with length 1; None for one without a direction: empty, zero, or not finite."""
    exact = vector.astype(np.float64)
    length = float(np.linalg.norm(exact)) if exact.ndim == 1 else 0.0
    if not 0 < length < np.inf:  # nor NaN
        return None
    return (exact / length).astype(np.float32)


class TierRecord(Struct, frozen=True):
    """What is known of one tier for requests like this one."""

    tier: Tier
    weight: float
    """In outcomes of the very same request."""
    rate: float
    """Mean score, 0 to 1, with the classifier's belief in it."""


def tier_records(first: Verdict, neighbours: Sequence[Neighbour], *, least_similarity: float) -> tuple[TierRecord, ...]:
    """What neighbours tell of each tier, cheapest first; tiers of which they tell too little are left out.

    A neighbour's weight falls from 1 for the same request to 0 at `least_similarity`; its opinions on one tier share
    it. The belief that a tier does well is that the right tier is not above it.
    """
    weights, goods = dict.fromkeys(UPWARDS, 0.0), dict.fromkeys(UPWARDS, 0.0)
    for neighbour in neighbours:
        weight = max(0.0, neighbour.similarity - least_similarity) / max(1e-9, 1 - least_similarity)
        for tier in UPWARDS:
            scores = [score for of_tier, score in neighbour.outcomes if of_tier is tier]
            if scores:
                weights[tier] += weight
                goods[tier] += weight * sum(scores) / len(scores)
    return tuple(
        TierRecord(
            tier,
            weights[tier],
            (BELIEF_WEIGHT * _belief(first, tier) + goods[tier]) / (BELIEF_WEIGHT + weights[tier]),
        )
        for tier in UPWARDS
        if weights[tier] >= LEAST_WEIGHT
    )


def opinion(first: Verdict, neighbours: Sequence[Neighbour], *, least_similarity: float) -> Verdict | None:
    """The verdict that similar requests speak for; None when they say too little.

    The cheapest tier that did well; if none of the known ones did, the one above them, as surely as they did badly.
    """
    records = tier_records(first, neighbours, least_similarity=least_similarity)
    if not records:
        return None
    good = next((record for record in records if record.rate >= GOOD_RATE), None)
    if good is not None:
        return _follow(first, neighbours, good.tier, good.rate, f"similar requests went well with {good.tier.value}")
    worst = records[-1]
    above = UPWARDS[min(UPWARDS.index(worst.tier) + 1, len(UPWARDS) - 1)]
    confidence = worst.rate if above is worst.tier else 1 - worst.rate
    return _follow(first, neighbours, above, confidence, f"similar requests went badly with {worst.tier.value}")


def _follow(first: Verdict, neighbours: Sequence[Neighbour], tier: Tier, confidence: float, reason: str) -> Verdict:
    return replace(
        first,
        tier=tier,
        confidence=round(min(confidence, 1.0), 4),
        reason=f"{first.reason}; {reason}",
        signals=(*first.signals, f"neighbours:{len(neighbours)}, nearest {neighbours[0].similarity:.2f}"),
        classifier=f"{first.classifier}+neighbours",
    )


def _belief(first: Verdict, tier: Tier) -> float:
    """The probability that the right tier is not above this one; what the verdict leaves is shared by the others."""
    other = (1 - first.confidence) / (len(UPWARDS) - 1)
    up_to = UPWARDS[: UPWARDS.index(tier) + 1]
    return sum(first.confidence if each is first.tier else other for each in up_to)
