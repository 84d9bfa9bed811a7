"""The sizing table of docs/operations.md, computed from the figures of docs/benchmarks.md.

    python benchmarks/sizing.py [--check]

`--check` writes nothing, and ends with exit code 1 if the page does not have the table.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- sizing: written by benchmarks/sizing.py -->", "<!-- sizing: end -->"
USED = 0.6
"""Of a core at the busiest hour; above it, requests queue."""


class Work(NamedTuple):
    """A kind of request: the line of docs/benchmarks.md with its µs CPU, and how many chunks its stream has."""

    name: str
    line: str
    chunks: int


WORKS = (
    Work("1 KB in, answer in one piece", "gateway, 1 KB request", 0),
    Work("1 KB in, a stream of 100 chunks", "gateway, 1 KB request", 100),
    Work("32 KB in (an agent's turn), a stream of 300 chunks", "gateway, 32 KB request", 300),
)
CHUNK = "gateway, streamed chunk"
MEMORY = "gateway, idle memory"


def measured(page: str, line: str) -> float:
    """The median of the last run. Raises ValueError where it is not on the page."""
    found = re.search(rf"^\| {re.escape(line)} \| ([\d.]+)", page, re.MULTILINE)
    if found is None:
        raise ValueError(f"docs/benchmarks.md has no line {line!r}")
    return float(found[1])


def table(page: str) -> str:
    """The whole block."""
    chunk = measured(page, CHUNK)
    rows = [
        "| requests | CPU each | requests/s of one core at 60 % | cores for 1,000 requests/s |",
        "|---|---|---|---|",
    ]
    for work in WORKS:
        cpu_us = measured(page, work.line) + work.chunks * chunk
        per_s = USED * 1e6 / cpu_us
        rows.append(f"| {work.name} | {cpu_us / 1000:.1f} ms | {_rounded(per_s):,} | {1000 / per_s:.1f} |")
    memory = f"An idle gateway has {measured(page, MEMORY):.0f} MB of memory."
    return "\n".join([BEGIN, "", *rows, "", memory, "", END])


def _rounded(value: float) -> int:
    """To two digits, downwards: a promise, not a measurement."""
    step: int = 10 ** max(0, len(str(int(value))) - 2)
    return int(value) // step * step


def main() -> int:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = DOCS / "operations.md"
    text = page.read_text(encoding="utf-8")
    wanted = table((DOCS / "benchmarks.md").read_text(encoding="utf-8"))
    before, _, rest = text.partition(BEGIN)
    if parser.parse_args().check:
        return 0 if wanted in text else 1
    page.write_text(before + wanted + rest.partition(END)[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
