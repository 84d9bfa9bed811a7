from array import array

from routewright.decision.sketch import Numbers

def dot(one: Numbers, other: Numbers) -> float:
    """As in `loops`."""

def add(to: Numbers, times: float, other: Numbers) -> None:
    """As in `loops`."""

def row_products(starts: array[int], columns: array[int], values: Numbers, weights: Numbers) -> Numbers:
    """As in `loops`."""

def column_products(starts: array[int], columns: array[int], values: Numbers, shares: Numbers, size: int) -> Numbers:
    """As in `loops`."""

def missed(odds: Numbers, scores: Numbers) -> tuple[float, Numbers]:
    """As in `loops`."""
