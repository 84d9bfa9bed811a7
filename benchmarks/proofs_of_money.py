"""The proofs of the money: what must never happen to it is tried, and counted. `benchmarks/prove.py` runs them."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import uvloop
from benchmarks.ledger import measured as measure_ledger
from benchmarks.proving import Part, Run, Told
from benchmarks.reports import BAR_MS, REPEATS, Answer, Measured, of_postgres, of_sqlite
from cost_shapes import compare_costs
from kills import Tally as KillTally
from kills import kill_gateways
from overshoot import BUDGET_FOR, REQUESTS, try_budgets
from power_cuts import Lost, cut_power
from reliability import Figure

from databases import PostgresServer

ROOT = Path(__file__).resolve().parents[1]
ROWS_PER_REQUEST = 3
"""Hold, settlement, and the request's own."""
SLOWEST_TOLD = 3


def f2a(run: Run, told: Told) -> list[Figure]:
    """Kills."""
    began = time.monotonic()
    rows, kills = (1_000_000, 250) if run.is_long else (100_000, 50)

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
    cuts = 100_000 if run.is_long else 10_000
    what = "promised events lost, doubled, changed or invented, holds left open: simulated power cuts"
    bar = "0 across 10,000 cuts"
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


def cost(run: Run, told: Told) -> list[Figure]:
    """CPU and waits of the ledger alone."""
    began = time.monotonic()
    rounds, seconds = (15, 10.0) if run.is_long else (5, 5.0)
    used, waits = [], []
    with (
        tempfile.TemporaryDirectory(dir=ROOT) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for number in range(rounds):
            one = measure_ledger(Path(folder) / str(number), runner, 1000, seconds)
            used.append(one.cpu_us)
            waits.append(one.wait_p50_ms)
            told((number + 1) / rounds)
    what = "hold + settlement + request row, journal, sync and drain into SQLite"
    run_told = run.told(began, f"median of {rounds} rounds of {seconds:g} s")
    return [
        Figure(
            name="ledger, CPU",
            what=f"CPU of a request at 1,000 a second: {what}",
            bar="< 50 µs",
            measured=f"{statistics.median(used):.0f} µs ({min(used):.0f}–{max(used):.0f})",
            has_passed=statistics.median(used) < 50,
            run=run_told,
        ),
        Figure(
            name="ledger, wait",
            what="what is still waited for until the hold is durable, after an answer of 50 ms, p50",
            bar="< 0.1 ms",
            measured=f"{statistics.median(waits):.3f} ms ({min(waits):.3f}–{max(waits):.3f})",
            has_passed=statistics.median(waits) < 0.1,
            run=run_told,
        ),
    ]


def f3(run: Run, told: Told) -> list[Figure]:
    """Overshoot, over both databases."""
    trials = 100 if run.is_long else 12
    figures = _overshoot(run, "SQLite", 2, trials, None, lambda done: told(done / trials / 2))
    try:
        server = PostgresServer()
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        missed = Figure(
            name="F3 PostgreSQL",
            what="the same over PostgreSQL",
            bar="0 n$",
            measured=f"not run: {error}",
            has_passed=False,
            run=run.told(time.monotonic()),
        )
        return [*figures, missed]
    try:
        done_before = 0.5
        return figures + _overshoot(
            run, "PostgreSQL", 3, trials, server, lambda done: told(done_before + done / trials / 2)
        )
    finally:
        server.close()


def _overshoot(
    run: Run, database: str, count: int, trials: int, server: PostgresServer | None, told: Callable[[int], None]
) -> list[Figure]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = try_budgets(Path(folder), run.seed, trials=trials, count=count, server=server, told=told)
    what = f"{count} gateways over {database}, {tally.trials} budgets for {BUDGET_FOR} of {REQUESTS:,} at once"
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
    requests = 1_000_000 if run.is_long else 20_000
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


def reports(run: Run, told: Told) -> list[Figure]:
    """Reports over ten million entries, or fewer."""
    entries = 10_000_000 if run.is_long else 1_000_000
    began, figures = time.monotonic(), []
    requests = -(-entries // ROWS_PER_REQUEST)
    with tempfile.TemporaryDirectory() as folder:
        figures += _reports(run, began, of_sqlite(Path(folder), requests))
    told(0.5)
    began = time.monotonic()
    try:
        return figures + _reports(run, began, of_postgres(None, requests))
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        missed = Figure(
            name="reports PostgreSQL",
            what="the same over PostgreSQL",
            bar=f"< {BAR_MS} ms each",
            measured=f"not run: {error}",
            has_passed=False,
            run=run.told(began),
        )
        return [*figures, missed]


def _reports(run: Run, began: float, measured: Measured) -> list[Figure]:
    barred = [answer for answer in measured.answers if answer.asked.has_bar]
    slowest = sorted(barred, key=lambda answer: answer.p50_ms, reverse=True)
    in_time = sum(answer.is_in_time for answer in barred)
    slow = "; ".join(f"by {answer.asked.name}: {_told_answer(answer)}" for answer in slowest[:SLOWEST_TOLD])
    most_cpu_ms = max(answer.cpu_ms for answer in barred)
    more = "; ".join(
        f"by {answer.asked.name}: {_told_answer(answer)}" for answer in measured.answers if not answer.asked.has_bar
    )
    return [
        Figure(
            name=f"reports {measured.title}",
            what=f"reports by one and by two dimensions, {measured.entries:,} entries (p50 of {REPEATS} runs)",
            bar=f"< {BAR_MS} ms each",
            measured=f"{in_time} of {len(barred)} in time, CPU at most {most_cpu_ms:.0f} ms; the slowest, {slow}",
            has_passed=in_time == len(barred),
            run=run.told(began, f"history made in {measured.fill_s:.0f} s; no bar for {more}"),
        )
    ]


def _told_answer(answer: Answer) -> str:
    return f"{answer.p50_ms:.0f} ms ({answer.cpu_ms:.0f} ms of CPU) for {answer.lines:,} lines"


PARTS: dict[str, Part] = {"cost": cost, "f2b": f2b, "f2a": f2a, "f3": f3, "f4": f4, "reports": reports}
