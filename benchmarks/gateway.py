"""The figures of docs/benchmarks.md: `python benchmarks/gateway.py --into docs/benchmarks.md [--quick] [--only …]`.

What `routewright bench` prints, as a table of a page. Install nginx before (`apt-get install nginx`), or the bars that
are told in its terms are not there.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.page import put

from routewright.bench.measure import Part, Plan, Report, run

MARKS = {True: "met", False: "**missed**", None: ""}


def lines(report: Report) -> list[str]:
    """Where and when, and a line for each figure."""
    machine = report.machine
    load = f"a load of {os.getloadavg()[2]:.0f} in the last quarter of an hour"
    where = f"{machine.processor}, {machine.cores} cores, {load}, {machine.system}, {machine.python}"
    where += f", decision: {machine.decision}"
    table = [
        f"| {row.what} | {row.value} {row.unit} | {row.bar} | {MARKS[row.is_met]} |".replace("  ", " ")
        for row in report.rows()
    ]
    return [
        f"{datetime.now(UTC).date()}, {where}:",
        "",
        "| what | median (lowest–highest) | bar | |",
        "|---|---|---|---|",
        *table,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, help="the page to write to")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds")
    parser.add_argument("--only", default=",".join(Part), help=f"of {', '.join(Part)}")
    options = parser.parse_args()
    plan = Plan.quick() if options.quick else Plan()
    parts = frozenset(Part(name) for name in options.only.split(","))
    found = lines(run(replace(plan, parts=parts), print))
    print("\n".join(found))
    if options.into:
        put(options.into, "gateway", found)


if __name__ == "__main__":
    main()
