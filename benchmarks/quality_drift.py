"""Drift: false alarms over stable streams against what the budget allows, and how soon a drop is found."""

from collections.abc import Iterator
from itertools import chain

from benchmarks.quality import Figure

from routewright.proofs.drift import delays, false_alarms


def figures(_: object) -> Iterator[Figure]:
    """All figures of drift; no recorded data is needed."""
    return (Figure(*watched) for watched in chain(false_alarms(), delays()))
