"""Roll-ups: what reports read instead of the rows themselves, kept in the transaction that brings the rows.

A roll-up row is the sum of all attempts, or requests, of one *period* that are alike in what its *facet* looks at: one
dimension (`model`, …), none (`all`), or `every` one of them; so that the usual questions read few rows, and those that
join two dimensions are answered too. `tag`, and `tag and model`, …, are sums for one tag each: an attempt with two tags
is in two of them. The same sums are kept for four lengths of period, so that any time is a few ranges: blocks of four
weeks in the middle, weeks, days and hours at the ends.

They are exact, as they are made of the rows that were new, and only of these. A row stands for at least one attempt,
and tags, which anybody may invent, are known by name up to `MOST_TAGS`: later ones are counted together as `OTHER_TAG`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from routewright.call import Cause
from routewright.ledger.database import Database, Transaction, Value
from routewright.usage import InputParts, Usage

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
GRAINS = (28 * DAY_NS, 7 * DAY_NS, DAY_NS, HOUR_NS)
"""Lengths of periods, the longest first; each is a multiple of the next, and periods are counted from 1970."""
MOST_TAGS = 10_000
LONGEST_TAG = 200
"""Characters of a tag that are looked at."""
OTHER_TAG = "(other)"
EVERY = "every"
_FAR = 2**62 // GRAINS[0] * GRAINS[0]
"""A time that nothing in a ledger comes after, where a period of any length begins."""


class Rollup(NamedTuple):
    """One of the two tables, and how its rows are made of those of `source` (`new` in the expressions)."""

    table: str
    source: str
    source_id: str
    condition: str
    dimensions: Mapping[str, str]
    sums: Mapping[str, str]

    @property
    def facets(self) -> tuple[str, ...]:
        """Which there are beside those of tags."""
        return ("all", *self.dimensions, EVERY)

    @property
    def tag_facets(self) -> tuple[str, ...]:
        """Those of tags: alone, and beside one other dimension. All dimensions would be too many rows to read."""
        return ("tag", *(f"tag and {name}" for name in self.dimensions))


_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_IS_ANSWER = f"new.first_event_ms IS NOT NULL AND new.cause NOT IN ({_ERRANDS})"
_SIMULATED = "simulator/"
_ATTEMPTS = Rollup(
    table="attempts_rollup",
    source="events",
    source_id="sequence",
    condition="new.kind <> 'reserved'",
    dimensions={name: f"new.{name}" for name in ("model", "tier", "key", "team", "cause")},
    sums={
        "attempts": "1",
        "estimated": "coalesce(new.is_estimated, 0)",
        "unpriced": "CASE WHEN new.kind = 'settled' AND new.cost_nanousd IS NULL THEN 1 ELSE 0 END",
        "cost_nanousd": "coalesce(new.cost_nanousd, 0)",
        **{tokens: f"coalesce(new.{tokens}, 0)" for tokens in Usage.__struct_fields__},
        # What answered had a first event, and nothing is tried again after it.
        **{
            f"answer_{tokens}": f"CASE WHEN {_IS_ANSWER} THEN coalesce(new.{tokens}, 0) ELSE 0 END"
            for tokens in Usage.__struct_fields__
        },
        "simulated": f"CASE WHEN substr(new.deployment, 1, {len(_SIMULATED)}) = '{_SIMULATED}' THEN 1 ELSE 0 END",
        "errand_cost_nanousd": f"CASE WHEN new.cause IN ({_ERRANDS}) THEN coalesce(new.cost_nanousd, 0) ELSE 0 END",
    },
)
_SAVED = "new.baseline_cost_nanousd - new.cost_nanousd"
_FAILED = "CASE WHEN new.model IS NULL THEN new.cost_nanousd ELSE 0 END"
_REQUESTS = Rollup(
    table="requests_rollup",
    source="requests",
    source_id="request_id",
    condition="new.request_id <> ''",
    dimensions={
        "model": "coalesce(new.model, '')",
        "tier": "coalesce(new.tier, '')",
        "key": "new.key",
        "team": "new.team",
    },
    sums={
        "requests": "1",
        "complete": "CASE WHEN new.outcome = 'complete' THEN 1 ELSE 0 END",
        "unsure": "CASE WHEN new.is_estimated = 1 AND (new.model IS NULL OR new.baseline_cost_nanousd IS NOT NULL)"
        " THEN 1 ELSE 0 END",
        "compared": "CASE WHEN new.baseline_cost_nanousd IS NULL THEN 0 ELSE 1 END",
        "baseline_cost_nanousd": "coalesce(new.baseline_cost_nanousd, 0)",
        "compared_cost_nanousd": "CASE WHEN new.baseline_cost_nanousd IS NULL THEN 0 ELSE new.cost_nanousd END",
        "answered": "CASE WHEN new.model IS NULL THEN 0 ELSE 1 END",
        "answered_cost_nanousd": "CASE WHEN new.model IS NULL THEN 0 ELSE new.cost_nanousd END",
        "failed_cost_nanousd": _FAILED,
        **{
            f"input_{part}": f"CASE WHEN new.model IS NULL THEN 0 ELSE new.input_{part} END"
            for part in InputParts.__struct_fields__
        },
        "input_estimated": "CASE WHEN new.model IS NULL THEN 0 ELSE new.input_is_estimated END",
        "input_cost_nanousd": "coalesce(new.input_cost_nanousd, 0)",
        "system_cost_nanousd": "coalesce(new.system_cost_nanousd, 0)",
        "from_cache": "CASE WHEN new.cache IN ('hit', 'stale') THEN 1 ELSE 0 END",
        "cache_saved_nanousd": "coalesce(new.cache_saved_nanousd, 0)",
        # What nobody reported cost something between nothing and our bound.
        "least_saved_nanousd": f"CASE WHEN new.baseline_cost_nanousd IS NULL OR new.is_estimated = 1 AND {_SAVED} > 0"
        f" THEN 0 ELSE {_SAVED} END - {_FAILED}",
        "most_saved_nanousd": "CASE WHEN new.baseline_cost_nanousd IS NULL THEN 0"
        f" WHEN new.is_estimated = 1 THEN new.baseline_cost_nanousd ELSE {_SAVED} END"
        f" - CASE WHEN new.is_estimated = 1 THEN 0 ELSE {_FAILED} END",
    },
)
ROLLUPS = (_ATTEMPTS, _REQUESTS)
SOURCES = tuple(rollup.source for rollup in ROLLUPS)
SUMS = (tuple(_ATTEMPTS.sums), tuple(_REQUESTS.sums))
"""What there is to know of a group: counts, tokens, money; those of attempts, and those of requests."""
_WIDTH = max(len(rollup.sums) for rollup in ROLLUPS)


def _table(column: str, values: Sequence[str | int]) -> str:
    """SQL for a table of one column."""
    return " UNION ALL ".join(f"SELECT {value!r} AS {column}" for value in values)


# ---- keeping them -----------------------------------------------------------------------------------------------

_TAG = f"substr(tag.value, 1, {LONGEST_TAG})"
_TAGGED = "SELECT 1 AS found FROM {rows} AS new WHERE {condition} AND new.tags <> '[]' LIMIT 1"
"""Most have no tags, and to find none takes no small part of the time for all sums."""


def keep(database: Database, transaction: Transaction, new: Mapping[str, str]) -> None:
    """Count rows that were not there before: `new` has, by table, what to write after FROM for them."""
    for rollup in ROLLUPS:
        if rollup.source in new:
            _count(database, transaction, rollup, new[rollup.source], GRAINS, rollup.facets)


def _count(
    database: Database,
    transaction: Transaction,
    rollup: Rollup,
    rows: str,
    grains: Sequence[int],
    facets: Sequence[str],
) -> None:
    transaction.execute(_addition(rollup, grains, facets, rows))
    if transaction.execute(_TAGGED.format(rows=rows, condition=rollup.condition)):
        tags = database.elements("new.tags", "tag")
        _learn_tags(transaction, rollup, rows, tags)
        transaction.execute(_addition(rollup, grains, rollup.tag_facets, rows, tags))


def make(database: Database) -> None:
    """Make the sums of all rows there are, if that was not done yet: after a migration. Raises StoreUnavailable."""
    if database.read("SELECT is_made FROM rollups_made")[0]["is_made"]:
        return
    with database.transaction() as transaction:
        transaction.take_turn()
        if transaction.execute("SELECT is_made FROM rollups_made")[0]["is_made"]:
            return  # by another process, meanwhile
        for rollup in ROLLUPS:
            transaction.execute(f"DELETE FROM {rollup.table}")  # noqa: S608 of our own constants
            for day in _days(transaction, rollup):  # each in a statement of its own, as these have a time limit
                _count(database, transaction, rollup, day, (HOUR_NS,), (EVERY,))
            for facet in rollup.facets:
                if facet != EVERY:
                    transaction.execute(_gathering(rollup, facet))
            for shorter, longer in pairwise(reversed(GRAINS)):
                transaction.execute(_fold(rollup, shorter, longer))
        transaction.execute("UPDATE rollups_made SET is_made = 1")


def _days(transaction: Transaction, rollup: Rollup) -> Iterator[str]:
    """What to write after FROM for the rows of each day."""
    its = f"FROM {rollup.source} AS new WHERE {rollup.condition}"
    (found,) = transaction.execute(f"SELECT min(at_ns) AS first, max(at_ns) AS last {its}")
    if found["first"] is not None:
        for day in range(found["first"] // DAY_NS, found["last"] // DAY_NS + 1):
            yield f"(SELECT * {its} AND at_ns >= {day * DAY_NS} AND at_ns < {(day + 1) * DAY_NS})"


def _learn_tags(transaction: Transaction, rollup: Rollup, rows: str, tags: str) -> None:
    """Note tags that are met for the first time, as far as there is room for them."""
    unknown = transaction.execute(
        f"""
        SELECT DISTINCT {_TAG} AS tag FROM {rows} AS new, {tags}
        WHERE {rollup.condition} AND new.tags <> '[]'
          AND NOT EXISTS (SELECT 1 FROM known_tags WHERE known_tags.tag = {_TAG})
        ORDER BY 1
        """  # noqa: S608 of our own constants
    )
    if unknown:
        room = MOST_TAGS - int(transaction.execute("SELECT count(*) AS known FROM known_tags")[0]["known"])
        transaction.insert("known_tags", ("tag",), [(row["tag"],) for row in unknown[: max(0, room)]])


def _addition(rollup: Rollup, grains: Sequence[int], facets: Sequence[str], rows: str, tags: str | None = None) -> str:
    """SQL that adds new rows to their sums: to those of their tags, or to those without one."""
    key = ", ".join(("grain", "facet", "starts_ns", "tag", *rollup.dimensions))
    seen_in = f"'{{0}}', '{EVERY}'" if tags is None else "'tag and {0}'"
    seen = [f"CASE WHEN facet IN ({seen_in.format(name)}) THEN {name} ELSE '' END" for name in rollup.dimensions]
    values = {"starts_ns": f"new.at_ns - new.at_ns % {HOUR_NS}", "tag": "''" if tags is None else "its.tag"}
    values |= {**rollup.dimensions, **{name: f"sum({sql})" for name, sql in rollup.sums.items()}}
    source = f"{rows} AS new"
    if tags is not None:
        source = f"{_tagged(rollup, rows, tags)} JOIN {source} USING ({rollup.source_id})"
    by_hour, by_key = _places(2 + len(rollup.dimensions)), _places(4 + len(rollup.dimensions))
    return f"""
    INSERT INTO {rollup.table} ({key}, {", ".join(rollup.sums)})
    SELECT grain, facet, starts_ns - starts_ns % grain, tag, {", ".join(seen)},
           {", ".join(f"sum({name})" for name in rollup.sums)}
    FROM (
        SELECT {", ".join(f"{sql} AS {name}" for name, sql in values.items())}
        FROM {source} WHERE {rollup.condition} GROUP BY {by_hour}
    ) AS hourly CROSS JOIN ({_table("grain", grains)}) AS grains CROSS JOIN ({_table("facet", facets)}) AS facets
    WHERE true GROUP BY {by_key} ORDER BY {by_key}
    ON CONFLICT ({key}) DO UPDATE SET
    {", ".join(f"{name} = {rollup.table}.{name} + excluded.{name}" for name in rollup.sums)}
    """  # noqa: S608 of our own constants


def _gathering(rollup: Rollup, facet: str) -> str:
    """SQL that makes the hourly sums by one dimension, or none, from those by every one."""
    seen = {name: name if name == facet else "''" for name in rollup.dimensions}
    key = ", ".join(("starts_ns", *(name for name in rollup.dimensions if name == facet)))
    return f"""
    INSERT INTO {rollup.table} (grain, facet, starts_ns, tag, {", ".join(seen)}, {", ".join(rollup.sums)})
    SELECT grain, '{facet}', starts_ns, '', {", ".join(seen.values())},
           {", ".join(f"sum({name})" for name in rollup.sums)}
    FROM {rollup.table} WHERE grain = {HOUR_NS} AND facet = '{EVERY}' GROUP BY grain, {key}
    """  # noqa: S608 of our own constants


def _fold(rollup: Rollup, shorter: int, longer: int) -> str:
    """SQL that makes the sums of longer periods from those of shorter ones."""
    alike, sums = ", ".join(("tag", *rollup.dimensions)), ", ".join(f"sum({name})" for name in rollup.sums)
    return f"""
    INSERT INTO {rollup.table} (grain, facet, starts_ns, {alike}, {", ".join(rollup.sums)})
    SELECT {longer}, facet, starts_ns - starts_ns % {longer}, {alike}, {sums}
    FROM {rollup.table} WHERE grain = {shorter} GROUP BY {_places(4 + len(rollup.dimensions))}
    """  # noqa: S608 of our own constants


def _places(columns: int) -> str:
    """The first columns, by their places."""
    return ", ".join(str(place + 1) for place in range(columns))


def _tagged(rollup: Rollup, rows: str, tags: str) -> str:
    """Each new row with each of its tags, once.

    The new rows are picked out first: SQLite would rather read the whole table in the order of its key, in which what
    is DISTINCT needs no sorting.
    """
    return f"""(
        WITH new AS MATERIALIZED (SELECT {rollup.source_id}, tags FROM {rows} AS all_new WHERE tags <> '[]')
        SELECT DISTINCT new.{rollup.source_id} AS {rollup.source_id},
               CASE WHEN EXISTS (SELECT 1 FROM known_tags WHERE known_tags.tag = {_TAG})
                    THEN {_TAG} ELSE '{OTHER_TAG}' END AS tag
        FROM new, {tags}
    ) AS its"""  # noqa: S608 of our own constants


# ---- asking them ------------------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """Part of the time that is asked for: periods of one length, from one up to, not including, another."""

    grain: int
    since_ns: int
    until_ns: int


def pieces(since_ns: int, until_ns: int, grains: Sequence[int] = GRAINS) -> Iterator[Piece]:
    """The fewest ranges of periods for a time, which is rounded to whole periods of the shortest, outwards."""
    longest, *shorter = grains
    if not shorter:
        first, after = since_ns // longest * longest, -(-until_ns // longest) * longest
    else:
        first, after = -(-since_ns // longest) * longest, until_ns // longest * longest
    if first >= after:
        if shorter and since_ns < until_ns:
            yield from pieces(since_ns, until_ns, shorter)
        return
    if since_ns < first:
        yield from pieces(since_ns, first, shorter)
    yield Piece(longest, first, after)
    if after < until_ns:
        yield from pieces(after, until_ns, shorter)


_TIMES = {"hour": "starts_ns", "day": f"starts_ns - starts_ns % {DAY_NS}"}
_ANYTHING = {"all": "'all'"}


Keys: TypeAlias = tuple[str | int, ...]
"""Of a group, one for each dimension; a day or an hour is the UTC nanosecond when it begins."""


class Group(NamedTuple):
    """What is alike in the dimensions that were asked for, added up: rows that begin with a table's sums."""

    keys: Keys
    attempts: Sequence[int]
    requests: Sequence[int]


def grouped(
    database: Database, by: Sequence[str], since_ns: int, until_ns: int, only: Mapping[str, str] = MappingProxyType({})
) -> list[Group]:
    """All sums by some dimensions, from the hour of `since_ns` up to the end of that of `until_ns`; by their keys.

    `only` has what a value must be in a dimension, by its name. Requests have no cause: by it, there are only attempts.
    """
    finest = max((GRAINS.index(grain) for name, grain in (("day", DAY_NS), ("hour", HOUR_NS)) if name in by), default=0)
    ranges = list(pieces(max(0, since_ns), min(until_ns, _FAR), GRAINS[finest:]))
    rollups = [rollup for rollup in ROLLUPS if "cause" not in (*by, *only) or "cause" in rollup.dimensions]
    if not ranges:
        return []
    question = _Question(tuple(by), tuple(only), ranges)
    sought = [value[:LONGEST_TAG] if name == "tag" else value for name, value in only.items()]
    sql = " UNION ALL ".join(question.of(rollup) for rollup in rollups)
    bindings: list[Value] = []
    for piece in ranges:
        bindings += [*piece, *sought]
    attempts: dict[Keys, Sequence[int]] = {}
    requests: dict[Keys, Sequence[int]] = {}
    found = {_ATTEMPTS.table: attempts, _REQUESTS.table: requests}
    for row in database.read_plain(sql, *bindings * len(rollups)):
        found[row[-1]][row[_WIDTH:-1]] = row
    none = (0,) * _WIDTH
    return [
        Group(keys, attempts.get(keys, none), requests.get(keys, none))
        for keys in sorted(attempts.keys() | requests.keys())
    ]


class _Question(NamedTuple):
    """What is asked of both tables."""

    by: tuple[str, ...]
    only: tuple[str, ...]
    ranges: Sequence[Piece]

    def of(self, rollup: Rollup) -> str:
        """SQL for the sums of one table, as many as the other has, then the keys, then its name."""
        known = {**_TIMES, **_ANYTHING, "tag": "tag", **{name: name for name in rollup.dimensions}}
        keys = ", ".join(f"{known[name]} AS k{place}" for place, name in enumerate(self.by))
        conditions = " AND ".join(
            [f"grain = ? AND facet = '{self.facet}' AND starts_ns >= ? AND starts_ns < ?"]
            + [f"{known[name]} = ?" for name in self.only]
        )
        sums = ", ".join(rollup.sums)
        parts = [f"SELECT {keys}, {sums} FROM {rollup.table} WHERE {conditions}" for _ in self.ranges]  # noqa: S608 our own
        their_keys = ", ".join(f"k{place}" for place in range(len(self.by)))
        added = sums if self.is_summed_already else ", ".join(map(_sum, rollup.sums))
        padding = ", 0" * (_WIDTH - len(rollup.sums))
        sql = f"SELECT {added}{padding}, {their_keys}, '{rollup.table}' FROM ({' UNION ALL '.join(parts)}) AS parts"  # noqa: S608 our own
        return sql if self.is_summed_already else f"{sql} GROUP BY {their_keys}"

    @property
    def facet(self) -> str:
        """The one with the fewest rows that tells all dimensions apart."""
        looked_at = [name for name in dict.fromkeys((*self.by, *self.only)) if name not in _TIMES and name != "all"]
        if "tag" in looked_at:
            return " and ".join(["tag", *(name for name in looked_at if name != "tag")])
        return looked_at[0] if len(looked_at) == 1 else EVERY if looked_at else "all"

    @property
    def is_summed_already(self) -> bool:
        """There is one row for each line of the answer: the long answers, by hour or day and one dimension."""
        grain = HOUR_NS if "hour" in self.by else DAY_NS if "day" in self.by else 0
        return self.facet != EVERY and all(piece.grain == grain for piece in self.ranges)


def _sum(name: str) -> str:
    """PostgreSQL would go on with numbers of any length, which are slow."""
    return f"CAST(sum({name}) AS BIGINT) AS {name}"


def cost_nanousd(transaction: Transaction, dimension: str, value: str, since_ns: int, until_ns: int) -> int:
    """What attempts cost that have a `value` in one dimension, as `grouped` counts it: `tag` too, and '' in `all`.

    Of a tag that is counted among others nothing is known: 0.
    """
    condition = "? = ''" if dimension == "all" else f"{dimension} = ?"
    sought = value[:LONGEST_TAG] if dimension == "tag" else value
    sql = f"""
    SELECT CAST(coalesce(sum(cost_nanousd), 0) AS BIGINT) AS cost_nanousd FROM attempts_rollup
    WHERE grain = ? AND facet = '{dimension}' AND starts_ns >= ? AND starts_ns < ? AND {condition}
    """  # noqa: S608 of our own constants
    return sum(
        int(transaction.execute(sql, *piece, sought)[0]["cost_nanousd"])
        for piece in pieces(since_ns, min(until_ns, _FAR))
    )
