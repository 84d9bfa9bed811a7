"""Rows of numbers that are nearly all zero: what kinds of work a request is of, and what is in its words."""

from array import array
from collections.abc import Sequence
from operator import mul
from typing import TypeAlias

from msgspec import Struct

from routewright.decision.sketch import Numbers

try:
    from routewright.decision._loops import add, column_products, dot, missed, row_products
except ImportError:  # installed without a compiler
    from routewright.decision.loops import add, column_products, dot, missed, row_products

__all__ = ["Row", "Table", "Vector", "add", "dot", "missed", "zeros"]

Vector: TypeAlias = Sequence[float]
"""Some numbers, such as one for each kind of work."""


def zeros(size: int) -> Numbers:
    """In double precision."""
    return array("d", [0.0]) * size


class Row(Struct, frozen=True, eq=False):
    """What is not zero of one row."""

    columns: "array[int]"
    """Below 65,536, each once, as `"H"`."""
    values: Numbers

    @staticmethod
    def of(columns: Sequence[int], values: Sequence[float], precision: str = "f") -> "Row":
        """A row of these, in single precision, or in double: `"d"`."""
        return Row(array("H", columns), array(precision, values))

    def times(self, weights: Vector) -> float:
        """The product with one weight for each column."""
        return sum(map(mul, self.values, map(weights.__getitem__, self.columns)), 0.0)

    def add_to(self, sums: Numbers, times: float = 1.0) -> None:
        """Add so much of it to one number for each column."""
        for column, value in zip(self.columns, self.values, strict=True):
            sums[column] += value * times


class Table:
    """Rows below each other, in single precision, laid out for the loops."""

    def __init__(self, rows: Sequence[Row], size: int) -> None:
        """`size`: how many columns there are."""
        self.size = size
        self._starts, self._columns, self._values = array("q", [0]), array("H"), array("f")
        for row in rows:
            self._columns.extend(row.columns)
            self._values.extend(row.values)
            self._starts.append(len(self._columns))
        if self._columns and max(self._columns) >= size:
            raise ValueError(f"a row goes beyond {size} columns")

    def times(self, weights: Numbers) -> Numbers:
        """One number for each row: its product with the weights, of which there may be more than columns."""
        if len(weights) < self.size:
            raise ValueError(f"{len(weights)} weights for {self.size} columns")
        return row_products(self._starts, self._columns, self._values, weights)

    def turned_times(self, shares: Numbers) -> Numbers:
        """One number for each column: the sum of all rows, so much of each."""
        if len(shares) != len(self._starts) - 1:
            raise ValueError(f"{len(shares)} shares for {len(self._starts) - 1} rows")
        return column_products(self._starts, self._columns, self._values, shares, self.size)
