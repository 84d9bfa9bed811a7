"""Histograms as Prometheus has them: how many values were at most so large, by one label, since the start."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from msgspec import Struct

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""What answers of models take: from a small one's first words to the longest deadline that is usual."""
OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""What we add: half a millisecond as a rule, and up to what waiting for room in a budget may take."""


class Course(Struct, frozen=True):
    """What one label's values were."""

    buckets: tuple[tuple[float, int], ...]
    """Each bound, and how many values were not above it."""
    count: int
    sum: float


class Histogram:
    """Values by a label that has few values. To note one is a search among the bounds and two additions."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend."""
        self._bounds = tuple(bounds)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def note(self, label: str, value: float) -> None:
        """There was this value."""
        counts = self._counts.get(label)
        if counts is None:
            counts = self._counts[label] = [0] * (len(self._bounds) + 1)
            self._sums[label] = 0.0
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[label] += value

    def courses(self) -> Iterator[tuple[str, Course]]:
        """Each label with its values, as of now."""
        for label, counts in self._counts.items():
            *below, count = accumulate(counts)
            yield label, Course(tuple(zip(self._bounds, below, strict=True)), count, self._sums[label])
