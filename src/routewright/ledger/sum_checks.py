"""The checks of `routewright ledger verify` that add up: what is written in two places is the same in both."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from routewright.ledger.database import Row
from routewright.ledger.findings import MOST_NAMED, Finding, Subject, finding, skipped

PAGE = 2_000

_REQUESTS = f"""
SELECT r.at_ns, r.request_id, r.cost_nanousd, (
    SELECT coalesce(sum(e.cost_nanousd), 0) FROM events AS e
    WHERE e.request_id = r.request_id AND e.kind = 'settled' AND e.outcome <> 'crashed') AS attempts_nanousd
FROM requests AS r
WHERE r.at_ns >= ? AND (r.at_ns, r.request_id) > (?, ?) ORDER BY r.at_ns, r.request_id LIMIT {PAGE}
"""  # noqa: S608 of our own constants


def requests_cost_what_their_attempts_did(subject: Subject) -> Finding:
    """What a process that died left open was settled later, by another one, and is in no request's row."""
    seen = {"requests": 0}
    wrong = list(islice(_unequal_requests(subject, seen), MOST_NAMED))
    return finding("request costs", f"{seen['requests']:,} requests against their attempts", wrong)


def _unequal_requests(subject: Subject, seen: dict[str, int]) -> Iterator[str]:
    at_ns, request_id = max(subject.since_ns, subject.pruned_until_ns), ""
    while rows := subject.database.read(_REQUESTS, at_ns, at_ns, request_id):
        for row in rows:
            seen["requests"] += 1
            if row["cost_nanousd"] != row["attempts_nanousd"]:
                yield f"{row['request_id']}: {row['cost_nanousd']} n$, its attempts {row['attempts_nanousd']} n$"
        at_ns, request_id = rows[-1]["at_ns"], rows[-1]["request_id"]
        subject.pause()


_RELEASED = f"""
SELECT r.at_ns, r.attempt_id, (
    SELECT count(*) FROM events AS s WHERE s.attempt_id = r.attempt_id AND s.kind = 'settled') AS settlements
FROM events AS r
WHERE r.kind <> 'reserved' AND r.kind = 'released' AND r.at_ns >= ? AND (r.at_ns, r.attempt_id) > (?, ?)
ORDER BY r.at_ns, r.attempt_id LIMIT {PAGE}
"""  # noqa: S608 of our own constants


def attempts_close_once(subject: Subject) -> Finding:
    """An attempt is settled or released, never both."""
    return finding("closings", "no attempt is settled and released", _closed_twice(subject))


def _closed_twice(subject: Subject) -> Iterator[str]:
    at_ns, attempt_id = subject.since_ns, ""
    while rows := subject.database.read(_RELEASED, at_ns, at_ns, attempt_id):
        yield from (row["attempt_id"] for row in rows if row["settlements"])
        at_ns, attempt_id = rows[-1]["at_ns"], rows[-1]["attempt_id"]
        subject.pause()


_CHARGED = """
SELECT charges, CAST(sum(cost_nanousd) AS BIGINT) AS cost_nanousd FROM events
WHERE kind = 'settled' AND at_ns >= ? AND cost_nanousd > 0 AND charges <> '[]' GROUP BY charges
"""
_WINDOWS = "SELECT budget, starts_ns, posted_nanousd, is_counted FROM budget_windows WHERE starts_ns >= ? ORDER BY 1, 2"


def budgets_are_what_was_posted(subject: Subject) -> Finding:
    """A window holds exactly what its attempts cost, and what was spent before it, if the budget counts that."""
    name = "budgets"
    if "budget_windows" not in subject.tables:
        return skipped(name, "this ledger keeps no budgets")
    from_ns = subject.pruned_until_ns
    # Read on both sides of the attempts: a gateway may be posting.
    before = subject.database.read(_WINDOWS, from_ns)
    charged = _charged(subject.database.read(_CHARGED, from_ns))
    after = subject.database.read(_WINDOWS, from_ns)
    wrong = _unequal_windows(before, charged, after)
    return finding(name, f"{len(after)} budget periods against their attempts", wrong)


def _charged(rows: Iterable[Row]) -> Mapping[tuple[str, int], int]:
    sums: dict[tuple[str, int], int] = {}
    for row in rows:
        for budget, starts_ns in msgspec.json.decode(row["charges"], type=list[tuple[str, int]]):
            sums[budget, starts_ns] = sums.get((budget, starts_ns), 0) + row["cost_nanousd"]
    return sums


def _unequal_windows(
    before: Iterable[Row], charged: Mapping[tuple[str, int], int], after: Iterable[Row]
) -> Iterator[str]:
    posted_before = {(row["budget"], row["starts_ns"]): row["posted_nanousd"] for row in before}
    for row in after:
        window = row["budget"], row["starts_ns"]
        cost, posted, least = charged.get(window, 0), row["posted_nanousd"], posted_before.get(window, 0)
        if posted < cost or (least > cost and not row["is_counted"]):
            yield f"{row['budget']} from {row['starts_ns']}: posted {posted} n$, its attempts {cost} n$"
