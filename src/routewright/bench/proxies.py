"""The gateway beside the floor: what a request, a large one and a streamed chunk cost, and what latency they add."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from routewright.bench.load import Clients, Load, Run
from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.questions import chat_body, prompts
from routewright.bench.report import Figure, figure, percentile

PROMPT_CHARS = 1_024
LARGE_PROMPT_CHARS = 32 * 1_024
CHUNKS = 50
SLOW_MS = 50
"""An answer that takes this long hides the wait for the ledger's disk, as real providers' answers all do."""

_WHOLE_END = b"}"
_STREAM_END = b"data: [DONE]\n\n"
_QUIET_S = 0.1
_QUIET_CPU_S = 0.001
_MOST_CHECKS = 30


class Spent(Struct, frozen=True):
    """One round of load on one program."""

    cpu_us: float
    """Per request."""
    pieces: float
    """Per answer."""


def whole(prompt_chars: int, *, delay_ms: int = 0) -> Load:
    """Requests for answers in one piece."""
    return Load(tuple(chat_body(prompt, delay_ms=delay_ms) for prompt in prompts(prompt_chars)), _WHOLE_END)


def streamed(chunks: int) -> Load:
    """Requests for streams of so many chunks."""
    return Load(tuple(chat_body(prompt, chunks=chunks) for prompt in prompts(PROMPT_CHARS)), _STREAM_END)


async def spend(plan: Plan, child: Child, load: Load, count: int) -> Spent:
    """One round: fresh connections, a warm-up that is not counted, then `count` requests. Raises BenchFailed."""
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(load, plan.concurrency, concurrency=plan.concurrency)
        before = await _cpu_at_rest(child)
        run = await clients.closed_loop(load, count, concurrency=plan.concurrency)
        after = await _cpu_at_rest(child)
    return Spent((after - before) / count * 1e6, run.pieces / count)


async def _cpu_at_rest(child: Child) -> float:
    """CPU seconds so far, read when the process has come to rest: what it does after its answers counts too."""
    spent = child.cpu_s()
    for _ in range(_MOST_CHECKS):
        await asyncio.sleep(_QUIET_S)
        now = child.cpu_s()
        if now - spent < _QUIET_CPU_S:
            return now
        spent = now
    return spent


async def request_figures(plan: Plan, gateway: Child, floor: Child) -> list[Figure]:
    """CPU of unstreamed requests, small and large, and how many times the floor's that is."""
    small = await _in_turn(plan, gateway, floor, whole(PROMPT_CHARS), plan.requests)
    large = await _in_turn(plan, gateway, floor, whole(LARGE_PROMPT_CHARS), plan.large_requests)
    return [
        figure("gateway_request_us", "gateway, 1 KB request, ledger on", "µs CPU", _cpu(small.gateway), bar=400),
        figure("floor_request_us", "floor, 1 KB request", "µs CPU", _cpu(small.floor)),
        figure("request_ratio", "gateway ÷ floor, 1 KB request", "×", small.cpu_ratios()),
        figure("gateway_large_us", "gateway, 32 KB request, ledger on", "µs CPU", _cpu(large.gateway)),
        figure("floor_large_us", "floor, 32 KB request", "µs CPU", _cpu(large.floor)),
        figure("large_ratio", "gateway ÷ floor, 32 KB request", "×", large.cpu_ratios()),
    ]


async def stream_figures(plan: Plan, gateway: Child, floor: Child) -> list[Figure]:
    """CPU of a streamed chunk: a stream of 50 chunks less one of 1, divided by the 49 between them."""
    short = await _in_turn(plan, gateway, floor, streamed(1), plan.streams)
    long = await _in_turn(plan, gateway, floor, streamed(CHUNKS), plan.streams)
    gateway_us = per_chunk_us(short.gateway, long.gateway)
    floor_us = per_chunk_us(short.floor, long.floor)
    extra_us = [mine - least for mine, least in zip(gateway_us, floor_us, strict=True)]
    return [
        figure("chunk_extra_us", "gateway − floor, streamed chunk, same dialect", "µs CPU", extra_us, bar=25),
        figure("gateway_chunk_us", "gateway, streamed chunk", "µs CPU", gateway_us),
        figure("floor_chunk_us", "floor, streamed chunk", "µs CPU", floor_us),
        figure("gateway_stream_us", "gateway, stream of 1 chunk", "µs CPU", _cpu(short.gateway)),
        figure("floor_stream_us", "floor, stream of 1 chunk", "µs CPU", _cpu(short.floor)),
        figure("stream_pieces", f"pieces in which a stream of {CHUNKS} chunks and its end left the gateway", "",
               [round_.pieces for round_ in long.gateway]),
    ]  # fmt: skip


async def latency_figures(plan: Plan, upstream: Child, gateway: Child, floor: Child) -> list[Figure]:
    """What gateway and floor add to the latency of the upstream alone, at a fixed rate that all of them bear easily."""
    at_once = await _added(plan, upstream, gateway, floor, delay_ms=0)
    return at_once + await _added(plan, upstream, gateway, floor, delay_ms=SLOW_MS)


async def _added(plan: Plan, upstream: Child, gateway: Child, floor: Child, *, delay_ms: int) -> list[Figure]:
    load = whole(PROMPT_CHARS, delay_ms=delay_ms)
    direct: list[Run] = []
    through_floor: list[Run] = []
    through_gateway: list[Run] = []
    for _ in range(plan.rounds):
        for child, runs in ((upstream, direct), (floor, through_floor), (gateway, through_gateway)):
            runs.append(await _paced(plan, child, load))
    kind = f"after_{delay_ms}_ms" if delay_ms else "at_once"
    where = f"{plan.paced_per_s} requests/s, answers {f'after {delay_ms} ms' if delay_ms else 'at once'}"
    figures = []
    for share, label in ((0.50, "p50"), (0.99, "p99")):
        base = [_latency_ms(run, share) for run in direct]
        figures.append(figure(f"direct_{label}_{kind}", f"upstream alone, latency {label}, {where}", "ms", base))
        for name, runs in (("floor", through_floor), ("gateway", through_gateway)):
            added = [_latency_ms(run, share) - least for run, least in zip(runs, base, strict=True)]
            what = f"{name}, added latency {label}, {where}"
            figures.append(figure(f"{name}_added_{label}_{kind}", what, "ms", added))
    return figures


async def ask_once(plan: Plan, child: Child) -> None:
    """One request, so that a program that has just started has everything in memory that it needs."""
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(whole(PROMPT_CHARS), 1, concurrency=1)


async def _paced(plan: Plan, child: Child, load: Load) -> Run:
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(load, plan.concurrency, concurrency=min(8, plan.concurrency))
        return await clients.open_loop(load, plan.paced_requests, per_s=plan.paced_per_s)


class _Sides(Struct, frozen=True):
    """Rounds of both, taken in turn."""

    gateway: list[Spent]
    floor: list[Spent]

    def cpu_ratios(self) -> list[float]:
        return [mine.cpu_us / least.cpu_us for mine, least in zip(self.gateway, self.floor, strict=True)]


async def _in_turn(plan: Plan, gateway: Child, floor: Child, load: Load, count: int) -> _Sides:
    sides = _Sides([], [])
    for _ in range(plan.rounds):
        sides.gateway.append(await spend(plan, gateway, load, count))
        sides.floor.append(await spend(plan, floor, load, count))
    return sides


def _cpu(rounds: Sequence[Spent]) -> list[float]:
    return [each.cpu_us for each in rounds]


def per_chunk_us(short: Sequence[Spent], long: Sequence[Spent]) -> list[float]:
    """CPU of one chunk: what a stream of `CHUNKS` takes more than one of a single chunk, round by round."""
    return [(many.cpu_us - one.cpu_us) / (CHUNKS - 1) for one, many in zip(short, long, strict=True)]


def _latency_ms(run: Run, share: float) -> float:
    return percentile(run.latencies_s, share) * 1e3
