"""The figure of docs/operations.md: two replicas behind nginx, restarted one after the other at 200 requests a second.

    python benchmarks/rolling_restart.py [--restarts N] [--per-second N] [--linger SECONDS] [--into docs/operations.md]

Real PostgreSQL, Redis and nginx (`apt-get install nginx-light`). `--linger 0` shows what happens without
server.linger_seconds. Exit code 1 if a request failed or a row of the ledger was lost.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faultlab")]

from benchmarks.page import write  # noqa: E402
from rolling import measure  # noqa: E402

from routewright.proofs.figure import Figure, today  # noqa: E402

COMMAND = "benchmarks/rolling_restart.py"


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--linger", type=int, default=5)
    parser.add_argument("--into", type=Path, help="the page to write to")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)  # nginx's worker is another user
        found = measure(place, per_s=options.per_second, linger_s=options.linger, restarts=options.restarts)
    figure = Figure(
        name=f"rolling restart, {options.per_second} requests/s",
        what=f"{found.restarts} restarts of one of two replicas, linger_seconds = {options.linger}",
        bar="0 failed, 0 lost",
        measured=f"{sum(found.failed.values())} failed, {found.lost} lost, of {found.requests:,} requests; "
        f"the slowest took {found.slowest_s:.1f} s; {found.passed_on:,} were passed on",
        has_passed=not found.failed and not found.lost and found.clean_ends == found.restarts,
        run=f"{today()}, {time.monotonic() - began:.0f} s",
    )
    print(figure.row())
    for how, times in [*found.failed.items(), *found.complaints.items()]:
        print(f"  {times} × {how}")
    if options.into:
        write(options.into, "rolling", COMMAND, [figure])
    return 0 if figure.has_passed else 1


if __name__ == "__main__":
    sys.exit(main())
