"""The result of a measurement: figures with their spread and their bar, ready for a table or for JSON."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Figure(Struct, frozen=True, kw_only=True):
    """One thing that was measured in several rounds."""

    name: str
    """For machines, and the same for ever: `gateway_request_us`."""
    what: str
    unit: str
    median: float
    low: float
    high: float
    rounds: int
    bar: float | None = None
    """The median must stay below it; None for a figure that is only told."""
    least: float | None = None
    """Or must reach it."""
    is_met: bool | None = None


class Machine(Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    system: str
    python: str
    decision: str
    """What looks at a request: `compiled` code or `numpy`."""


class Row(NamedTuple):
    """A figure as a line of a table; `is_met` is None where there is no bar."""

    what: str
    value: str
    unit: str
    bar: str
    is_met: bool | None


class Report(Struct, frozen=True, kw_only=True):
    """All figures of one run."""

    machine: Machine
    figures: tuple[Figure, ...]
    elapsed_s: float

    def rows(self) -> list[Row]:
        """A line per figure: the median, with the lowest and the highest round behind it."""
        return [Row(each.what, _value(each), each.unit, _bar(each), each.is_met) for each in self.figures]

    def __getitem__(self, name: str) -> Figure:
        """The figure of that name. Raises KeyError."""
        for each in self.figures:
            if each.name == name:
                return each
        raise KeyError(name)


def figure(
    name: str, what: str, unit: str, rounds: Sequence[float], *, bar: float | None = None, least: float | None = None
) -> Figure:
    """The figure that these rounds make; at least one."""
    median = statistics.median(rounds)
    is_met = None if bar is None else median < bar
    if least is not None:
        is_met = median >= least
    return Figure(
        name=name,
        what=what,
        unit=unit,
        median=median,
        low=min(rounds),
        high=max(rounds),
        rounds=len(rounds),
        bar=bar,
        least=least,
        is_met=is_met,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (above 0, up to 1) of the values do not exceed: nearest rank."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _value(each: Figure) -> str:
    if each.rounds == 1:
        return _number(each.median)
    return f"{_number(each.median)} ({_number(each.low)}–{_number(each.high)})"


def _bar(each: Figure) -> str:
    if each.least is not None:
        return f"≥ {each.least:g}"
    return "" if each.bar is None else f"< {each.bar:g}"


def _number(value: float) -> str:
    """Three digits that matter: 312, 31.2, 3.12."""
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"
