"""F6: outages of a minute, of every place and of the primary alone, on the simulated clock: how soon all is well again.

A success is a request answered in full. Nobody repairs anything: the providers come back, and the rest is ours. While
another place or model serves, the dead primary may be probed once in five seconds; where nobody serves, it is asked
once a second, or nobody would know that it is back.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from random import Random

from msgspec import Struct

from routewright.proofs.simulation import Asked, Condition, Failure, World

OUTAGE_S = 60.0
BEFORE_S, AFTER_S = 20.0, 20.0
FULL_AFTER_S = 5.0
PATIENCE_S = 30.0
FAILURES: tuple[Failure, ...] = ("error", "refuse", "silent")


class Outage(Struct, frozen=True, kw_only=True):
    """One that is tried."""

    seed: int
    failure: Failure
    places: int
    """Of the model."""
    has_fallback: bool
    """Another model serves elsewhere; it is never down, and only the primary then is."""
    is_of_all: bool
    rate: float
    """Requests a second."""


class Recovery(Struct, frozen=True, kw_only=True):
    """What became of it; seconds after the outage's end."""

    outage: Outage
    first_success_s: float
    """When the first that was answered had asked."""
    served: float
    """The share of those that asked from five seconds on that were answered in full."""
    probes: int
    """What the primary was asked in the outage after its circuit had opened."""
    back_s: float
    """When the primary answered again."""
    during: float
    """The share of those that asked during the outage that were answered."""


def outages(seed: int, count: int) -> Iterator[Outage]:
    """Every failure of all places and of the primary, at random loads."""
    random = Random(seed)
    shapes = [(places, True, False) for places in (1, 2, 3, 5)] + [
        (2, False, False),
        (3, False, False),
        (1, False, True),
    ]
    for number, (failure, (places, is_of_all, has_fallback)) in product(range(count), product(FAILURES, shapes)):
        yield Outage(
            seed=random.randrange(1 << 32) + number,
            failure=failure,
            places=places,
            has_fallback=has_fallback,
            is_of_all=is_of_all,
            rate=random.choice((2.0, 10.0, 25.0)),
        )


def measure(folder: Path, tried: Iterable[Outage], told: Callable[[], object] = lambda: None) -> list[Recovery]:
    """Try each of these."""
    recoveries = []
    for number, outage in enumerate(tried):
        recoveries.append(try_outage(folder / str(number), outage))
        told()
    return recoveries


def try_outage(folder: Path, outage: Outage) -> Recovery:
    """One of them."""
    world = World(folder, outage.seed, places=outage.places, has_fallback=outage.has_fallback)
    names = [name for name in world.places if name.startswith("p")] if outage.is_of_all else ["p0"]

    async def story() -> tuple[float, list[Asked]]:
        async with world.traffic(lambda _: outage.rate, patience_s=PATIENCE_S, streamed=0.7) as asked:
            await asyncio.sleep(BEFORE_S)
            world.become(Condition(failing=1, failure=outage.failure), *names)
            await asyncio.sleep(OUTAGE_S)
            world.become(Condition(), *names)
            ended_at = world.clock.monotonic()
            await asyncio.sleep(AFTER_S + OUTAGE_S)  # a primary beside others may rest for a minute
        return ended_at, asked

    ended_at, asked = world.clock.run(story())
    after = [each for each in asked if ended_at <= each.began_at < ended_at + AFTER_S]
    late = [each for each in after if each.began_at >= ended_at + FULL_AFTER_S]
    meanwhile = [each for each in asked if ended_at - OUTAGE_S <= each.began_at < ended_at]
    primary = world.places["p0"]
    return Recovery(
        outage=outage,
        first_success_s=min((each.began_at - ended_at for each in after if each.is_success), default=AFTER_S),
        served=sum(each.is_success for each in late) / len(late),
        probes=sum(ended_at - OUTAGE_S <= at < ended_at for at in primary.probes),
        back_s=min((at - ended_at for at in primary.arrivals if at >= ended_at), default=AFTER_S + OUTAGE_S),
        during=sum(each.is_success for each in meanwhile) / max(1, len(meanwhile)),
    )
