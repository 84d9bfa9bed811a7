from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from builders import call
from outcomes import ASKED, STRONG, TABLE, WEAK, table_rows, write_lines, written_prompts
from routewright.catalog.registry import Tier
from routewright.decision.appraisal import Appraiser
from routewright.decision.artefact import Artefact, load
from routewright.decision.features import extract
from routewright.decision.forecast import Lessons
from routewright.decision.learned import LearnedClassifier
from routewright.errors import ArtefactError
from routewright.training.fit import fit
from routewright.training.prompts import Prompt
from routewright.training.tables import Row, read_tables

PAIRS = {TABLE: (WEAK, STRONG)}


def prompts(records: list[dict[str, Any]]) -> list[Prompt]:
    return msgspec.convert(records, list[Prompt])


def trained(rows: list[Row], written: list[dict[str, Any]], pairs: dict[str, tuple[str, str]] = PAIRS) -> Artefact:
    return load(fit(rows, prompts(written), pairs=pairs, command="by hand", data={TABLE: f"{len(rows)} rows"}))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    path: Path = tmp_path_factory.mktemp("tables") / f"{TABLE}.jsonl"
    return read_tables([write_lines(path, table_rows())])


@pytest.fixture(scope="module")
def artefact(rows: list[Row]) -> Artefact:
    return trained(rows, written_prompts())


def test_trained_artefact_tells_the_kinds_it_was_trained_on(artefact: Artefact) -> None:
    assert artefact.kinds == ("design", "extraction", "hard_law", "hard_math", "translation")
    classifier = LearnedClassifier(artefact, Lessons.none(artefact), [])
    for kind, (tier, asked) in ASKED.items():
        verdict = classifier.classify(extract(call(asked.format("purple", "bridge", "clock"))))
        assert (verdict.kinds[0].kind, verdict.tier) == (kind, tier)


def test_need_of_strength_is_learned_from_the_pair(artefact: Artefact) -> None:
    hard, easy = Appraiser(artefact).needs(["Find the residue of the integral", "Which statute governs the contract"])
    assert hard > 0.6 > 0.4 > easy


def test_models_of_the_tables_are_known_by_kind_of_work(artefact: Artefact) -> None:
    assert artefact.prior.models.keys() == {WEAK, STRONG}
    rates, outcomes = artefact.prior.models[WEAK]
    assert list(rates) == [0, 0, 1, 0, 0]
    assert list(outcomes) == [0, 0, 20, 20, 0]


def test_higher_tiers_are_believed_to_do_better_at_everything(artefact: Artefact) -> None:
    upwards = [artefact.prior.rates[tier] for tier in (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)]
    assert (np.diff(upwards, axis=0) > 0).all()


def test_card_says_where_it_is_from_and_what_was_measured(artefact: Artefact) -> None:
    assert artefact.card.command == "by hand"
    assert artefact.card.data == {TABLE: "40 rows"}
    assert artefact.card.measured["kind right, written prompts"] > 0.8
    assert artefact.card.measured["kind right, table rows"] > 0.8
    assert all(0 <= figure <= 1 for figure in artefact.card.measured.values())


def test_same_input_makes_the_same_artefact(artefact: Artefact, rows: list[Row]) -> None:
    again = trained(rows, written_prompts())
    assert again.steps == artefact.steps
    assert again.tier_sharpness == artefact.tier_sharpness


# ---- too little -----------------------------------------------------------------------------------------------------


def refused(rows: list[Row], written: list[dict[str, Any]], pairs: dict[str, tuple[str, str]] = PAIRS) -> str:
    with pytest.raises(ArtefactError) as caught:
        trained(rows, written, pairs)
    assert caught.value.hint
    return caught.value.message


def test_fewer_kinds_than_can_be_told_apart_are_refused() -> None:
    assert "0 kinds of work" in refused([], [])
    assert "1 kinds of work" in refused([], [each for each in written_prompts() if each["kind"] == "design"])


def test_kind_of_which_nothing_is_left_to_learn_is_refused(rows: list[Row]) -> None:
    rare = {"kind": "rare", "tier": "bulk", "lang": "en", "ask": "Do something rare 2"}  # its hash holds it out
    message = refused(rows, [*written_prompts(), rare])
    assert message == "of some kinds every prompt is held out to measure by, and none is left to learn: rare"


def test_written_prompts_too_few_to_measure_by_are_refused(rows: list[Row]) -> None:
    assert "none is held out" in refused(rows, written_prompts(1))


def test_tables_without_both_models_of_a_pair_are_refused(rows: list[Row]) -> None:
    assert "no table shows when a strong model is needed" in refused([], written_prompts())
    assert "no table shows" in refused(rows, written_prompts(), {"another": (WEAK, STRONG)})
    assert "no table shows" in refused([row for row in rows if row.kind == "hard_law"], written_prompts())


def test_figure_that_nobody_can_measure_is_left_out(rows: list[Row]) -> None:
    nameless = [msgspec.structs.replace(row, kind=None) for row in rows]
    measured = trained(nameless, written_prompts()).card.measured
    assert "kind right, table rows" not in measured
    assert "kind right, written prompts" in measured
