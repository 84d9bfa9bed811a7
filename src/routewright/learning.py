"""What the ledger teaches: outcomes and answers → evidence. Done aside, never while a request waits.

Everything is learned anew from the same rows in the same order, so the ledger alone says what was known when. Of a
request's several opinions on one answer the most trusted counts, and of equals the last.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np
from msgspec import Struct

from routewright.catalog.registry import Registry
from routewright.decision.artefact import Artefact
from routewright.decision.forecast import Lengths
from routewright.decision.learned import experience, kinds_vector
from routewright.decision.success import Evidence, Experience, learn
from routewright.ledger.ledger import MOST_TRUSTED_LAST
from routewright.ledger.sqlite import AnswerRow, OutcomeRow, SqliteStore

MOST_OUTCOMES = 100_000
"""So many of the latest outcomes are learned from; older ones no longer speak of today's models."""
MOST_ANSWERS = 50_000
PAGE = 5_000


class Lessons(Struct, frozen=True, eq=False):
    """All that was learned, and from how far."""

    evidence: Evidence
    lengths: Mapping[str, Lengths]
    outcome_sequence: int
    """Of the last outcome that was learned from; 0 when there was none."""


def lessons(store: SqliteStore, artefact: Artefact, registry: Registry) -> Lessons:
    """What the ledger teaches now. Raises StoreUnavailable."""
    outcomes = _latest(store.outcomes, MOST_OUTCOMES)
    tiers = {model.name: model.tier.value for model in registry.models.values()}
    return Lessons(
        evidence=learn(artefact.prior, _experiences(outcomes, artefact), tiers),
        lengths=_lengths(_latest(store.answers, MOST_ANSWERS), artefact),
        outcome_sequence=outcomes[-1].sequence if outcomes else 0,
    )


def has_news(store: SqliteStore, known: Lessons) -> bool:
    """Whether there are outcomes that were not learned from yet. Raises StoreUnavailable."""
    return bool(store.outcomes(known.outcome_sequence, 1))


class _Sequenced(Protocol):
    @property
    def sequence(self) -> int: ...


Row = TypeVar("Row", bound=_Sequenced)


def _latest(read: Callable[[int, int], list[Row]], most: int) -> deque[Row]:
    """The last `most` rows, in order, read page by page."""
    rows: deque[Row] = deque(maxlen=most)
    while page := read(rows[-1].sequence if rows else 0, PAGE):
        rows.extend(page)
    return rows


def _experiences(rows: Iterable[OutcomeRow], artefact: Artefact) -> Iterator[Experience]:
    opinions: dict[tuple[str, str], OutcomeRow] = {}
    for row in rows:
        key = row.request_id, row.model
        before = opinions.get(key)
        if before is None or MOST_TRUSTED_LAST.index(row.source) >= MOST_TRUSTED_LAST.index(before.source):
            opinions.pop(key, None)  # a newer opinion is a newer experience
            opinions[key] = row
    for row in opinions.values():
        if row.verdict is not None:
            learned = experience(artefact, row.model, row.score, row.verdict)
            if learned is not None:
                yield learned


def _lengths(rows: Iterable[AnswerRow], artefact: Artefact) -> dict[str, Lengths]:
    answers: dict[str, np.ndarray] = {}
    tokens: dict[str, np.ndarray] = {}
    complete: dict[str, int] = {}
    paid: dict[str, int] = {}
    for row in rows:
        paid[row.model] = paid.get(row.model, 0) + (row.cost_nanousd or 0)
        if row.outcome != "complete" or row.is_estimated:
            continue
        complete[row.model] = complete.get(row.model, 0) + (row.cost_nanousd or 0)
        kinds = kinds_vector(artefact, row.kinds)
        if kinds is not None:
            answers[row.model] = answers.get(row.model, 0) + kinds
            tokens[row.model] = tokens.get(row.model, 0) + kinds * row.output_tokens
    nothing = np.zeros(len(artefact.kinds))
    return {
        model: Lengths(answers.get(model, nothing), tokens.get(model, nothing), complete.get(model, 0), paid[model])
        for model in paid
    }
