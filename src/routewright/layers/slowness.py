"""Slowness: whether a place makes streams wait far longer than its model's other places do.

The load alone keeps most calls away from a place that is slow, and not all: one that has nothing to do looks good
beside others that are busy. So it is compared with its siblings, by the geometric mean of the last waits of each: one
long prompt or one lucky answer changes little of that. There is no fixed limit, because what is slow for one model is
usual for another; where there are no siblings, nothing is slow, as a late answer is better than none.

A wait is the longest of a stream, for its first event or for another one: a place that goes silent in the middle of
answers is slow as well.
"""

from collections import deque
from collections.abc import Iterable
from math import exp, inf, log

FACTOR = 3.0
"""So many times the wait of the fastest sibling is too much."""
LONGEST_FACTOR = 10.0
"""After so many times that wait, a place that has not begun is given up: a long prompt takes long everywhere."""
SHORTEST_PATIENCE_S = 10.0
HARMLESS_S = 1.0
"""Shorter waits are never too long."""
REMEMBERED = 20
FEWEST = 5
"""Fewer waits say nothing."""
FORGOTTEN_AFTER_S = 60.0
SHORTEST_S = 0.001


class Waits:
    """The last of each place. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._waits: dict[str, deque[tuple[float, float]]] = {}

    def note(self, place: str, now: float, seconds: float) -> None:
        """A stream has begun, or it is over and kept us waiting for longer in its middle."""
        self._waits.setdefault(place, deque(maxlen=REMEMBERED)).append((now, max(SHORTEST_S, seconds)))

    def are_long(self, place: str, siblings: Iterable[str], now: float, *, fewest: int = FEWEST) -> bool:
        """Whether a place has become far slower than the fastest of its siblings."""
        usual_s = self._usual_s(place, now, fewest)
        if usual_s is None or usual_s < HARMLESS_S:
            return False
        others = (self._usual_s(each, now, FEWEST) for each in siblings if each != place)
        return any(other_s is not None and usual_s > FACTOR * other_s for other_s in others)

    def patience_s(self, place: str, siblings: Iterable[str], now: float) -> float:
        """How long a place may take to begin until a sibling is surely the better choice; for ever if none is known."""
        others = (self._usual_s(each, now, FEWEST) for each in siblings if each != place)
        known = [other_s for other_s in others if other_s is not None]
        return max(SHORTEST_PATIENCE_S, LONGEST_FACTOR * min(known)) if known else inf

    def forget(self, place: str) -> None:
        """What is met from now on is to be judged by itself."""
        self._waits.pop(place, None)

    def keep_only(self, places: Iterable[str]) -> None:
        """Forget deployments that the settings no longer name."""
        named = set(places)
        self._waits = {place: waits for place, waits in self._waits.items() if place in named}

    def _usual_s(self, place: str, now: float, fewest: int) -> float | None:
        waits = self._waits.get(place, ())
        recent = [seconds for at, seconds in waits if now - at < FORGOTTEN_AFTER_S]
        return exp(sum(map(log, recent)) / len(recent)) if len(recent) >= fewest else None
