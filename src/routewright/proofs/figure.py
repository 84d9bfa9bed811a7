"""Figures: each has a bar, a run and a verdict, and says where it was measured."""

import datetime

import apsw
from msgspec import Struct

from routewright.bench import measure as bench
from routewright.version import running_version

BAR = "\\|"
"""As it stands within a cell."""
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
    is_text: bool = False
    """Not a figure, but what one has to know about others: the settings that they were found with, or a note."""

    @property
    def verdict(self) -> str:
        """Whether the bar was met; empty where there is none."""
        if not self.has_passed:
            return "✗ missed"
        return "✓" if self.bar else ""

    def row(self) -> str:
        """As a row of the table."""
        return row(self.name, self.what, self.bar, self.measured, self.verdict, self.run)


def row(*cells: str) -> str:
    """A row of a table, whatever the cells say."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', BAR) for cell in cells)} |"


def machine() -> str:
    """Where it ran: what matters for figures, and nothing by which a host could be known."""
    here = bench.machine()
    return (
        f"{here.processor}, {here.cores} cores, {here.system}, {here.python}, SQLite {apsw.sqlite_lib_version()}, "
        f"routewright {running_version()}"
    )


def today() -> str:
    """The day of a run, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
