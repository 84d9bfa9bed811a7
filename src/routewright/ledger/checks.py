"""What `routewright ledger verify` checks: each check is a function by itself, which says what is not as it must be.

They may run beside a gateway: what is only compared is read as it arrives, and only days that are over are compared
with their seals. Every one goes through its rows by pages, and names the first few that are wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from routewright.errors import StoreUnavailable
from routewright.ledger.database import Database, Row
from routewright.ledger.recovery import boots_alive
from routewright.ledger.sealed_rows import DAY_NS, Content, Pause, content_of, start_of
from routewright.ledger.seals import GENESIS, GRACE_NS, Seal, link, seals_after
from routewright.ledger.sqlite import SqliteDatabase

MOST_NAMED = 5
"""Rows that a check names; there may be more."""
PAGE = 2_000
_SLACK_NS = 60 * 10**9
"""After its deadline an attempt is cut and settled; so long that may take at most."""


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


Check = Callable[[Subject], Finding]


def verify(subject: Subject) -> Iterator[Finding]:
    """Every check, in turn. One that the database gives no answer to has found that."""
    for check in CHECKS:
        try:
            yield check(subject)
        except StoreUnavailable as error:
            yield Finding(name=check.__name__.replace("_", " "), verdict=Verdict.DIFFERENCE, found=error.message)


def _finding(name: str, looked_at: str, wrong: Iterable[str]) -> Finding:
    """All is well if nothing is wrong; whoever makes `wrong` is only asked for as much as is named."""
    rows = tuple(islice(wrong, MOST_NAMED))
    return Finding(name=name, verdict=Verdict.DIFFERENCE if rows else Verdict.OK, found=looked_at, rows=rows)


def _skipped(name: str, reason: str) -> Finding:
    return Finding(name=name, verdict=Verdict.SKIPPED, found=reason)


# ---- the database and its files ---------------------------------------------------------------------------------


def database_is_whole(subject: Subject) -> Finding:
    """SQLite's own look at every page and index."""
    name = "database"
    if not isinstance(subject.database, SqliteDatabase):
        return _skipped(name, "PostgreSQL looks after its own pages (pg_amcheck checks them)")
    rows = subject.database.read(f"PRAGMA integrity_check({MOST_NAMED})")
    return _finding(name, "integrity_check", (text for row in rows for text in row.values() if text != "ok"))


def nothing_is_unread(subject: Subject) -> Finding:
    """Records that a version of routewright could not read are kept aside, and so is what the disk damaged."""
    rows = subject.database.read("SELECT reason, count(*) AS n FROM unread GROUP BY reason LIMIT ?", MOST_NAMED)
    files = sorted(subject.journal.glob("slot-*/*.corrupt"))
    wrong = [f"{row['n']} records: {row['reason']}" for row in rows] + [f"damaged lines: {path}" for path in files]
    return _finding("unread", "records and journal files that were kept aside", wrong)


# ---- seals ------------------------------------------------------------------------------------------------------


def days_match_their_seals(subject: Subject) -> Finding:
    """Every seal is computed again, and follows the one before."""
    seen = {"seals": 0, "rows": 0, "pruned": 0}
    wrong = list(islice(_broken_seals(subject, seen), MOST_NAMED))
    if not seen["seals"]:
        return _skipped(
            "day seals", "no day is sealed yet; the gateway does it once an hour, or `routewright ledger seal`"
        )
    pruned = f", {seen['pruned']} of them pruned" if seen["pruned"] else ""
    return _finding("day seals", f"{seen['seals']} seals{pruned}; {seen['rows']:,} rows hashed again", wrong)


def _broken_seals(subject: Subject, seen: dict[str, int]) -> Iterator[str]:
    previous, number = GENESIS, 0
    while page := seals_after(subject.database, number):
        for seal in page:
            seen["seals"] += 1
            if seal.number != number + 1 or seal.previous_hash != previous:
                yield f"{_named(seal)}: does not follow the seal before it: one was removed or changed"
            previous, number = seal.chain_hash, seal.number
            yield from _broken(subject, seal, seen)


def _broken(subject: Subject, seal: Seal, seen: dict[str, int]) -> Iterator[str]:
    if link(seal.previous_hash, seal.day, seal.supplement, Content(seal.rows, seal.content_hash)) != seal.chain_hash:
        yield f"{_named(seal)}: the seal itself was changed"
    elif seal.pruned_at_ns is not None:
        seen["pruned"] += 1
    elif start_of(seal.day) + DAY_NS > subject.since_ns:
        content = content_of(subject.database, seal.day, seal.supplement, subject.pause)
        seen["rows"] += content.rows
        if content.rows != seal.rows:
            yield f"{_named(seal)}: {content.rows:,} rows, {seal.rows:,} were sealed"
        elif content.digest != seal.content_hash:
            yield f"{_named(seal)}: a row is not what was sealed"


def _named(seal: Seal) -> str:
    return f"{seal.day}, supplement {seal.supplement}" if seal.supplement else seal.day


def every_day_is_sealed(subject: Subject) -> Finding:
    """A day that is over for two hours and has no seal is one that nobody would miss a row of."""
    name = "sealing"
    rows = subject.database.read("SELECT max(day) AS day FROM day_seals WHERE supplement = 0")
    if rows[0]["day"] is None:
        return _skipped(name, "no day is sealed yet")
    due_ns = (subject.now_ns - 2 * GRACE_NS) // DAY_NS * DAY_NS
    sealed_ns = start_of(rows[0]["day"]) + DAY_NS
    count = "SELECT count(*) AS n FROM requests WHERE at_ns >= ? AND at_ns < ?"
    late = subject.database.read("SELECT day, count(*) AS n FROM late_rows WHERE supplement IS NULL GROUP BY day")
    open_rows = subject.database.read(count, sealed_ns, due_ns)[0]["n"] if due_ns > sealed_ns else 0
    told = [f"{row['n']} rows of {row['day']} came late" for row in late]
    if open_rows:
        told.append(f"{open_rows} requests after {rows[0]['day']}")
    left = f"; not sealed yet: {', '.join(told)}; say `routewright ledger seal`" if told else ""
    return Finding(name=name, verdict=Verdict.OK, found=f"up to {rows[0]['day']}{left}")


# ---- sums -------------------------------------------------------------------------------------------------------

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
    return _finding("request costs", f"{seen['requests']:,} requests against their attempts", wrong)


def _unequal_requests(subject: Subject, seen: dict[str, int]) -> Iterator[str]:
    at_ns, request_id = max(subject.since_ns, subject.pruned_until_ns), ""
    while rows := subject.database.read(_REQUESTS, at_ns, at_ns, request_id):
        for row in rows:
            seen["requests"] += 1
            if row["cost_nanousd"] != row["attempts_nanousd"]:
                yield f"{row['request_id']}: {row['cost_nanousd']} n$, its attempts {row['attempts_nanousd']} n$"
        at_ns, request_id = rows[-1]["at_ns"], rows[-1]["request_id"]
        subject.pause()


_DOUBLE = f"""
SELECT attempt_id FROM events WHERE kind = 'settled' AND at_ns >= ?
  AND EXISTS (SELECT 1 FROM events AS o WHERE o.attempt_id = events.attempt_id AND o.kind = 'released')
LIMIT {MOST_NAMED}
"""  # noqa: S608 of our own constants


def attempts_close_once(subject: Subject) -> Finding:
    """An attempt is settled or released, never both."""
    rows = subject.database.read(_DOUBLE, subject.since_ns)
    return _finding("closings", "no attempt is settled and released", (row["attempt_id"] for row in rows))


_CHARGED = """
SELECT charges, CAST(sum(cost_nanousd) AS BIGINT) AS cost_nanousd FROM events
WHERE kind = 'settled' AND at_ns >= ? AND cost_nanousd > 0 AND charges <> '[]' GROUP BY charges
"""
_WINDOWS = "SELECT budget, starts_ns, posted_nanousd, is_counted FROM budget_windows WHERE starts_ns >= ? ORDER BY 1, 2"


def budgets_are_what_was_posted(subject: Subject) -> Finding:
    """A window holds exactly what its attempts cost, and what was spent before it, if the budget counts that."""
    name = "budgets"
    if "budget_windows" not in subject.tables:
        return _skipped(name, "this ledger keeps no budgets")
    from_ns = subject.pruned_until_ns
    charged = _charged(subject.database.read(_CHARGED, from_ns))
    windows = subject.database.read(_WINDOWS, from_ns)
    return _finding(name, f"{len(windows)} budget periods against their attempts", _unequal_windows(windows, charged))


def _charged(rows: Iterable[Row]) -> Mapping[tuple[str, int], int]:
    sums: dict[tuple[str, int], int] = {}
    for row in rows:
        for budget, starts_ns in msgspec.json.decode(row["charges"], type=list[tuple[str, int]]):
            sums[budget, starts_ns] = sums.get((budget, starts_ns), 0) + row["cost_nanousd"]
    return sums


def _unequal_windows(windows: Iterable[Row], charged: Mapping[tuple[str, int], int]) -> Iterator[str]:
    for row in windows:
        cost, posted = charged.get((row["budget"], row["starts_ns"]), 0), row["posted_nanousd"]
        if posted < cost or (posted > cost and not row["is_counted"]):
            yield f"{row['budget']} from {row['starts_ns']}: posted {posted} n$, its attempts {cost} n$"


# ---- holds ------------------------------------------------------------------------------------------------------

_OLD_HOLDS = """
SELECT e.attempt_id, e.boot, e.at_ns FROM open_holds AS o
JOIN events AS e ON e.attempt_id = o.attempt_id AND e.kind = 'reserved' WHERE e.at_ns < ? ORDER BY e.at_ns
"""


def no_hold_is_left_open(subject: Subject) -> Finding:
    """A hold older than the longest deadline is open for ever, unless its process is about to be recovered."""
    before_ns = subject.now_ns - subject.deadline_ms * 1_000_000 - _SLACK_NS
    alive = boots_alive(subject.journal)
    gone = "is gone: `routewright ledger recover`"
    wrong = (
        f"{row['attempt_id']}: its process {'lives' if row['boot'] in alive else gone}"
        for row in subject.database.read(_OLD_HOLDS, before_ns)
    )
    return _finding("open holds", "none older than policy.deadline_ms", wrong)


CHECKS: tuple[Check, ...] = (
    database_is_whole,
    nothing_is_unread,
    days_match_their_seals,
    every_day_is_sealed,
    requests_cost_what_their_attempts_did,
    attempts_close_once,
    budgets_are_what_was_posted,
    no_hold_is_left_open,
)
