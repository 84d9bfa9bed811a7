"""What every part of the proofs is given, and gives."""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from msgspec import Struct

from routewright.proofs.figure import Figure, today

T = TypeVar("T")
SEED = 20261126

Told: TypeAlias = Callable[[float], None]
"""How much of a part is done, from 0 to 1."""


class Size(StrEnum):
    """How much is tried."""

    QUICK = "quick"
    """A first impression: some minutes for everything."""
    USUAL = "usual"
    """What the bars were set for: about twenty minutes."""
    LONG = "long"
    """Several times as much, for hours."""


class Run(Struct, frozen=True, kw_only=True):
    """What the parts are asked for."""

    size: Size = Size.USUAL
    seed: int = SEED
    data: Path | None = None
    """A folder of recorded outcomes, for the parts that need one."""
    place: Path | None = None
    """Where other gateways are, or will be installed, for the parts that try them."""

    def pick(self, quick: T, usual: T, long: T) -> T:
        """The one for this size."""
        return {Size.QUICK: quick, Size.USUAL: usual, Size.LONG: long}[self.size]

    def told(self, began: float, more: str = "") -> str:
        """A run that began then, by the monotonic clock, in few words."""
        words = [today(), f"seed {self.seed}", f"{time.monotonic() - began:.0f} s", more]
        return ", ".join(filter(None, words))


class NotHere(Exception):
    """A part cannot be tried here; its text says why, and what would be needed."""


Part: TypeAlias = Callable[[Run, Told], list[Figure]]
"""Tries one promise. Raises NotHere."""
