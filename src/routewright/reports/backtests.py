"""The last backtest that was kept: a file beside the ledger, written by `routewright backtest --save`.

To replay decisions takes seconds of a whole core, so whoever wants it starts it, in a process of its own; pages show
what came of it.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

MOST_BYTES = 1024 * 1024
_FILE = "backtest.json"


class Estimate(Struct, frozen=True):
    """A mean, with the interval that covers it in 95 of 100 cases."""

    value: float
    low: float
    high: float


class BacktestLine(Struct, frozen=True, kw_only=True):
    """One policy over the same decisions."""

    name: str
    policy: str
    """Its version; empty for what was done."""
    requests: int
    cost_nanousd: Estimate | None
    """A request; None without enough data, as in the next field."""
    quality: Estimate | None
    """0 to 1."""
    same: float | None = None
    """Share of the requests whose usual choice stays the same; None for what was done."""
    by: str = ""
    """The estimator that quality is told by."""


class KeptBacktest(Struct, frozen=True, kw_only=True):
    """What was done, then other policies beside it."""

    at_ns: int
    """When it was made: UTC nanoseconds since 1970."""
    decisions: int
    lines: tuple[BacktestLine, ...]


def keep_backtest(folder: Path, kept: KeptBacktest) -> Path:
    """In place of the one before; whole or not at all. Raises OSError."""
    path, beside = folder / _FILE, folder / f".{_FILE}.{os.getpid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside.write_bytes(msgspec.json.encode(kept))
    beside.replace(path)
    return path


def kept_backtest(folder: Path) -> KeptBacktest | None:
    """The last one; None if there is none that can be read here."""
    try:
        with (folder / _FILE).open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=KeptBacktest)
    except (OSError, msgspec.MsgspecError):
        return None
