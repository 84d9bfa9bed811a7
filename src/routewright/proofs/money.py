"""The proofs of the money that need nothing but routewright: what must never happen to it is tried, and counted."""

import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from routewright.proofs.cost_shapes import compare_costs
from routewright.proofs.figure import Figure
from routewright.proofs.kills import Tally as KillTally
from routewright.proofs.kills import kill_gateways
from routewright.proofs.overshoot import BUDGET_FOR, REQUESTS, Server, try_budgets
from routewright.proofs.part import Part, Run, Told
from routewright.proofs.power_cuts import Lost, cut_power

ROWS_PER_REQUEST = 3
"""Hold, settlement, and the request's own."""


def f2a(run: Run, told: Told) -> list[Figure]:
    """Kills."""
    began = time.monotonic()
    rows, kills = run.pick((5_000, 8), (100_000, 50), (1_000_000, 250))

    def so_far(tally: KillTally) -> None:
        told(min(tally.kills / kills, tally.answered * ROWS_PER_REQUEST / rows))

    with tempfile.TemporaryDirectory() as folder:
        tally = kill_gateways(
            Path(folder), run.seed, kills=kills, answers=int(rows * 1.05) // ROWS_PER_REQUEST, told=so_far
        )
    return [
        Figure(
            name="F2a",
            what="rows lost, doubled, invented or wrong, holds left open: two gateways over one ledger, `kill -9`",
            bar=f"0 of ≥ {rows:,}, ≥ {kills} kills",
            measured=f"{tally.wrong} of {tally.rows:,}, {tally.kills} kills",
            has_passed=tally.wrong == 0 and tally.rows >= rows and tally.kills >= kills,
            run=run.told(
                began,
                f"{tally.billed:,} attempts on the bill, {tally.crashed} cut off between hold and settlement, "
                f"{tally.estimated} estimated",
            ),
        )
    ]


def f2b(run: Run, told: Told) -> list[Figure]:
    """Power cuts."""
    began = time.monotonic()
    cuts = run.pick(500, 10_000, 100_000)
    what = "promised events lost, doubled, changed or invented, holds left open: simulated power cuts"
    bar = f"0 across {cuts:,} cuts"
    try:
        tally = cut_power(cuts, run.seed, told=lambda done: told(done / cuts))
    except Lost as lost:
        told_by = "; ".join([str(lost), *lost.__notes__])
        return [Figure(name="F2b", what=what, bar=bar, measured=told_by, has_passed=False, run=run.told(began))]
    return [
        Figure(
            name="F2b",
            what=what,
            bar=bar,
            measured=f"0 across {tally.cuts:,} cuts",
            has_passed=tally.cuts >= cuts,
            run=run.told(
                began,
                f"{tally.promised:,} events promised, {tally.at_sync:,} cuts at a k-th sync, {tally.while_opening:,} "
                f"during recovery, {tally.failed_syncs:,} failed syncs on top",
            ),
        )
    ]


def f3(run: Run, told: Told) -> list[Figure]:
    """Overshoot, over SQLite."""
    trials = run.pick(3, 12, 100)
    return overshoot(run, "SQLite", 2, trials, None, lambda done: told(done / trials))


def overshoot(
    run: Run, database: str, gateways: int, trials: int, server: Server | None, told: Callable[[int], None]
) -> list[Figure]:
    """Budgets tried on so many gateways, over SQLite or over a server; `told` gets how many are done."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = try_budgets(Path(folder), run.seed, trials=trials, count=gateways, server=server, told=told)
    what = f"{gateways} gateways over {database}, {tally.trials} budgets for {BUDGET_FOR} of {REQUESTS:,} at once"
    run_told = run.told(
        began,
        f"{tally.answered:,} answered, {tally.refused:,} refused, {tally.left:,} left, {tally.cut_off:,} cut off by "
        f"{tally.kills} kills, {tally.unavailable:,} unavailable; at least {tally.least_used:.1%} of each spent",
    )
    return [
        Figure(
            name=f"F3 {database}",
            what=f"overshoot: {what}",
            bar="0 n$ in every trial, in each state of the database",
            measured=f"{tally.overshoot_nanousd} n$; {tally.bad_states} of {tally.states:,} states above a limit",
            has_passed=not tally.overshoot_nanousd and not tally.bad_states and tally.states > 0 and not tally.other,
            run=run_told,
        ),
        Figure(
            name=f"F3b {database}",
            what="holds pending when all is quiet; requests refused that would have fitted",
            bar="0; 0",
            measured=f"{tally.pending}; {tally.false_denials}",
            has_passed=not tally.pending and not tally.false_denials,
            run=run_told,
        ),
    ]


def f4(run: Run, told: Told) -> list[Figure]:
    """Costs."""
    began = time.monotonic()
    requests = run.pick(2_000, 20_000, 1_000_000)
    asked = count()
    with tempfile.TemporaryDirectory() as folder:
        tally = compare_costs(Path(folder), run.seed, requests, lambda one: told(next(asked) / requests))
    run_told = run.told(began, ", ".join(f"{name} {number:,}" for name, number in tally.by_shape.items()))
    share = f"{tally.estimated:,} ({tally.estimated / tally.attempts:.2%})"
    return [
        Figure(
            name="F4",
            what=f"cost error over every shape of usage, {tally.reported:,} attempts whose usage was reported",
            bar="0 n$",
            measured=f"{tally.error_nanousd} n$; {tally.wrong} wrong, {tally.missing} without a row",
            has_passed=not (tally.error_nanousd or tally.wrong or tally.missing),
            run=run_told,
        ),
        Figure(
            name="F4 estimated",
            what="attempts whose usage nobody reported, or whose client left, that are not flagged; that are free",
            bar="0; 0",
            measured=f"{tally.not_flagged}; {tally.free} of {share}",
            has_passed=not (tally.not_flagged or tally.free) and tally.estimated > 0,
            run=run_told,
        ),
    ]


PARTS: dict[str, Part] = {"f2a": f2a, "f2b": f2b, "f3": f3, "f4": f4}
