"""F7: one of three places browned out for ten minutes, on the simulated clock, against the same minutes in health.

It is ten times slower; or three of ten requests fail; or every stream falls silent for ten seconds in its middle.
Everything counts, also what was under way when it began. Told as well, without a goal: streams that fall silent for
ever. What a client has seen the beginning of cannot be begun again elsewhere, so all that is under way then is lost.
"""

import asyncio
from collections.abc import Callable
from itertools import product
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

from msgspec import Struct

from routewright.proofs.simulation import Asked, Condition, World, quantile

Kind: TypeAlias = Literal["slow", "errors", "stalls", "hangs"]
CONDITIONS: dict[Kind, Condition] = {
    "slow": Condition(slower=10),
    "errors": Condition(failing=0.3),
    "stalls": Condition(stall_s=10),
    "hangs": Condition(stall_s=3600),
}
RATES = (10.0, 30.0)
"""Requests a second."""
PLACES = 3
WARM_S = 60.0
BROWNED_S = 600.0
PATIENCE_S = 120.0
HEDGE_AFTER_MS = 1_500


class Brownout(Struct, frozen=True, kw_only=True):
    """One, and what clients noticed of it."""

    seed: int
    kind: Kind
    rate: float
    is_hedged: bool
    first_ratio: float
    """p99 of the time to the first word, streams only, over that in health."""
    total_ratio: float
    """p99 of the time to the whole answer over that in health."""
    success: float
    hedges: float
    """The share of the requests that were asked for twice."""
    share: float
    """Of the attempts, those that went to the place that was browned out."""


def measure(
    folder: Path,
    seed: int,
    count: int,
    *,
    kinds: tuple[Kind, ...] = ("slow", "errors", "stalls", "hangs"),
    rates: tuple[float, ...] = RATES,
    hedged: tuple[bool, ...] = (False, True),
    lasts_s: float = BROWNED_S,
    told: Callable[[], object] = lambda: None,
) -> list[Brownout]:
    """Brown a place out in every way, at every rate, with hedging and without, so many times each."""
    random, found = Random(seed), []
    healthy = {}
    for number, (turn, rate, is_hedged, kind) in enumerate(product(range(count), rates, hedged, kinds)):
        case = turn, rate, is_hedged
        if case not in healthy:
            one = random.randrange(1 << 32)
            healthy[case] = one, _run(folder / f"{number} in health", one, rate, is_hedged, Condition(), lasts_s)[0]
        one, well = healthy[case]
        asked, world = _run(folder / str(number), one, rate, is_hedged, CONDITIONS[kind], lasts_s)
        found.append(_compare(one, kind, rate, is_hedged, well, asked, world))
        told()
    return found


def _run(
    folder: Path, seed: int, rate: float, is_hedged: bool, condition: Condition, lasts_s: float
) -> tuple[list[Asked], World]:
    world = World(folder, seed, places=PLACES, hedge_after_ms=HEDGE_AFTER_MS if is_hedged else None)

    async def story() -> list[Asked]:
        async with world.traffic(lambda _: rate, patience_s=PATIENCE_S, streamed=0.8) as asked:
            await asyncio.sleep(WARM_S)
            world.become(condition, "p0")
            await asyncio.sleep(lasts_s)
        return asked

    asked = world.clock.run(story())
    # what was under way when it began is among them
    return [each for each in asked if each.began_at + each.total_s >= WARM_S], world


def _compare(
    seed: int, kind: Kind, rate: float, is_hedged: bool, well: list[Asked], asked: list[Asked], world: World
) -> Brownout:
    def ratio(of: Callable[[Asked], float], among: Callable[[Asked], bool]) -> float:
        usual = quantile([of(each) for each in well if among(each)], 0.99)
        return quantile([of(each) for each in asked if among(each)], 0.99) / usual

    return Brownout(
        seed=seed,
        kind=kind,
        rate=rate,
        is_hedged=is_hedged,
        first_ratio=ratio(lambda each: each.first_s, lambda each: each.is_stream),
        total_ratio=ratio(lambda each: each.total_s, lambda _: True),
        success=sum(each.is_success for each in asked) / len(asked),
        hedges=sum(times for (_, cause, _), times in world.engine.tally.attempts.items() if cause == "hedge")
        / len(asked),
        share=sum(at >= WARM_S for at in world.places["p0"].arrivals) / len(asked),
    )
