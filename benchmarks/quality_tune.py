"""Whether `tune` keeps its promises, and what they cost: 1,000 ledgers drawn from outcomes of which all is known.

Of each table one half is learned from. The other is the world: a ledger is drawn from it with replacement, and what a
policy is worth there is its mean over all of it, as it would be over any number of fresh requests. The policies are
those that `tune` tries for a forecast: floors, and matches with the best single model.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.quality import Figure
from msgspec.structs import replace
from numpy.typing import NDArray

from routewright.cli.evaluating import expectations, learner_of
from routewright.cli.outcome_tables import Table, read_tables
from routewright.decision.calibration import choices_at
from routewright.decision.evaluation import IntArray, complete
from routewright.decision.odds import FloatArray
from routewright.decision.pledge import Pledge, Watch
from routewright.decision.promise import Trials, find, left_of
from routewright.tuning import FLOORS, WITHIN

RUNS = 1_000
TABLES = ("routellm_mmlu", "ulab_mixed", "mmlu_pro")
PLEDGES = (Pledge(0.02), Pledge(0.05))
SIZES = (1_000, 4_000, 40_000)
"""Outcomes in a ledger; the bar for the saving is held against the last."""
DRAWN = 20_000
"""Outcomes in a ledger whose choices were drawn by chance."""
STREAM = 10_000
BROKEN_BY_LUCK = 0.05
NEAR_BEST = 0.9
ONE_SIDED = 1.645
"""Whoever knows the truth of each policy, and tests the best one alone, needs so many standard errors to be 95 % sure,
half of the time: what so many outcomes can prove."""
DELAYS = 200


class World(NamedTuple):
    """All that is true of a table: k policies, n prompts, the baseline."""

    name: str
    model: str
    scores: FloatArray
    """[k, n]."""
    costs: FloatArray
    success: FloatArray
    """[k, n]: expected of the choice."""
    is_baseline: NDArray[np.bool_]
    """[k, n]: whether the choice is the baseline."""
    baseline_scores: FloatArray
    baseline_costs: FloatArray
    baseline_success: FloatArray

    def left(self, pledge: Pledge) -> FloatArray:
        """[k]: what each policy's promise leaves, in truth."""
        return np.asarray(left_of(pledge, self.scores, self.baseline_scores).mean(axis=1))

    @property
    def savings(self) -> FloatArray:
        """[k], in truth."""
        return np.asarray(1 - self.costs.mean(axis=1) / self.baseline_costs.mean())

    def ledger(self, rows: IntArray, pledge: Pledge) -> Trials:
        """What a ledger has of these prompts, when all answers were compared."""
        return Trials(
            scores=self.scores[:, rows],
            costs=self.costs[:, rows],
            baseline_scores=self.baseline_scores[rows],
            baseline_costs=self.baseline_costs[rows],
            worst=1 - pledge.within,
        )


def world_of(table: Table) -> World:
    """Learn from one half, look at the other."""
    half = np.random.default_rng(5).random(len(table.prompts)) < 0.5
    table = replace(table, is_train=tuple(half.tolist()))
    rows = complete(table.scores[table.dev], table.costs[table.dev])
    scores, costs = table.scores[table.dev][rows], table.costs[table.dev][rows]
    success, expected_cost = (each[rows] for each in expectations(table, learner_of(None)))
    best = int(scores.mean(axis=0).argmax())
    chosen = [choices_at(floor, success, expected_cost) for floor in FLOORS]
    chosen += [
        np.argmin(np.where(success >= (1 - within) * success[:, [best]], expected_cost, np.inf), axis=1)
        for within in WITHIN
    ]
    policies = np.unique(np.array(chosen), axis=0)
    at = np.arange(len(scores))
    return World(
        name=table.name,
        model=table.models[best],
        scores=scores[at, policies],
        costs=costs[at, policies],
        success=success[at, policies],
        is_baseline=policies == best,
        baseline_scores=scores[:, best],
        baseline_costs=costs[:, best],
        baseline_success=success[:, best],
    )


def figures(data: Path) -> Iterator[Figure]:
    """All of them, as they come."""
    worlds = [world_of(table) for table in read_tables(data) if table.name in TABLES]
    for world in worlds:
        for pledge in PLEDGES:
            for size in SIZES:
                yield from _compared(world, pledge, size)
    yield _drawn(next(world for world in worlds if world.name == "routellm_mmlu"), PLEDGES[1])
    for world in worlds:
        yield from _watched(world, PLEDGES[0])


def _named(world: World, pledge: Pledge) -> str:
    return f"`{world.name}`, at most {pledge.within:.0%} worse than {world.model}"


def _compared(world: World, pledge: Pledge, size: int) -> Iterator[Figure]:
    rng = np.random.default_rng((1, size))
    left, savings = world.left(pledge), world.savings
    best = float(savings[left >= 0].max())
    spread = left_of(pledge, world.scores, world.baseline_scores).std(axis=1) / np.sqrt(size)
    provable = float(savings[left >= ONE_SIDED * spread].max())
    found = [
        find(world.ledger(rng.integers(len(world.baseline_scores), size=size), pledge), pledge) for _ in range(RUNS)
    ]
    kept = [each for each in found if each.policy is not None]
    broken = sum(bool(left[each.policy] < -1e-9) for each in kept) / RUNS
    saved = sum(float(savings[each.policy]) for each in kept) / RUNS
    covered = sum(
        each.saving is not None and each.saving.low <= savings[each.policy] <= each.saving.high for each in kept
    )
    named = f"{_named(world, pledge)}, {size:,} outcomes"
    yield Figure(f"{named}: broken on fresh data", "≤ 5 %", f"{broken:.1%}", broken <= BROKEN_BY_LUCK)
    told = f"{saved / best:.0%} of {best:.1%}, {saved / provable:.0%} of what so many can prove; "
    told = f"{told}nothing promised in {1 - len(kept) / RUNS:.0%}"
    if kept:
        told = f"{told}; its own interval is right in {covered / len(kept):.0%}"
    bar = "≥ 90 % of the best" if size == SIZES[-1] else ""
    yield Figure(f"{named}: saved", bar, told, saved / best >= NEAR_BEST)


def _drawn(world: World, pledge: Pledge) -> Figure:
    """Each first choice is drawn from both models, evenly, and only that answer is judged."""
    rng = np.random.default_rng(2)
    left, broken, proven = world.left(pledge), 0, 0
    for _ in range(RUNS):
        rows = rng.integers(len(world.baseline_scores), size=DRAWN)
        is_baseline = world.is_baseline[:, rows]
        to_baseline = rng.random(DRAWN) < 0.5
        seen = is_baseline == to_baseline
        success, expected = world.success[:, rows], world.baseline_success[rows]
        trials = Trials(
            scores=success + seen * (world.scores[:, rows] - success) / 0.5,
            costs=world.costs[:, rows],
            baseline_scores=expected + to_baseline * (world.baseline_scores[rows] - expected) / 0.5,
            baseline_costs=world.baseline_costs[rows],
            worst=1 / 0.5 - pledge.within,
        )
        policy = find(trials, pledge).policy
        proven += policy is not None
        broken += bool(policy is not None and left[policy] < -1e-9)
    share = broken / RUNS
    what = f"{_named(world, pledge)}, {DRAWN:,} choices drawn by chance, one answer judged of each: broken"
    measured = f"{share:.1%}; something promised in {proven / RUNS:.0%}"
    return Figure(what, "≤ 5 %", measured, share <= BROKEN_BY_LUCK)


def _watched(world: World, pledge: Pledge) -> Iterator[Figure]:
    """The policy whose promise is nearest to broken; then one whose promise is broken by far."""
    rng = np.random.default_rng(3)
    left = world.left(pledge)
    holding = int(np.where(left >= 0, left, np.inf).argmin())
    breaking = int(np.abs(left + 0.05).argmin())
    each = left_of(pledge, world.scores[[holding, breaking]], world.baseline_scores)
    alarms, delays = 0, []
    for run in range(RUNS):
        drawn = rng.integers(len(world.baseline_scores), size=STREAM)
        watch = Watch(pledge=pledge).after(each[0, drawn])
        alarms += watch.is_broken
        if run < DELAYS:
            delays.append(_delay(Watch(pledge=pledge).after(each[0, drawn[:2_000]]), each[1], rng))
    share = alarms / RUNS
    yield Figure(
        f"{_named(world, pledge)}, watched over {STREAM:,} comparisons while it holds (by {left[holding]:.4f})",
        "≤ 5 %",
        f"called broken in {share:.1%}",
        share <= BROKEN_BY_LUCK,
    )
    told = f"median {np.median(delays):,.0f} comparisons"
    yield Figure(f"the same, broken by {-left[breaking]:.3f} after 2,000: found", "", told)


def _delay(watch: Watch, left: FloatArray, rng: np.random.Generator) -> int:
    begun = watch.outcomes
    while not watch.is_broken and watch.outcomes < STREAM:
        watch = watch.after(left[rng.integers(len(left), size=50)])
    return watch.outcomes - begun
