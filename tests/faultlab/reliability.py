"""Figures, and the page they stand on: in `docs/reliability.md` each has a row with its bar, run and verdict."""

import datetime
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import apsw
from msgspec import Struct

BEGIN, END = "<!-- {name}: written by {command} -->", "<!-- {name}: end -->"
HEAD = "| figure | what | bar | measured | | run |\n|---|---|---|---|---|---|"


class Figure(Struct, frozen=True, kw_only=True):
    """One measured number beside the bar that it must meet."""

    name: str
    what: str
    bar: str
    measured: str
    has_passed: bool
    run: str
    """Seed, size and time of the run."""

    def row(self) -> str:
        """As a row of the table."""
        verdict = "✓" if self.has_passed else "✗ missed"
        return f"| {self.name} | {self.what} | {self.bar} | {self.measured} | {verdict} | {self.run} |"


def machine() -> str:
    """Where it ran: what matters for figures, and nothing by which a host could be known."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, "
        f"routewright {version('routewright')}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.machine()


def today() -> str:
    """The day of a run, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")


def write(page: Path, name: str, command: str, figures: list[Figure]) -> None:
    """Put figures into their block of the page; rows of a run that did not make them stay as they are."""
    text = page.read_text(encoding="utf-8")
    begin, end = BEGIN.format(name=name, command=command), END.format(name=name)
    before, _, rest = text.partition(begin)
    block, _, after = rest.partition(end)
    if not rest:
        raise ValueError(f"{page} has no place for these figures: it lacks the line {begin}")
    rows = {row.split("|")[1].strip(): row for row in block.splitlines() if row.startswith("| ")}
    rows.pop("figure", None)
    rows |= {figure.name: figure.row() for figure in figures}
    table = "\n".join([HEAD, *(rows[key] for key in sorted(rows))])
    page.write_text(f"{before}{begin}\n\n{table}\n\n{machine()}\n\n{end}{after}", encoding="utf-8")
