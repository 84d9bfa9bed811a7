"""Drift: false alarms over stable streams against what the budget allows, and how soon a drop is found."""

from collections.abc import Callable, Iterator
from random import Random
from statistics import median
from typing import NamedTuple, TypeAlias

from routewright.decision.drift import MONTH_NS, Quantity, Rules, Seen, Stream

STREAMS = 1_000
SET = 50
"""Streams that share a budget: ten models of five."""
BUDGET = 0.1
"""The default: false alarms of a set in 30 days."""
SMALLEST_CHANGE = 0.01
"""The default, too: what is less off raises no alarm."""
LOOSE = 2.5
"""A budget so large that some are expected, to see that it is a bound and is used."""
OUTCOMES = 10_000
"""Of a stream in 30 days."""
REFERENCE = 2_000
STEP_NS = MONTH_NS // OUTCOMES
LONGEST = 4_000
GOOD, WORSE = 0.95, 0.88
FIRST_DAY = 31 / 30
"""A reference costs the share of a day."""

Draw: TypeAlias = Callable[[Random], float]
"""Draws a stream's next value."""


class Watched(NamedTuple):
    """What came of many streams."""

    what: str
    bar: str
    """Empty where none was set."""
    measured: str
    is_met: bool


def false_alarms(streams: int = STREAMS) -> Iterator[Watched]:
    """Of so many stable streams in five ways. The bar is on what is expected, so few streams say little."""
    yield _false_alarms(streams, BUDGET, f"outcomes, {GOOD:.0%} good", Quantity.SUCCESS, _outcomes(GOOD))
    for rate in (0.5, GOOD, 0.99):
        yield _false_alarms(streams, LOOSE, f"outcomes, {rate:.0%} good", Quantity.SUCCESS, _outcomes(rate))
    yield _false_alarms(streams, LOOSE, "lengths of answers, log-normal", Quantity.LENGTH, _lengths(1.0))


def delays(streams: int = STREAMS) -> Iterator[Watched]:
    """From a change to its alarm, over so many streams in four ways."""
    for stable in (0, 2_000, 5_000):
        change = f"a drop from {GOOD:.0%} to {WORSE:.0%}"
        yield _delay(streams, change, Quantity.SUCCESS, stable, _outcomes(GOOD), _outcomes(WORSE), bar=400)
    change = "answers being a quarter longer"
    yield _delay(streams, change, Quantity.LENGTH, 2_000, _lengths(1.0), _lengths(1.25))


def _outcomes(rate: float) -> Draw:
    return lambda random: float(random.random() >= rate)


def _lengths(times: float) -> Draw:
    return lambda random: times * random.lognormvariate(6, 1)


def _false_alarms(streams: int, budget: float, what: str, quantity: Quantity, draw: Draw) -> Watched:
    raised = (
        _first_alarm(Random(f"{budget}{what}{number}"), quantity, budget, draw, draw, OUTCOMES, OUTCOMES)
        for number in range(streams)
    )
    false, allowed = sum(alarm is not None for alarm in raised), budget * FIRST_DAY * streams / SET
    return Watched(
        f"false alarms of {streams:,} stable streams of {OUTCOMES:,} {what}; budget {budget:g} for each {SET} streams",
        f"≤ {allowed:.1f}",
        str(false),
        is_met=false <= allowed,
    )


def _delay(
    streams: int, change: str, quantity: Quantity, stable: int, was: Draw, then: Draw, bar: int | None = None
) -> Watched:
    """From the change to the alarm; the longest there is, if it was raised before or not until then."""
    delays = []
    for number in range(streams):
        random = Random(f"{change}{stable}{number}")
        at = _first_alarm(random, quantity, BUDGET, was, then, stable, stable + LONGEST)
        delays.append(LONGEST if at is None or at < stable else at + 1 - stable)
    middle, late = median(delays), sorted(delays)[streams * 9 // 10]
    return Watched(
        f"values until {change} is found, {stable:,} values after the reference; budget {BUDGET:g} for {SET} streams",
        "" if bar is None else f"median ≤ {bar}",
        f"median {middle:.0f}; 9 of 10 within {late}",
        is_met=bar is None or middle <= bar,
    )


def _first_alarm(
    random: Random, quantity: Quantity, budget: float, was: Draw, then: Draw, change: int, length: int
) -> int | None:
    """Which value after the reference raises it, counted from 0; after `change` of them they are drawn by `then`."""
    stream, share = Stream(quantity), budget / SET / MONTH_NS
    rules = Rules(reference=REFERENCE, smallest_change=SMALLEST_CHANGE)
    for number in range(-REFERENCE, length):
        value = (was if number < change else then)(random)
        if stream.see(Seen(value, (REFERENCE + number) * STEP_NS, ""), rules, share) is not None:
            return number
    return None
