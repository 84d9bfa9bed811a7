"""How far a probability of success can be taken at its word: what was claimed of answers, beside what came.

Claims are sorted and cut into bands of about equally many; in each, the mean of the scores that came has Wilson's
interval. Where a band's interval has its mean claim in it, nothing says that such claims are wrong.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from routewright.decision.success_rates import wilson

MOST_BANDS = 10
FEWEST_IN_BAND = 10
"""Fewer say next to nothing of a band, so there are fewer bands then."""


class Claim(Struct, frozen=True):
    """What was claimed of one answer, and how it turned out; both from 0 to 1."""

    claimed: float
    came: float


class Band(Struct, frozen=True, kw_only=True):
    """Answers of which about the same was claimed."""

    answers: int
    claimed: float
    """The mean claim."""
    came: float
    """The mean score."""
    low: float
    high: float
    """Ends of the 95 % interval of what came."""

    @property
    def is_right(self) -> bool:
        """What was claimed may be what is."""
        return self.low <= self.claimed <= self.high


def bands(claims: Sequence[Claim]) -> tuple[Band, ...]:
    """The lowest claims first; none without claims."""
    ordered = sorted(claims, key=lambda claim: claim.claimed)
    count = max(1, min(MOST_BANDS, len(ordered) // FEWEST_IN_BAND))
    ends = [len(ordered) * number // count for number in range(count + 1)]
    return tuple(_band(ordered[begin:end]) for begin, end in pairwise(ends) if end > begin)


def calibration_gap(found: Sequence[Band]) -> float:
    """The expected calibration error: how far claims are from what came, on average over all answers; 0 of none."""
    total = sum(band.answers for band in found)
    return sum(band.answers * abs(band.claimed - band.came) for band in found) / total if total else 0.0


def _band(claims: Sequence[Claim]) -> Band:
    came = sum(claim.came for claim in claims) / len(claims)
    low, high = wilson(came, len(claims))
    claimed = sum(claim.claimed for claim in claims) / len(claims)
    return Band(answers=len(claims), claimed=claimed, came=came, low=low, high=high)
