"""The figures of docs/quality.md: `python benchmarks/quality.py [DATA] [--only PART]… --into docs/quality.md`.

DATA is the folder of recorded outcomes, for the parts that need it. Each part is a module `quality_PART` beside this
one with `figures(data)`; everything is drawn from fixed seeds. Prints Markdown, or puts it between each part's marks
of a page.
"""

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

PARTS = ("agreement", "backtest", "drift", "shadow", "tune")


class Figure(NamedTuple):
    """One line of a table of bars."""

    what: str
    bar: str
    """Empty where none was set."""
    measured: str
    is_met: bool = True

    @property
    def line(self) -> str:
        """As Markdown."""
        verdict = "" if not self.bar else "met" if self.is_met else "**missed**"
        return f"| {self.what} | {self.bar or '–'} | {self.measured} | {verdict} |"


def table(figures: Iterable[Figure]) -> str:
    """The figures as Markdown, printed as they come."""
    lines = ["| what | bar | measured | |", "|---|---|---|---|"]
    for figure in figures:
        lines.append(figure.line)
        print(figure.line, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Measure the parts that are asked for."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the parts are found from anywhere
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--into", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    for part in arguments.only or PARTS:
        measured = table(import_module(f"benchmarks.quality_{part}").figures(arguments.data))
        if arguments.into:
            start, end = f"<!-- {part}: figures -->", f"<!-- {part}: end -->"
            before, found, rest = arguments.into.read_text().partition(start)
            if not found:
                parser.error(f"{arguments.into} has no mark {start}")
            arguments.into.write_text(f"{before}{start}\n{measured}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
