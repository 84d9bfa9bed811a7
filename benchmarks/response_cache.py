"""What the response cache costs and saves: CPU time of a request of 1 KB through the engine and the ledger.

    python benchmarks/response_cache.py [ROUNDS]

`off` is the default configuration; `miss` looks, finds nothing and keeps the answer; `hit` is answered from the cache.
The rounds of all kinds take turns, and the median is printed with the least and the most.
"""

import asyncio
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

from routewright.bench.questions import chat_body, prompts
from routewright.call import Call, Options
from routewright.dialects.known import DOWNSTREAMS
from routewright.engine import Engine
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

CALLS = 200
PROMPT_CHARS = 1_000
KINDS = {
    "off": {},
    "miss, memory": {"cache.routes": ["all"], "cache.store": "memory"},
    "hit, memory": {"cache.routes": ["all"], "cache.store": "memory"},
    "miss, sqlite": {"cache.routes": ["all"], "cache.store": "sqlite"},
    "hit, sqlite": {"cache.routes": ["all"], "cache.store": "sqlite"},
}
_numbers = count()


def questions(*, are_new: bool) -> list[Call]:
    """As many calls as a round has; new ones, or the same every time."""
    dialect, texts = DOWNSTREAMS["openai_chat"], prompts(PROMPT_CHARS)
    numbers = _numbers if are_new else range(CALLS)
    bodies = [
        chat_body(f"{number} {texts[at % len(texts)]}") for at, number in zip(range(CALLS), numbers, strict=False)
    ]
    return [dialect.read(body, request_id=f"bench-{next(_numbers)}", options=Options()) for body in bodies]


async def one_round(engine: Engine, calls: list[Call]) -> float:
    """CPU microseconds of a request."""
    begun = time.process_time_ns()
    for call in calls:
        await (await engine.ask(call)).read()
    return (time.process_time_ns() - begun) / len(calls) / 1000


async def main(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        runtimes = {}
        for kind, flags in KINDS.items():
            home = {"HOME": str(Path(folder) / kind)}
            source = SettingsSource(environ=home, cwd=Path(folder), flags=flags, simulate=True)
            runtimes[kind] = Runtime.open(source, simulator=Simulator(time_scale=0))
        told: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(rounds + 1):
            for kind, runtime in runtimes.items():
                took = await one_round(runtime.engine, questions(are_new=not kind.startswith("hit")))
                if number:  # the first round fills caches, this one too
                    told[kind].append(took)
        for runtime in runtimes.values():
            await runtime.close()
        for kind, times in told.items():
            print(f"{kind:14} {median(times):6.0f} ({min(times):.0f}–{max(times):.0f}) µs CPU")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
