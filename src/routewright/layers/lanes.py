"""Lanes: the calls of one batch share its places, from the moment they are sent until their answer is there.

What comes between one answer and the next question takes as long as many an answer: deciding and holding it, waiting
until the hold is durable, writing and settling the answer. None of it needs the provider. So a few more questions are
begun than go at a time; they wait here, ready to be sent, and a place is free as soon as the last byte of an answer
has come.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.errors import ProviderOverloaded
from routewright.layers.quota import UNSENT
from routewright.layers.service import Service
from routewright.layers.window import Window
from routewright.reply import Reply


class Gate:
    """Lets so many in at a time; who has waited longest goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.inside = 0

    async def enter(self) -> None:
        """Wait for room; who is cancelled meanwhile takes none."""
        if not self._waiting and self.inside < self._most:
            self.inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had its turn, and is gone
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """One has left."""
        self.inside -= 1
        self._look()

    def resize(self, most: int) -> None:
        """So many may be inside from now on; who is, stays."""
        self._most = most
        self._look()

    def _look(self) -> None:
        while self._waiting and self.inside < self._most:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled, and does not know yet
                self.inside += 1
                turn.set_result(None)


class Lane:
    """What one batch may do at a time. All of it is in one event loop."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.questions = Gate(window.size)
        """Who is inside works on a question: from before it is read until its answer is settled."""
        self.places = Gate(window.size)
        """Who is inside is with a provider, or in front of its own queue."""

    def answered(self, now: float, reply: Reply) -> None:
        """One of those in a place has its answer."""
        calls_left = None if reply.allowance is None else reply.allowance.calls
        self.window.answered(now, reply.first_wait_s, self.places.inside, calls_left)
        self._resize()

    def overloaded(self, now: float) -> None:
        """A call met a 429."""
        self.window.overloaded(now)
        self._resize()

    def _resize(self) -> None:
        self.questions.resize(self.window.size + self.window.ahead)
        self.places.resize(self.window.size)


class Lanes:
    """Below the budget's hold, which is made while a call waits here; above quota, where it would keep others out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[str, Lane] = {}

    @contextmanager
    def opened(self, name: str, window: Window) -> Iterator[Lane]:
        """A lane for calls that carry its name, for the length of a block."""
        lane = self._lanes[name] = Lane(window)
        try:
            yield lane
        finally:
            del self._lanes[name]

    def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Awaitable[Reply]:
        lane = self._lanes.get(attempt.routed.call.lane)
        return forward(attempt) if lane is None else self._placed(lane, attempt, forward)

    async def _placed(self, lane: Lane, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        try:
            await lane.places.enter()
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            raise
        try:
            reply = await forward(attempt)
        except BaseException as error:
            if isinstance(error, ProviderOverloaded):
                lane.overloaded(self._clock.monotonic())
            lane.places.leave()
            raise
        lane.answered(self._clock.monotonic(), reply)
        if attempt.routed.call.stream:
            return reply.on_close(lambda _: lane.places.leave())
        lane.places.leave()  # the answer is whole
        try:
            await asyncio.sleep(0)  # who waited is sent before this one is settled
        except BaseException:
            reply.close()
            raise
        return reply
