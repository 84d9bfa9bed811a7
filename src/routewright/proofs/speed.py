"""The proof of speed: what `routewright bench` measures, as far as it has a bar."""

import sys
import time

from routewright.bench.measure import Part as Measured
from routewright.bench.measure import Plan
from routewright.bench.measure import run as measure
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Part, Run, Size, Told

QUICK = Plan(
    parts=frozenset({Measured.DECISION, Measured.START, Measured.GATEWAY, Measured.LIBRARY}),
    rounds=3,
    decisions=300,
    requests=300,
    large_requests=100,
    streams=32,
    paced_requests=100,
)
STEPS = 12
"""Of a run, about: how far a bar goes."""


def bench(run: Run, told: Told) -> list[Figure]:
    """The gateway beside nginx and a bare proxy, on loopback. Figures without a bar are in `routewright bench`."""
    if sys.platform != "linux":
        raise NotHere("CPU and memory of other processes are read as only Linux tells them")
    began, steps = time.monotonic(), iter(range(1, 10 * STEPS))
    plan = QUICK if run.size is Size.QUICK else Plan()
    report = measure(plan, lambda _: told(min(1.0, next(steps) / STEPS)))
    run_told = run.told(began, f"median of {plan.rounds} rounds (lowest–highest)")
    return [
        Figure(
            name=found.name,
            what=row.what,
            bar=row.bar,
            measured=f"{row.value} {row.unit}",
            has_passed=bool(row.is_met),
            run=run_told,
        )
        for found, row in zip(report.figures, report.rows(), strict=True)
        if row.is_met is not None
    ]


PARTS: dict[str, Part] = {"bench": bench}
