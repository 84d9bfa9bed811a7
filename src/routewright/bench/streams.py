"""Streams as they are met in life: how long a chunk is under way, and what thousands cost that are open at once."""

import asyncio
import re
import resource
import time
from functools import partial
from typing import cast

from routewright.bench.load import PATH
from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.proxies import CHUNKS, STREAM_END, Sides, streamed
from routewright.bench.report import Figure, figure, percentile
from routewright.bench.upstream import CHUNK_INTERVAL_S, STAMP_NS

OPENED_PER_S = 250
_STAMP = re.compile(rb"@(\d{15})\b")
_MILLION = 1_000_000


class _Reader(asyncio.Protocol):
    """Sends one request, and tells of what comes, as it comes; of HTTP it knows nothing."""

    def __init__(self, request: bytes, delays_ns: list[int]) -> None:
        self._request = request
        self._delays_ns = delays_ns
        self.has_begun = False
        self.has_ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it came to its proper end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns() % STAMP_NS
        self.has_begun = self.has_begun or b"data:" in data
        self._delays_ns += [now - int(stamp) for stamp in _STAMP.findall(data)]
        if STREAM_END in data:
            self._end(True)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(False)

    def _end(self, is_whole: bool) -> None:
        if not self.has_ended.done():
            self.has_ended.set_result(is_whole)


async def _open(
    child: Child, count: int, per_s: float, delays_ns: list[int], *, chunks: int, **mock: str
) -> list[_Reader]:
    """So many streams, begun one after the other."""
    place = f"{child.host}:{child.port}"
    head = f"POST {PATH} HTTP/1.1\r\nhost: {place}\r\ncontent-type: application/json\r\n".encode()
    bodies = streamed(chunks, **mock).bodies
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    readers = []
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
        body = bodies[number % len(bodies)]
        request = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        open_one = partial(_Reader, request, delays_ns)
        try:
            _, reader = await loop.create_connection(open_one, child.host, child.port)
        except OSError as error:
            raise child.failure(f"takes no connections beyond {number}: {error.strerror}") from error
        readers.append(reader)
    return readers


async def delay_figures(plan: Plan, upstream: Child, sides: Sides) -> list[Figure]:
    """How much later a chunk comes than from the upstream alone, from when it was written until it is read."""
    found: dict[str, list[tuple[float, float]]] = {"direct": [], **{name: [] for name in sides.named()}}
    for _ in range(plan.rounds):
        for name, child in {"direct": upstream, **sides.named()}.items():
            found[name].append(await _delays_ms(plan, child))
    figures = []
    for number, (label, bar) in enumerate((("p50", 0.3), ("p99", 3.0))):
        base = [each[number] for each in found["direct"]]
        figures.append(figure(f"direct_chunk_{label}", f"upstream alone, delay of a chunk {label}", "ms", base))
        for name in sides.named():
            added = [each[number] - least for each, least in zip(found[name], base, strict=True)]
            what = f"{name}, added delay of a chunk {label}, {plan.delayed_streams} streams"
            figures.append(figure(f"{name}_chunk_{label}", what, "ms", added, bar=bar if name == "gateway" else None))
    return figures


async def _delays_ms(plan: Plan, child: Child) -> tuple[float, float]:
    delays_ns: list[int] = []
    per_s = plan.delayed_streams / CHUNK_INTERVAL_S  # so that their chunks come evenly
    readers = await _open(child, plan.delayed_streams, per_s, delays_ns, chunks=CHUNKS, stamped="1")
    try:
        whole = await asyncio.wait_for(asyncio.gather(*(each.has_ended for each in readers)), plan.patience_s)
    except TimeoutError:
        raise child.failure(f"did not end its streams within {plan.patience_s:g} s") from None
    finally:
        for each in readers:
            each.transport.abort()
    if not all(whole):
        raise child.failure("broke a stream off")
    return percentile(delays_ns, 0.5) / _MILLION, percentile(delays_ns, 0.99) / _MILLION


async def open_figures(plan: Plan, sides: Sides) -> list[Figure]:
    """CPU and memory of each side while very many streams are open, each with a chunk a second."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = []
    for name, child in sides.named().items():
        share, kb = await held_open(plan, child)
        where = f"{plan.open_streams:,} open streams at 1 chunk/s"
        is_ours = name == "gateway"
        figures += [
            figure(f"{name}_open_share", f"{name}, {where}", "% of a core", [100 * share], bar=60 if is_ours else None),
            figure(f"{name}_open_kb", f"{name}, memory of each of them", "KB", [kb], bar=60 if is_ours else None),
        ]
    return figures


async def held_open(plan: Plan, child: Child) -> tuple[float, float]:
    """The share of a core, and KB of each stream."""
    before_mb = child.resident_mb()
    chunks = int(2 * plan.patience_s + plan.open_s)  # more than are waited for, at one a second
    readers = await _open(child, plan.open_streams, OPENED_PER_S, [], chunks=chunks, interval_ms="1000")
    try:
        deadline = time.monotonic() + plan.patience_s
        while not all(each.has_begun for each in readers):
            if time.monotonic() > deadline:
                begun = sum(each.has_begun for each in readers)
                raise child.failure(f"began {begun} of {len(readers)} streams within {plan.patience_s:g} s")
            await asyncio.sleep(0.1)
        cpu_s, began = child.cpu_s(), time.monotonic()
        await asyncio.sleep(plan.open_s)
        share = (child.cpu_s() - cpu_s) / (time.monotonic() - began)
        kb = (child.resident_mb() - before_mb) * 1024 / len(readers)
        if any(each.has_ended.done() for each in readers):
            raise child.failure("ended streams that should be open")
        return share, kb
    finally:
        for each in readers:
            each.transport.abort()
