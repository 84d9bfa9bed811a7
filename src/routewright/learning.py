"""What the ledger teaches: outcomes and answers → evidence. Done aside, never while a request waits.

Everything is learned anew from the same rows in the same order, so the ledger alone says what was known when. Of a
request's several opinions on one answer the most trusted counts, and of equals the last.
"""

import logging
import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Registry
from routewright.decision.artefact import Artefact
from routewright.decision.forecast import Lengths, Lessons
from routewright.decision.learned import experience, kinds_row
from routewright.decision.residual import FEATURES, Residual
from routewright.decision.rows import zeros
from routewright.decision.sketch import Numbers
from routewright.decision.success import Evidence, Experience, Tally, learn
from routewright.ledger.ledger import is_believed_over
from routewright.ledger.store import AnswerRow, OutcomeRow, Store, as_good_as_its_checks

log = logging.getLogger(__name__)

MOST_OUTCOMES = 100_000
"""So many of the latest outcomes are learned from; older ones no longer speak of today's models."""
MOST_ANSWERS = 50_000
PAGE = 5_000


def learn_from(store: Store, artefact: Artefact, registry: Registry) -> Lessons:
    """What the ledger teaches now. Raises StoreUnavailable."""
    outcomes = _read(store.outcomes, store.outcomes_start(MOST_OUTCOMES))
    tiers = {model.name: model.tier.value for model in registry.models.values()}
    return Lessons(
        artefact=artefact.version,
        evidence=learn(artefact.prior, _experiences(outcomes, artefact), tiers),
        lengths=_lengths(_read(store.answers, store.answers_start(MOST_ANSWERS)), artefact),
        outcome_sequence=outcomes[-1].sequence if outcomes else 0,
    )


def has_news(store: Store, known: Lessons | None) -> bool:
    """Whether there are outcomes that were not learned from yet. Raises StoreUnavailable."""
    return bool(store.outcomes(known.outcome_sequence if known else 0, 1))


# ---- kept between processes -----------------------------------------------------------------------------------------


class _Kept(Struct, frozen=True):
    """Lessons as they are kept: arrays as the bytes of their numbers."""

    artefact: str
    outcome_sequence: int
    tallies: dict[str, tuple[bytes, bytes, int]]
    residuals: dict[str, tuple[bytes, float]]
    lengths: dict[str, tuple[bytes, bytes, int, int]]


def save(lessons: Lessons, path: Path) -> None:
    """Keep lessons for the next process, which then need not learn them anew. Raises OSError."""
    evidence = lessons.evidence
    kept = _Kept(
        artefact=lessons.artefact,
        outcome_sequence=lessons.outcome_sequence,
        tallies={
            name: (its.tried.tobytes(), its.good.tobytes(), its.outcomes) for name, its in evidence.tallies.items()
        },
        residuals={name: (its.weights.tobytes(), its.bias) for name, its in evidence.residuals.items()},
        lengths={
            name: (its.answers.tobytes(), its.tokens.tobytes(), its.complete_nanousd, its.all_nanousd)
            for name, its in lessons.lengths.items()
        },
    )
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(msgspec.msgpack.encode(kept))
    draft.replace(path)


def restore(path: Path, artefact: Artefact) -> Lessons:
    """The lessons kept at `path`; none when they cannot be read or were told in another artefact's kinds of work."""
    size = len(artefact.kinds)
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
        tallies = {
            name: Tally(_numbers("d", tried, size), _numbers("d", good, size), n)
            for name, (tried, good, n) in kept.tallies.items()
        }
        residuals = {
            name: Residual(_numbers("f", weights, FEATURES), bias) for name, (weights, bias) in kept.residuals.items()
        }
        lengths = {
            name: Lengths(_numbers("d", answers, size), _numbers("d", tokens, size), complete, paid)
            for name, (answers, tokens, complete, paid) in kept.lengths.items()
        }
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        log.warning("lessons kept at %s cannot be read, the ledger teaches them anew: %s", path, error)
        return Lessons.none(artefact)
    if kept.artefact != artefact.version:
        return Lessons.none(artefact)
    return Lessons(kept.artefact, Evidence(artefact.prior, tallies, residuals), lengths, kept.outcome_sequence)


def _numbers(precision: str, data: bytes, size: int) -> Numbers:
    """Raises ValueError unless they are so many."""
    numbers: Numbers = array(precision, data)
    if len(numbers) != size:
        raise ValueError(f"there are {len(numbers)} numbers, not {size}")
    return numbers


# ---- learning -------------------------------------------------------------------------------------------------------


class _Sequenced(Protocol):
    @property
    def sequence(self) -> int: ...


Row = TypeVar("Row", bound=_Sequenced)


def _read(read: Callable[[int, int], list[Row]], start: int) -> list[Row]:
    """All rows after `start`, in order, page by page: a long history is not gone through for its end."""
    rows: list[Row] = []
    while page := read(rows[-1].sequence if rows else start, PAGE):
        rows += page
    return rows


def _experiences(rows: Iterable[OutcomeRow], artefact: Artefact) -> Iterator[Experience]:
    opinions: dict[tuple[str, str], OutcomeRow] = {}
    for row in as_good_as_its_checks(rows):
        key = row.request_id, row.model
        before = opinions.get(key)
        if before is None or is_believed_over(row.source, before.source):
            opinions.pop(key, None)  # a newer opinion is a newer experience
            opinions[key] = row
    for row in opinions.values():
        if row.verdict is not None:
            learned = experience(artefact, row.request_id, row.model, row.score, row.verdict)
            if learned is not None:
                yield learned


def _lengths(rows: Iterable[AnswerRow], artefact: Artefact) -> dict[str, Lengths]:
    def nothing() -> Numbers:
        return zeros(len(artefact.kinds))

    answers: defaultdict[str, Numbers] = defaultdict(nothing)
    tokens: defaultdict[str, Numbers] = defaultdict(nothing)
    complete: dict[str, int] = {}
    paid: dict[str, int] = {}
    for row in rows:
        paid[row.model] = paid.get(row.model, 0) + (row.cost_nanousd or 0)
        if row.outcome != "complete" or row.is_estimated:
            continue
        complete[row.model] = complete.get(row.model, 0) + (row.cost_nanousd or 0)
        kinds = kinds_row(artefact, row.kinds)
        if kinds is not None:
            kinds.add_to(answers[row.model])
            kinds.add_to(tokens[row.model], row.output_tokens)
    return {model: Lengths(answers[model], tokens[model], complete.get(model, 0), paid[model]) for model in paid}
