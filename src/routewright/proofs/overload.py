"""F8: what an outage is multiplied by, and whether all is well by itself afterwards, on the simulated clock.

A trigger of a minute hits places that are used to four fifths of what they can do: they fail, refuse, fall silent, are
ten times slower, or three times as many clients come. Clients lose patience, and what they have left is worked on all
the same. That is how services stay down after what brought them down is over (N. Bronson and others, "Metastable
Failures in Distributed Systems", 2021). Goodput is the share of the clients that are answered in full.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

from msgspec import Struct

from routewright.proofs.simulation import WELL, Asked, Condition, World

Trigger: TypeAlias = Literal["error", "refuse", "overloaded", "silent", "half overloaded", "slow", "crowd"]
CONDITIONS: dict[Trigger, Condition] = {
    "error": Condition(failing=1),
    "refuse": Condition(failing=1, failure="refuse"),
    "overloaded": Condition(failing=1, failure="overloaded"),
    "silent": Condition(failing=1, failure="silent"),
    "half overloaded": Condition(failing=0.5, failure="overloaded"),
    "slow": Condition(slower=10),
    "crowd": WELL,
}
TRIGGER_S = 60.0
BEFORE_S = 20.0
WITHIN_S = 10.0
WATCHED_S = 30.0
LOAD = 0.8
CROWD = 3.0


class Overload(Struct, frozen=True, kw_only=True):
    """One trigger, and what became of it."""

    seed: int
    trigger: Trigger
    places: int
    patience_s: float
    is_total: bool
    """Nothing was answered while it lasted."""
    attempts_per_request: float
    """While it lasted."""
    goodput: float
    """Of the half minute that begins ten seconds after its end."""
    during: float
    """Goodput while it lasted."""


def measure(
    folder: Path,
    seed: int,
    count: int,
    *,
    places: Sequence[int] = (1, 3),
    patience_s: Sequence[float] = (10.0, 30.0),
    workers: int = 40,
    told: Callable[[], object] = lambda: None,
) -> list[Overload]:
    """Pull every trigger so many times, at so many places, with clients of little patience and of more."""
    random, found = Random(seed), []
    cases = product(range(count), CONDITIONS, places, patience_s)
    for number, (_, trigger, size, patience) in enumerate(cases):
        found.append(
            measure_one(
                folder / str(number),
                random.randrange(1 << 32),
                trigger,
                places=size,
                patience_s=patience,
                workers=workers,
            )
        )
        told()
    return found


def measure_one(folder: Path, seed: int, trigger: Trigger, *, places: int, patience_s: float, workers: int) -> Overload:
    """Pull one."""
    world = World(folder, seed, places=places, workers=workers)
    usual = LOAD * places * world.places["p0"].capacity
    ends_at = BEFORE_S + TRIGGER_S

    def rate(now: float) -> float:
        is_crowd = trigger == "crowd" and BEFORE_S <= now < ends_at
        return usual * (CROWD if is_crowd else 1.0)

    async def story() -> tuple[int, list[Asked]]:
        async with world.traffic(rate, patience_s=patience_s, streamed=0.7) as asked:
            await asyncio.sleep(BEFORE_S)
            before = world.attempts
            world.become(CONDITIONS[trigger])
            await asyncio.sleep(TRIGGER_S)
            world.become(WELL)
            attempts = world.attempts - before
            await asyncio.sleep(WITHIN_S + WATCHED_S)
        return attempts, asked

    attempts, asked = world.clock.run(story())
    during = [each for each in asked if BEFORE_S <= each.began_at < ends_at]
    after = [each for each in asked if ends_at + WITHIN_S <= each.began_at]
    return Overload(
        seed=seed,
        trigger=trigger,
        places=places,
        patience_s=patience_s,
        is_total=CONDITIONS[trigger].failing >= 1,
        attempts_per_request=attempts / len(during),
        goodput=sum(each.is_success for each in after) / len(after),
        during=sum(each.is_success for each in during) / len(during),
    )
