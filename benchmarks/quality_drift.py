"""Drift: false alarms over stable streams against what the budget allows, and how soon a drop is found."""

from collections.abc import Iterator
from random import Random
from statistics import median

from benchmarks.quality import Figure

from routewright.decision.drift import MONTH_NS, Quantity, Rules, Seen, Stream

STREAMS = 1_000
SET = 50
"""Streams that share a budget: ten models of five."""
BUDGET = 0.1
"""The default: false alarms of a set in 30 days."""
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


def figures(_: object) -> Iterator[Figure]:
    """All figures of drift; no recorded data is needed."""
    yield _false_alarms(BUDGET, GOOD)
    for rate in (0.5, GOOD, 0.99):
        yield _false_alarms(LOOSE, rate)
    for stable in (0, 2_000, 5_000):
        yield _delay(stable)


def _false_alarms(budget: float, rate: float) -> Figure:
    raised = (
        _first_alarm(Random(f"{budget}{rate}{number}"), budget, rate, rate, OUTCOMES, OUTCOMES)
        for number in range(STREAMS)
    )
    false, allowed = sum(alarm is not None for alarm in raised), budget * FIRST_DAY * STREAMS / SET
    what = (
        f"false alarms of {STREAMS:,} stable streams of {OUTCOMES:,} outcomes, {rate:.0%} good; "
        f"budget {budget:g} for each {SET} streams"
    )
    return Figure(what, f"≤ {allowed:.1f}", str(false), is_met=false <= allowed)


def _delay(stable: int) -> Figure:
    """From the change to the alarm; the longest there is, if it was raised before or not until then."""
    delays = []
    for number in range(STREAMS):
        at = _first_alarm(Random(f"{stable}{number}"), BUDGET, GOOD, WORSE, stable, stable + LONGEST)
        delays.append(LONGEST if at is None or at < stable else at + 1 - stable)
    middle, late = median(delays), sorted(delays)[STREAMS * 9 // 10]
    what = (
        f"outcomes until a drop from {GOOD:.0%} to {WORSE:.0%} is found that comes {stable:,} outcomes after the "
        f"reference; budget {BUDGET:g} for {SET} streams"
    )
    return Figure(what, "median ≤ 400", f"median {middle:.0f}; 9 of 10 within {late}", is_met=middle <= 400)


def _first_alarm(random: Random, budget: float, good: float, then: float, change: int, length: int) -> int | None:
    """Which outcome after the reference raises it, counted from 0; after `change` of them, `then` is the rate."""
    stream, rules, share = Stream(Quantity.SUCCESS), Rules(reference=REFERENCE), budget / SET / MONTH_NS
    chance = random.random
    for number in range(-REFERENCE, length):
        bad = 1.0 if chance() >= (good if number < change else then) else 0.0
        if stream.see(Seen(bad, (REFERENCE + number) * STEP_NS, ""), rules, share) is not None:
            return number
    return None
