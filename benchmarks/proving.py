"""What every proof is given, and gives."""

import time
from collections.abc import Callable
from typing import TypeAlias

from reliability import Figure, today

Told: TypeAlias = Callable[[float], None]
"""How much of a part is done, from 0 to 1."""


class Run:
    """What the parts are asked for."""

    def __init__(self, *, is_long: bool, seed: int) -> None:
        self.is_long = is_long
        self.seed = seed

    def told(self, began: float, more: str = "") -> str:
        """A run in few words."""
        words = [today(), f"seed {self.seed}", f"{time.monotonic() - began:.0f} s", more]
        return ", ".join(filter(None, words))


Part: TypeAlias = Callable[[Run, Told], list[Figure]]
