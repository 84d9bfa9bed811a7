"""What a request costs in the core: `python benchmarks/hot_path.py [--profile] [--prompt-chars N] [--journal DIR]`.

The whole stack with its real ledger (journal, threads, SQLite) and everything of the gateway but sockets: a body is
read in its dialect, `Engine.ask` decides, holds, asks and settles, and the answer is read to its end. A provider that
answers from constants, in this process, stands behind it. CPU microseconds a request (user and system), of the event
loop's thread and of all threads, the drain included; the best of the rounds, since whatever disturbs makes it slower.

The ledger lies in memory unless `--journal` says otherwise, so that the disk is not measured; `--profile` prints where
the event loop's thread spends its time, and `--allocations` what objects a request leaves for the garbage collector.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from routewright.bench.decision import decision_us
from routewright.bench.processes import Child, environment
from routewright.bench.questions import chat_body, prompts
from routewright.bench.settings import write_settings
from routewright.bench.upstream import WHOLE
from routewright.call import Options
from routewright.dialects.known import DOWNSTREAMS
from routewright.dialects.wire import WireRequest
from routewright.http1.pulled import Pulled
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.transport import WireResponse

_, _, _ANSWER = WHOLE.partition(b"\r\n\r\n")
CONCURRENCY = 16
DRAIN_S = 0.3


class _Answered(Pulled):
    """A whole answer that has come."""

    status = 200
    headers: Mapping[str, str] = {"content-type": "application/json", "x-request-id": "req_bench"}

    def __init__(self) -> None:
        self._pieces = [_ANSWER]

    async def next(self) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    def abort(self) -> None:
        pass


class _Provider(Simulator):  # the one transport that a runtime can be given
    """Answers at once, and always the same; with one turn of the loop in between, as a socket would have."""

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> WireResponse:  # type: ignore[override]
        await asyncio.sleep(0)
        return _Answered()


def open_runtime(folder: Path) -> Runtime:
    """A gateway's runtime on the benchmark's settings, its providers replaced by `_Provider`."""
    config = write_settings(folder, Child(name="none", pid=0, host="127.0.0.1", port=9))
    source = SettingsSource(environ=environment(folder), cwd=folder, config=config, simulate=True)
    return Runtime.open(source, simulator=_Provider())


async def requests(runtime: Runtime, bodies: list[bytes], count: int) -> None:
    """So many requests, `CONCURRENCY` at a time."""
    engine, dialect = runtime.engine, DOWNSTREAMS["openai_chat"]
    left = iter(range(count))

    async def ask_on() -> None:
        for number in left:
            call = dialect.read(bodies[number % len(bodies)], request_id=engine.mint_id(), options=Options())
            reply = await engine.ask(call)
            while await reply.next():
                pass

    async with asyncio.TaskGroup() as askers:
        for _ in range(CONCURRENCY):
            askers.create_task(ask_on())


async def measured(work: Callable[[], Awaitable[None]], count: int) -> tuple[float, float]:
    """CPU microseconds per request: of this thread, and of the process."""
    thread, process = time.thread_time_ns(), time.process_time_ns()
    await work()
    thread = time.thread_time_ns() - thread
    await asyncio.sleep(DRAIN_S)
    return thread / count / 1000, (time.process_time_ns() - process) / count / 1000


async def main(arguments: argparse.Namespace, folder: Path) -> None:
    runtime = open_runtime(folder)
    bodies = [chat_body(prompt) for prompt in prompts(arguments.prompt_chars)]
    try:
        await requests(runtime, bodies, 500)
        rounds = [
            await measured(lambda: requests(runtime, bodies, arguments.requests), arguments.requests)
            for _ in range(arguments.rounds)
        ]
        own = min(thread for thread, _ in rounds)
        print(f"event loop {own:6.1f} µs   all threads {min(whole for _, whole in rounds):6.1f} µs   a request")
        if arguments.profile:
            await profile(runtime, bodies, arguments.requests)
        if arguments.allocations:
            await allocations(runtime, bodies)
    finally:
        await runtime.close()


async def profile(runtime: Runtime, bodies: list[bytes], count: int) -> None:
    """Where the event loop's thread spends its time; the profiler makes calls dearer, so these are shares."""
    profiler = cProfile.Profile()
    profiler.enable()
    await requests(runtime, bodies, count)
    profiler.disable()
    pstats.Stats(profiler).strip_dirs().sort_stats("cumtime").print_stats(90)


async def allocations(runtime: Runtime, bodies: list[bytes]) -> None:
    """Objects that the garbage collector must look at, of one request, by type."""
    gc.collect()
    gc.disable()
    before = Counter(type(each).__name__ for each in gc.get_objects())
    await requests(runtime, bodies, 100)
    left = Counter(type(each).__name__ for each in gc.get_objects()) - before
    gc.enable()
    print(f"{left.total() / 100:.1f} objects a request wait for the collector: {left.most_common(12)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt-chars", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--journal", type=Path, default=Path("/dev/shm"))  # noqa: S108 - a folder of our own in it
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--allocations", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="routewright-hot-", dir=given.journal) as name:
        place = Path(name)
        uvloop.run(main(given, place))
        alone = min(decision_us(place / "routewright.toml", prompt_chars=given.prompt_chars, decisions=1_000, rounds=9))
        print(f"of that, the decision {alone:5.1f} µs")
