"""What a tuned policy promises, and whether that still holds as outcomes come; how it is proven is in `promise`."""

import math
from collections.abc import Iterable

from msgspec import Struct

RESTART_EVERY = 100
"""Outcomes. A part of the capital is put in later, so that what was gained before a change is not in its way."""
_FRACTIONS = tuple(0.9 / 2**at for at in range(8))
"""Of the capital, as no outcome leaves more than 1; it is split evenly, for who knows how large a breach is."""


class Pledge(Struct, frozen=True):
    """What is promised: at most `within` worse than the baseline, in the mean, with this confidence."""

    within: float
    """0.02 for 2 %."""
    confidence: float = 0.95

    @property
    def goal(self) -> float:
        """Logarithm of what the capital must be multiplied by."""
        return -math.log(1 - self.confidence)


class Watch(Struct, frozen=True, eq=False, kw_only=True):
    """Whether a promise still holds, looked at after every outcome.

    A bet against it: while it holds, the evidence ever reaches 1 / (1 - confidence) with a chance of no more than
    (1 - confidence), however often it is looked at. Of the capital 1 / (e + 1)(e + 2) is put in at the e-th restart
    (from 0), which adds up to 1 over all time.
    """

    pledge: Pledge
    outcomes: int = 0
    capital: tuple[float, ...] = (0.0,) * len(_FRACTIONS)
    """In play, by fraction."""
    most: float = 1.0
    """The most that the evidence ever was."""

    @property
    def is_broken(self) -> bool:
        """Whether it no longer holds, with the confidence that was asked for."""
        return self.most >= 1 / (1 - self.pledge.confidence)

    def after(self, left: Iterable[float]) -> "Watch":
        """What is known after these outcomes too: what the promise left of each, as they came."""
        outcomes, most, capital = self.outcomes, self.most, self.capital
        for its in left:
            begun, over = divmod(outcomes, RESTART_EVERY)
            more = 0.0 if over else 1 / ((begun + 1) * (begun + 2))
            capital = tuple([(at + more) * (1 - stake * its) for at, stake in zip(capital, _FRACTIONS, strict=True)])
            idle = 1 / (begun + 2)
            most = max(most, sum(capital) / len(capital) + idle)
            outcomes += 1
        return Watch(pledge=self.pledge, outcomes=outcomes, capital=capital, most=most)
