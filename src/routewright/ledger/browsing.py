"""Requests as people look through them: filtered, newest first, a page at a time, from a place and not from a number.

A page walks back in time over an index that has all that is filtered by, and reads whole rows only of what it shows.
It walks so far and no farther: where the filter finds little, the page says how far it looked, and one goes on from
there. So a page takes a bounded time, however large the ledger is and whatever is asked.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from routewright.ledger.database import Database, Row, Value

MOST_WALKED = 100_000
"""Entries of an index; some 40 ms."""
MOST_WALKED_ROWS = 5_000
"""Of rows themselves, where a tag is looked for."""
FAR_NS = 2**62


class Place(NamedTuple):
    """Between two requests: after this one, which is the newer."""

    at_ns: int
    request_id: str


END = Place(FAR_NS, "")


class Filter(Struct, frozen=True, kw_only=True):
    """What a request must be like; None for anything, an empty text for what has no name."""

    since_ns: int = 0
    until_ns: int = FAR_NS
    model: str | None = None
    tier: str | None = None
    key: str | None = None
    team: str | None = None
    tag: str | None = None
    outcome: str | None = None
    """As it is recorded, or `failed` for all but `complete`."""
    session: str | None = None
    least_nanousd: int | None = None
    most_nanousd: int | None = None
    least_ms: int | None = None
    most_ms: int | None = None

    def takes(self, row: "Brief") -> bool:
        """Whether one is like this."""
        named = ((self.model, row.model), (self.tier, row.tier), (self.key, row.key), (self.team, row.team))
        bounds = (
            (self.least_nanousd, row.cost_nanousd, self.most_nanousd),
            (self.least_ms, row.total_ms, self.most_ms),
            (self.since_ns, row.at_ns, self.until_ns - 1),
        )
        return (
            all(wanted in (None, value or "") for wanted, value in named)
            and all(
                (least is None or least <= value) and (most is None or value <= most) for least, value, most in bounds
            )
            and self.session in (None, row.session)
            and (self.outcome in (None, row.outcome) or (self.outcome == "failed" and row.outcome != "complete"))
            and (self.tag is None or self.tag in msgspec.json.decode(row.tags, type=list[str]))
        )

    @property
    def is_of_sums(self) -> bool:
        """Whether roll-ups can tell how many there are: they know neither of these, nor tags beside two others."""
        unknown = (self.session, self.least_nanousd, self.most_nanousd, self.least_ms, self.most_ms)
        beside = [each for each in (self.model, self.tier, self.key, self.team) if each is not None]
        is_simple = self.outcome in (None, "complete", "failed")
        return is_simple and not any(each is not None for each in unknown) and not (self.tag and len(beside) > 1)


class Brief(Struct, frozen=True, kw_only=True):
    """A request as a line of a table."""

    request_id: str
    at_ns: int
    requested_model: str
    model: str | None
    tier: str | None
    outcome: str
    cost_nanousd: int
    is_estimated: int
    baseline_cost_nanousd: int | None
    attempts: int
    total_ms: int
    overhead_us: int | None
    key: str
    team: str
    session: str
    cache: str
    tags: str
    """A JSON list."""


class Found(NamedTuple):
    """A page."""

    rows: Sequence[Brief]
    onward: Place | None
    """Where the next page begins; None at the end."""
    is_whole: bool
    """The page is full, or there is nothing more; otherwise it was looked back as far as `onward` and no farther."""


class Bar(NamedTuple):
    """How many there are in a span of time."""

    starts_ns: int
    complete: int
    others: int


def browse(database: Database, wanted: Filter, after: Place, limit: int) -> Found:
    """A page of at most `limit`. Raises StoreUnavailable."""
    walk = _Walk(database, wanted)
    rows = database.read(walk.page, *walk.bindings(after), limit + 1)
    briefs = [_brief(row) for row in rows]
    if len(briefs) > limit:
        return Found(briefs[:limit], Place(briefs[limit - 1].at_ns, briefs[limit - 1].request_id), is_whole=True)
    last = database.read_plain(walk.end, *walk.bindings_of_end(after))
    onward = Place(*last[0]) if last else None
    return Found(briefs, onward, is_whole=onward is None)


def counted(database: Database, wanted: Filter, after: Place, span_ns: int) -> list[Bar]:
    """How many there are in each span of time, as far back as a page walks. Raises StoreUnavailable."""
    walk = _Walk(database, wanted)
    return [Bar(*row) for row in database.read_plain(walk.bars, span_ns, *walk.bindings(after))]


def newest(database: Database, after: Place, limit: int) -> list[Brief]:
    """The requests after a place, the oldest first; of too many, the latest. Raises StoreUnavailable."""
    return [_brief(row) for row in reversed(database.read(_NEWEST, after.at_ns, after.request_id, limit))]


class Turn(NamedTuple):
    """A request, as far as it is a part of a session."""

    session: str
    at_ns: int
    request_id: str
    model: str | None
    tier: str | None
    outcome: str
    cost_nanousd: int
    baseline_cost_nanousd: int | None


def turns(database: Database, after: Place, walked: int, most: int) -> list[Turn]:
    """What belongs to the `most` latest sessions, newest first, among as many requests as are `walked`.

    The sessions are chosen in the database: it gives up the interpreter for that, and not for each row it hands over.
    """
    return [Turn(*row) for row in database.read_plain(_TURNS, after.at_ns, after.request_id, walked, most)]


def turns_of(database: Database, session: str, limit: int) -> list[Brief]:
    """The first requests of one session, in order."""
    return [_brief(row) for row in database.read(_TURNS_OF, session, limit)]


class Cached(NamedTuple):
    """What of a request's input its providers had in their caches, in tokens."""

    cached: int
    input: int


def cached_of(database: Database, request_ids: Sequence[str]) -> dict[str, Cached]:
    """Of some requests, those that were answered. Raises StoreUnavailable."""
    found: dict[str, Cached] = {}
    for begin in range(0, len(request_ids), _ASKED_AT_ONCE):
        some = request_ids[begin : begin + _ASKED_AT_ONCE]
        for request_id, cached, tokens in database.read_plain(_CACHED.format(marks=_marks(some)), *some):
            found[request_id] = Cached(cached, tokens)
    return found


def routes_of(database: Database, request_ids: Sequence[str]) -> dict[str, str]:
    """The decisions about some requests, as JSON. Raises StoreUnavailable."""
    if not request_ids:
        return {}
    return dict(database.read_plain(_ROUTES.format(marks=_marks(request_ids)), *request_ids))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


class Course(NamedTuple):
    """How a request went, in three figures."""

    outcome: str
    cost_nanousd: int
    total_ms: int
    overhead_us: int | None


def since(database: Database, since_ns: int, limit: int) -> list[Course]:
    """The latest requests since a time, newest first."""
    return [Course(*row) for row in database.read_plain(_SINCE, since_ns, limit)]


# ---- SQL --------------------------------------------------------------------------------------------------------

_COLUMNS = Brief.__struct_fields__
_R = ", ".join(f"r.{name}" for name in _COLUMNS)
_NEWEST_FIRST = "ORDER BY at_ns DESC, request_id DESC"
_WALKED = "at_ns, request_id, model, tier, key, team, outcome, cost_nanousd, total_ms, session"
_NEWEST = f"""
SELECT {_R} FROM requests AS r WHERE (r.at_ns, r.request_id) > (?, ?)
ORDER BY r.at_ns DESC, r.request_id DESC LIMIT ?
"""  # noqa: S608 of our own constants
_TURNS = f"""
WITH walked AS (
    SELECT at_ns, request_id, session FROM requests WHERE (at_ns, request_id) < (?, ?) {_NEWEST_FIRST} LIMIT ?
), latest AS (
    SELECT session, max(at_ns) AS last_ns FROM walked WHERE session <> '' GROUP BY session
    ORDER BY last_ns DESC, session LIMIT ?
)
SELECT {", ".join(f"r.{name}" for name in Turn._fields)}
FROM latest JOIN walked USING (session) JOIN requests AS r USING (request_id) ORDER BY r.at_ns DESC, r.request_id DESC
"""  # noqa: S608 of our own constants
_TURNS_OF = f"""
SELECT {_R} FROM requests AS r WHERE r.session = ? AND r.session <> '' ORDER BY r.at_ns, r.request_id LIMIT ?
"""  # noqa: S608 of our own constants
_ASKED_AT_ONCE = 500
_INPUT = "input + cache_read + cache_write + cache_write_1h"
_CACHED = f"""
SELECT request_id, CAST(sum(cache_read) AS BIGINT), CAST(sum({_INPUT}) AS BIGINT) FROM events
WHERE request_id IN ({{marks}}) AND kind = 'settled' GROUP BY request_id
"""  # noqa: S608 of our own constants
_ROUTES = "SELECT request_id, route FROM requests WHERE request_id IN ({marks})"
_SINCE = """
SELECT outcome, cost_nanousd, total_ms, overhead_us FROM requests WHERE at_ns >= ?
ORDER BY at_ns DESC, request_id DESC LIMIT ?
"""


class _Walk:
    """One filter as SQL: made of our own names, with what is looked for beside it."""

    def __init__(self, database: Database, wanted: Filter) -> None:
        self._wanted = wanted
        in_session = "" if wanted.session is None else " AND session = ? AND session <> ''"
        self._walked = MOST_WALKED if wanted.tag is None else MOST_WALKED_ROWS
        walk = f"""
            SELECT {_WALKED} FROM requests
            WHERE at_ns >= ? AND (at_ns, request_id) < (?, ?){in_session} {_NEWEST_FIRST} LIMIT ?
        """  # noqa: S608 of our own constants
        self._conditions, self._values = _conditions(database, wanted)
        where = " AND ".join(self._conditions) or "true"
        self.page = f"""
            SELECT {_R} FROM (
                SELECT request_id FROM ({walk}) AS walked WHERE {where} {_NEWEST_FIRST} LIMIT ?
            ) AS found JOIN requests AS r USING (request_id) ORDER BY r.at_ns DESC, r.request_id DESC
        """  # noqa: S608 of our own constants
        self.end = f"""
            SELECT at_ns, request_id FROM requests
            WHERE at_ns >= ? AND (at_ns, request_id) < (?, ?){in_session} {_NEWEST_FIRST} LIMIT 1 OFFSET ?
        """  # noqa: S608 of our own constants
        self.bars = f"""
            SELECT at_ns - at_ns % span AS starts_ns, count(*) FILTER (WHERE outcome = 'complete'),
                   count(*) FILTER (WHERE outcome <> 'complete')
            FROM (SELECT CAST(? AS BIGINT) AS span) AS width CROSS JOIN ({walk}) AS walked
            WHERE {where} GROUP BY 1 ORDER BY 1
        """  # noqa: S608 of our own constants

    def bindings(self, after: Place) -> list[Value]:
        """For `page`, without its limit, and for `bars`, without its span."""
        return [*self._bounds(after), self._walked, *self._values]

    def bindings_of_end(self, after: Place) -> list[Value]:
        """For `end`."""
        return [*self._bounds(after), self._walked - 1]

    def _bounds(self, after: Place) -> list[Value]:
        begin = min(after, Place(self._wanted.until_ns, ""))
        session = [] if self._wanted.session is None else [self._wanted.session]
        return [self._wanted.since_ns, *begin, *session]


def _conditions(database: Database, wanted: Filter) -> tuple[list[str], list[Value]]:
    found: list[str] = []
    values: list[Value] = []
    for name in ("model", "tier", "key", "team"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(f"coalesce({name}, '') = ?")
            values.append(value)
    if wanted.outcome == "failed":
        found.append("outcome <> 'complete'")
    elif wanted.outcome is not None:
        found.append("outcome = ?")
        values.append(wanted.outcome)
    for condition, bound in (
        ("cost_nanousd >= ?", wanted.least_nanousd),
        ("cost_nanousd <= ?", wanted.most_nanousd),
        ("total_ms >= ?", wanted.least_ms),
        ("total_ms <= ?", wanted.most_ms),
    ):
        if bound is not None:
            found.append(condition)
            values.append(bound)
    if wanted.tag is not None:
        tags = database.elements("t.tags", "tag")
        found.append(
            f"EXISTS (SELECT 1 FROM requests AS t, {tags} WHERE t.request_id = walked.request_id AND tag.value = ?)"  # noqa: S608 our own
        )
        values.append(wanted.tag)
    return found, values


def _brief(row: Row) -> Brief:
    return Brief(**row)
