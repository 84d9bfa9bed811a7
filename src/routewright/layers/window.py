"""How many calls of one batch go at a time: what its user gave to begin with, and then what the provider shows.

More than was given goes only where the provider's headers say that far more is left than is asked for at a time, and
answers take no longer for it: a tenth of a call more with each answer (additive increase), so that a round of answers
adds a tenth of its calls. Where no header says anything, nobody has said that more is welcome. A 429 takes back three
tenths, but not below what was given, and nothing is tried for half a minute: below that each deployment has its own
limit (`quota`), which a 429 there cuts, and a batch that asks several is not to stand still for one. What only shows
in time, a provider whose answers take far longer than shortly before, takes back as much, to one call at the least;
that comes back without anybody's leave.
"""

from collections import deque
from math import inf

STEP = 0.1
"""What one answer adds."""
PLENTY = 2.0
"""So many times what goes at a time must be left, as the headers have it, for one more to go."""
CUT = 0.7
CUT_EVERY_S = 1.0
"""The refusals of one burst are one sign, not many."""
CALM_S = 30.0
"""After a 429, nothing more than was given is tried for so long."""
ROUND = 50
"""Answers whose median is taken: of fewer, it doubles by chance, as some questions have long answers."""
ROUNDS = 20
"""How many medians are remembered."""
SLOWER = 1.5
"""So many times the least of these is slower: nothing is added."""
FAR_SLOWER = 2.5
"""So many times: too much."""
HARMLESS_S = 0.1
"""Longer by less is never too much: it may be our own doing."""
LEAD_S = 0.02
"""About what a question takes of time beside its answer: to be decided, held, made durable, written and settled."""
SMOOTHED_OVER = 16


class Window:
    """The size for one batch. `now` is in monotonic seconds, and never goes back."""

    def __init__(self, given: int, most: int) -> None:
        """`given` at first; `most`, which is no less, is never exceeded."""
        self.most = most
        self._given = given
        self._aim = float(given)
        self._overloaded_at = -inf
        self._takes_s: float | None = None
        self._times: list[float] = []
        self._medians: deque[float] = deque(maxlen=ROUNDS)
        self._is_slow = False

    @property
    def size(self) -> int:
        """How many calls may be with providers."""
        return int(self._aim)

    @property
    def ahead(self) -> int:
        """How many more questions are worth preparing: as many as have their turn while one is prepared.

        None where answers take long: there a place that is free for a moment costs nothing, and a question that waits
        for one uses up its own time.
        """
        if self._takes_s is None:
            return 0
        return round(self._aim * LEAD_S / max(self._takes_s, LEAD_S))

    def answered(self, now: float, took_s: float, in_flight: int, calls_left: int | None) -> None:
        """One of `in_flight` calls was answered; `calls_left` by the headers, None where they say nothing."""
        self._takes_s = took_s if self._takes_s is None else self._takes_s + (took_s - self._takes_s) / SMOOTHED_OVER
        if in_flight >= self.size and (self._aim < self._given or self._is_invited(now, calls_left)):
            self._aim = min(self.most, self._aim + STEP)
        self._times.append(took_s)
        if len(self._times) == ROUND:
            self._end_round()

    def overloaded(self, now: float) -> None:
        """A call met a 429."""
        if now - self._overloaded_at >= CUT_EVERY_S:
            self._overloaded_at = now
            self._aim = max(min(self._aim, self._given), self._aim * CUT)

    def _is_invited(self, now: float, calls_left: int | None) -> bool:
        is_calm = not self._is_slow and now - self._overloaded_at >= CALM_S
        return is_calm and calls_left is not None and calls_left >= PLENTY * self._aim

    def _end_round(self) -> None:
        from statistics import median  # only where there are batches

        took_s, self._times = median(self._times), []
        least_s = min(self._medians, default=took_s)
        is_harmless = took_s <= least_s + HARMLESS_S
        self._is_slow = not is_harmless and took_s > SLOWER * least_s
        if not is_harmless and took_s > FAR_SLOWER * least_s:
            self._aim = max(1.0, self._aim * CUT)
            self._medians.clear()  # one rise is one sign; if it is the questions that are longer, this is usual now
        self._medians.append(took_s)
