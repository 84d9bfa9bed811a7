"""Other gateways in the trial of speed, each with its defaults; only when asked, as they have to be installed."""

import tempfile
import time
from pathlib import Path

from routewright.bench.measure import machine
from routewright.bench.peers import KINDS, PEERS, measure
from routewright.bench.report import Report
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Part, Run, Told

STEPS = len(PEERS) + len(KINDS)


def peers(run: Run, told: Told) -> list[Figure]:
    """What each takes beside nginx, a bare proxy and ours. Told without a bar: the promise is ours alone."""
    began, notes, steps = time.monotonic(), list[str](), iter(range(1, STEPS + 1))
    with tempfile.TemporaryDirectory(prefix="routewright-peers-") as folder:
        figures = measure(list(PEERS), Path(folder), notes, lambda _: told(next(steps) / STEPS))
    if all("left out" in note for note in notes):
        raise NotHere("; ".join(notes))
    rows = Report(machine=machine(), figures=tuple(figures), elapsed_s=0).rows()
    settings = [
        Figure(name="peers", what="versions and exact settings", bar="", measured=note, has_passed=True, run="")
        for note in notes
    ]
    return settings + [
        Figure(
            name=found.name,
            what=row.what,
            bar="",
            measured=f"{row.value} {row.unit}",
            has_passed=True,
            run=run.told(began),
        )
        for found, row in zip(figures, rows, strict=True)
    ]


PARTS: dict[str, Part] = {"peers": peers}
