"""The loops that learning is made of, in plain Python and double precision; `_loops.pyx` is the same, compiled.

A table is laid out in three arrays: row i has the `values` from starts[i] to starts[i + 1], at these `columns`.
"""

import math
from array import array
from itertools import pairwise
from operator import mul

from routewright.decision.sketch import Numbers


def dot(one: Numbers, other: Numbers) -> float:
    """The product of two vectors of one length."""
    return sum(map(mul, one, other), 0.0)


def add(to: Numbers, times: float, other: Numbers) -> None:
    """Add so much of a vector to another of its length."""
    for at, number in enumerate(other):
        to[at] += times * number


def row_products(starts: "array[int]", columns: "array[int]", values: Numbers, weights: Numbers) -> Numbers:
    """[n]: each row's product with the weights; row i is from starts[i] to starts[i + 1]."""
    products = list(map(mul, values, map(weights.__getitem__, columns)))
    return array("d", [sum(products[start:end], 0.0) for start, end in pairwise(starts)])


def column_products(
    starts: "array[int]", columns: "array[int]", values: Numbers, shares: Numbers, size: int
) -> Numbers:
    """[size]: all rows added up, so much of each."""
    sums = [0.0] * size
    for share, (start, end) in zip(shares, pairwise(starts), strict=True):
        for column, value in zip(columns[start:end], values[start:end], strict=True):
            sums[column] += share * value
    return array("d", sums)


def missed(odds: Numbers, scores: Numbers) -> tuple[float, Numbers]:
    """All surprise at these scores, in nats, by log odds [n], and [n]: how far each probability is above its score."""
    surprise, missed = 0.0, array("d")
    for its, score in zip(odds, scores, strict=True):
        shrunk = math.exp(-abs(its))
        surprise += max(its, 0.0) + math.log1p(shrunk) - score * its
        missed.append((1 if its >= 0 else shrunk) / (1 + shrunk) - score)
    return surprise, missed
