"""The ledger teaches the same whenever it is asked, and what it taught survives the process."""

import logging
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import artefacts
from builders import model, registry, route
from routewright.catalog.registry import Tier
from routewright.decision.artefact import Artefact
from routewright.decision.forecast import Lessons
from routewright.learning import has_news, learn_from, restore, save
from routewright.ledger.ledger import LedgerEvent, OutcomeRecorded, encode_event
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.route import KindShare, Verdict
from terminal import request, settled

MODELS = registry(model("swift", tier=Tier.BULK), model("strong", tier=Tier.COMPLEX))


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return artefacts.artefact()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(SqliteDatabase(tmp_path / "ledger.db"))


def absorb(store: Store, *events: LedgerEvent) -> None:
    store.absorb([encode_event(event) for event in events])


def asked(request_id: str, artefact: Artefact, kind: int = 0, **changes: object) -> LedgerEvent:
    """A request that is surely of one kind of work, answered by swift."""
    verdict = Verdict(
        tier=Tier.BULK, confidence=0.9, reason="", classifier="x", kinds=(KindShare(artefact.kinds[kind], 1.0),)
    )
    return request(request_id, route=route(model("swift"), verdict=verdict), **changes)


def outcome(number: int, score: float, request_id: str = "r1", **changes: object) -> OutcomeRecorded:
    plain = OutcomeRecorded(
        outcome_id=f"o{number}", request_id=request_id, at_ns=number, source="feedback", score=score
    )
    return replace(plain, **changes)


def good(lessons: Lessons, name: str = "swift") -> tuple[float, float]:
    """What was tried and what of it was good."""
    tally = lessons.evidence.tallies[name]
    return sum(tally.tried), sum(tally.good)


def test_an_empty_ledger_teaches_nothing(store: Store, artefact: Artefact) -> None:
    lessons = learn_from(store, artefact, MODELS)
    assert (lessons.evidence.tallies, lessons.lengths, lessons.outcome_sequence) == ({}, {}, 0)
    assert lessons.evidence.version == Lessons.none(artefact).evidence.version


def test_outcomes_count_for_the_kind_of_work_that_the_request_was(store: Store, artefact: Artefact) -> None:
    absorb(store, asked("r1", artefact, 2), outcome(1, 0.75), asked("r2", artefact, 1), outcome(2, 0.0, "r2"))
    tally = learn_from(store, artefact, MODELS).evidence.tallies["swift"]
    assert (tally.tried[2], tally.good[2]) == (1, 0.75)
    assert (tally.tried[1], tally.good[1]) == (1, 0)
    assert tally.outcomes == 2


@pytest.mark.parametrize("first", ["feedback", "check"])
def test_of_several_opinions_on_an_answer_the_most_trusted_counts(store: Store, artefact: Artefact, first: str) -> None:
    by_user, by_check = outcome(1, 1.0), outcome(2, 0.0, source="check")
    told = (by_user, by_check) if first == "feedback" else (by_check, by_user)
    absorb(store, asked("r1", artefact), *told)
    assert good(learn_from(store, artefact, MODELS)) == (1, 1)


def test_of_equally_trusted_opinions_the_newest_counts(store: Store, artefact: Artefact) -> None:
    absorb(store, asked("r1", artefact), outcome(1, 1.0), outcome(2, 0.25))
    assert good(learn_from(store, artefact, MODELS)) == (1, 0.25)


def test_opinions_on_another_models_answer_are_its_own(store: Store, artefact: Artefact) -> None:
    absorb(store, asked("r1", artefact), outcome(1, 0.0), outcome(2, 1.0, model="strong", source="shadow"))
    lessons = learn_from(store, artefact, MODELS)
    assert good(lessons) == (1, 0)
    assert good(lessons, "strong") == (1, 1)


def test_an_outcome_of_what_was_not_classified_teaches_nothing(store: Store, artefact: Artefact) -> None:
    absorb(store, request("r1"), outcome(1, 1.0))
    lessons = learn_from(store, artefact, MODELS)
    assert lessons.evidence.tallies == {}
    assert lessons.outcome_sequence == 1
    assert not has_news(store, lessons)


def test_only_outcomes_that_are_not_known_yet_are_news(store: Store, artefact: Artefact) -> None:
    assert not has_news(store, None)
    absorb(store, asked("r1", artefact), outcome(1, 1.0))
    assert has_news(store, None)
    lessons = learn_from(store, artefact, MODELS)
    assert not has_news(store, lessons)
    absorb(store, outcome(2, 0.0))
    assert has_news(store, lessons)


def test_learning_anew_teaches_the_same(store: Store, artefact: Artefact) -> None:
    for number in range(20):
        absorb(store, asked(f"r{number}", artefact, number % 3), outcome(number, number % 2, f"r{number}"))
    first, again = (learn_from(store, artefact, MODELS) for _ in range(2))
    assert first.evidence.version == again.evidence.version
    assert first.evidence.version.startswith("20@")


def test_answers_teach_how_long_they_are_by_kind_of_work(store: Store, artefact: Artefact) -> None:
    absorb(store, settled("r1"), settled("r2"), asked("r1", artefact, 2), asked("r2", artefact, 1))
    lengths = learn_from(store, artefact, MODELS).lengths["swift"]
    assert (lengths.answers[2], lengths.tokens[2]) == (1, 500)
    assert sum(lengths.answers) == 2


def test_what_failed_costs_but_is_no_answer(store: Store, artefact: Artefact) -> None:
    absorb(
        store,
        settled("r1", cost_nanousd=3_000),
        settled("r2", outcome="stream_cut", cost_nanousd=1_000),
        settled("r3", is_estimated=True, cost_nanousd=500),
        settled("r4", cost_nanousd=None),
        *(asked(f"r{number}", artefact) for number in range(1, 5)),
    )
    lengths = learn_from(store, artefact, MODELS).lengths["swift"]
    assert (lengths.complete_nanousd, lengths.all_nanousd) == (3_000, 4_500)
    assert sum(lengths.answers) == 2


# ---- kept between processes -----------------------------------------------------------------------------------------


@pytest.fixture
def lessons(store: Store, artefact: Artefact) -> Lessons:
    for number in range(200):  # enough for residuals
        absorb(store, settled(f"r{number}"), asked(f"r{number}", artefact, number % 3))
        absorb(store, outcome(number, number % 2, f"r{number}"))
    return learn_from(store, artefact, MODELS)


def test_lessons_survive_the_process(lessons: Lessons, artefact: Artefact, tmp_path: Path) -> None:
    save(lessons, tmp_path / "lessons")
    again = restore(tmp_path / "lessons", artefact)
    assert again.evidence.version == lessons.evidence.version
    assert again.outcome_sequence == lessons.outcome_sequence == 200
    assert again.evidence.residuals.keys() == lessons.evidence.residuals.keys()
    assert again.lengths.keys() == {"swift"}
    assert np.array_equal(again.lengths["swift"].tokens, lessons.lengths["swift"].tokens)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("lessons")] == ["lessons"]


@pytest.mark.parametrize("at", [0, 1, 100, -1])
def test_a_damaged_file_is_as_none_and_told(
    lessons: Lessons, artefact: Artefact, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    path = tmp_path / "lessons"
    save(lessons, path)
    path.write_bytes(path.read_bytes()[:at])
    with caplog.at_level(logging.WARNING):
        again = restore(path, artefact)
    assert (again.evidence.tallies, again.outcome_sequence) == ({}, 0)
    assert "cannot be read, the ledger teaches them anew" in caplog.text


def test_lessons_told_in_another_artefacts_kinds_are_learned_anew(
    lessons: Lessons, artefact: Artefact, tmp_path: Path, store: Store
) -> None:
    save(lessons, tmp_path / "lessons")
    again = restore(tmp_path / "lessons", replace(artefact, version="another1"))
    assert (again.artefact, again.evidence.tallies, again.outcome_sequence) == ("another1", {}, 0)
    assert has_news(store, again)


def test_of_a_long_history_only_the_end_is_read(
    store: Store, artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routewright.learning.MOST_OUTCOMES", 3)
    monkeypatch.setattr("routewright.learning.PAGE", 2)
    for number in range(8):
        absorb(store, asked(f"r{number}", artefact), outcome(number, float(number > 4), f"r{number}"))
    lessons = learn_from(store, artefact, MODELS)
    assert good(lessons) == (3.0, 3.0)
    assert lessons.outcome_sequence == 8
    assert [store.outcomes_start(most) for most in (0, 3, 8, 9)] == [8, 5, 0, 0]


def test_answers_start_counts_closed_attempts_alone(store: Store) -> None:
    absorb(store, *(settled(f"a{number}") for number in range(4)))
    rows = store.answers(0)
    assert store.answers(store.answers_start(2)) == rows[-2:]
    assert store.answers(store.answers_start(4)) == store.answers(store.answers_start(5)) == rows


def test_an_answer_is_as_good_as_the_check_it_did_worst_in_and_of_each_check_the_last_word_counts(
    store: Store, artefact: Artefact
) -> None:
    told = (("form", 0.0), ("language", 0.5), ("length", 1.0), ("form", 1.0))
    outcomes = (outcome(n, score, source="check", check=check) for n, (check, score) in enumerate(told))
    absorb(store, asked("r1", artefact), *outcomes)
    assert good(learn_from(store, artefact, MODELS)) == (1, 0.5)
