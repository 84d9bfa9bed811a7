"""Spending by policy, from the rows themselves: no sums are kept by it.

A policy's name has a version behind it, and each change of the settings makes another, so sums by policy would be a
dimension that grows without end, and would be paid for with every request. Whoever compares two policies asks now and
then, of some weeks; the rows of each day are then read once. What a request was decided by is in its route; an attempt
has the policy of its request, none if that was never written.
"""

from collections.abc import Iterator, Mapping, Sequence

from routewright.ledger.database import Database
from routewright.ledger.rollups import DAY_NS, HOUR_NS, ROLLUPS, Group, Keys, Rollup

_TIMES = {"hour": HOUR_NS, "day": DAY_NS}


def grouped(
    database: Database, by: Sequence[str], since_ns: int, until_ns: int, only: Mapping[str, str]
) -> list[Group]:
    """All sums by `policy` and at most one other dimension but `tag`, as `rollups.grouped` has them."""
    first_ns, after_ns = max(0, since_ns) // HOUR_NS * HOUR_NS, -(-until_ns // HOUR_NS) * HOUR_NS
    found: dict[str, dict[Keys, Sequence[int]]] = {}
    for rollup in ROLLUPS:
        sums = found[rollup.table] = {}
        if "cause" in (*by, *only) and "cause" not in rollup.dimensions:
            continue  # requests have none
        sql = _question(database, rollup, by, only)
        for start_ns, end_ns in _days(database, rollup, first_ns, after_ns):
            for row in database.read_plain(sql, start_ns, end_ns, *only.values()):
                keys, values = row[: len(by)], row[len(by) :]
                known = sums.get(keys)
                sums[keys] = values if known is None else [one + more for one, more in zip(known, values, strict=True)]
    attempts, requests = (found[rollup.table] for rollup in ROLLUPS)
    no_attempts, no_requests = ((0,) * len(rollup.sums) for rollup in ROLLUPS)
    return [
        Group(keys, attempts.get(keys, no_attempts), requests.get(keys, no_requests))
        for keys in sorted(attempts.keys() | requests.keys())
    ]


def _question(database: Database, rollup: Rollup, by: Sequence[str], only: Mapping[str, str]) -> str:
    """SQL for a time: its keys, then its sums."""
    is_of_requests = rollup.source == "requests"
    route = "new.route" if is_of_requests else "asked.route"
    known = {name: f"new.at_ns - new.at_ns % {grain}" for name, grain in _TIMES.items()}
    known |= {"policy": f"coalesce({database.member(route, 'policy')}, '')", **rollup.dimensions}
    joined = "" if is_of_requests else "LEFT JOIN requests AS asked ON asked.request_id = new.request_id"
    conditions = "".join(f" AND {known[name]} = ?" for name in only)
    sums = ", ".join(f"CAST(sum({sql}) AS BIGINT)" for sql in rollup.sums.values())
    return f"""
    SELECT {", ".join(known[name] for name in by)}, {sums}
    FROM {rollup.source} AS new {joined}
    WHERE {rollup.condition} AND new.at_ns >= ? AND new.at_ns < ? {conditions}
    GROUP BY {", ".join(str(place + 1) for place in range(len(by)))}
    """  # noqa: S608 of our own constants


def _days(database: Database, rollup: Rollup, since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    """The time, day by day as far as there are rows: each in a statement of its own, as these have a time limit."""
    its = f"FROM {rollup.source} AS new WHERE {rollup.condition}"
    (found,) = database.read(f"SELECT min(at_ns) AS first, max(at_ns) AS last {its}")
    if found["first"] is None:
        return
    start_ns, until_ns = max(since_ns, found["first"]), min(until_ns, found["last"] + 1)
    while start_ns < until_ns:
        end_ns = min(until_ns, start_ns // DAY_NS * DAY_NS + DAY_NS)
        yield start_ns, end_ns
        start_ns = end_ns
