"""The proofs of survival: providers, clients, stores and signals that fail. `benchmarks/prove.py` runs them."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from itertools import count
from pathlib import Path

from benchmarks.proving import Part, Run, Told
from brownout import HEDGE_AFTER_MS, Brownout
from brownout import measure as measure_brownouts
from cuts import measure as measure_cuts
from draining import measure as measure_draining
from memory_growth import measure as measure_memory
from overload import measure as measure_overloads
from postgres_loss import measure as measure_postgres_loss
from recovery import OUTAGE_S
from recovery import measure as measure_recoveries
from redis_loss import measure as measure_redis_loss
from reliability import Figure

ROOT = Path(__file__).resolve().parents[1]
MEBIBYTE = 1 << 20
SIMULATED = "simulated clock"


def f1(run: Run, told: Told) -> list[Figure]:
    """Rows of the catalogue, each by the tests that name it: all of them are run once."""
    began, found = time.monotonic(), import_module("rows").by_row()
    tests = sorted({test for tests in found.values() for test in tests})
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    bad = set(re.findall(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*|)(?: - .*)?$", done.stdout, flags=re.MULTILINE))
    well = [row for row, tests in found.items() if not bad.intersection(tests)]
    failed = sorted(found.keys() - well)
    later = import_module("rows").LATER
    due = [row for row in import_module("rows").ROWS if row not in later]
    return [
        Figure(
            name="F1",
            what="faults survived: rows of the catalogue whose tests pass, in the default configuration",
            bar=f"all {len(due)} that are due",
            measured=f"{len(set(due).intersection(well))} of {len(due)}"
            + (f"; not {', '.join(failed)}" * bool(failed)),
            has_passed=set(due) <= set(well) and done.returncode == 0,
            run=run.told(began, f"{len(tests)} tests; later, with what they are about: {', '.join(sorted(later))}"),
        )
    ]


def f5(run: Run, told: Told) -> list[Figure]:
    """Memory."""
    began, rounds = time.monotonic(), count(1)
    requests, warm_up = (1_000_000, 100_000) if run.is_long else (100_000, 30_000)
    with tempfile.TemporaryDirectory() as folder:
        grown = measure_memory(
            Path(folder), requests=requests, warm_up=warm_up, seed=run.seed, told=lambda _: told(next(rounds) / 12)
        )
    return [
        Figure(
            name="F5",
            what="growth of memory per 100,000 requests after a warm-up; 10 % left, 5 % failed, 1,000 keys",
            bar="≤ 1 MiB",
            measured=f"{grown.bytes_per_100_000 / MEBIBYTE:.2f} MiB",
            has_passed=grown.bytes_per_100_000 <= MEBIBYTE,
            run=run.told(began, f"{grown.requests:,} requests, {grown.left:,} left, {grown.faults:,} attempts failed"),
        )
    ]


def f6(run: Run, told: Told) -> list[Figure]:
    """Outages."""
    began, times, done = time.monotonic(), 10 if run.is_long else 2, count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_recoveries(Path(folder), run.seed, times, lambda: told(next(done) / (21 * times)))
    primaries = [each for each in found if not each.outage.is_of_all]
    run_told = run.told(began, f"{SIMULATED}, {len(found)} outages, 1 to 5 deployments, 2 to 25 requests a second")
    latest, least = max(each.first_success_s for each in found), min(each.served for each in found)
    probes, back = max(each.probes for each in primaries), [each.back_s for each in primaries]
    return [
        Figure(
            name="F6",
            what="after 60 s without all deployments, or without the primary: when the first request is answered, the "
            "share of requests answered from 5 s on; in the worst of the outages",
            bar="≤ 2 s; ≥ 99 %",
            measured=f"{latest:.2f} s; {least:.2%}",
            has_passed=latest <= 2 and least >= 0.99,
            run=run_told,
        ),
        Figure(
            name="F6 probes",
            what="what a dead primary is asked in 60 s while another place serves; its rests are 1 s × 2ⁿ",
            bar=f"≤ 1 in 5 s: {OUTAGE_S / 5:.0f}",
            measured=f"at most {probes}; it is asked again {sum(back) / len(back):.0f} s after its return, "
            f"at most {max(back):.0f} s",
            has_passed=probes <= OUTAGE_S / 5,
            run=run_told,
        ),
    ]


def f7(run: Run, told: Told) -> list[Figure]:
    """Brown-outs."""
    began, times, done = time.monotonic(), 3 if run.is_long else 1, count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_brownouts(Path(folder), run.seed, times, told=lambda: told(next(done) / (16 * times)))
    told_run = run.told(
        began,
        f"{SIMULATED}, ten minutes, 10 and 30 requests a second, with hedging after {HEDGE_AFTER_MS} ms and without",
    )
    by_kind = {kind: [each for each in found if each.kind == kind] for kind in ("slow", "errors", "stalls", "hangs")}
    names = {"slow": "ten times slower", "errors": "30 % errors", "stalls": "silent for 10 s in every stream"}
    figures = [_brownout(f"F7 {kind}", names[kind], by_kind[kind], told_run) for kind in names]
    return [*figures, _hangs(by_kind["hangs"], told_run)]


def _brownout(name: str, what: str, found: Sequence[Brownout], run_told: str) -> Figure:
    first, total = max(each.first_ratio for each in found), max(each.total_ratio for each in found)
    success, hedges = min(each.success for each in found), max(each.hedges for each in found)
    return Figure(
        name=name,
        what=f"one of three deployments {what}: p99 of the first word and of the whole over healthy; success; hedges",
        bar="≤ 1.3; ≥ 99.95 %; ≤ 5 %",
        measured=f"{first:.2f} and {total:.2f}; {success:.3%}; {hedges:.1%}",
        has_passed=max(first, total) <= 1.3 and success >= 0.9995 and hedges <= 0.05,
        run=run_told,
    )


def _hangs(found: Sequence[Brownout], run_told: str) -> Figure:
    success = min(each.success for each in found)
    return Figure(
        name="F7 hangs",
        what="one of three deployments silent for ever within every stream: success; what has begun cannot begin again",
        bar="told only",
        measured=f"{success:.2%}",
        has_passed=True,
        run=run_told,
    )


def f8(run: Run, told: Told) -> list[Figure]:
    """Overloads."""
    began, times, done = time.monotonic(), 5 if run.is_long else 1, count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_overloads(Path(folder), run.seed, times, told=lambda: told(next(done) / (28 * times)))
    run_told = run.told(
        began,
        f"{SIMULATED}, {len(found)} triggers: errors, no connection, 429, half of them 429, silence, ten times slower, "
        "three times the clients; 1 and 3 deployments, patience of 10 and 30 s",
    )
    most = max(each.attempts_per_request for each in found if each.is_total)
    least = min(found, key=lambda each: each.goodput)
    return [
        Figure(
            name="F8 attempts",
            what="attempts for each request where all of them fail",
            bar="≤ 1.10",
            measured=f"{most:.3f}",
            has_passed=most <= 1.1,
            run=run_told,
        ),
        Figure(
            name="F8 goodput",
            what="requests answered from 10 s to 40 s after a trigger of 60 s, at 80 % load, unaided; the worst",
            bar="≥ 99 %",
            measured=f"{least.goodput:.2%} ({least.trigger})",
            has_passed=least.goodput >= 0.99,
            run=run_told,
        ),
    ]


def f9(run: Run, told: Told) -> list[Figure]:
    """Cuts."""
    began, cuts, done = time.monotonic(), 10_002, count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_cuts(Path(folder), run.seed, cuts, lambda: told(next(done) / 30))
    return [
        Figure(
            name="F9",
            what="truncated streams presented as complete: cut at random bytes, both dialects, three framings",
            bar="0 of ≥ 10,000",
            measured=f"{found.false} of {found.cuts:,}",
            has_passed=found.false == 0 and found.cuts >= 10_000,
            run=run.told(
                began, f"real sockets, {found.reached:,} reached; {found.whole:,} cut after all had been said"
            ),
        )
    ]


def f10(run: Run, told: Told) -> list[Figure]:
    """Canaries."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        hunted = import_module("canaries").measure(Path(folder))
    return [
        Figure(
            name="F10",
            what=f"secrets found in any form in {len(hunted.surfaces)} surfaces: logs, bodies, databases, verbs, pages",
            bar="0",
            measured=f"{len(hunted.found)}",
            has_passed=not hunted.found,
            run=run.told(began, f"{hunted.canaries} canaries, {sum(hunted.surfaces.values()):,} bytes looked through"),
        )
    ]


def f11(run: Run, told: Told) -> list[Figure]:
    """Damaged input."""
    began, cases = time.monotonic(), 1_000_000 if run.is_long else 100_000
    fuzzed = import_module("fuzzing").measure(cases, run.seed, told=lambda done: told(done / cases))
    return [
        Figure(
            name="F11",
            what="damaged input that ends in an unspecified 5xx, a crash, or nothing for 1 s",
            bar="0 of ≥ 100,000",
            measured=f"{fuzzed.found} of {fuzzed.cases:,}",
            has_passed=fuzzed.found == 0 and fuzzed.cases >= 100_000,
            run=run.told(began, f"the slowest took {fuzzed.slowest_s:.2f} s"),
        )
    ]


def f12(run: Run, told: Told) -> list[Figure]:
    """SIGTERM."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        drained = measure_draining(Path(folder))
    return [
        Figure(
            name="F12",
            what="SIGTERM during live streams: finished; rows lost; readiness ends",
            bar="200 of 200; 0; < 100 ms",
            measured=f"{drained.finished} of {drained.streams}; {drained.rows_lost}; "
            f"{drained.unready_after_s * 1000:.0f} ms",
            has_passed=drained.finished == drained.streams >= 200
            and not (drained.rows_lost or drained.open_holds or drained.exit_code)
            and drained.unready_after_s < 0.1,
            run=run.told(began),
        )
    ]


def f13(run: Run, told: Told) -> list[Figure]:
    """Redis, then PostgreSQL."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        redis = measure_redis_loss(Path(folder))
    told(0.3)
    figures = [
        Figure(
            name="F13 Redis",
            what="Redis black-holed under load: added p99; errors",
            bar="≤ 50 ms; 0",
            measured=f"{redis.added_p99_ms:.0f} ms; {redis.errors} of {redis.requests:,}",
            has_passed=redis.added_p99_ms <= 50 and redis.errors == 0 and redis.was_noticed,
            run=run.told(began),
        )
    ]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lost = measure_postgres_loss(Path(folder), down_s=60.0)
    return [
        *figures,
        Figure(
            name="F13 PostgreSQL",
            what="PostgreSQL down for 60 s under load, with a budget: rows lost; errors while escrow is held; replay",
            bar="0; 0; ≤ 10 s",
            measured=f"{lost.lost} of {lost.requests:,}; {lost.errors_under_escrow}; {lost.replay_s:.1f} s",
            has_passed=lost.lost == 0 and lost.errors_under_escrow == 0 and lost.replay_s <= 10,
            run=run.told(
                began,
                f"{lost.meanwhile:,} answered meanwhile; escrow held {lost.held_s:.0f} s, then {lost.refused:,} are",
            ),
        ),
    ]


PARTS: dict[str, Part] = {
    "f1": f1,
    "f5": f5,
    "f6": f6,
    "f7": f7,
    "f8": f8,
    "f9": f9,
    "f10": f10,
    "f11": f11,
    "f12": f12,
    "f13": f13,
}
