"""The rows that a seal stands for, in an order that does not depend on when they arrived, and their canonical bytes.

A row is a line of JSON with its keys sorted, without `sequence` (the order of arrival) and without what is empty: so
a column that a later version adds changes no old hash, if old rows get null, an empty text or an empty list in it.
The order is: holds, closings, requests; in each by time, then by id and kind. Ties of time are ordered here and not by
the database, because databases do not agree on the order of texts.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import msgspec

from routewright.ledger.database import Database
from routewright.ledger.ledger import NANOSECONDS

DAY_NS = 86_400 * NANOSECONDS
PAGE = 500
"""Rows read and hashed at once: some 5 ms, in which an event loop beside us waits."""
_EMPTY = (None, "", "[]")
_lines = msgspec.json.Encoder().encode_lines
REQUEST = "request"
"""The kind of a request's own row."""

Plain: TypeAlias = tuple[Any, ...]
"""A row without its columns' names: half of what sealing takes is for dictionaries otherwise."""
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


def _of_day(section: Section, columns: Sequence[str]) -> str:
    """A page of the rows of a day that were there when it was closed."""
    order = ", ".join(f"e.{column}" for column in ("at_ns", *section.order))
    values = ", ".join("?" * (1 + len(section.order)))
    return f"""
    SELECT {_named(columns)} FROM {section.table} AS e
    WHERE {section.condition} AND e.at_ns >= ? AND e.at_ns < ? AND ({order}) > ({values})
      AND NOT EXISTS (SELECT 1 FROM late_rows WHERE row_id = e.{section.row_id} AND row_kind = {section.kind})
    ORDER BY {order} LIMIT {PAGE}
    """  # noqa: S608 of our own constants


def _of_supplement(section: Section, columns: Sequence[str]) -> str:
    """A page of the rows of a supplement."""
    order = ", ".join(("l.at_ns", *(f"e.{column}" for column in section.order)))
    values = ", ".join("?" * (1 + len(section.order)))
    return f"""
    SELECT {_named(columns)} FROM late_rows AS l JOIN {section.table} AS e ON e.{section.row_id} = l.row_id
    WHERE l.day = ? AND l.supplement = ? AND l.row_kind = {section.kind} AND {section.condition} AND l.at_ns >= ?
      AND ({order}) > ({values})
    ORDER BY {order} LIMIT {PAGE}
    """  # noqa: S608 of our own constants


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'e."{column}"' for column in columns)


class Content(NamedTuple):
    """What a seal stands for."""

    rows: int
    digest: str
    """SHA-256 over the canonical lines, in hexadecimal."""


def content_of(database: Database, day: str, supplement: int, pause: Pause) -> Content:
    """Read and hash the rows of a day (supplement 0), or of one of its supplements. Raises StoreUnavailable."""
    digest, count = hashlib.sha256(), 0
    columns = {table.name: sorted({*table.columns} - {"sequence"}) for table in database.tables()}
    for section in SECTIONS:
        names = columns[section.table]
        pages = _pages(database, section, names, day, supplement, pause)
        for rows in _canonically(pages, _place_in(names, section)):
            digest.update(canonical(names, rows))
            count += len(rows)
    return Content(count, digest.hexdigest())


def canonical(names: Sequence[str], rows: Iterable[Plain]) -> bytes:
    """The lines of rows, whose columns have these names, in the order of the names."""
    return _lines(
        [{name: value for name, value in zip(names, row, strict=True) if value not in _EMPTY} for row in rows]
    )


def _place_in(names: Sequence[str], section: Section) -> Callable[[Plain], Plain]:
    """What tells where a row stands: its time, then what tells rows of one moment apart."""
    return itemgetter(*(names.index(name) for name in ("at_ns", *section.order)))


def _pages(
    database: Database, section: Section, names: Sequence[str], day: str, supplement: int, pause: Pause
) -> Iterator[Sequence[Plain]]:
    sql = (_of_supplement if supplement else _of_day)(section, names)
    starts_ns, place = start_of(day), _place_in(names, section)
    after: Plain = (-1, *("" for _ in section.order))
    while True:
        if supplement:
            rows = database.read_plain(sql, day, supplement, max(0, after[0]), *after)
        else:
            rows = database.read_plain(sql, max(starts_ns, after[0]), starts_ns + DAY_NS, *after)
        if not rows:
            return
        yield rows
        pause()
        after = place(rows[-1])


def _canonically(pages: Iterable[Sequence[Plain]], place: Callable[[Plain], Plain]) -> Iterator[Sequence[Plain]]:
    """Rows in the order of their time, those of one moment by their ids, compared as Unicode: a page may end within
    a moment, so its last one waits for the next page."""
    waiting: list[Plain] = []
    for page in pages:
        waiting += page
        last = bisect_left(waiting, place(waiting[-1])[0], key=lambda row: place(row)[0])
        yield sorted(waiting[:last], key=place)
        del waiting[:last]
    yield sorted(waiting, key=place)
