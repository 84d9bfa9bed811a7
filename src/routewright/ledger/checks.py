"""What `routewright ledger verify` checks: each check is a function by itself, which says what is not as it must be.

They may run beside a gateway: what is only compared is read as it arrives, and only days that are over are compared
with their seals. Every one goes through its rows by pages, and names the first few that are wrong.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from routewright.errors import StoreUnavailable
from routewright.ledger.findings import MOST_NAMED, Finding, Subject, Verdict, finding, skipped
from routewright.ledger.ledger import JOB_HOLDS_LAST_NS, is_job
from routewright.ledger.price_check import attempts_cost_what_their_prices_say
from routewright.ledger.recovery import boots_alive
from routewright.ledger.rollup_check import roll_ups_are_the_sums_of_their_rows
from routewright.ledger.sealed_rows import DAY_NS, Content, content_of, start_of
from routewright.ledger.seals import GENESIS, GRACE_NS, Seal, link, seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.sum_checks import (
    attempts_close_once,
    budgets_are_what_was_posted,
    requests_cost_what_their_attempts_did,
)

_SLACK_NS = 60 * 10**9
"""After its deadline an attempt is cut and settled; so long that may take at most."""


Check = Callable[[Subject], Finding]


def verify(subject: Subject) -> Iterator[Finding]:
    """Every check, in turn. One that the database gives no answer to has found that."""
    for check in CHECKS:
        try:
            yield check(subject)
        except StoreUnavailable as error:
            yield Finding(name=check.__name__.replace("_", " "), verdict=Verdict.DIFFERENCE, found=error.message)


# ---- the database and its files ---------------------------------------------------------------------------------


def database_is_whole(subject: Subject) -> Finding:
    """SQLite's own look at every page and index."""
    name = "database"
    if not isinstance(subject.database, SqliteDatabase):
        return skipped(name, "PostgreSQL looks after its own pages (pg_amcheck checks them)")
    rows = subject.database.read(f"PRAGMA integrity_check({MOST_NAMED})")
    return finding(name, "integrity_check", (text for row in rows for text in row.values() if text != "ok"))


def nothing_is_unread(subject: Subject) -> Finding:
    """Records that a version of routewright could not read are kept aside, and so is what the disk damaged."""
    rows = subject.database.read("SELECT reason, count(*) AS n FROM unread GROUP BY reason LIMIT ?", MOST_NAMED)
    files = sorted(subject.journal.glob("slot-*/*.corrupt"))
    wrong = [f"{row['n']} records: {row['reason']}" for row in rows] + [f"damaged lines: {path}" for path in files]
    return finding("unread", "records and journal files that were kept aside", wrong)


# ---- seals ------------------------------------------------------------------------------------------------------


def days_match_their_seals(subject: Subject) -> Finding:
    """Every seal is computed again, and follows the one before."""
    seen = {"seals": 0, "rows": 0, "pruned": 0}
    wrong = list(islice(_broken_seals(subject, seen), MOST_NAMED))
    if not seen["seals"]:
        return skipped(
            "day seals", "no day is sealed yet; the gateway does it once an hour, or `routewright ledger seal`"
        )
    pruned = f", {seen['pruned']} of them pruned" if seen["pruned"] else ""
    return finding("day seals", f"{seen['seals']} seals{pruned}; {seen['rows']:,} rows hashed again", wrong)


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
        return skipped(name, "no day is sealed yet")
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


# ---- holds ------------------------------------------------------------------------------------------------------

_OLD_HOLDS = """
SELECT e.attempt_id, e.boot, e.at_ns FROM open_holds AS o
JOIN events AS e ON e.attempt_id = o.attempt_id AND e.kind = 'reserved' WHERE e.at_ns < ? ORDER BY e.at_ns
"""


def no_hold_is_left_open(subject: Subject) -> Finding:
    """A hold older than the longest deadline is open for ever, unless its process is about to be recovered."""
    before_ns = subject.now_ns - subject.deadline_ms * 1_000_000 - _SLACK_NS
    alive = boots_alive(subject.journal)
    gone = "is gone, or elsewhere; `routewright ledger recover` settles what died here"
    wrong = (
        f"{row['attempt_id']}: its process {'lives' if row['boot'] in alive else gone}"
        for row in subject.database.read(_OLD_HOLDS, before_ns)
        if not is_job(row["boot"]) or row["at_ns"] < subject.now_ns - JOB_HOLDS_LAST_NS
    )
    return finding("open holds", "none older than policy.deadline_ms", wrong)


CHECKS: tuple[Check, ...] = (
    database_is_whole,
    nothing_is_unread,
    days_match_their_seals,
    every_day_is_sealed,
    requests_cost_what_their_attempts_did,
    attempts_close_once,
    roll_ups_are_the_sums_of_their_rows,
    budgets_are_what_was_posted,
    attempts_cost_what_their_prices_say,
    no_hold_is_left_open,
)
