"""The store: what the journal's drainer hands over, and what reports, recovery and learning read.

Delivering a batch twice changes nothing. The store knows no database by name: see `database`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Cause
from routewright.decision.success_rates import Told
from routewright.ledger import by_policy, rollups
from routewright.ledger.baselines import baselines_between, keep_baselines
from routewright.ledger.database import Database, Row
from routewright.ledger.latencies import keep_latencies
from routewright.ledger.ledger import (
    JOB_HOLDS_LAST_NS,
    JOB_PREFIX,
    ComparisonRecorded,
    EmbeddedOutcome,
    LedgerEvent,
    OutcomeRecorded,
    OutcomeSource,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
)
from routewright.ledger.posting import post
from routewright.ledger.prompt_audit import PromptAudit, absorb_prompts, read_audit
from routewright.ledger.rows import event_of, rows_of
from routewright.ledger.seals import note_late
from routewright.ledger.spending import Dimension, Keys, Sums, reader
from routewright.route import KindShare, Verdict

_FOREVER_NS = 2**63 - 1
MOST_EMBEDDINGS = 100_000
"""Older ones go."""

PAGE = 2_000
"""Rows with whole routes that are read at a time."""

By: TypeAlias = Dimension | Literal["all"]
_TIMES = {"day", "hour"}


class Spend(Sums, frozen=True, kw_only=True):
    """What was spent under one key: a model, a tier, a day or hour (UTC, `2026-03-01 14:00`), …, or everything."""

    key: str | None
    """None for requests that nobody answered, and for whatever has no tier, key or team."""
    keys: Keys = ()
    """The same of each dimension, in the order in which they were asked for."""


_NOTHING = Spend(key="all")


class AttemptRecord(Struct, frozen=True):
    """One attempt: its hold, and how it was closed if it is."""

    hold: Reserved | None
    close: Settled | Released | None


class RequestRecord(Struct, frozen=True):
    """One request with its attempts, in order; without its own row while it is open, or if its process died."""

    request: RequestRecorded | None
    attempts: tuple[AttemptRecord, ...]
    outcomes: tuple[OutcomeRecorded, ...] = ()
    """All that was said of how it turned out, in the order in which it was told."""


class OutcomeRow(Struct, frozen=True, kw_only=True):
    """How well an answer turned out, beside what was known of the request when it was routed."""

    sequence: int
    """Its place in the ledger: what to go on after."""
    request_id: str
    at_ns: int
    model: str
    """Whose answer it was."""
    source: OutcomeSource
    score: float
    """From 0 to 1."""
    verdict: Verdict | None
    """None when nothing was classified."""
    tier: str | None
    output_tokens: int | None
    """Of the model's answer; None when no settled attempt of it is recorded, as in the next field."""
    cost_nanousd: int | None
    """None also without a price."""
    check: str = ""
    """Of source `check`: the check's name."""


def as_good_as_its_checks(rows: Iterable[OutcomeRow]) -> Iterator[OutcomeRow]:
    """The rows, in their order; one of a check with the least that any check last said of that answer: it has to pass
    them all."""
    said: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row.source == "check":
            scores = said.setdefault((row.request_id, row.model), {})
            scores[row.check] = row.score
            row = replace(row, score=min(scores.values()))
        yield row


class AnswerRow(Struct, frozen=True, kw_only=True):
    """One closed attempt, successful or not: how long its answer was, and what for."""

    sequence: int
    """Its place in the ledger: what to go on after."""
    model: str
    outcome: str
    """`complete`, `abandoned`, `crashed`, or the `code` of the error that ended it."""
    output_tokens: int
    cost_nanousd: int | None
    """None without a price."""
    is_estimated: bool
    """The provider did not say what it used: tokens and cost are an upper bound."""
    kinds: tuple[KindShare, ...]
    """The request's kinds of work, as `Verdict.kinds`; empty if nobody knows, or its own row is not recorded."""


# ---- SQL --------------------------------------------------------------------------------------------------------

_LAST_ANSWER = """
    FROM events AS e WHERE e.request_id = judged.request_id AND e.model = judged.model AND e.kind = 'settled'
    ORDER BY e.sequence DESC LIMIT 1
"""
_JUDGED = f"""
WITH judged AS NOT MATERIALIZED (
    SELECT o.sequence, o.request_id, o.at_ns, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o.score,
           o."check", r.tier, r.route
    FROM outcomes AS o JOIN requests AS r USING (request_id)
    WHERE o.model <> '' OR r.model IS NOT NULL
)
SELECT judged.*, (SELECT e.output + e.reasoning {_LAST_ANSWER}) AS output_tokens,
       (SELECT e.cost_nanousd {_LAST_ANSWER}) AS cost_nanousd
FROM judged
"""  # noqa: S608 of our own constants
_OUTCOMES = f"{_JUDGED} WHERE judged.sequence > ? ORDER BY judged.sequence LIMIT ?"
_OUTCOMES_START = "SELECT sequence FROM outcomes ORDER BY sequence DESC LIMIT 1 OFFSET ?"
_OUTCOMES_BY_REQUEST = f"""{_JUDGED}
WHERE judged.request_id IN (SELECT DISTINCT request_id FROM judged WHERE request_id > ? ORDER BY request_id LIMIT ?)
ORDER BY judged.request_id, judged.sequence
"""  # noqa: S608 of our own constants
_TOLD = """
SELECT o.sequence, o.request_id, o.at_ns, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o."check",
       o.score, r.tier, r.route
FROM outcomes AS o JOIN requests AS r USING (request_id)
WHERE o.at_ns >= ? AND o.at_ns < ? AND o.sequence > ? AND (o.model <> '' OR r.model IS NOT NULL)
ORDER BY o.sequence LIMIT ?
"""
_COMPARISONS = """
SELECT 'comparison' AS kind, * FROM comparisons
WHERE at_ns >= ? AND at_ns < ? AND sequence > ? ORDER BY sequence LIMIT ?
"""
_RATINGS = """
SELECT o.request_id, coalesce(nullif(o.model, ''), c.model) AS model, o.score
FROM comparisons AS c JOIN outcomes AS o USING (request_id)
WHERE c.at_ns >= ? AND c.at_ns < ? AND o.source = 'feedback' ORDER BY o.sequence
"""
_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_ANSWERS = f"""
SELECT e.sequence, e.model, e.outcome, coalesce(e.output + e.reasoning, 0) AS output_tokens,
       CASE e.kind WHEN 'released' THEN 0 ELSE e.cost_nanousd END AS cost_nanousd,
       coalesce(e.is_estimated, 0) AS is_estimated, r.route
FROM events AS e LEFT JOIN requests AS r USING (request_id)
WHERE e.sequence > ? AND e.kind <> 'reserved' AND e.cause NOT IN ({_ERRANDS})
ORDER BY e.sequence LIMIT ?
"""  # noqa: S608 of our own constants
_ANSWERS_START = f"""
SELECT sequence FROM events WHERE kind <> 'reserved' AND cause NOT IN ({_ERRANDS})
ORDER BY sequence DESC LIMIT 1 OFFSET ?
"""  # noqa: S608 of our own constants
_EMBEDDED_OUTCOMES = """
SELECT o.sequence, o.request_id, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o.score, o."check", e.vector
FROM outcomes AS o JOIN embeddings AS e USING (request_id) LEFT JOIN requests AS r USING (request_id)
WHERE o.sequence > ? AND e.embedder = ? AND (o.model <> '' OR r.model IS NOT NULL)
ORDER BY o.sequence DESC LIMIT ?
"""
_TAIL = "SELECT 'request' AS kind, * FROM requests ORDER BY at_ns DESC, request_id DESC LIMIT ?"
_REQUEST = "SELECT 'request' AS kind, * FROM requests WHERE request_id = ?"
_OUTCOMES_OF = "SELECT 'outcome' AS kind, * FROM outcomes WHERE request_id = ? ORDER BY sequence"
_REQUESTS_OF = (
    """SELECT 'request' AS kind, * FROM requests WHERE "user" = ? AND at_ns >= ? ORDER BY at_ns, request_id"""
)
_ATTEMPTS_OF = """
SELECT e.* FROM events AS e JOIN requests AS r USING (request_id)
WHERE r."user" = ? AND r.at_ns >= ? ORDER BY e.sequence
"""
_ATTEMPTS = "SELECT * FROM events WHERE request_id = ? ORDER BY sequence"
_KEEP_OPEN_HOLDS = (
    """
    INSERT INTO open_holds
    SELECT new.attempt_id FROM {new} AS new
    WHERE new.kind = 'reserved'
      AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.attempt_id = new.attempt_id AND e.kind <> 'reserved')
    """,
    "DELETE FROM open_holds WHERE attempt_id IN (SELECT new.attempt_id FROM {new} AS new WHERE new.kind <> 'reserved')",
)
_FORGET_EMBEDDINGS = "DELETE FROM embeddings WHERE sequence <= (SELECT max(sequence) FROM embeddings) - ?"
_OPEN_HOLDS = (  # not a join: for that SQLite reads all events in their order, and looks each up among the open ones
    "SELECT * FROM events WHERE attempt_id IN (SELECT attempt_id FROM open_holds) AND kind = 'reserved'"
    " ORDER BY sequence"
)
_HOLDS_AMONG = """
SELECT events.* FROM open_holds JOIN events USING (attempt_id)
WHERE kind = 'reserved' AND attempt_id IN ({marks}) ORDER BY sequence
"""
_ASKED_AT_ONCE = 500
_UNATTENDED = _OPEN_HOLDS.replace(" ORDER BY", f" AND (substr(boot, 1, {len(JOB_PREFIX)}) <> ? OR at_ns < ?) ORDER BY")


# ---- rows -------------------------------------------------------------------------------------------------------


class _Classified(Struct, frozen=True):
    """What learning needs of a route."""

    verdict: Verdict | None


_classified_decoder: msgspec.json.Decoder[_Classified | None] = msgspec.json.Decoder(_Classified | None)


def _verdict(route: str | None) -> Verdict | None:
    """Of a route's JSON text. Read here: what databases offer for it, they do not agree on, and are slower at."""
    classified = _classified_decoder.decode(route or "null")
    return classified.verdict if classified else None


_sums_of = reader(*rollups.SUMS)


def _fields(sums: Sums) -> dict[str, Any]:
    return {name: getattr(sums, name) for name in Sums.__struct_fields__}


def _key(dimension: Dimension, value: str | int) -> str | None:
    if dimension in ("day", "hour"):
        moment = datetime.fromtimestamp(int(value) // 10**9, UTC)
        return f"{moment:%Y-%m-%d}" if dimension == "day" else f"{moment:%Y-%m-%d %H:%M}"
    return str(value) or None


def _outcome(row: Row) -> OutcomeRow:
    return OutcomeRow(verdict=_verdict(row.pop("route")), **row)


def _answer(row: Row) -> AnswerRow:
    verdict, is_estimated = _verdict(row.pop("route")), bool(row.pop("is_estimated"))
    return AnswerRow(is_estimated=is_estimated, kinds=verdict.kinds if verdict else (), **row)


def _attempts(events: Iterable[LedgerEvent]) -> tuple[AttemptRecord, ...]:
    """Attempts in the order in which they were begun."""
    holds: dict[str, Reserved] = {}
    closes: dict[str, Settled | Released] = {}
    for event in events:
        if isinstance(event, Reserved):
            holds[event.attempt_id] = event
        else:
            assert isinstance(event, Settled | Released)
            closes[event.attempt_id] = event
    return tuple(AttemptRecord(holds.get(attempt), closes.get(attempt)) for attempt in sorted({**holds, **closes}))


# ---- the store --------------------------------------------------------------------------------------------------


class Store:
    """The ledger in a database. Any thread absorbs and reads."""

    def __init__(self, database: Database) -> None:
        """Raises StoreUnavailable."""
        self._database = database
        rollups.make(database)

    @property
    def database(self) -> Database:
        """What it is kept in."""
        return self._database

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # -- writing

    def absorb(self, batch: Sequence[bytes]) -> None:
        """Commit a batch of encoded events, durably and all or nothing; what is there already stays as it is.

        A record that cannot be read is kept aside and logged. Raises StoreUnavailable.
        """
        rows = rows_of(batch)
        new: dict[str, str] = {}
        with self._database.transaction() as transaction:
            transaction.take_turn()
            note_late(transaction, rows)
            for insert, its in rows.items():
                if insert.table in rollups.SOURCES:
                    new[insert.table] = transaction.insert_new(insert.table, insert.columns, its)
                else:
                    transaction.insert(insert.table, insert.columns, its)
                if insert.table == "embeddings":
                    transaction.execute(_FORGET_EMBEDDINGS, MOST_EMBEDDINGS)
            if "events" in new:
                for statement in _KEEP_OPEN_HOLDS:
                    transaction.execute(statement.format(new=new["events"]))
            rollups.keep(self._database, transaction, new)
            keep_latencies(transaction, new)
            if "requests" in new:
                absorb_prompts(transaction, new["requests"])
                keep_baselines(transaction, new["requests"])
            if "events" in new:
                post(transaction, new["events"])  # last, as its locks are what other processes wait for

    # -- reading

    def pending(self, boots_alive: Callable[[], AbstractSet[str]]) -> list[Reserved]:
        """The open holds whose writer is not among `boots_alive()`, oldest first: nobody will close them any more.

        Those of jobs are closed by whoever resumes the job, and only counted among these when they are very old.

        The holds are read twice. Before the question, so that a process which starts meanwhile is not taken for dead;
        and after it, because the end of a dead process's hold may have been drained meanwhile.
        """
        gone = {hold.boot for hold in self.unattended()} - boots_alive()
        return [hold for hold in self.unattended() if hold.boot in gone] if gone else []

    def unattended(self) -> list[Reserved]:
        """The open holds, oldest first, but for those of jobs that are not very old: these may be any number."""
        oldest_ns = time.time_ns() - JOB_HOLDS_LAST_NS
        return [event for event in self._events(_UNATTENDED, JOB_PREFIX, oldest_ns) if isinstance(event, Reserved)]

    def holds_among(self, attempt_ids: Iterable[str]) -> list[Reserved]:
        """Those of some attempts that are open."""
        wanted, found = list(attempt_ids), list[LedgerEvent]()
        for begin in range(0, len(wanted), _ASKED_AT_ONCE):
            some = wanted[begin : begin + _ASKED_AT_ONCE]
            found += self._events(_HOLDS_AMONG.format(marks=", ".join("?" * len(some))), *some)
        return [event for event in found if isinstance(event, Reserved)]

    def open_holds(self) -> list[Reserved]:
        """All holds that are not closed, oldest first."""
        return [event for event in self._events(_OPEN_HOLDS) if isinstance(event, Reserved)]

    def spend(self, by: By | Sequence[Dimension], since_ns: int = 0, until_ns: int = _FOREVER_NS) -> list[Spend]:
        """What was spent in a time (UTC nanoseconds), by some dimensions, or in all; in the order of their keys.

        From roll-ups, so the time begins with the hour of `since_ns` and ends with that of `until_ns`. A model's money
        is that of its own attempts, whoever answered in the end; its requests are those it answered. By cause, there
        are only attempts. What has several tags counts for each of them, and what has none is not there.

        Raises ValueError as `sums` does.
        """
        if not by:
            raise ValueError("nothing to tell spending by; all of it is told by `all`")
        dimensions = (() if by == "all" else (by,)) if isinstance(by, str) else by
        found = self.sums(dimensions, since_ns, until_ns)
        return [Spend(key=keys[0] if keys else "all", keys=keys or ("all",), **_fields(sums)) for keys, sums in found]

    def sums(
        self,
        by: Sequence[Dimension],
        since_ns: int = 0,
        until_ns: int = _FOREVER_NS,
        only: Mapping[Dimension, str] = MappingProxyType({}),
    ) -> list[tuple[Keys, Sums]]:
        """The same as plain sums, under their keys; all in one without a dimension, and nothing if there is nothing.

        `only` has what a value must be in a dimension, an empty text for what has no name.

        Raises ValueError for other dimensions than there are, for one that is there twice, and for tags beside more
        than one other dimension (and time), or beside a policy: these are not summed.
        """
        looked_at = {*by, *only}
        if len(set(by)) < len(by) or not looked_at <= set(get_args(Dimension)):
            raise ValueError(f"{by} are not some of {', '.join(get_args(Dimension))}")
        if "tag" in looked_at and len(looked_at - _TIMES) > 2:
            raise ValueError(f"{sorted(looked_at)}: tags are summed beside one other dimension only")
        if {"tag", "policy"} <= looked_at or "policy" in only:
            raise ValueError(f"{sorted(looked_at)}: by policy there are no tags, and it is no filter")
        asked = by_policy.grouped if "policy" in by else rollups.grouped
        found = asked(
            self._database, by or ("all",), since_ns, until_ns, {str(name): value for name, value in only.items()}
        )
        if not by:
            return [((), _sums_of(group.attempts, group.requests)) for group in found]
        names = [cache(partial(_key, dimension)) for dimension in by]
        return [
            (
                tuple([name(key) for name, key in zip(names, group.keys, strict=True)]),
                _sums_of(group.attempts, group.requests),
            )
            for group in found
        ]

    def baselines(self, since_ns: int = 0, until_ns: int = _FOREVER_NS) -> list[str]:
        """The models that answered requests were compared with."""
        return baselines_between(self._database, since_ns, until_ns)

    def prompt_audit(self, since: str = "", until: str = "9999-12") -> PromptAudit:
        """What system prompts cost, in the months (UTC, `2026-11`) from `since` to `until`, both included."""
        return read_audit(self._database, since, until)

    def totals(self) -> Spend:
        """Everything there ever was, in one row."""
        return next(iter(self.spend("all")), _NOTHING)

    def tail(self, limit: int) -> list[RequestRecorded]:
        """The latest requests, newest first."""
        return [event for event in self._events(_TAIL, limit) if isinstance(event, RequestRecorded)]

    def request(self, request_id: str) -> RequestRecord | None:
        """One request with its attempts and outcomes; None if the ledger has nothing of it."""
        found = next(iter(self._events(_REQUEST, request_id)), None)
        attempts = _attempts(self._events(_ATTEMPTS, request_id))
        if found is None and not attempts:
            return None
        request = found if isinstance(found, RequestRecorded) else None
        outcomes = [event for event in self._events(_OUTCOMES_OF, request_id) if isinstance(event, OutcomeRecorded)]
        return RequestRecord(request, attempts, tuple(outcomes))

    def requests_of(self, user: str, since_ns: int) -> list[RequestRecord]:
        """The requests of one user (`x-routewright-user`) that ended since a time (UTC nanoseconds), oldest first."""
        attempts: dict[str, list[LedgerEvent]] = {}
        for event in self._events(_ATTEMPTS_OF, user, since_ns):
            attempts.setdefault(event.request_id, []).append(event)
        return [
            RequestRecord(row, _attempts(attempts.get(row.request_id, ())))
            for row in self._events(_REQUESTS_OF, user, since_ns)
            if isinstance(row, RequestRecorded)
        ]

    def outcomes(self, after: int, limit: int = 10_000) -> list[OutcomeRow]:
        """How answers turned out, in the order in which it was told: `limit` at most, with a `sequence` above `after`.

        Of one request, model and source, the last one is the opinion in force. An outcome is left out until its
        request's own row is there (who has gone on to a later outcome by then does not meet it again), and for good if
        nobody answered the request and no model was named.
        """
        return [_outcome(row) for row in self._database.read(_OUTCOMES, after, limit)]

    def told(self, since_ns: int, until_ns: int) -> Iterator[Told]:
        """How answers turned out, as it was told from `since_ns` up to, not including, `until_ns`, in that order."""
        after = -1
        while rows := self._database.read(_TOLD, since_ns, until_ns, after, PAGE):
            after = rows[-1]["sequence"]
            for row in rows:
                verdict = _verdict(row.pop("route"))
                del row["sequence"]
                yield Told(kinds=verdict.kinds if verdict else (), **row)

    def comparisons(self, since_ns: int, until_ns: int) -> Iterator[ComparisonRecorded]:
        """How shadows did from `since_ns` up to, not including, `until_ns`, in the order in which it was told."""
        after = -1
        while rows := self._database.read(_COMPARISONS, since_ns, until_ns, after, PAGE):
            after = rows[-1]["sequence"]
            yield from (event for row in rows if isinstance(event := event_of(row), ComparisonRecorded))

    def ratings(self, since_ns: int, until_ns: int) -> dict[tuple[str, str], float]:
        """(request id, model) → the last word of feedback on that answer, of requests compared in that time."""
        rows = self._database.read(_RATINGS, since_ns, until_ns)
        return {(row["request_id"], row["model"]): row["score"] for row in rows}

    def outcomes_by_request(self, after: str, limit: int = 1_000) -> list[OutcomeRow]:
        """The same, all those of `limit` requests at most, in the order of their ids, which must be above `after`."""
        return [_outcome(row) for row in self._database.read(_OUTCOMES_BY_REQUEST, after, limit)]

    def answers(self, after: int, limit: int = 10_000) -> list[AnswerRow]:
        """The closed attempts, in the order in which they came: `limit` at most, with a `sequence` above `after`.

        Those of errands are left out: a judge's word is no answer to the request.
        """
        return [_answer(row) for row in self._database.read(_ANSWERS, after, limit)]

    def embedded_outcomes(self, embedder: str, after: int, limit: int) -> list[EmbeddedOutcome]:
        """The latest `limit` outcomes, oldest first, of requests with a vector of this embedder, above `after`.

        Those are left out that `outcomes` leaves out.
        """
        return [
            EmbeddedOutcome(**row) for row in reversed(self._database.read(_EMBEDDED_OUTCOMES, after, embedder, limit))
        ]

    def outcomes_start(self, most: int) -> int:
        """The `sequence` to read `outcomes` after for the last `most` of all that are recorded."""
        return self._start(_OUTCOMES_START, most)

    def answers_start(self, most: int) -> int:
        """The `sequence` to read `answers` after for the last `most` of them."""
        return self._start(_ANSWERS_START, most)

    def _start(self, sql: str, most: int) -> int:
        rows = self._database.read(sql, most)
        return rows[0]["sequence"] if rows else 0

    def _events(self, sql: str, *bindings: str | int) -> list[LedgerEvent]:
        return [event_of(row) for row in self._database.read(sql, *bindings)]
