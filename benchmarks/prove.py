"""The proofs of docs/reliability.md: what must hold is tried, counted, and written down with its bar.

    python benchmarks/prove.py [--long] [--only f2a,f8,…] [--seed N] [--into docs/reliability.md]

    f2a    whole gateways under load, killed with `kill -9`; the provider's bill against the ledger
    f2b    power cuts below the journal and below SQLite
    cost   what the ledger costs, at 1,000 requests a second
    f3     a thousand requests at once against a budget for ten, on two gateways over SQLite, three over PostgreSQL
    f4     the cost of every shape of usage, against the bill of a provider that computes it another way
    reports  every report over a long history, in SQLite and in PostgreSQL

    f1     every row of the catalogue of faults, by its tests
    f5     what memory grows by
    f6     outages of a minute, and how soon they are over
    f7     one of three deployments browned out
    f8     what an outage is multiplied by, and whether an overload ends by itself
    e14    what others notice while one tenant floods a place
    f9     streams cut at random bytes
    f10    secrets that are easy to find, hunted through all that comes out
    f11    damaged input of every kind
    f12    SIGTERM amid live streams
    f13    Redis and PostgreSQL taken away under load

f2a to f4, f6 to f8 and e14 are in the package as well: `routewright prove` tries them anywhere.

Exit code 1 when a bar is missed. The default run takes about half an hour on two cores; `--long` some hours.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "faultlab"), str(ROOT)]

from benchmarks import proofs_of_money, proofs_of_survival  # noqa: E402 the lab is beside the tests, not in the package
from benchmarks.page import write  # noqa: E402

from routewright.proofs.part import SEED, Run, Size, Told  # noqa: E402

COMMAND = "benchmarks/prove.py"
PAGE = ROOT / "docs" / "reliability.md"
BLOCKS = {"money": proofs_of_money.PARTS, "survival": proofs_of_survival.PARTS}
"""Where in the page the figures of a part stand."""


@contextmanager
def progress(console: Console, name: str) -> Iterator[Told]:
    """A bar for one part."""
    columns = (TextColumn("{task.description:<6}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)
        bar.update(task, completed=1.0)


def main() -> int:
    """Run the parts, print and write their figures."""
    parts = {name: (block, part) for block, parts in BLOCKS.items() for name, part in parts.items()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="the sizes that are published")
    parser.add_argument("--only", default=",".join(parts), help=f"of {', '.join(parts)}")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--into", type=Path, default=PAGE, help="the page to write to")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - parts.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    run, console, figures = Run(size=Size.LONG if options.long else Size.USUAL, seed=options.seed), Console(), []
    logging.disable(logging.CRITICAL)  # what the lab breaks is told by thousands of lines
    for name in names:
        block, part = parts[name]
        with progress(console, name) as told:
            made = part(run, told)
        for figure in made:
            verdict = "passed" if figure.has_passed else "MISSED"
            console.print(f"  {figure.name}: {figure.measured}  (bar: {figure.bar})  {verdict}", highlight=False)
        write(options.into, block, COMMAND, made)
        figures += made
    return 0 if all(figure.has_passed for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
