"""The store: what the journal's drainer hands over, and what reports, recovery and learning read.

Delivering a batch twice changes nothing. The store knows no database by name: see `database`.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from routewright.call import Cause
from routewright.ledger.database import Database, Row, Value
from routewright.ledger.ledger import (
    EmbeddedOutcome,
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    OutcomeSource,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
)
from routewright.route import KindShare, Verdict
from routewright.usage import Usage

log = logging.getLogger(__name__)

_FOREVER_NS = 2**63 - 1

By: TypeAlias = Literal["model", "tier", "day", "all"]


class Spend(Struct, frozen=True, kw_only=True):
    """What was spent under one key: a model, a tier, a day (UTC, `2026-03-01`), or everything."""

    key: str | None
    """None for requests that nobody answered, and for attempts whose request is not recorded."""
    requests: int
    complete: int
    """Requests answered to the end."""
    attempts: int
    """Those that are closed, successful or not."""
    estimated: int
    """Attempts whose provider did not say what it used: their cost is an upper bound."""
    unpriced: int
    """Attempts of models without a price: their cost is not in `cost_nanousd`, and not zero."""
    usage: Usage
    cost_nanousd: int
    baseline_cost_nanousd: int
    """What the requests that have a baseline would have cost there."""
    compared_cost_nanousd: int
    """What these same requests did cost: a saving is the difference."""


_NOTHING = Spend(
    key="all",
    requests=0,
    complete=0,
    attempts=0,
    estimated=0,
    unpriced=0,
    usage=Usage(),
    cost_nanousd=0,
    baseline_cost_nanousd=0,
    compared_cost_nanousd=0,
)


class AttemptRecord(Struct, frozen=True):
    """One attempt: its hold, and how it was closed if it is."""

    hold: Reserved | None
    close: Settled | Released | None


class RequestRecord(Struct, frozen=True):
    """One request with its attempts, in order; without its own row while it is open, or if its process died."""

    request: RequestRecorded | None
    attempts: tuple[AttemptRecord, ...]


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

_SPEND = """
WITH money AS (
    SELECT CASE ?1 WHEN 'model' THEN e.model WHEN 'tier' THEN r.tier
                   WHEN 'day' THEN date(e.at_ns / 1000000000, 'unixepoch') ELSE 'all' END AS key,
           count(*) AS attempts, sum(coalesce(e.is_estimated, 0)) AS estimated,
           sum(e.kind = 'settled' AND e.cost_nanousd IS NULL) AS unpriced,
           sum(e.cost_nanousd) AS cost_nanousd, sum(e.input) AS input, sum(e.cache_read) AS cache_read,
           sum(e.cache_write) AS cache_write, sum(e.cache_write_1h) AS cache_write_1h,
           sum(e.output) AS output, sum(e.reasoning) AS reasoning
    FROM events AS e LEFT JOIN requests AS r USING (request_id)
    WHERE e.kind <> 'reserved' AND e.at_ns >= ?2 AND e.at_ns < ?3
    GROUP BY 1
), served AS (
    SELECT CASE ?1 WHEN 'model' THEN model WHEN 'tier' THEN tier
                   WHEN 'day' THEN date(at_ns / 1000000000, 'unixepoch') ELSE 'all' END AS key,
           count(*) AS requests, sum(outcome = 'complete') AS complete,
           sum(baseline_cost_nanousd) AS baseline_cost_nanousd,
           sum(cost_nanousd) FILTER (WHERE baseline_cost_nanousd IS NOT NULL) AS compared_cost_nanousd
    FROM requests
    WHERE at_ns >= ?2 AND at_ns < ?3
    GROUP BY 1
)
SELECT coalesce(money.key, served.key) AS key, coalesce(requests, 0) AS requests, coalesce(complete, 0) AS complete,
       coalesce(attempts, 0) AS attempts, coalesce(estimated, 0) AS estimated, coalesce(unpriced, 0) AS unpriced,
       coalesce(cost_nanousd, 0) AS cost_nanousd, coalesce(baseline_cost_nanousd, 0) AS baseline_cost_nanousd,
       coalesce(compared_cost_nanousd, 0) AS compared_cost_nanousd,
       coalesce(input, 0) AS input, coalesce(cache_read, 0) AS cache_read, coalesce(cache_write, 0) AS cache_write,
       coalesce(cache_write_1h, 0) AS cache_write_1h, coalesce(output, 0) AS output, coalesce(reasoning, 0) AS reasoning
FROM money FULL JOIN served ON money.key IS served.key
ORDER BY 1
"""
_JUDGED = """
WITH judged AS NOT MATERIALIZED (
    SELECT o.sequence, o.request_id, o.at_ns, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o.score,
           r.tier, r.route ->> '$.verdict' AS verdict
    FROM outcomes AS o JOIN requests AS r USING (request_id)
    WHERE o.model <> '' OR r.model IS NOT NULL
)
SELECT judged.*, e.output + e.reasoning AS output_tokens, e.cost_nanousd
FROM judged LEFT JOIN events AS e ON e.sequence = (
    SELECT max(sequence) FROM events
    WHERE request_id = judged.request_id AND model = judged.model AND kind = 'settled'
)
"""
_OUTCOMES = f"{_JUDGED} WHERE judged.sequence > ? ORDER BY judged.sequence LIMIT ?"
_OUTCOMES_START = "SELECT sequence FROM outcomes ORDER BY sequence DESC LIMIT 1 OFFSET ?"
_OUTCOMES_BY_REQUEST = f"""{_JUDGED}
WHERE judged.request_id IN (SELECT DISTINCT request_id FROM judged WHERE request_id > ? ORDER BY request_id LIMIT ?)
ORDER BY judged.request_id, judged.sequence
"""  # noqa: S608 of our own constants
_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_ANSWERS = f"""
SELECT e.sequence, e.model, e.outcome, coalesce(e.output + e.reasoning, 0) AS output_tokens,
       iif(e.kind = 'released', 0, e.cost_nanousd) AS cost_nanousd, coalesce(e.is_estimated, 0) AS is_estimated,
       coalesce(r.route ->> '$.verdict.kinds', '[]') AS kinds
FROM events AS e LEFT JOIN requests AS r USING (request_id)
WHERE e.sequence > ? AND e.kind <> 'reserved' AND e.cause NOT IN ({_ERRANDS})
ORDER BY e.sequence LIMIT ?
"""  # noqa: S608 of our own constants
_ANSWERS_START = f"""
SELECT sequence FROM events WHERE kind <> 'reserved' AND cause NOT IN ({_ERRANDS})
ORDER BY sequence DESC LIMIT 1 OFFSET ?
"""  # noqa: S608 of our own constants
_EMBEDDED_OUTCOMES = """
SELECT o.sequence, o.request_id, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o.score, e.vector
FROM outcomes AS o JOIN embeddings AS e USING (request_id) LEFT JOIN requests AS r USING (request_id)
WHERE o.sequence > ?1 AND e.embedder = ?2 AND (o.model <> '' OR r.model IS NOT NULL)
ORDER BY o.sequence DESC LIMIT ?3
"""
_TAIL = "SELECT 'request' AS kind, * FROM requests ORDER BY at_ns DESC, request_id DESC LIMIT ?"
_REQUEST = "SELECT 'request' AS kind, * FROM requests WHERE request_id = ?"
_ATTEMPTS = "SELECT * FROM events WHERE request_id = ? ORDER BY sequence"
_OPEN_HOLDS = "SELECT events.* FROM open_holds JOIN events USING (attempt_id) WHERE kind = 'reserved' ORDER BY sequence"


# ---- rows -------------------------------------------------------------------------------------------------------


class _RequestAsSent(RequestRecorded, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """A request whose documents stay the JSON text they are: storing them needs no look inside."""

    route: msgspec.Raw  # type: ignore[assignment]
    tags: msgspec.Raw = msgspec.Raw(b"[]")  # type: ignore[assignment]


class _Insert(NamedTuple):
    """Where rows go."""

    table: str
    columns: tuple[str, ...]


class _Table:
    """Where events of one type go: a column per field, of the same name; `documents` are kept as JSON text."""

    def __init__(self, name: str, event_type: type[Struct], *, documents: Sequence[str] = ()) -> None:
        fields = [field for field in event_type.__struct_fields__ if field not in documents]
        paths = [path for field in fields for path in _FLATTENED.get(field, (field,))]
        columns = ["kind"] if name == "events" else []
        columns += [*(path.rpartition(".")[2] for path in paths), *documents]
        self.insert = _Insert(name, tuple(columns))
        self._kind = (event_type.__struct_config__.tag,) if name == "events" else ()
        self._values = attrgetter(*paths)
        self._documents = attrgetter(*documents) if documents else None

    def row(self, event: Struct) -> tuple[Value, ...]:
        """The values, in the order of the columns."""
        values: tuple[Value, ...] = self._kind + self._values(event)
        return (*values, *map(_text, self._documents(event))) if self._documents else values


_DOCUMENTS = ("route", "tags", "charges")
_FLATTENED = {"usage": tuple(f"usage.{tokens}" for tokens in Usage.__struct_fields__)}
_TABLES: dict[type[Struct], _Table] = {
    Reserved: _Table("events", Reserved, documents=("tags", "charges")),
    Settled: _Table("events", Settled, documents=("tags", "charges")),
    Released: _Table("events", Released, documents=("tags", "charges")),
    _RequestAsSent: _Table("requests", _RequestAsSent, documents=("route", "tags")),
    OutcomeRecorded: _Table("outcomes", OutcomeRecorded),
    EmbeddingRecorded: _Table("embeddings", EmbeddingRecorded),
}
_UNREAD = _Insert("unread", ("payload", "reason"))

_decoder = msgspec.json.Decoder(Reserved | Settled | Released | _RequestAsSent | OutcomeRecorded | EmbeddingRecorded)
_row_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent, strict=False)
_verdict_decoder = msgspec.json.Decoder(Verdict)
_kinds_decoder = msgspec.json.Decoder(tuple[KindShare, ...])


def _rows(batch: Sequence[bytes]) -> dict[_Insert, list[tuple[Value, ...]]]:
    """The rows of a batch, by where they go."""
    rows: dict[_Insert, list[tuple[Value, ...]]] = {}
    for payload in batch:
        try:
            event = _decoder.decode(payload)
            table = _TABLES[type(event)]
            insert, row = table.insert, table.row(event)
        except msgspec.MsgspecError as error:
            log.error("a ledger record cannot be read and is kept aside: %s", error)
            insert, row = _UNREAD, (payload, str(error))
        rows.setdefault(insert, []).append(row)
    return rows


def _text(document: msgspec.Raw | tuple[object, ...]) -> str:
    if isinstance(document, msgspec.Raw):
        return bytes(document).decode()
    return msgspec.json.encode(document).decode() if document else "[]"


def _event(row: Row) -> LedgerEvent:
    """A row as the event it came from."""
    documents = {name: msgspec.Raw(row[name].encode()) for name in _DOCUMENTS if name in row}
    return _row_decoder.decode(msgspec.json.encode({**row, **documents, "usage": row}))


def _outcome(row: Row) -> OutcomeRow:
    verdict = row["verdict"]
    return OutcomeRow(**{**row, "verdict": verdict and _verdict_decoder.decode(verdict)})


def _answer(row: Row) -> AnswerRow:
    kinds = _kinds_decoder.decode(row["kinds"])
    return AnswerRow(**{**row, "is_estimated": bool(row["is_estimated"]), "kinds": kinds})


def _attempts(events: Iterable[LedgerEvent]) -> tuple[AttemptRecord, ...]:
    """Attempts in the order in which they were begun."""
    holds: dict[str, Reserved] = {}
    closes: dict[str, Settled | Released] = {}
    for event in events:
        if isinstance(event, Reserved):
            holds[event.attempt_id] = event
        elif isinstance(event, Settled | Released):
            closes[event.attempt_id] = event
    return tuple(AttemptRecord(holds.get(attempt), closes.get(attempt)) for attempt in sorted({**holds, **closes}))


# ---- the store --------------------------------------------------------------------------------------------------


class Store:
    """The ledger in a database. Any thread absorbs and reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # -- writing

    def absorb(self, batch: Sequence[bytes]) -> None:
        """Commit a batch of encoded events, durably and all or nothing; what is there already stays as it is.

        A record that cannot be read is kept aside and logged. Raises StoreUnavailable.
        """
        rows = _rows(batch)
        with self._database.transaction() as transaction:
            for insert, its in rows.items():
                transaction.insert(insert.table, insert.columns, its)

    # -- reading

    def pending(self, boots_alive: Callable[[], AbstractSet[str]]) -> list[Reserved]:
        """The open holds whose writer is not among `boots_alive()`, oldest first: nobody will close them any more.

        The holds are read twice. Before the question, so that a process which starts meanwhile is not taken for dead;
        and after it, because the end of a dead process's hold may have been drained meanwhile.
        """
        gone = {hold.boot for hold in self._open_holds()} - boots_alive()
        return [hold for hold in self._open_holds() if hold.boot in gone] if gone else []

    def _open_holds(self) -> list[Reserved]:
        return [event for event in self._events(_OPEN_HOLDS) if isinstance(event, Reserved)]

    def spend(self, by: By, since_ns: int = 0, until_ns: int = _FOREVER_NS) -> list[Spend]:
        """What was spent from `since_ns` up to, not including, `until_ns` (UTC nanoseconds), by key.

        A model's money is that of its own attempts, whoever answered in the end; its requests are those it answered.
        """
        return [
            msgspec.convert({**row, "usage": row}, Spend) for row in self._database.read(_SPEND, by, since_ns, until_ns)
        ]

    def totals(self) -> Spend:
        """Everything there ever was, in one row."""
        return next(iter(self.spend("all")), _NOTHING)

    def tail(self, limit: int) -> list[RequestRecorded]:
        """The latest requests, newest first."""
        return [event for event in self._events(_TAIL, limit) if isinstance(event, RequestRecorded)]

    def request(self, request_id: str) -> RequestRecord | None:
        """One request with its attempts; None if the ledger has nothing of it."""
        found = next(iter(self._events(_REQUEST, request_id)), None)
        attempts = _attempts(self._events(_ATTEMPTS, request_id))
        request = found if isinstance(found, RequestRecorded) else None
        return RequestRecord(request, attempts) if request or attempts else None

    def outcomes(self, after: int, limit: int = 10_000) -> list[OutcomeRow]:
        """How answers turned out, in the order in which it was told: `limit` at most, with a `sequence` above `after`.

        Of one request, model and source, the last one is the opinion in force. An outcome is left out until its
        request's own row is there (who has gone on to a later outcome by then does not meet it again), and for good if
        nobody answered the request and no model was named.
        """
        return [_outcome(row) for row in self._database.read(_OUTCOMES, after, limit)]

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
        return [_event(row) for row in self._database.read(sql, *bindings)]
