"""Turns: who goes next where calls wait for one another.

The most urgent go first, and among equals the tenants take turns: each has one call in a round (start-time fair
queueing, every call of the same weight). A turn is its tenant's; which of the tenant's calls takes it is seen when it
comes. That is the oldest, and of those that wait for long already the newest, after all others. With a thousand that
wait, a step costs as little as with ten: that is when least is to spare.
"""

import asyncio
from bisect import bisect_left, insort
from typing import NamedTuple

from msgspec import Struct

from routewright.call import Priority

LONG_S = 2.0
"""Who has waited for so long stands back: it is no burst."""


class _Turn(NamedTuple):
    priority: Priority
    round: int
    number: int
    """In order of arrival."""
    tenant: str


class Waiter(Struct, eq=False):
    """A call that waits."""

    priority: Priority
    tenant: str
    since: float
    """Monotonic seconds."""
    turn: asyncio.Future[None]


class Turns:
    """All that wait at one place. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._turns: list[_Turn] = []
        """The next one first; a tenant has as many as it has calls."""
        self._lines: dict[tuple[Priority, str], list[Waiter]] = {}
        """Of the tenants that wait, in order of arrival."""
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, waiter: Waiter) -> None:
        """One more, in the first round in which its tenant has no turn."""
        line = self._lines.setdefault((waiter.priority, waiter.tenant), [])
        self._arrivals += 1
        round_of_it = self._round(waiter.priority) + len(line)
        insort(self._turns, _Turn(waiter.priority, round_of_it, self._arrivals, waiter.tenant))
        line.append(waiter)

    def pop_next(self, now: float) -> Waiter:
        """Whose turn it is."""
        turn = self._turns.pop(0)
        line = self._lines[turn.priority, turn.tenant]
        fresh_from = _fresh_from(line, now)
        return self._pop(line, fresh_from if fresh_from < len(line) else -1)

    def pop_last(self, now: float) -> Waiter:
        """Of the tenant that has the last turn, the call that goes last."""
        turn = self._turns.pop()
        line = self._lines[turn.priority, turn.tenant]
        return self._pop(line, 0 if _fresh_from(line, now) else -1)

    def remove(self, waiter: Waiter) -> bool:
        """One waits no longer, and its tenant has one turn less, the last; False if it was not among them."""
        line = self._lines.get((waiter.priority, waiter.tenant), [])
        if waiter not in line:
            return False
        self._pop(line, line.index(waiter))
        for index in reversed(range(len(self._turns))):
            turn = self._turns[index]
            if (turn.priority, turn.tenant) == (waiter.priority, waiter.tenant):
                del self._turns[index]
                break
        return True

    def fresh(self, now: float) -> int:
        """How many do not wait for long yet."""
        return sum(len(line) - _fresh_from(line, now) for line in self._lines.values())

    def _round(self, priority: Priority) -> int:
        """Whose turn it is now, among equals."""
        index = bisect_left(self._turns, (priority,))
        is_any = index < len(self._turns) and self._turns[index].priority == priority
        return self._turns[index].round if is_any else 0

    def _pop(self, line: list[Waiter], index: int) -> Waiter:
        waiter = line.pop(index)
        if not line:
            del self._lines[waiter.priority, waiter.tenant]
        return waiter


def _fresh_from(line: list[Waiter], now: float) -> int:
    """Where those begin that do not wait for long yet."""
    return bisect_left(line, True, key=lambda waiter: now - waiter.since < LONG_S)
