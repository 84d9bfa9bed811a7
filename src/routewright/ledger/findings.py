"""What the checks of a ledger are given and what they find."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice
from pathlib import Path

from msgspec import Struct

from routewright.ledger.database import Database
from routewright.ledger.sealed_rows import DAY_NS, Pause, start_of

MOST_NAMED = 5
"""Rows that a check names; there may be more."""


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    DIFFERENCE = "difference"
    SKIPPED = "skipped"


class Finding(Struct, frozen=True, kw_only=True):
    """The result of a check."""

    name: str
    verdict: Verdict
    found: str
    """What was looked at, or why nothing was."""
    rows: tuple[str, ...] = ()
    """The first things that are wrong."""


class Subject(Struct, frozen=True, kw_only=True):
    """What is checked, and from when on."""

    database: Database
    tables: frozenset[str]
    journal: Path
    now_ns: int
    since_ns: int
    deadline_ms: int
    """The longest that a request may take."""
    pause: Pause

    @property
    def pruned_until_ns(self) -> int:
        """Rows from before it may be deleted, and are not compared; a day longer, as some requests span midnight."""
        day = self.database.read("SELECT max(day) AS day FROM day_seals WHERE pruned_at_ns IS NOT NULL")[0]["day"]
        return 0 if day is None else start_of(day) + 2 * DAY_NS


def finding(name: str, looked_at: str, wrong: Iterable[str]) -> Finding:
    """All is well if nothing is wrong; whoever makes `wrong` is only asked for as much as is named."""
    rows = tuple(islice(wrong, MOST_NAMED))
    return Finding(name=name, verdict=Verdict.DIFFERENCE if rows else Verdict.OK, found=looked_at, rows=rows)


def skipped(name: str, reason: str) -> Finding:
    """Nothing was looked at."""
    return Finding(name=name, verdict=Verdict.SKIPPED, found=reason)
