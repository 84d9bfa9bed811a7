"""Providers and clients on a simulated clock, with the whole engine between them: an hour of traffic in a minute.

Everything from the decision to the leaf is the real thing; simulated are time, and the socket to the provider. So an
outage of a minute can be had a hundred times, at any load, and the same each time for a seed. What it says nothing of
is our own time: that costs nothing here.

A place is a queue before some workers, as a provider is. It works on for clients that have left, and refuses what is
more than its queue holds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from heapq import heapify, heapreplace
from math import exp
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

from msgspec import Struct

from routewright.call import Call, Message, Text
from routewright.detection import Found
from routewright.dialects.wire import WireRequest
from routewright.engine import Engine
from routewright.errors import ConnectFailed, RoutewrightError, StreamCut
from routewright.http1.pulled import Pulled
from routewright.ids import uuid7
from routewright.layers.circuit import State
from routewright.ledger.accounts import JournaledLedger
from routewright.settings import load_settings
from routewright.settings.catalog import build_catalog
from routewright.tenant import NOBODY, Tenant
from routewright.testing import FakeClock

Failure: TypeAlias = Literal["error", "refuse", "overloaded", "silent"]
"""500 after 50 ms; no connection; 429 without a pause; no answer ever."""

WORK_S, WORK_SPREAD = 2.0, 0.3
"""The median of what an answer takes, and the sigma of its logarithm."""
FIRST_SHARE = 0.2
"""Of the work, that before the first word."""
PIECES = 4
ERROR_AFTER_S = 0.05
QUEUE_S = 1.0
"""So much work, at full capacity, may wait at a place."""

PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
END = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n'
)
WHOLE = (
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":4}}'
)


class Condition(Struct, frozen=True, kw_only=True):
    """How a place does."""

    slower: float = 1.0
    failing: float = 0.0
    """The share of requests that fail; with 1, streams under way are cut as well."""
    failure: Failure = "error"
    stall_s: float = 0.0
    """Silence in the middle of every stream."""


WELL = Condition()


class Place:
    """One deployment, with workers for so many requests at once."""

    def __init__(self, clock: FakeClock, random: Random, workers: int) -> None:
        self.condition = WELL
        self.arrivals: list[float] = []
        self.probes: list[float] = []
        """Those of the arrivals that came while its circuit was not closed."""
        self._clock = clock
        self._random = random
        self._queue_s = QUEUE_S
        self._free_at = [0.0] * workers
        heapify(self._free_at)
        self.capacity = workers / (WORK_S * exp(WORK_SPREAD**2 / 2))
        """Answers a second."""

    def become(self, condition: Condition) -> None:
        """Change, also for what is being worked on."""
        now, factor = self._clock.monotonic(), condition.slower / self.condition.slower
        self._free_at = [max(now, now + (free_at - now) * factor) for free_at in self._free_at]
        heapify(self._free_at)
        self.condition = condition

    async def answer(self, request: WireRequest) -> "Response":
        """A response once its head is there, as a transport gives it."""
        now, condition = self._clock.monotonic(), self.condition
        self.arrivals.append(now)
        if condition.failing and self._random.random() < condition.failing:
            return await self._fail(condition.failure)
        waits_s = max(0.0, self._free_at[0] - now)
        if waits_s > self._queue_s:
            return await self._fail("overloaded")
        work_s = WORK_S * self._random.lognormvariate(0, WORK_SPREAD)
        heapreplace(self._free_at, now + waits_s + work_s * condition.slower)
        if b'"stream":true' not in request.body:
            await asyncio.sleep(waits_s + work_s * condition.slower)
            return Response(200, WHOLE)
        await asyncio.sleep(waits_s + FIRST_SHARE * work_s * condition.slower)
        return Streamed(self, work_s * (1 - FIRST_SHARE) / PIECES)

    async def _fail(self, failure: Failure) -> "Response":
        if failure == "refuse":
            raise ConnectFailed("refused")
        await asyncio.sleep(ERROR_AFTER_S if failure != "silent" else 3600)
        return Response(429 if failure == "overloaded" else 500, b"{}")


class Response(Pulled):
    """A whole body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._body = body

    async def next(self) -> bytes:
        """The body, then its end."""
        body, self._body = self._body, b""
        return body

    def abort(self) -> None:
        """Nobody minds."""


class Streamed(Response):
    """An answer piece by piece, at the pace that its place has by then."""

    def __init__(self, place: Place, pause_s: float) -> None:
        super().__init__(200, b"")
        self._place = place
        self._pause_s = pause_s
        self._sent = 0

    async def next(self) -> bytes:
        """The next piece."""
        condition, self._sent = self._place.condition, self._sent + 1
        if self._sent > PIECES + 1:
            return b""
        if self._sent > 1:
            stall_s = condition.stall_s if self._sent == PIECES // 2 + 1 else 0.0
            await asyncio.sleep(self._pause_s * condition.slower + stall_s)
        if self._place.condition.failing >= 1:
            raise StreamCut("cut by the outage")
        return PIECE if self._sent <= PIECES else END


class Asked(Struct, kw_only=True):
    """A request as its client saw it; times in seconds of the simulation."""

    began_at: float
    is_stream: bool
    first_s: float = 0.0
    """Until its first word; of one that failed, until that was known."""
    total_s: float = 0.0
    outcome: str = "left"
    """`complete`, the code of the error, or `left` when its client lost patience."""

    @property
    def is_success(self) -> bool:
        """It was answered in full."""
        return self.outcome == "complete"


class NoLog:
    """A ledger's log that keeps nothing: an hour of events would fill the memory."""

    trouble: str | None = None

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Forget them."""
        return 0

    async def durable(self, position: int) -> None:
        """Nothing to wait for."""


class World:
    """An engine before places of one model, `p0` to `pN`, and those of its fallback, `b0`, if there is one."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        places: int = 3,
        workers: int = 100,
        has_fallback: bool = False,
        hedge_after_ms: int | None = None,
        concurrency: int | None = None,
    ) -> None:
        """`concurrency` is what the settings say that a place takes at once; None when they do not say."""
        self.clock, self.random = FakeClock(), Random(seed)
        names = [f"p{number}" for number in range(places)]
        backups = ["b0"] if has_fallback else []
        self.places = {name: Place(self.clock, Random(f"{seed} {name}"), workers) for name in names + backups}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "routewright.toml").write_text(_settings(names, backups, concurrency), encoding="utf-8")
        flags = {} if hedge_after_ms is None else {"policy.hedge_after_ms": hedge_after_ms}
        settings = load_settings(environ={"HOME": str(folder)}, cwd=folder, flags=flags)
        self.engine = Engine(
            settings,
            build_catalog(settings, Found()),
            ledger=JournaledLedger(NoLog(), boot="boot", clock=self.clock),
            transport=self,
            clock=self.clock,
            random=self.random,
        )

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> Response:
        """To the place that the address names."""
        name = request.url.split("/")[2].partition(".")[0]
        if self.engine.breakers()[f"{name}/{'backup' if name == 'b0' else 'swift'}"] != State.CLOSED:
            self.places[name].probes.append(self.clock.monotonic())
        return await self.places[name].answer(request)

    async def close(self) -> None:
        """Nothing is open."""

    def become(self, condition: Condition, *names: str) -> None:
        """Places change, all of them without names."""
        for name in names or self.places:
            self.places[name].become(condition)

    @property
    def attempts(self) -> int:
        """What has reached providers so far."""
        return sum(len(place.arrivals) for place in self.places.values())

    @asynccontextmanager
    async def traffic(
        self, rate: Callable[[float], float], *, patience_s: float, streamed: float = 1.0, tenant: Tenant = NOBODY
    ) -> AsyncIterator[list[Asked]]:
        """Clients of one tenant that come by chance, `rate(now)` a second, for the block's length; all are awaited."""
        asked: list[Asked] = []
        async with asyncio.TaskGroup() as group:
            arriving = group.create_task(self._arrive(group, asked, rate, patience_s, streamed, tenant))
            yield asked
            arriving.cancel()

    async def _arrive(
        self,
        group: asyncio.TaskGroup,
        asked: list[Asked],
        rate: Callable[[float], float],
        patience_s: float,
        streamed: float,
        tenant: Tenant,
    ) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(rate(self.clock.monotonic())))
            one = Asked(began_at=self.clock.monotonic(), is_stream=self.random.random() < streamed)
            asked.append(one)
            group.create_task(self._ask(one, patience_s, tenant))

    async def _ask(self, asked: Asked, patience_s: float, tenant: Tenant) -> None:
        call = Call(
            id=uuid7(self.clock.time_ns(), self.random),
            dialect="library",
            model="swift",
            messages=(Message("user", (Text("Hello"),)),),
            body={},
            stream=asked.is_stream,
            tenant=tenant,
        )
        try:
            async with asyncio.timeout(patience_s):
                reply = await self.engine.ask(call)
                asked.first_s = self.clock.monotonic() - asked.began_at
                await reply.read()
                asked.outcome = "complete"
        except RoutewrightError as error:
            asked.outcome = error.code
        except TimeoutError:
            pass
        asked.total_s = self.clock.monotonic() - asked.began_at
        asked.first_s = asked.first_s or asked.total_s


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _settings(names: Sequence[str], backups: Sequence[str], concurrency: int | None) -> str:
    lines = ["[policy]", 'classifier = "heuristic"']
    for name in (*names, *backups):
        lines += [f"[providers.{name}]", f'base_url = "https://{name}.example/v1"']
        lines += [] if concurrency is None else [f"concurrency = {concurrency}"]
    lines += _model("swift", names, ["backup"] if backups else [])
    return "\n".join([*lines, *(_model("backup", backups, []) if backups else [])])


def _model(name: str, places: Sequence[str], fallbacks: Sequence[str]) -> list[str]:
    deployments = ", ".join(f'"{place}/{name}"' for place in places)
    return [
        f"[models.{name}]",
        'tier = "standard"',
        f"deployments = [{deployments}]",
        "fallbacks = [{}]".format(", ".join(f'"{each}"' for each in fallbacks)),
        "context_window = 100_000",
        'price = { input = "1", output = "2" }',
    ]
