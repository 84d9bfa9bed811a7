"""What drift is watched by, in the database: the new rows, the streams made of them, and how far they were taken in.

Whoever looks takes the marks for a while, so that of several gateways one does the work; and what it found counts only
while they are still its own, so that no row counts twice, whoever was slow or was killed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from routewright.call import Cause
from routewright.decision.drift import Alarm, Quantity, Seen, Stream
from routewright.errors import (
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    InvalidResponse,
    ProviderFailed,
    StreamCut,
)
from routewright.ledger.database import Database, Row
from routewright.ledger.ledger import NANOSECONDS
from routewright.route import Verdict

MOST_HISTORY = 100_000
"""Rows of each kind that the very first look goes back."""
REFUSAL = "refusal"
"""The check that finds refusals; other checks say something about success."""


class Key(NamedTuple):
    """What names a stream."""

    model: str
    quantity: Quantity
    family: str
    """The kind of work of a cost, who judged a success; else empty."""


class Marks(Struct, frozen=True):
    """How far rows were taken in, by their `sequence`; held by whoever looks."""

    answers: int
    opinions: int
    taken_until_ns: int
    """Which look it is: it is over when that is another one."""


class Page(Struct, frozen=True):
    """New rows as values of streams, in the order in which they came, and where to go on."""

    seen: Sequence[tuple[Key, Seen]]
    marks: Marks


Streams: TypeAlias = Mapping[Key, Stream]

COMPLETE = "complete"
GOOD_FROM = 0.5
"""The score from which an answer counts as a success."""
FAILURES = frozenset(
    kind.code for kind in (ConnectionLost, StreamCut, InvalidResponse, FirstEventTimeout, IdleTimeout, ProviderFailed)
)
"""How attempts end that the provider failed: not those that may be our network's fault, or our account's."""

_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_ANSWERS = f"""
SELECT e.sequence, e.request_id, e.at_ns, e.model, e.outcome, e.tier, coalesce(e.service_tier, '') AS service_tier,
       coalesce(e.output + e.reasoning, 0) AS output_tokens, e.total_ms, e.cost_nanousd,
       coalesce(e.is_estimated, 0) AS is_estimated, r.route
FROM events AS e LEFT JOIN requests AS r USING (request_id)
WHERE e.sequence > ? AND e.kind <> 'reserved' AND e.cause NOT IN ({_ERRANDS})
ORDER BY e.sequence LIMIT ?
"""  # noqa: S608 of our own constants
_OPINIONS = """
SELECT o.*, coalesce(nullif(o.model, ''), r.model) AS judged,
       o.source <> 'check' AND EXISTS (
           SELECT 1 FROM outcomes AS first
           WHERE first.request_id = o.request_id AND first.model = o.model AND first.source = o.source
             AND first.sequence < o.sequence
       ) AS is_again
FROM outcomes AS o LEFT JOIN requests AS r ON r.request_id = o.request_id
WHERE o.sequence > ?
ORDER BY o.sequence LIMIT ?
"""
_LAST = "SELECT coalesce(max(sequence), 0) AS last FROM {table}"
_TAKE = """
UPDATE drift_marks SET taken_until_ns = {now} + ? WHERE taken_until_ns <= {now}
RETURNING answers, opinions, taken_until_ns
"""
_MOVE = """
UPDATE drift_marks SET answers = ?, opinions = ? WHERE taken_until_ns = ? RETURNING answers
"""
_LET_GO = "UPDATE drift_marks SET taken_until_ns = 0 WHERE taken_until_ns = ?"
_KEEP = """
INSERT INTO drift_streams (model, quantity, family, stream, is_alarm) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (model, quantity, family) DO UPDATE SET stream = excluded.stream, is_alarm = excluded.is_alarm
"""
_STREAMS = "SELECT model, quantity, family, stream FROM drift_streams {where} ORDER BY model, quantity, family"

_STANDING = "SELECT model, quantity, family, is_alarm FROM drift_streams ORDER BY model, quantity, family"

_stream = msgspec.json.Decoder(Stream)


class DriftBook:
    """The streams of an installation. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._take = _TAKE.format(now=database.now_ns)

    def take(self, *, for_s: float) -> Marks | None:
        """Begin a look, which nobody else does for so many seconds; None if somebody is at it."""
        with self._database.transaction() as transaction:
            taken = transaction.execute(self._take, int(for_s * NANOSECONDS))
        if not taken:
            return None
        marks = Marks(**taken[0])
        return marks if marks.answers >= 0 else self._begin(marks)

    def let_go(self, marks: Marks) -> None:
        """The look is over."""
        with self._database.transaction() as transaction:
            transaction.execute(_LET_GO, marks.taken_until_ns)

    def page(self, marks: Marks, limit: int) -> Page:
        """What came after the marks, `limit` rows of each kind at most."""
        answers = self._database.read(_ANSWERS, marks.answers, limit)
        opinions = self._database.read(_OPINIONS, marks.opinions, limit)
        return Page(
            [value for row in answers for value in _answered(row)]
            + [value for row in opinions for value in _told(row)],
            Marks(
                answers[-1]["sequence"] if answers else marks.answers,
                opinions[-1]["sequence"] if opinions else marks.opinions,
                marks.taken_until_ns,
            ),
        )

    def streams(self) -> dict[Key, Stream]:
        """All there are."""
        return {_key(row): _stream.decode(row["stream"]) for row in self._database.read(_STREAMS.format(where=""))}

    def alarms(self) -> dict[Key, Alarm]:
        """Those that stand."""
        found = self._database.read(_STREAMS.format(where="WHERE is_alarm = 1"))
        decoded = ((_key(row), _stream.decode(row["stream"]).alarm) for row in found)
        return {key: alarm for key, alarm in decoded if alarm is not None}

    def standing(self) -> dict[Key, bool]:
        """All streams, and whether there is an alarm of each."""
        return {_key(row): bool(row["is_alarm"]) for row in self._database.read(_STANDING)}

    def keep(self, streams: Streams, marks: Marks) -> bool:
        """Write what became of some streams by the rows up to the marks; False if the look is not ours any more."""
        with self._database.transaction() as transaction:
            if not transaction.execute(_MOVE, marks.answers, marks.opinions, marks.taken_until_ns):
                return False
            for key, stream in sorted(streams.items()):
                text = msgspec.json.encode(stream).decode()
                transaction.execute(_KEEP, *key, text, int(stream.alarm is not None))
        return True

    def pin(self, model: str) -> int:
        """Forget the streams of a model, so that what comes now is its reference; returns how many there were.

        A look that is under way is over, as it would bring them back: its rows are taken in by the next one.
        """
        with self._database.transaction() as transaction:
            transaction.execute("UPDATE drift_marks SET taken_until_ns = 0")
            return len(transaction.execute("DELETE FROM drift_streams WHERE model = ? RETURNING model", model))

    def _begin(self, marks: Marks) -> Marks:
        """Where the very first look begins."""
        answers, opinions = (
            max(0, self._database.read(_LAST.format(table=table))[0]["last"] - MOST_HISTORY)
            for table in ("events", "outcomes")
        )
        return Marks(answers, opinions, marks.taken_until_ns)


# ---- rows → values ----------------------------------------------------------------------------------------------


def _key(row: Row) -> Key:
    return Key(row["model"], Quantity(row["quantity"]), row["family"])


class _Classified(Struct, frozen=True):
    """What is needed of a route."""

    verdict: Verdict | None


_classified_decoder: msgspec.json.Decoder[_Classified | None] = msgspec.json.Decoder(_Classified | None)


def _answered(row: Row) -> Iterator[tuple[Key, Seen]]:
    """What an attempt says of its model; nothing, where it says more of us or of the caller."""
    model, outcome = row["model"], row["outcome"]
    if outcome == COMPLETE or outcome in FAILURES:
        yield Key(model, Quantity.FAILURES, ""), _seen(row, float(outcome != COMPLETE))
    if outcome != COMPLETE or row["is_estimated"]:
        return
    yield Key(model, Quantity.LENGTH, ""), _seen(row, row["output_tokens"])
    if row["service_tier"] != "batch":
        yield Key(model, Quantity.LATENCY, ""), _seen(row, row["total_ms"])
    if row["cost_nanousd"] is not None:
        yield Key(model, Quantity.COST, _family(row)), _seen(row, row["cost_nanousd"])


def _family(row: Row) -> str:
    """The most probable kind of work; else the tier."""
    classified = _classified_decoder.decode(row["route"] or "null")
    if classified is not None and classified.verdict is not None and classified.verdict.kinds:
        return classified.verdict.kinds[0].kind
    return row["tier"] or ""


def _told(row: Row) -> Iterator[tuple[Key, Seen]]:
    """What an opinion says of the model that is judged; nothing where nobody answered.

    Only the first of its kind: one answer that is complained of a hundred times is one bad answer.
    """
    check = row.get("check") or ""
    if not row["judged"] or row["is_again"]:
        return
    if check == REFUSAL:
        yield Key(row["judged"], Quantity.REFUSALS, ""), _seen(row, float(row["score"] < GOOD_FROM))
    else:
        family = f"{row['source']}:{check}" if check else row["source"]
        yield Key(row["judged"], Quantity.SUCCESS, family), _seen(row, float(row["score"] < GOOD_FROM))


def _seen(row: Row, value: float) -> Seen:
    return Seen(float(value), row["at_ns"], row["request_id"])
