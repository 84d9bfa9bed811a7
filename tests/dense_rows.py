"""Arrays of numpy as the rows and numbers of the decision, and back."""

from array import array

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routewright.decision.rows import Row
from routewright.decision.sketch import Numbers


def row(dense: ArrayLike, precision: str = "d") -> Row:
    """What is not zero of it."""
    its = np.asarray(dense, np.float64)
    columns = its.nonzero()[0]
    return Row.of(columns.tolist(), its[columns].tolist(), precision)


def rows(dense: ArrayLike, precision: str = "d") -> list[Row]:
    """One for each row."""
    return [row(each, precision) for each in np.asarray(dense)]


def dense(its: Row, size: int) -> NDArray[np.float64]:
    """With its zeros."""
    found = np.zeros(size)
    found[its.columns] = its.values
    return found


def doubles(its: ArrayLike) -> Numbers:
    """In double precision."""
    return array("d", np.asarray(its, np.float64).tolist())


def singles(its: ArrayLike) -> Numbers:
    """In single precision."""
    return array("f", np.asarray(its, np.float64).tolist())
