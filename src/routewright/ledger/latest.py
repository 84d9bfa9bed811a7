"""The latest outcomes and comparisons, a bounded number of each: what a page shows, however long the ledger is."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from routewright.decision.success_rates import Told
from routewright.ledger.database import Database, Row
from routewright.ledger.ledger import ComparisonRecorded
from routewright.ledger.rows import event_of
from routewright.route import Examined, Verdict

_OUTCOMES = """
SELECT o.request_id, o.at_ns, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o."check", o.score, r.tier,
       r.route
FROM (SELECT * FROM outcomes ORDER BY sequence DESC LIMIT ?) AS o JOIN requests AS r USING (request_id)
WHERE o.model <> '' OR r.model IS NOT NULL
ORDER BY o.sequence
"""
_COMPARISONS = "SELECT 'comparison' AS kind, * FROM comparisons ORDER BY sequence DESC LIMIT ?"
_OF_A_REQUEST = "SELECT 'comparison' AS kind, * FROM comparisons WHERE request_id = ? ORDER BY sequence LIMIT ?"
_RATINGS = """
SELECT o.request_id, coalesce(nullif(o.model, ''), c.model) AS model, o.score
FROM (SELECT request_id, model FROM comparisons ORDER BY sequence DESC LIMIT ?) AS c
JOIN outcomes AS o USING (request_id)
WHERE o.source = 'feedback' ORDER BY o.sequence
"""


class Opinion(Struct, frozen=True):
    """What was said of an answer, and what had been claimed of it."""

    told: Told
    claimed: float | None
    """The probability of success that the decision gave this model; None where nobody could say."""


class Compared(Struct, frozen=True):
    """Comparisons, the newest first, and what people say of the answers to these requests."""

    comparisons: list[ComparisonRecorded]
    ratings: dict[tuple[str, str], float]
    """(request id, model) → the last word of feedback, from 0 to 1."""


class _Candidate(Struct, frozen=True):
    model: str
    success: float | None = None


class _Decided(Struct, frozen=True):
    """What is looked at of a route."""

    verdict: Verdict | None
    candidates: tuple[_Candidate, ...] = ()
    examined: Examined | UnsetType = UNSET

    def claimed(self, model: str) -> float | None:
        """The probability of success that was expected of a model; None where nobody could say."""
        for each in self.candidates:
            if each.model == model:
                return each.success
        return None if self.examined is UNSET else self.examined.success_of(model)


_decided: msgspec.json.Decoder[_Decided | None] = msgspec.json.Decoder(_Decided | None)


def latest_opinions(database: Database, limit: int) -> list[Opinion]:
    """Of the latest `limit` outcomes those whose request is recorded, in the order told. Raises StoreUnavailable."""
    return [_opinion(row) for row in database.read(_OUTCOMES, limit)]


def latest_comparisons(database: Database, limit: int) -> Compared:
    """The latest `limit`. Raises StoreUnavailable."""
    return Compared(
        _comparisons(database.read(_COMPARISONS, limit)),
        {(row["request_id"], row["model"]): row["score"] for row in database.read(_RATINGS, limit)},
    )


def comparisons_of(database: Database, request_id: str, limit: int) -> list[ComparisonRecorded]:
    """Those of one request, in the order recorded, at most `limit`. Raises StoreUnavailable."""
    return _comparisons(database.read(_OF_A_REQUEST, request_id, limit))


def _comparisons(rows: Iterable[Row]) -> list[ComparisonRecorded]:
    return [event for event in map(event_of, rows) if isinstance(event, ComparisonRecorded)]


def _opinion(row: Row) -> Opinion:
    decided = _decided.decode(row.pop("route") or "null")
    verdict = decided and decided.verdict
    told = Told(kinds=verdict.kinds if verdict else (), **row)
    return Opinion(told, decided.claimed(told.model) if decided else None)
