"""The proofs of the money: what must never happen to it is tried, and counted. `benchmarks/prove.py` runs them."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import uvloop
from benchmarks.ledger import measured as measure_ledger
from benchmarks.reports import BAR_MS, REPEATS, Answer, Measured, of_postgres, of_sqlite
from postgres_books import PostgresLedgers

from databases import PostgresServer
from routewright.proofs import money
from routewright.proofs.figure import Figure
from routewright.proofs.money import ROWS_PER_REQUEST
from routewright.proofs.part import Part, Run, Told

ROOT = Path(__file__).resolve().parents[1]
SLOWEST_TOLD = 3


def cost(run: Run, told: Told) -> list[Figure]:
    """CPU and waits of the ledger alone."""
    began = time.monotonic()
    rounds, seconds = run.pick((3, 2.0), (5, 5.0), (15, 10.0))
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
    figures = money.f3(run, lambda done: told(done / 2))
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
    trials = run.pick(3, 12, 100)
    try:
        return figures + money.overshoot(
            run, "PostgreSQL", 3, trials, PostgresLedgers(server), lambda done: told(0.5 + done / trials / 2)
        )
    finally:
        server.close()


def reports(run: Run, told: Told) -> list[Figure]:
    """Reports over ten million entries, or fewer."""
    entries = run.pick(100_000, 1_000_000, 10_000_000)
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


PARTS: dict[str, Part] = {"cost": cost, **money.PARTS, "f3": f3, "reports": reports}
