"""Which client works with which provider: `python benchmarks/compatibility.py [--into docs/compatibility.md]`.

Plays every scenario of `tests/matrix` in every cell, streamed and not, with the official SDKs, and measures what
translating costs. The page is written only when all of it went well.
"""

import argparse
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faultlab")]

from benchmarks.translation import SOURCES, microseconds  # noqa: E402

from matrix.desk import PROVIDERS, Case, all_cells, opened_desk  # noqa: E402
from matrix.page import tables  # noqa: E402
from matrix.scenarios import SCENARIOS  # noqa: E402
from routewright.dialects.known import DOWNSTREAMS  # noqa: E402

BEGIN, END = "<!-- made by benchmarks/compatibility.py -->", "<!-- end -->"
SDKS = ("openai", "anthropic")
KINDS = ("text", "thinking", "tool")


def play() -> str:
    """Every cell. Raises AssertionError at the first that is not as its table says."""
    begun, plays = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as home, opened_desk(Path(home)) as desk:
        for scenario in SCENARIOS:
            for face, upstream in all_cells():
                for stream in (False, True):
                    scenario.run(Case(desk, face, upstream, stream=stream))
                    plays += 1
    return f"{plays} plays of {len(SCENARIOS)} scenarios in {time.monotonic() - begun:.0f} s, all as the tables say."


def costs() -> str:
    """CPU for each chunk of a stream, by pair of dialects."""
    lines = ["| provider | client | " + " | ".join(KINDS) + " |", "|---|---|" + "---|" * len(KINDS)]
    for source in SOURCES:
        for target in DOWNSTREAMS:
            figures = " | ".join(f"{microseconds(source, target, kind):.1f}" for kind in KINDS)
            lines.append(f"| `{source}` | `{target}` | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Play, measure, and write the part of the page that is made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="the page to write it into")
    chosen = parser.parse_args()
    said = play()
    sdks = ", ".join(f"`{name}` {version(name)}" for name in SDKS)
    made = "\n".join(
        [
            f"{said} SDKs: {sdks}; providers' dialects: {', '.join(f'`{name}`' for name in PROVIDERS)}.\n",
            tables(),
            "### What a chunk costs\n",
            "CPU microseconds to read, count and write a chunk (`benchmarks/translation.py`; the bar is 60).\n",
            costs(),
        ]
    )
    if chosen.into is None:
        print(made)
        return
    page = chosen.into.read_text()
    before, _, rest = page.partition(BEGIN)
    chosen.into.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
