"""Stand-ins for the world, shipped, and used by our own tests first: time, the provider, the ledger's log.

clock = FakeClock()
clock.run(main())          # sleeps and time-outs take no time, and happen in order

"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from routewright.dialects.wire import WireRequest
from routewright.errors import RoutewrightError
from routewright.ledger.ledger import LedgerEvent, decode_event

T = TypeVar("T")

MAX_IDLE_S = 86_400.0


class FakeClock:
    """Both clocks of `routewright.clock.Clock`; they move when told to, or when everything in the loop waits."""

    def __init__(self, now_ns: int = 1_800_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._start_ns = now_ns

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return (self._now_ns - self._start_ns) / 1e9

    def time_ns(self) -> int:
        """UTC, nanoseconds since 1970."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += round(seconds * 1e9)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` in an event loop that keeps this time: when all tasks wait, it jumps to the next timer."""
        with asyncio.Runner(loop_factory=lambda: _JumpingLoop(self)) as runner:
            return runner.run(main)


class _JumpingSelector(selectors.DefaultSelector):
    """Polls real sockets, but instead of waiting for a timer lets the clock jump to it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        self._clock.advance(min(timeout, MAX_IDLE_S))
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


class MemoryLog:
    """A ledger's log as a list; everything is durable at once. `events` has what was written, decoded."""

    def __init__(self) -> None:
        self.events: list[LedgerEvent] = []

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Keep events."""
        self.events.extend(map(decode_event, payloads))
        return len(self.events)

    async def durable(self, position: int) -> None:
        """Nothing to wait for."""


class ScriptedResponse:
    """A `WireResponse` that gives the pieces it was told to; an exception among them is raised in its turn."""

    def __init__(
        self, status: int, body: Iterable[bytes | RoutewrightError | float], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        self.was_aborted = False
        self.has_ended = False
        self._body = deque(body)

    async def next(self) -> bytes:
        """The next piece; a float in the script is a pause in seconds."""
        while self._body:
            piece = self._body.popleft()
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif isinstance(piece, RoutewrightError):
                raise piece
            else:
                return piece
        self.has_ended = True
        return b""

    def abort(self) -> None:
        """Note that the connection was dropped."""
        self.was_aborted = not self.has_ended


Script = Callable[[WireRequest], ScriptedResponse | RoutewrightError | float]


class ScriptedTransport:
    """A `Transport` that answers by a script and keeps what it was sent."""

    def __init__(self, script: Script) -> None:
        self.requests: list[WireRequest] = []
        self.responses: list[ScriptedResponse] = []
        self._script = script

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:
        """Answer by the script: a response, an error to raise, or so many seconds of silence and then an empty 200."""
        self.requests.append(request)
        answer = self._script(request)
        if isinstance(answer, RoutewrightError):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = ScriptedResponse(200, [])
        self.responses.append(answer)
        return answer

    async def close(self) -> None:
        """Nothing to close."""
