"""Other gateways in the run of ours: `python benchmarks/peers.py [--only …] [--environment DIR] [--into PAGE]`.

What `routewright prove --peers` measures of speed (`routewright.bench.peers`), as a table of a page with the exact
settings.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gateway import lines  # noqa: E402 our neighbours
from benchmarks.page import put  # noqa: E402

from routewright.bench.measure import machine  # noqa: E402
from routewright.bench.peers import PEERS, measure  # noqa: E402
from routewright.bench.report import Report  # noqa: E402
from routewright.proofs.side_by_side import folded  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PEERS))
    parser.add_argument(
        "--environment", type=Path, help="where to install, or where it was (default: a temporary folder)"
    )
    parser.add_argument("--into", type=Path, help="the page to write to")
    options = parser.parse_args()
    notes: list[str] = []
    with ExitStack() as stack:
        place = options.environment or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        figures = measure(options.only.split(","), place.absolute(), notes, print)
    table = lines(Report(machine=machine(), figures=tuple(figures), elapsed_s=0))
    for note in notes:
        table += folded(note)
    print("\n".join(table))
    if options.into:
        put(options.into, "peers", table)


if __name__ == "__main__":
    main()
