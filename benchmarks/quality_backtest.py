"""Whether the intervals of `backtest` cover the truth: 1,000 ledgers drawn from outcomes of which all is known.

The world is a table's prompts that nothing was learned from. A ledger is drawn from it with replacement; its choices
are those of one floor on the expected success, drawn by chance in a share of cases, and all that is logged is the
outcome of the choice that was made. What another floor is worth is its mean over the whole table. That is compared with
the interval of each estimator; direct replay is given the outcomes of all models, as only that is what it assumes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.quality import Figure

from routewright.cli.evaluating import expectations, learner_of
from routewright.cli.outcome_tables import Table, read_tables
from routewright.decision.backtest import Replayed, Resampler, Valuation, value_of
from routewright.decision.calibration import choices_at
from routewright.decision.evaluation import complete
from routewright.decision.odds import FloatArray

RUNS = 1_000
LEAST, MOST = 0.93, 0.97
ESTIMATORS = ("direct", "ips", "snips", "dr")


class Plan(NamedTuple):
    """How a ledger comes about."""

    table: str
    models: int
    share: float
    """Of the choices, drawn evenly from all models."""
    decisions: int
    logged: float = 0.2
    """The floor of the policy that made the choices, as a quantile of the success of each prompt's best model."""
    asked: float = 0.7
    """That of the other policy."""

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.table}, {self.models} models, {self.decisions:,} decisions, {self.share:.0%} of them drawn"


PLANS = (
    Plan("routellm_mmlu", 2, 0.2, 2_000),
    Plan("routellm_mmlu", 2, 1.0, 500),
    Plan("ulab_mixed", 3, 0.3, 4_000),
    Plan("mmlu_pro", 4, 0.5, 3_000, logged=0.7, asked=0.05),
)
A_LITTLE = Plan("mmlu_pro", 4, 0.5, 2_000)
"""Two of the models would be chosen in a few cases only, too few to say anything of them."""
SCARCE = Plan("mmlu_pro", 4, 0.02, 1_000)


class World(NamedTuple):
    """Prompts whose outcomes at every model are known: [n, m] each."""

    models: tuple[str, ...]
    scores: FloatArray
    costs: FloatArray
    success: FloatArray
    expected_costs: FloatArray


def world_of(table: Table, size: int) -> World:
    """The prompts that nothing is learned from, with `size` models of different mean scores."""
    means = np.nanmean(table.scores, axis=0)
    known = [at for at in np.argsort(means).tolist() if not np.isnan(table.costs[:, at]).all()]
    picked = [known[round(at)] for at in np.linspace(0, len(known) - 1, size)]
    small = table.only([table.models[at] for at in picked])
    success, cost = expectations(small, learner_of(None))
    scores, costs = small.scores[small.dev], small.costs[small.dev]
    rows = complete(scores, costs)
    return World(small.models, scores[rows], costs[rows], success[rows], cost[rows])


def floored(world: World, quantile: float) -> FloatArray:
    """[n, m]: one for the cheapest model whose expected success reaches the floor."""
    floor = float(np.quantile(world.success.max(axis=1), quantile))
    return np.eye(len(world.models))[choices_at(floor, world.success, world.expected_costs)]


def figures(data: Path) -> Iterator[Figure]:
    """Coverage of quality and cost, by estimator."""
    tables = {table.name: table for table in read_tables(data)}
    for plan in PLANS:
        world = world_of(tables[plan.table], plan.models)
        for what, outcomes, expected, bounds in (
            ("quality", world.scores, world.success, (0.0, 1.0)),
            ("cost", world.costs, world.expected_costs, None),
        ):
            found, truth = repeated(world, outcomes, expected, bounds, plan)
            spoke = [each for each in found if not each.missing]
            yield Figure(
                f"{what}: {plan.told}; enough data in {len(spoke):,} of {RUNS:,}",
                "93–97 % cover the truth",
                ", ".join(f"{by} {covered(spoke, by, truth):.1%} ± {width(spoke, by, truth):.1%}" for by in ESTIMATORS),
                all(LEAST <= covered(spoke, by, truth) <= MOST for by in ESTIMATORS),
            )
    world = world_of(tables[SCARCE.table], SCARCE.models)
    found, truth = repeated(world, world.scores, world.success, (0.0, 1.0), A_LITTLE)
    spoke = [each for each in found if each.by]
    without = float(np.mean([each.missing_share for each in spoke]))
    yield Figure(
        f"quality: {A_LITTLE.told}; {without:.1%} of the choices without enough data, in {len(spoke):,} of {RUNS:,}",
        "at least 93 % cover the truth",
        ", ".join(f"{by} {covered(spoke, by, truth):.1%} ± {width(spoke, by, truth):.1%}" for by in ESTIMATORS[1:]),
        all(covered(spoke, by, truth) >= LEAST for by in ESTIMATORS[1:]),
    )
    found, _ = repeated(world, world.scores, world.success, (0.0, 1.0), SCARCE)
    silent = sum(each.dr is None for each in found)
    yield Figure(
        f"too little data: {SCARCE.told}",
        "says so",
        f"in {silent / RUNS:.1%}",
        silent == RUNS,
    )


def repeated(
    world: World,
    outcomes: FloatArray,
    expected: FloatArray,
    bounds: tuple[float, float] | None,
    plan: Plan,
) -> tuple[list[Valuation], float]:
    """What `RUNS` ledgers say of another floor, and what is true."""
    rng, resampler = np.random.default_rng(8), Resampler(plan.decisions, 8)
    target = floored(world, plan.asked)
    logging = floored(world, plan.logged) * (1 - plan.share) + plan.share / plan.models
    rows = np.arange(plan.decisions)
    found = []
    for _ in range(RUNS):
        drawn = rng.integers(0, len(outcomes), plan.decisions)
        passed = rng.random((plan.decisions, 1)) > logging[drawn].cumsum(axis=1)
        actions = np.minimum(passed.sum(axis=1), plan.models - 1)
        replayed = Replayed(
            actions=actions,
            logging=logging[drawn],
            target=target[drawn],
            outcomes=outcomes[drawn][rows, actions],
            expected=expected[drawn],
            known=outcomes[drawn],
        )
        found.append(value_of(replayed, world.models, resampler, bounds=bounds))
    return found, float((target * outcomes).sum(axis=1).mean())


def covered(found: list[Valuation], by: str, truth: float) -> float:
    """Share of the intervals that have the truth in them."""
    return float(np.mean([getattr(each, by).low <= truth <= getattr(each, by).high for each in found] or [0.0]))


def width(found: list[Valuation], by: str, truth: float) -> float:
    """Half of an interval's mean width, as a share of the truth."""
    return float(np.mean([getattr(each, by).high - getattr(each, by).low for each in found] or [0.0])) / 2 / truth
