"""The default store: one SQLite file, written by the journal's drainer and read by everyone else.

Write-ahead logging lets readers go on while a batch is committed; `synchronous=FULL` makes every commit durable, so the
journal may forget what it has handed over. Delivering a batch twice changes nothing.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from importlib.resources import files
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import apsw
import msgspec
from msgspec import Struct

from routewright.call import Cause
from routewright.errors import LedgerUnavailable, StoreUnavailable
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

OLDEST_SQLITE = (3, 51, 3)
"""Before it, a reset of the write-ahead log could corrupt a database that several connections use."""

_BUSY_MS = 1000  # the journal waits longer, with pauses; a commit that is only slow needs no second try
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
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


# ---- opening ----------------------------------------------------------------------------------------------------


class Migration(NamedTuple):
    """One step of the schema; after it, `PRAGMA user_version` is its number."""

    number: int
    sql: str


def migrations() -> list[Migration]:
    """Every step there is, in order: the `NNNN_words.sql` files beside this module."""
    folder = files("routewright.ledger") / "migrations"
    found = [
        Migration(int(file.name[:4]), file.read_text("utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing; who must wait for the file waits at the beginning, not half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # after some errors, a full disk among them, SQLite has rolled back itself
            connection.execute("ROLLBACK")


def migrate(connection: apsw.Connection, steps: Sequence[Migration]) -> None:
    """Bring the schema up to date, in one transaction. Raises LedgerUnavailable if it is newer than this code."""
    newest = steps[-1].number
    if connection.pragma("user_version") == newest:
        return
    with _transaction(connection):
        version = connection.pragma("user_version")  # again: another process may have been faster
        if version > newest:
            raise LedgerUnavailable(
                f"the ledger {connection.filename} was written by a newer routewright "
                f"(schema {version}, this one knows {newest}); upgrade routewright, or choose another ledger path"
            )
        for step in steps:
            if step.number > version:
                connection.execute(step.sql)
                connection.pragma("user_version", step.number)


def require_sqlite(version: str) -> None:
    """Raises LedgerUnavailable for a SQLite library that is too old to be trusted."""
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise LedgerUnavailable(
            f"SQLite {version} can corrupt a ledger (fixed in {oldest}); upgrade it with: pip install --upgrade apsw"
        )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The one border where apsw's errors become ours: these may pass; any other is a bug, and stays as it is."""
    try:
        yield
    except (
        apsw.BusyError,
        apsw.LockedError,
        apsw.FullError,
        apsw.IOError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.PermissionsError,
        apsw.ProtocolError,
        apsw.NoMemError,
        apsw.CorruptError,
        apsw.NotADBError,
    ) as error:
        raise StoreUnavailable(f"the ledger {path} does not answer: {error}; check its disk and who uses it") from error


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(_BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
    return connection


def _create_private(path: Path) -> None:
    """What was asked and spent is nobody else's business."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"cannot open the ledger {path}: {error.strerror}; check its path") from error


# ---- rows -------------------------------------------------------------------------------------------------------

_Value: TypeAlias = str | int | float | bytes | None
_Row: TypeAlias = dict[str, Any]
"""A row by column name; `Any` because SQLite decides per value."""


class _RequestAsSent(RequestRecorded, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """A request whose documents stay the JSON text they are: storing them needs no look inside."""

    route: msgspec.Raw  # type: ignore[assignment]
    tags: msgspec.Raw = msgspec.Raw(b"[]")  # type: ignore[assignment]


ROWS_AT_ONCE = 64
"""Rows of one statement: each hands the interpreter's lock over and takes it back, which the event loop feels."""


class _Insert(NamedTuple):
    """Rows for one table, as statements of a fixed text, so that SQLite need not read it anew."""

    table: str
    columns: tuple[str, ...]

    def sql(self, rows: int) -> str:
        """For so many rows. Unlike INSERT OR IGNORE, it lets no other fault of a row pass in silence."""
        row = f"({', '.join('?' * len(self.columns))})"
        into = f"INSERT INTO {self.table} ({', '.join(self.columns)})"
        return f"{into} VALUES {', '.join([row] * rows)} ON CONFLICT DO NOTHING"

    def run(self, connection: apsw.Connection, rows: Sequence[tuple[_Value, ...]]) -> None:
        """Insert them all."""
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        for start in range(0, whole, ROWS_AT_ONCE):
            values = tuple(chain.from_iterable(rows[start : start + ROWS_AT_ONCE]))
            connection.execute(self.sql(ROWS_AT_ONCE), values)
        connection.executemany(self.sql(1), rows[whole:])


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

    def row(self, event: Struct) -> tuple[_Value, ...]:
        """The values, in the order of the columns."""
        values: tuple[_Value, ...] = self._kind + self._values(event)
        return (*values, *map(_text, self._documents(event))) if self._documents else values


_FLATTENED = {"usage": tuple(f"usage.{tokens}" for tokens in Usage.__struct_fields__)}
_TABLES: dict[type[Struct], _Table] = {
    Reserved: _Table("events", Reserved),
    Settled: _Table("events", Settled),
    Released: _Table("events", Released),
    _RequestAsSent: _Table("requests", _RequestAsSent, documents=("route", "tags")),
    OutcomeRecorded: _Table("outcomes", OutcomeRecorded),
    EmbeddingRecorded: _Table("embeddings", EmbeddingRecorded),
}
_UNREAD = _Insert("unread", ("payload", "reason"))

_decoder = msgspec.json.Decoder(Reserved | Settled | Released | _RequestAsSent | OutcomeRecorded | EmbeddingRecorded)
_row_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent, strict=False)
_verdict_decoder = msgspec.json.Decoder(Verdict)
_kinds_decoder = msgspec.json.Decoder(tuple[KindShare, ...])


def _rows(batch: Sequence[bytes]) -> dict[_Insert, list[tuple[_Value, ...]]]:
    """The rows of a batch, by where they go."""
    rows: dict[_Insert, list[tuple[_Value, ...]]] = {}
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


def _text(document: msgspec.Raw) -> str:
    return bytes(document).decode()


def _event(row: _Row) -> LedgerEvent:
    """A row as the event it came from."""
    documents = {name: msgspec.Raw(row[name].encode()) for name in ("route", "tags") if name in row}
    return _row_decoder.decode(msgspec.json.encode({**row, **documents, "usage": row}))


def _outcome(row: _Row) -> OutcomeRow:
    verdict = row["verdict"]
    return OutcomeRow(**{**row, "verdict": verdict and _verdict_decoder.decode(verdict)})


def _answer(row: _Row) -> AnswerRow:
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


class SqliteStore:
    """The ledger in one file. One thread absorbs; any thread reads."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger at `path`.

        Raises LedgerUnavailable when this routewright must not use it, StoreUnavailable when it cannot be opened now.
        """
        require_sqlite(apsw.sqlite_lib_version())
        self._path = path
        self._reading = threading.Lock()
        self._is_suspect = False
        with _translated(path):
            _create_private(path)
            self._writer = _connect(path)
            migrate(self._writer, migrations())
            self._reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            self._reader.set_busy_timeout(_BUSY_MS)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._writer.close()

    # -- writing

    def absorb(self, batch: Sequence[bytes]) -> None:
        """Commit a batch of encoded events, durably and all or nothing; what is there already stays as it is.

        A record that cannot be read is kept aside and logged. Raises StoreUnavailable.
        """
        rows = _rows(batch)
        with _translated(self._path):
            self._reopen_if_suspect()
            try:
                with _transaction(self._writer):
                    for insert, its in rows.items():
                        insert.run(self._writer, its)
            except (apsw.IOError, apsw.CorruptError):
                self._is_suspect = True
                raise

    def _reopen_if_suspect(self) -> None:
        """After a disk error nothing the connection remembers is trusted: read the file afresh, and look it over."""
        if not self._is_suspect:
            return
        self._writer.close()
        self._writer = _connect(self._path)
        if (verdict := self._writer.pragma("quick_check", 1)) != "ok":
            raise StoreUnavailable(f"the ledger {self._path} is damaged ({verdict}); restore it from a backup")
        self._is_suspect = False

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
        return [msgspec.convert({**row, "usage": row}, Spend) for row in self._rows(_SPEND, by, since_ns, until_ns)]

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
        return [_outcome(row) for row in self._rows(_OUTCOMES, after, limit)]

    def outcomes_by_request(self, after: str, limit: int = 1_000) -> list[OutcomeRow]:
        """The same, all those of `limit` requests at most, in the order of their ids, which must be above `after`."""
        return [_outcome(row) for row in self._rows(_OUTCOMES_BY_REQUEST, after, limit)]

    def answers(self, after: int, limit: int = 10_000) -> list[AnswerRow]:
        """The closed attempts, in the order in which they came: `limit` at most, with a `sequence` above `after`.

        Those of errands are left out: a judge's word is no answer to the request.
        """
        return [_answer(row) for row in self._rows(_ANSWERS, after, limit)]

    def embedded_outcomes(self, embedder: str, after: int, limit: int) -> list[EmbeddedOutcome]:
        """The latest `limit` outcomes, oldest first, of requests with a vector of this embedder, above `after`.

        Those are left out that `outcomes` leaves out.
        """
        return [EmbeddedOutcome(**row) for row in reversed(self._rows(_EMBEDDED_OUTCOMES, after, embedder, limit))]

    def outcomes_start(self, most: int) -> int:
        """The `sequence` to read `outcomes` after for the last `most` of all that are recorded."""
        return self._start(_OUTCOMES_START, most)

    def answers_start(self, most: int) -> int:
        """The `sequence` to read `answers` after for the last `most` of them."""
        return self._start(_ANSWERS_START, most)

    def _start(self, sql: str, most: int) -> int:
        rows = self._rows(sql, most)
        return rows[0]["sequence"] if rows else 0

    def _events(self, sql: str, *bindings: str | int) -> list[LedgerEvent]:
        return [_event(row) for row in self._rows(sql, *bindings)]

    def _rows(self, sql: str, *bindings: str | int) -> list[_Row]:
        with self._reading, _translated(self._path):
            cursor = self._reader.execute(sql, bindings)
            return [dict(zip((name for name, _ in cursor.get_description()), row, strict=True)) for row in cursor]
