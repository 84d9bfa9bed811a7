"""Slowness: whether a place makes streams wait far longer than its model's other places do.

The load alone keeps most calls away from a place that is slow, and not all: one that has nothing to do looks good
beside others that are busy. So it is compared with its siblings, by the geometric mean of the last waits of each: one
long prompt or one lucky answer changes little of that. There is no fixed limit, because what is slow for one model is
usual for another; where there are no siblings, nothing is slow, as a late answer is better than none.

A stream has two waits, for its first event and the longest within it: a place that goes silent in the middle of answers
is slow as well. They are compared apart, or prompt beginnings would hide the silences that follow them. Whole answers
differ far more: there it only counts that a place has been silent for far longer than its siblings ever were.
"""

from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from math import exp, inf, log

FACTOR = 3.0
"""So many times the wait of the fastest sibling is too much."""
LONGEST_FACTOR = 10.0
"""After so many times that wait, a place that has not begun is given up: a long prompt takes long everywhere. Of whole
answers after so many times the longest, as they differ far more."""
SHORTEST_PATIENCE_S = 10.0
HARMLESS_S = 1.0
"""Shorter waits are never too long."""
REMEMBERED = 20
FEWEST = 5
"""Fewer waits say nothing."""
FORGOTTEN_AFTER_S = 60.0
SHORTEST_S = 0.001


class Wait(StrEnum):
    """What a stream is waited for."""

    BEGINNING = "beginning"
    """Its first event."""
    SILENCE = "silence"
    """The next one: the longest time."""
    WHOLE = "whole"
    """An answer that is not streamed."""


class Waits:
    """The last of each place. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._waits: dict[tuple[str, Wait], deque[tuple[float, float]]] = {}
        self._since: dict[str, float] = {}

    def note(self, place: str, wait: Wait, now: float, seconds: float) -> None:
        """A stream was waited for; nothing, if that began before all was forgotten."""
        if now - seconds >= self._since.get(place, -inf):
            self._waits.setdefault((place, wait), deque(maxlen=REMEMBERED)).append((now, max(SHORTEST_S, seconds)))

    def are_long(self, place: str, wait: Wait, siblings: Iterable[str], now: float, *, fewest: int = FEWEST) -> bool:
        """Whether a place has become far slower than the fastest of its siblings."""
        usual_s = self._usual_s(place, wait, now, fewest)
        if usual_s is None or usual_s < HARMLESS_S:
            return False
        others = (self._usual_s(each, wait, now, FEWEST) for each in siblings if each != place)
        return any(other_s is not None and usual_s > FACTOR * other_s for other_s in others)

    def patience_s(self, place: str, siblings: Iterable[str], now: float) -> float:
        """How long a place may take to begin until a sibling is surely the better choice; for ever if none is known."""
        others = (self._usual_s(each, Wait.BEGINNING, now, FEWEST) for each in siblings if each != place)
        known = [other_s for other_s in others if other_s is not None]
        return max(SHORTEST_PATIENCE_S, LONGEST_FACTOR * min(known)) if known else inf

    def whole_patience_s(self, place: str, siblings: Iterable[str], now: float) -> float:
        """How long a place may take for a whole answer until that is surely none; for ever if no sibling is known."""
        others = (self._recent(each, Wait.WHOLE, now, FEWEST) for each in siblings if each != place)
        known = [max(recent) for recent in others if recent]
        return LONGEST_FACTOR * min(known) if known else inf

    def forget(self, place: str, now: float) -> None:
        """What is met from now on is to be judged by itself."""
        self._since[place] = now
        for wait in Wait:
            self._waits.pop((place, wait), None)

    def keep_only(self, places: Iterable[str]) -> None:
        """Forget deployments that the settings no longer name."""
        named = set(places)
        self._waits = {key: waits for key, waits in self._waits.items() if key[0] in named}
        self._since = {place: since for place, since in self._since.items() if place in named}

    def _usual_s(self, place: str, wait: Wait, now: float, fewest: int) -> float | None:
        recent = self._recent(place, wait, now, fewest)
        return exp(sum(map(log, recent)) / len(recent)) if recent else None

    def _recent(self, place: str, wait: Wait, now: float, fewest: int) -> list[float]:
        """Those that are not forgotten; none, if they are too few to say anything."""
        waits = self._waits.get((place, wait), ())
        recent = [seconds for at, seconds in waits if now - at < FORGOTTEN_AFTER_S]
        return recent if len(recent) >= fewest else []
