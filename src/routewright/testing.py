"""Stand-ins for the world, shipped, and used by our own tests first: time, the provider, the ledger's log, the escrow.

clock = FakeClock()
clock.run(main())          # sleeps and time-outs take no time, and happen in order

"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from routewright.dialects.wire import WireRequest
from routewright.errors import RoutewrightError, StoreUnavailable
from routewright.http1.pulled import Pulled
from routewright.ledger.budgets import Budget, Grant, Window
from routewright.ledger.ledger import Charge, LedgerEvent, decode_event

T = TypeVar("T")

MAX_IDLE_S = 86_400.0
TICK_S = 1e-9
"""A timer may be due in less than the clock counts; a jump of nothing would be made for ever."""


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

    def set_wall(self, seconds: float) -> None:
        """Have somebody set the wall clock by so much, forward or back; monotonic time knows nothing of it."""
        self._now_ns += round(seconds * 1e9)
        self._start_ns += round(seconds * 1e9)

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
        self._clock.advance(min(max(timeout, TICK_S), MAX_IDLE_S))
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


class MemoryLog:
    """A ledger's log as a list; everything is durable at once. `events` has what was written, decoded."""

    trouble: str | None = None

    def __init__(self) -> None:
        self.events: list[LedgerEvent] = []

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Keep events."""
        self.events.extend(map(decode_event, payloads))
        return len(self.events)

    async def durable(self, position: int) -> None:
        """Nothing to wait for."""


class _Share:
    """What one process was granted of a window in all, and what of it has been posted."""

    def __init__(self) -> None:
        self.granted = 0
        self.posted = 0
        self.wanted = 0

    @property
    def lease(self) -> int:
        return max(0, self.granted - self.posted)


class _WindowRow:
    """One window of a budget, as a database would keep it."""

    def __init__(self) -> None:
        self.posted = 0
        self.is_frozen = False
        self.shares: dict[str, _Share] = {}

    @property
    def leased(self) -> int:
        return sum(share.lease for share in self.shares.values())


class MemoryEscrow:
    """An `Escrow` in memory, for several processes' balances; `post` stands for the arrival of their settlements."""

    def __init__(self, *, lasts_s: float = 30.0) -> None:
        self.windows: dict[Charge, _WindowRow] = {}
        self.failure: StoreUnavailable | None = None
        """What every claim raises, if anything."""
        self.claims = 0
        self._lasts_s = lasts_s

    def claim(self, budget: Budget, window: Window, *, boot: str, granted_nanousd: int, needed_nanousd: int) -> Grant:
        """See `Escrow.claim`; all is granted ahead to a process that is alone.

        What does not fit whole is granted in part to whoever waits for the least: parts put together serve somebody.
        """
        self.claims += 1
        if self.failure is not None:
            raise self.failure
        row = self._row(Charge(budget.name, window.starts_ns))
        if not budget.is_hard:
            return self._grant(row, granted_nanousd, is_wanted_elsewhere=False)
        share = row.shares.setdefault(boot, _Share())
        rivals = [other for name, other in row.shares.items() if name != boot]
        share.granted, share.wanted = max(granted_nanousd, share.posted), 0
        room = 0 if row.is_frozen else max(0, budget.limit_nanousd - row.posted - row.leased)
        short = max(0, needed_nanousd - share.granted)
        is_next = all((rival.wanted, name) > (short, boot) for name, rival in row.shares.items() if rival.wanted)
        given = short if short <= room else room if is_next else 0
        share.wanted = short - given
        share.granted += given if rivals else room
        return self._grant(row, share.granted, is_wanted_elsewhere=any(rival.wanted for rival in rivals))

    def forget(self, boots: frozenset[str]) -> None:
        """See `Escrow.forget`."""
        for row in self.windows.values():
            for boot in boots:
                row.shares.pop(boot, None)

    def post(self, boot: str, charges: Sequence[Charge], cost_nanousd: int, held_nanousd: int) -> None:
        """A settlement has arrived."""
        for charge in charges:
            row = self._row(charge)
            row.posted += cost_nanousd
            row.is_frozen |= cost_nanousd > held_nanousd
            row.shares.setdefault(boot, _Share()).posted += cost_nanousd

    def thaw(self, charge: Charge) -> None:
        """An operator has looked."""
        self._row(charge).is_frozen = False

    def _row(self, charge: Charge) -> _WindowRow:
        return self.windows.setdefault(charge, _WindowRow())

    def _grant(self, row: _WindowRow, granted: int, *, is_wanted_elsewhere: bool) -> Grant:
        return Grant(
            granted_nanousd=granted,
            posted_nanousd=row.posted,
            leased_nanousd=row.leased,
            is_frozen=row.is_frozen,
            is_wanted_elsewhere=is_wanted_elsewhere,
            lasts_s=self._lasts_s,
        )


class ScriptedResponse(Pulled):
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
