"""What asking from Python costs: `await router.ask(…)`, the ledger included, without a gateway in between."""

import asyncio
import time
from pathlib import Path

from routewright.bench.processes import environment
from routewright.bench.questions import prompts
from routewright.client import Router

DRAIN_S = 0.3
"""The ledger's own threads work on for a moment after the last answer."""


async def library_us(config: Path, *, prompt_chars: int, calls: int, concurrency: int, rounds: int) -> list[float]:
    """CPU microseconds of this process per call, per round; one round before them is not counted.

    Run it on uvloop, as the gateway runs.
    """
    questions = prompts(prompt_chars)
    async with Router(config=config, environ=environment(config.parent)) as router:

        async def one_round() -> float:
            left = iter(range(calls))

            async def ask_on() -> None:
                for number in left:
                    await router.ask(questions[number % len(questions)])

            begun = time.process_time_ns()
            async with asyncio.TaskGroup() as askers:
                for _ in range(concurrency):
                    askers.create_task(ask_on())
            await asyncio.sleep(DRAIN_S)
            return (time.process_time_ns() - begun) / calls / 1000

        await one_round()
        return [await one_round() for _ in range(rounds)]
