"""The figures of docs/quality.md: `python benchmarks/quality.py DATA [--only PART]… --into docs/quality.md`.

DATA is the folder of recorded outcomes. Each part is a module `quality_PART` beside this one with `figures(data)`;
everything is drawn from fixed seeds. Prints Markdown, or puts it between each part's marks of a page.
"""

import argparse
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

PARTS = ("tune",)


Figure: TypeAlias = tuple[str, str, str, bool]
"""What was measured, its bar (empty where none was set), the figure, and whether it is met."""


def table(figures: Iterable[Figure]) -> str:
    """The figures as Markdown, printed as they come."""
    lines = ["| what | bar | measured | |", "|---|---|---|---|"]
    for what, bar, measured, is_met in figures:
        verdict = "" if not bar else "met" if is_met else "**missed**"
        lines.append(f"| {what} | {bar or '–'} | {measured} | {verdict} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--into", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    for part in arguments.only or PARTS:
        measured = table(import_module(f"quality_{part}").figures(arguments.data))
        if arguments.into:
            start, end = f"<!-- {part}: figures -->", f"<!-- {part}: end -->"
            before, found, rest = arguments.into.read_text().partition(start)
            if not found:
                parser.error(f"{arguments.into} has no mark {start}")
            arguments.into.write_text(f"{before}{start}\n{measured}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
