"""To the collector: spans wait in a bounded queue and are sent in batches, aside. No request ever waits for that.

What finds no room is dropped, what the collector does not take is tried again a few times and then dropped, and both
are counted. Spans come in encoded, so the queue is bounded in bytes, and a batch costs no pause to put together.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct

from routewright.dialects.wire import WireRequest
from routewright.errors import RoutewrightError
from routewright.secret import Secret, without_password
from routewright.telemetry import names
from routewright.telemetry.otlp import encode_request
from routewright.transport import Transport
from routewright.version import running_version

log = logging.getLogger(__name__)

MOST_QUEUED_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 512 * 1024
"""So much is sent at a time; what is there then waits no longer."""
GATHER_S = 1.0
"""How long the first span of a batch waits for others."""
TRY_LIMIT_S = 10.0
MAX_TRIES = 5
FIRST_PAUSE_S = 1.0
"""Before the second try; each further pause is twice as long."""
LAST_TRY_S = 2.0
"""At the end of the process, for all that is left."""
_TRACES = "/v1/traces"
_PASSING = (429, 502, 503, 504)
"""Statuses after which OTLP has a client try again."""


class Target(Struct, frozen=True):
    """Where spans go, and as whose."""

    endpoint: str
    """The base address of OTLP over HTTP, or the one of traces."""
    headers: Mapping[str, Secret]
    """What the collector wants to be told: a key, as a rule."""
    service: str

    @property
    def url(self) -> str:
        """Where batches are posted."""
        return self.endpoint if self.endpoint.endswith(_TRACES) else self.endpoint + _TRACES


class Exporter:
    """The queue, and who empties it; in the event loop only. `counts` gets what became of the spans."""

    def __init__(self, transport: Transport, counts: Counter[str]) -> None:
        self.target: Target | None = None
        """Changed whole, when the settings do; what waits then goes to the new one."""
        self._transport = transport
        self._counts = counts
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._is_full = asyncio.Event()
        self._trouble: str | None = None

    def add(self, span: bytes) -> None:
        """Have an encoded span sent by and by; dropped, and counted, when too much waits already."""
        if self._queued_bytes + len(span) > MOST_QUEUED_BYTES:
            self._counts["dropped"] += 1
            return
        self._queue.append(span)
        self._queued_bytes += len(span)
        if self._queued_bytes >= BATCH_BYTES:
            self._is_full.set()
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    async def close(self) -> None:
        """Try once to send what is left, and end."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_TRY_S):
                while self._queue:
                    await self._deliver(self._batch(), tries=1)
        if self._queue:
            self._counts["dropped"] += len(self._queue)
            self._queue.clear()
            self._queued_bytes = 0

    async def _send_all(self) -> None:
        while self._queue:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._is_full.wait()
            await self._deliver(self._batch(), tries=MAX_TRIES)

    def _batch(self) -> list[bytes]:
        batch, size = [self._queue.popleft()], 0
        size = len(batch[0])
        while self._queue and size + len(self._queue[0]) <= BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1])
        self._queued_bytes -= size
        if self._queued_bytes < BATCH_BYTES:
            self._is_full.clear()
        return batch

    async def _deliver(self, batch: list[bytes], *, tries: int) -> None:
        """One that is broken off is back in the queue: the collector knows spans by their ids."""
        try:
            has_arrived = await self._try(batch, tries)
        except asyncio.CancelledError:
            self._queue.extendleft(reversed(batch))
            self._queued_bytes += sum(map(len, batch))
            raise
        self._counts["sent" if has_arrived else "failed"] += len(batch)

    async def _try(self, batch: list[bytes], tries: int) -> bool:
        for number in range(tries):
            if number:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (number - 1))
            trouble, may_pass = await self._post(batch)
            self._tell(trouble)
            if not may_pass:
                return trouble is None
        return False

    async def _post(self, batch: list[bytes]) -> tuple[str | None, bool]:
        """What went wrong, in words without the address, and whether another try may help."""
        target = self.target
        assert target is not None, "spans come of a tracer, which has a target"
        body = encode_request(
            {names.SERVICE: target.service, names.SERVICE_VERSION: running_version()},
            names.OURSELVES,
            running_version(),
            batch,
        )
        headers = {name: value.reveal() for name, value in target.headers.items()}
        request = WireRequest(url=target.url, headers={"content-type": "application/x-protobuf", **headers}, body=body)
        try:
            async with asyncio.timeout(TRY_LIMIT_S):
                response = await self._transport.send(request, connect_timeout_s=TRY_LIMIT_S)
        except TimeoutError:
            return f"no answer within {TRY_LIMIT_S:g} s", True
        except RoutewrightError as error:
            return error.code, True
        response.abort()
        if 200 <= response.status < 300:
            return None, False
        return f"status {response.status}", response.status in _PASSING

    def _tell(self, trouble: str | None) -> None:
        """In the log, when it begins, changes and ends."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        where = "" if self.target is None else without_password(self.target.endpoint)
        if trouble is None:
            log.warning("traces: the collector takes spans again")
        else:
            log.warning(
                "traces: %s does not take spans (%s); requests are answered all the same. "
                "It must be OTLP over HTTP, usually on port 4318",
                where,
                trouble,
            )
