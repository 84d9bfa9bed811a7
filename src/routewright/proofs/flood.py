"""M06 on the simulated clock: one tenant asks for ten times as much as all others together; what do the others notice?

Without the flood the place is used to a fifth; with it, more than twice what it can do is asked of it. Either the
settings say what it takes at once, or that has to be learned from its refusals. What protects the others is the order
in which calls wait for their turn. Everything counts, also what was asked for before the limit was learned.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path
from random import Random

from msgspec import Struct

from routewright.proofs.simulation import Asked, World, quantile
from routewright.tenant import Tenant

OTHERS = [Tenant(key=f"quiet-{number}") for number in range(4)]
FLOODING = Tenant(key="flooding")
TIMES = 10
LOAD = 0.2
"""Of what the place can do, that of the others together."""
WORKERS = 40
FLOODED_S = 300.0
PATIENCE_S = 30.0


class Flood(Struct, frozen=True, kw_only=True):
    """One, and what the others noticed of it."""

    seed: int
    is_told: bool
    """The settings say what the place takes at once."""
    total_ratio: float
    """p99 of the time to the whole answer over that without the flood."""
    first_added_s: float
    """p99 of the time to the first word of streams, less that without the flood."""
    success: float
    flood_success: float
    """Of the flood's own requests; what the place can do is less than half of them."""


def measure(folder: Path, seed: int, count: int, *, told: Callable[[], object] = lambda: None) -> list[Flood]:
    """So many floods, at a place whose limit is known and at one where it is not."""
    random, found = Random(seed), []
    for number, (_, is_told) in enumerate(product(range(count), (True, False))):
        found.append(measure_one(folder / str(number), random.randrange(1 << 32), is_told=is_told))
        told()
    return found


def measure_one(folder: Path, seed: int, *, is_told: bool, lasts_s: float = FLOODED_S) -> Flood:
    """The same minutes with a flood and without."""
    concurrency = WORKERS if is_told else None
    alone, amid = (
        World(folder / name, seed, places=1, workers=WORKERS, concurrency=concurrency) for name in ("alone", "amid")
    )
    usual, _ = _run(alone, lasts_s, times=0)
    found, flood = _run(amid, lasts_s, times=TIMES)
    return Flood(
        seed=seed,
        is_told=is_told,
        total_ratio=_p99(found, _total) / _p99(usual, _total),
        first_added_s=_p99(_streams(found), _first) - _p99(_streams(usual), _first),
        success=_success(found),
        flood_success=_success(flood),
    )


def _run(world: World, lasts_s: float, *, times: int) -> tuple[list[Asked], list[Asked]]:
    """Those of the others, and those of the flood, which asks for so many times as much."""
    usual = LOAD * world.places["p0"].capacity

    async def story() -> tuple[list[Asked], list[Asked]]:
        async with AsyncExitStack() as crowds:

            async def crowd(tenant: Tenant, rate: float) -> list[Asked]:
                traffic = world.traffic(lambda _: rate, patience_s=PATIENCE_S, streamed=0.7, tenant=tenant)
                return await crowds.enter_async_context(traffic)

            quiet = [await crowd(tenant, usual / len(OTHERS)) for tenant in OTHERS]
            flood = await crowd(FLOODING, usual * times) if times else []
            await asyncio.sleep(lasts_s)
        return [each for of_one in quiet for each in of_one], flood

    return world.clock.run(story())


def _streams(asked: Sequence[Asked]) -> list[Asked]:
    return [each for each in asked if each.is_stream]


def _total(asked: Asked) -> float:
    return asked.total_s


def _first(asked: Asked) -> float:
    return asked.first_s


def _p99(asked: Sequence[Asked], of: Callable[[Asked], float]) -> float:
    return quantile([of(each) for each in asked], 0.99)


def _success(asked: Sequence[Asked]) -> float:
    return sum(each.is_success for each in asked) / len(asked)
