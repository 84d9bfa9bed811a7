"""The ledger as plain tables for other programs: attempts, requests, outcomes, a page at a time.

Money stands twice: as whole nano-USD, which add up exactly, and as a decimal text of USD for whoever looks. So do
times: nanoseconds since 1970, and ISO 8601 in UTC.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from routewright.ledger.database import Database, Row, Value
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.rows import written_out
from routewright.money import exact_usd
from routewright.usage import Usage

PAGE = 2_000
"""Rows read and written at once."""

Cell: TypeAlias = str | int | float | bool | None


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "truth"


class Field(NamedTuple):
    """A column of an export, and how a row of the ledger fills it."""

    name: str
    kind: Kind
    of: Callable[[Row], Cell]


def iso(at_ns: int | None) -> str | None:
    """A moment in UTC, to the nanosecond: 2026-11-01T12:00:00.000000000Z."""
    if at_ns is None:
        return None
    seconds, rest = divmod(at_ns, NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def usd(nanousd: int | None) -> str | None:
    """An amount of USD, exact: 0.002000000."""
    return None if nanousd is None else exact_usd(nanousd)


# ---- columns ----------------------------------------------------------------------------------------------------


def _plain(kind: Kind, *names: str) -> list[Field]:
    return [Field(name, kind, lambda row, name=name: row[name]) for name in names]  # type: ignore[misc]


def _truth(name: str) -> Field:
    return Field(name, Kind.TRUTH, lambda row: None if row[name] is None else bool(row[name]))


def _money(name: str, of: Callable[[Row], int | None]) -> list[Field]:
    return [
        Field(f"{name}_nanousd", Kind.INTEGER, of),
        Field(f"{name}_usd", Kind.TEXT, lambda row: usd(of(row))),
    ]


def _moment(name: str, of: Callable[[Row], int | None]) -> list[Field]:
    return [
        Field(f"{name}_ns", Kind.INTEGER, of),
        Field(name, Kind.TEXT, lambda row: iso(of(row))),
    ]


def _held(row: Row) -> int | None:
    return row["held_nanousd"] if row["hold_nanousd"] is None else row["hold_nanousd"]  # type: ignore[no-any-return]


def _cost(row: Row) -> int | None:
    return 0 if row["kind"] == "released" else row["cost_nanousd"]


_ATTEMPTS = (
    *_plain(Kind.TEXT, "attempt_id", "request_id"),
    Field("state", Kind.TEXT, lambda row: "open" if row["kind"] == "reserved" else row["kind"]),
    *_moment("held_at", lambda row: row["held_at_ns"]),
    *_moment("closed_at", lambda row: None if row["kind"] == "reserved" else row["at_ns"]),
    *_plain(Kind.TEXT, "model", "deployment", "served_model", "cause", "outcome"),
    *_plain(Kind.TEXT, "key", "team", "tags", "tier", "service_tier", "price_version"),
    *_money("held", _held),
    *_money("cost", _cost),
    _truth("is_estimated"),
    *_plain(Kind.INTEGER, *Usage.__struct_fields__, "first_event_ms", "total_ms"),
)
_REQUESTS = (
    *_plain(Kind.TEXT, "request_id"),
    *_moment("at", lambda row: row["at_ns"]),
    *_plain(Kind.TEXT, "dialect", "requested_model", "model", "tier"),
    *_plain(Kind.NUMBER, "confidence"),
    *_plain(Kind.TEXT, "reason", "outcome"),
    *_money("cost", lambda row: row["cost_nanousd"]),
    _truth("is_estimated"),
    *_plain(Kind.TEXT, "baseline_model"),
    *_money("baseline_cost", lambda row: row["baseline_cost_nanousd"]),
    *_plain(Kind.INTEGER, "attempts"),
    _truth("stream"),
    *_plain(Kind.INTEGER, "total_ms", "overhead_us"),
    *_plain(Kind.TEXT, "key", "team", "tags", "user"),
    Field("route", Kind.TEXT, lambda row: written_out(row["route"])),
)
_OUTCOMES = (
    *_plain(Kind.TEXT, "outcome_id", "request_id"),
    *_moment("at", lambda row: row["at_ns"]),
    *_plain(Kind.TEXT, "model", "source", "check"),
    *_plain(Kind.NUMBER, "score"),
    *_plain(Kind.TEXT, "comment", "correction"),
)
FIELDS: Mapping[str, Sequence[Field]] = {"attempts": _ATTEMPTS, "requests": _REQUESTS, "outcomes": _OUTCOMES}
"""What can be exported, with its columns."""


# ---- pages ------------------------------------------------------------------------------------------------------


class _Walk(NamedTuple):
    """How to go through rows page by page, in the order of `key`."""

    sql: str
    key: tuple[str, ...]
    before: tuple[Value, ...]
    """Less than every key."""


_WALKS: Mapping[str, Sequence[_Walk]] = {
    "attempts": (
        _Walk(
            f"""
            SELECT c.*, h.at_ns AS held_at_ns, h.amount_nanousd AS hold_nanousd
            FROM events AS c LEFT JOIN events AS h ON h.attempt_id = c.attempt_id AND h.kind = 'reserved'
            WHERE c.kind <> 'reserved' AND c.at_ns >= ? AND c.at_ns < ? AND (c.at_ns, c.attempt_id, c.kind) > (?, ?, ?)
            ORDER BY c.at_ns, c.attempt_id, c.kind LIMIT {PAGE}
            """,  # noqa: S608 of our own constants
            ("at_ns", "attempt_id", "kind"),
            (-1, "", ""),
        ),
        _Walk(
            f"""
            SELECT h.*, h.at_ns AS held_at_ns, h.amount_nanousd AS hold_nanousd
            FROM open_holds AS o JOIN events AS h ON h.attempt_id = o.attempt_id AND h.kind = 'reserved'
            WHERE h.at_ns >= ? AND h.at_ns < ? AND o.attempt_id > ?
            ORDER BY o.attempt_id LIMIT {PAGE}
            """,  # noqa: S608 of our own constants
            ("attempt_id",),
            ("",),
        ),
    ),
    "requests": (
        _Walk(
            f"""
            SELECT r.* FROM requests AS r
            WHERE r.at_ns >= ? AND r.at_ns < ? AND (r.at_ns, r.request_id) > (?, ?)
            ORDER BY r.at_ns, r.request_id LIMIT {PAGE}
            """,  # noqa: S608 of our own constants
            ("at_ns", "request_id"),
            (-1, ""),
        ),
    ),
    "outcomes": (
        _Walk(
            f"""
            SELECT o.* FROM outcomes AS o WHERE o.at_ns >= ? AND o.at_ns < ? AND o.sequence > ?
            ORDER BY o.sequence LIMIT {PAGE}
            """,  # noqa: S608 of our own constants
            ("sequence",),
            (0,),
        ),
    ),
}


def pages(database: Database, what: str, since_ns: int, until_ns: int) -> Iterator[list[tuple[Cell, ...]]]:
    """The rows of `FIELDS[what]` from `since_ns` up to, not including, `until_ns`; never an empty page.

    Attempts come in the order of their closing, then those still open; what arrives meanwhile may be left out.
    Raises StoreUnavailable.
    """
    fields = FIELDS[what]
    for walk in _WALKS[what]:
        after = walk.before
        while rows := database.read(walk.sql, _start(walk, since_ns, after), until_ns, *after):
            yield [tuple(field.of(row) for field in fields) for row in rows]
            after = tuple(rows[-1][column] for column in walk.key)


def _start(walk: _Walk, since_ns: int, after: tuple[Value, ...]) -> int:
    """Where the index on time need not be read again."""
    return max(since_ns, int(after[0] or 0)) if walk.key[0] == "at_ns" else since_ns
