"""The proofs of survival: providers, clients, stores and signals that fail. `benchmarks/prove.py` runs them."""

import re
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from itertools import count
from pathlib import Path

from cuts import measure as measure_cuts
from draining import measure as measure_draining
from memory_growth import measure as measure_memory
from postgres_loss import measure as measure_postgres_loss
from redis_loss import measure as measure_redis_loss

from routewright.proofs import faults
from routewright.proofs.figure import Figure
from routewright.proofs.part import Part, Run, Told

ROOT = Path(__file__).resolve().parents[1]
MEBIBYTE = 1 << 20


def f1(run: Run, told: Told) -> list[Figure]:
    """Rows of the catalogue, each by the tests that name it: all of them are run once."""
    began, found = time.monotonic(), import_module("rows").by_row()
    tests = sorted({test for tests in found.values() for test in tests})
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    bad = set(re.findall(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*|)(?: - .*)?$", done.stdout, flags=re.MULTILINE))
    well = [row for row, tests in found.items() if not bad.intersection(tests)]
    failed = sorted(found.keys() - well)
    rows = import_module("rows").ROWS
    return [
        Figure(
            name="F1",
            what="faults survived: rows of the catalogue whose tests pass, in the default configuration",
            bar=f"all {len(rows)}",
            measured=f"{len(rows.keys() & well)} of {len(rows)}" + (f"; not {', '.join(failed)}" * bool(failed)),
            has_passed=rows.keys() <= set(well) and done.returncode == 0,
            run=run.told(began, f"{len(tests)} tests" + f"; failed: {', '.join(sorted(bad))}" * bool(bad)),
        )
    ]


def f5(run: Run, told: Told) -> list[Figure]:
    """Memory."""
    began, rounds = time.monotonic(), count(1)
    requests, warm_up = run.pick((20_000, 10_000), (100_000, 30_000), (1_000_000, 100_000))
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
    began, cases = time.monotonic(), run.pick(10_000, 100_000, 1_000_000)
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
    **faults.PARTS,
    "f9": f9,
    "f10": f10,
    "f11": f11,
    "f12": f12,
    "f13": f13,
}
