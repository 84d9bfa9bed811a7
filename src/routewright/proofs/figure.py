"""Figures: each has a bar, a run and a verdict, and says where it was measured."""

import datetime
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import apsw
from msgspec import Struct

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

    @property
    def verdict(self) -> str:
        """Whether the bar was met; empty where there is none."""
        if not self.has_passed:
            return "✗ missed"
        return "✓" if self.bar else ""

    def row(self) -> str:
        """As a row of the table."""
        cells = (self.name, self.what, self.bar, self.measured, self.verdict, self.run)
        return f"| {' | '.join(' '.join(cell.split()).replace('|', BAR) for cell in cells)} |"


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
