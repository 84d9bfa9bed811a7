"""The rows that a seal stands for, in an order that does not depend on when they arrived, and their canonical bytes.

A row is a line of JSON with its keys sorted, without `sequence` (the order of arrival) and without what is empty: so
a column that a later version adds changes no old hash, if old rows get null, an empty text or an empty list in it.
The order is: holds, closings, requests; in each by time, then by id and kind. Ties of time are ordered here and not by
the database, because databases do not agree on the order of texts.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import NamedTuple

import msgspec

from routewright.ledger.database import Database, Row, Value
from routewright.ledger.ledger import NANOSECONDS

DAY_NS = 86_400 * NANOSECONDS
PAGE = 500
"""Rows read and hashed at once: some 5 ms, in which an event loop beside us waits."""
REQUEST = "request"
"""The kind of a request's own row."""

Pause = Callable[[], None]
"""Called after each page: somebody else may have a turn, or be told of it."""


class Section(NamedTuple):
    """One part of a day: a table's rows of some kinds."""

    table: str
    row_id: str
    kind: str
    """SQL for the kind."""
    condition: str
    order: tuple[str, ...]
    """After the time."""


SECTIONS = (
    Section("events", "attempt_id", "e.kind", "e.kind = 'reserved'", ("attempt_id",)),
    Section("events", "attempt_id", "e.kind", "e.kind <> 'reserved'", ("attempt_id", "kind")),
    Section("requests", "request_id", f"'{REQUEST}'", "e.at_ns IS NOT NULL", ("request_id",)),
)


def day_of(at_ns: int) -> str:
    """The UTC day of a moment, as 2026-11-01."""
    return datetime.fromtimestamp(at_ns // NANOSECONDS, UTC).date().isoformat()


def start_of(day: str) -> int:
    """When a UTC day begins: UTC nanoseconds since 1970."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_NS


def _of_day(section: Section) -> str:
    """A page of the rows of a day that were there when it was closed."""
    order = ", ".join(f"e.{column}" for column in ("at_ns", *section.order))
    values = ", ".join("?" * (1 + len(section.order)))
    return f"""
    SELECT e.* FROM {section.table} AS e
    WHERE {section.condition} AND e.at_ns >= ? AND e.at_ns < ? AND ({order}) > ({values})
      AND NOT EXISTS (SELECT 1 FROM late_rows WHERE row_id = e.{section.row_id} AND row_kind = {section.kind})
    ORDER BY {order} LIMIT {PAGE}
    """  # noqa: S608 of our own constants


def _of_supplement(section: Section) -> str:
    """A page of the rows of a supplement."""
    order = ", ".join(("l.at_ns", *(f"e.{column}" for column in section.order)))
    values = ", ".join("?" * (1 + len(section.order)))
    return f"""
    SELECT e.* FROM late_rows AS l JOIN {section.table} AS e ON e.{section.row_id} = l.row_id
    WHERE l.day = ? AND l.supplement = ? AND l.row_kind = {section.kind} AND {section.condition} AND l.at_ns >= ?
      AND ({order}) > ({values})
    ORDER BY {order} LIMIT {PAGE}
    """  # noqa: S608 of our own constants


_DAY_PAGES = tuple((section, _of_day(section)) for section in SECTIONS)
_SUPPLEMENT_PAGES = tuple((section, _of_supplement(section)) for section in SECTIONS)


class Content(NamedTuple):
    """What a seal stands for."""

    rows: int
    digest: str
    """SHA-256 over the canonical lines, in hexadecimal."""


def content_of(database: Database, day: str, supplement: int, pause: Pause) -> Content:
    """Read and hash the rows of a day (supplement 0), or of one of its supplements. Raises StoreUnavailable."""
    digest, count = hashlib.sha256(), 0
    for section, sql in _SUPPLEMENT_PAGES if supplement else _DAY_PAGES:
        for row in _canonically(_pages(database, section, sql, day, supplement, pause), section):
            digest.update(canonical(row))
            count += 1
    return Content(count, digest.hexdigest())


def canonical(row: Row) -> bytes:
    """The line of a row."""
    kept = {name: value for name, value in row.items() if value not in (None, "", "[]") and name != "sequence"}
    return msgspec.json.encode(kept, order="sorted") + b"\n"


def _pages(
    database: Database, section: Section, sql: str, day: str, supplement: int, pause: Pause
) -> Iterator[list[Row]]:
    starts_ns = start_of(day)
    after: tuple[Value, ...] = (-1, *("" for _ in section.order))
    while True:
        if supplement:
            rows = database.read(sql, day, supplement, max(0, int(after[0] or 0)), *after)
        else:
            rows = database.read(sql, max(starts_ns, int(after[0] or 0)), starts_ns + DAY_NS, *after)
        if not rows:
            return
        yield rows
        pause()
        after = (rows[-1]["at_ns"], *(rows[-1][column] for column in section.order))


def _canonically(pages: Iterable[list[Row]], section: Section) -> Iterator[Row]:
    """Rows in the order of their time, those of one moment by their ids, compared as Unicode."""
    identity = itemgetter(*section.order)
    moment: list[Row] = []
    for row in (row for page in pages for row in page):
        if moment and moment[0]["at_ns"] != row["at_ns"]:
            yield from sorted(moment, key=identity)
            moment = []
        moment.append(row)
    yield from sorted(moment, key=identity)
