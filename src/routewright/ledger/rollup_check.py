"""The check that roll-ups are the sums of the rows they stand for."""

from collections.abc import Iterator
from itertools import islice

from routewright.ledger.database import Row
from routewright.ledger.findings import MOST_NAMED, Finding, Subject, finding, skipped
from routewright.ledger.rollups import GRAINS, HOUR_NS, ROLLUPS, Rollup
from routewright.ledger.sealed_rows import DAY_NS, day_of

NAME = "roll-ups"


def roll_ups_are_the_sums_of_their_rows(subject: Subject) -> Finding:
    """Day by day and model by model the hourly sums are those of the rows; and over all time, all others are those.

    Each comparison is one query, and so of one moment: a gateway may bring rows meanwhile.
    """
    if not subject.database.read("SELECT is_made FROM rollups_made")[0]["is_made"]:
        return skipped(NAME, "they are not made yet: the gateway does it when it starts")
    seen = {"days": 0}
    wrong = list(islice(_unequal(subject, seen), MOST_NAMED))
    return finding(NAME, f"{seen['days']} days of sums against their rows", wrong)


def _unequal(subject: Subject, seen: dict[str, int]) -> Iterator[str]:
    for rollup in ROLLUPS:
        for starts_ns in _days(subject, rollup):
            seen["days"] += 1
            time = (starts_ns, starts_ns + DAY_NS)
            for row in subject.database.read(_of_day(rollup), *time, *time):
                yield f"{rollup.table}, {day_of(starts_ns)}, {row['model'] or 'no model'}: {_told(row)}"
            subject.pause()
        for grain in GRAINS:
            for facet in rollup.facets:
                for row in subject.database.read(_of_all_time(rollup), grain, facet):
                    yield f"{rollup.table}, periods of {grain // HOUR_NS} hours, facet {facet}: {_told(row)}"


def _told(row: Row) -> str:
    """Which sums are not equal, and by how much."""
    return ", ".join(f"{name} differs by {value}" for name, value in row.items() if name != "model" and value)


def _days(subject: Subject, rollup: Rollup) -> Iterator[int]:
    """The days with rows, or with sums of such, of which rows may still be there."""
    rows = f"SELECT min(at_ns) AS it FROM {rollup.source} AS new WHERE {rollup.condition} AND at_ns >= ?"  # noqa: S608 our own
    sums = f"SELECT min(starts_ns) AS it FROM {rollup.table} WHERE {_HOURLY} AND starts_ns >= ?"  # noqa: S608 our own
    from_ns = max(subject.since_ns // DAY_NS * DAY_NS, subject.pruned_until_ns)
    while True:
        found = [subject.database.read(sql, from_ns)[0]["it"] for sql in (rows, sums)]
        firsts = [at_ns for at_ns in found if at_ns is not None]
        if not firsts:
            return
        starts_ns = min(firsts) // DAY_NS * DAY_NS
        yield starts_ns
        from_ns = starts_ns + DAY_NS


_HOURLY = f"grain = {HOUR_NS} AND facet = 'model'"


def _of_day(rollup: Rollup) -> str:
    """The models of which the rows of a time and their hourly sums are not the same, and by how much."""
    made = ", ".join(f"{sql} AS {name}" for name, sql in rollup.sums.items())
    return f"""
    SELECT model, {_totals(rollup)} FROM (
        SELECT {rollup.dimensions["model"]} AS model, {made} FROM {rollup.source} AS new
        WHERE {rollup.condition} AND new.at_ns >= ? AND new.at_ns < ?
        UNION ALL
        SELECT model, {_negated(rollup)} FROM {rollup.table} WHERE {_HOURLY} AND starts_ns >= ? AND starts_ns < ?
    ) AS both_sides GROUP BY model HAVING {_differs(rollup)} ORDER BY model LIMIT {MOST_NAMED}
    """  # noqa: S608 of our own constants


def _of_all_time(rollup: Rollup) -> str:
    """By how much the sums of a length and a facet are not those by hour and model."""
    return f"""
    SELECT {_totals(rollup)} FROM (
        SELECT {", ".join(rollup.sums)} FROM {rollup.table} WHERE grain = ? AND facet = ?
        UNION ALL
        SELECT {_negated(rollup)} FROM {rollup.table} WHERE {_HOURLY}
    ) AS both_sides HAVING {_differs(rollup)}
    """  # noqa: S608 of our own constants


def _totals(rollup: Rollup) -> str:
    return ", ".join(f"sum({name}) AS {name}" for name in rollup.sums)


def _negated(rollup: Rollup) -> str:
    return ", ".join(f"-{name}" for name in rollup.sums)


def _differs(rollup: Rollup) -> str:
    return " OR ".join(f"sum({name}) <> 0" for name in rollup.sums)
