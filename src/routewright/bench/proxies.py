"""The gateway beside the floor and nginx: what a request, a large one and a stream cost, and what latency they add."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from routewright.bench.load import Clients, Load, Run
from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.questions import MODEL, chat_body, prompts
from routewright.bench.report import Figure, figure, percentile

PROMPT_CHARS = 1_024
LARGE_PROMPT_CHARS = 32 * 1_024
CHUNKS = 50
SLOW_MS = 50
"""An answer that takes this long hides the wait for the ledger's disk, as real providers' answers all do."""

STREAM_END = b"data: [DONE]\n\n"
_WHOLE_END = b"}"
_QUIET_S = 0.1
_QUIET_CPU_S = 0.001
_MOST_CHECKS = 30


class Spent(Struct, frozen=True):
    """One round of load on one program."""

    cpu_us: float
    """Per request."""
    pieces: float
    """Per answer."""
    per_s: float
    """Requests a second."""


class Sides(Struct, frozen=True):
    """What is held against what; nginx where it is installed."""

    gateway: Child
    floor: Child
    nginx: Child | None = None

    def named(self) -> dict[str, Child]:
        """Those that there are, in the order in which they take turns."""
        found = {"nginx": self.nginx, "floor": self.floor, "gateway": self.gateway}
        return {name: child for name, child in found.items() if child is not None}


Rounds = Mapping[str, Sequence[Spent]]
"""By side; one round of all, then the next, so that a machine that becomes slower does so for each."""


def whole(prompt_chars: int, *, delay_ms: int = 0, model: str = MODEL) -> Load:
    """Requests for answers in one piece."""
    mock = {"delay_ms": str(delay_ms)} if delay_ms else {}
    return Load(tuple(chat_body(prompt, model=model, mock=mock) for prompt in prompts(prompt_chars)), _WHOLE_END)


def streamed(chunks: int, **mock: str) -> Load:
    """Requests for streams of so many chunks; `mock` as in `chat_body`."""
    return Load(tuple(chat_body(prompt, chunks=chunks, mock=mock) for prompt in prompts(PROMPT_CHARS)), STREAM_END)


async def spend(plan: Plan, child: Child, load: Load, count: int) -> Spent:
    """One round: fresh connections, a warm-up that is not counted, then `count` requests. Raises BenchFailed."""
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(load, plan.concurrency, concurrency=plan.concurrency)
        before, begun = await _cpu_at_rest(child), asyncio.get_running_loop().time()
        run = await clients.closed_loop(load, count, concurrency=plan.concurrency)
        took_s = asyncio.get_running_loop().time() - begun
        after = await _cpu_at_rest(child)
    return Spent((after - before) / count * 1e6, run.pieces / count, count / took_s)


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


async def in_turn(
    plan: Plan, sides: Mapping[str, Child], load: Load, count: int, before_round: Callable[[int], None] = lambda _: None
) -> Rounds:
    """All rounds of all sides; `before_round` is told the number of each, from 1."""
    rounds: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(1, plan.rounds + 1):
        before_round(number)
        for name, child in sides.items():
            rounds[name].append(await spend(plan, child, load, count))
    return rounds


def cpu(rounds: Sequence[Spent]) -> list[float]:
    """Of each round."""
    return [each.cpu_us for each in rounds]


def ratios(rounds: Rounds, name: str, base: str) -> list[float]:
    """How many times the CPU of `base` another side took, round by round."""
    return [mine / least for mine, least in zip(cpu(rounds[name]), cpu(rounds[base]), strict=True)]


def compared(rounds: Rounds, name: str, what: str, *, bar: float) -> list[Figure]:
    """CPU of each side; and how many times that of the floor, and of nginx (with its bar), the gateway's is."""
    figures = [figure(f"{side}_{name}_us", f"{side}, {what}", "µs CPU", cpu(spent)) for side, spent in rounds.items()]
    figures.append(figure(f"{name}_ratio", f"gateway ÷ floor, {what}", "×", ratios(rounds, "gateway", "floor")))
    if "nginx" in rounds:
        what = f"gateway ÷ nginx, {what}"
        figures.append(figure(f"{name}_nginx_ratio", what, "×", ratios(rounds, "gateway", "nginx"), bar=bar))
    return figures


async def request_figures(plan: Plan, sides: Sides) -> list[Figure]:
    """CPU of unstreamed requests, small and large."""
    small = await in_turn(plan, sides.named(), whole(PROMPT_CHARS), plan.requests)
    large = await in_turn(plan, sides.named(), whole(LARGE_PROMPT_CHARS), plan.large_requests)
    return compared(small, "request", "1 KB request", bar=8) + compared(large, "large", "32 KB request", bar=6)


async def stream_figures(plan: Plan, sides: Sides) -> list[Figure]:
    """CPU of a stream of 50 chunks, and of a single chunk: that less a stream of 1, divided by the 49 between them."""
    short = await in_turn(plan, sides.named(), streamed(1), plan.streams)
    long = await in_turn(plan, sides.named(), streamed(CHUNKS), plan.streams)
    chunk_us = {name: per_chunk_us(short[name], long[name]) for name in short}
    extra_us = [mine - least for mine, least in zip(chunk_us["gateway"], chunk_us["floor"], strict=True)]
    return [
        *compared(long, "stream", f"stream of {CHUNKS} chunks, same dialect", bar=2.5),
        figure("chunk_extra_us", "gateway − floor, streamed chunk, same dialect", "µs CPU", extra_us, bar=25),
        *(figure(f"{name}_chunk_us", f"{name}, streamed chunk", "µs CPU", took) for name, took in chunk_us.items()),
        figure("gateway_short_us", "gateway, stream of 1 chunk", "µs CPU", cpu(short["gateway"])),
        figure("stream_pieces", f"pieces in which a stream of {CHUNKS} chunks and its end left the gateway", "",
               [round_.pieces for round_ in long["gateway"]]),
    ]  # fmt: skip


async def latency_figures(plan: Plan, upstream: Child, sides: Sides) -> list[Figure]:
    """What each side adds to the latency of the upstream alone, at a fixed rate that all of them bear easily."""
    bars = {"p50": 0.6, "p99": 3.0}
    return await _added(plan, upstream, sides, 0, bars) + await _added(plan, upstream, sides, SLOW_MS, {})


async def _added(plan: Plan, upstream: Child, sides: Sides, delay_ms: int, bars: Mapping[str, float]) -> list[Figure]:
    load = whole(PROMPT_CHARS, delay_ms=delay_ms)
    direct: list[Run] = []
    through: dict[str, list[Run]] = {name: [] for name in sides.named()}
    for _ in range(plan.rounds):
        direct.append(await _paced(plan, upstream, load))
        for name, child in sides.named().items():
            through[name].append(await _paced(plan, child, load))
    kind = f"after_{delay_ms}_ms" if delay_ms else "at_once"
    where = f"{plan.paced_per_s} requests/s, answers {f'after {delay_ms} ms' if delay_ms else 'at once'}"
    figures = []
    for share, label in ((0.50, "p50"), (0.99, "p99")):
        base = [_latency_ms(run, share) for run in direct]
        figures.append(figure(f"direct_{label}_{kind}", f"upstream alone, latency {label}, {where}", "ms", base))
        for name, runs in through.items():
            added = [_latency_ms(run, share) - least for run, least in zip(runs, base, strict=True)]
            what = f"{name}, added latency {label}, {where}"
            bar = bars.get(label) if name == "gateway" else None
            figures.append(figure(f"{name}_added_{label}_{kind}", what, "ms", added, bar=bar))
    return figures


async def ask_once(plan: Plan, child: Child) -> None:
    """One request, so that a program that has just started has everything in memory that it needs."""
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(whole(PROMPT_CHARS), 1, concurrency=1)


async def _paced(plan: Plan, child: Child, load: Load) -> Run:
    async with Clients(child, patience_s=plan.patience_s) as clients:
        await clients.closed_loop(load, plan.concurrency, concurrency=min(8, plan.concurrency))
        return await clients.open_loop(load, plan.paced_requests, per_s=plan.paced_per_s)


def per_chunk_us(short: Sequence[Spent], long: Sequence[Spent]) -> list[float]:
    """CPU of one chunk: what a stream of `CHUNKS` takes more than one of a single chunk, round by round."""
    return [(many.cpu_us - one.cpu_us) / (CHUNKS - 1) for one, many in zip(short, long, strict=True)]


def _latency_ms(run: Run, share: float) -> float:
    return percentile(run.latencies_s, share) * 1e3
