"""What is expected of a model moves from what was trained to what its own ledger says, kind by kind."""

import numpy as np
import pytest

from builders import call, model
from routewright.catalog.registry import Model, Tier
from routewright.classifiers import load_artefact
from routewright.decision.artefact import Artefact
from routewright.decision.expectation import Expectation
from routewright.decision.features import extract
from routewright.decision.forecast import Forecaster, Lengths, Lessons, right_tiers
from routewright.decision.learned import LearnedClassifier, kept_features
from routewright.decision.posterior import look
from routewright.decision.sketch import fingerprint
from routewright.decision.success import Evidence, Tally, features_of

MODELS = (model("small", tier=Tier.BULK), model("usual"), model("strong", tier=Tier.COMPLEX))
TIERS = list(Tier)
RENAME = "rename foo to bar in this file"


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return load_artefact(None)


def outcomes(artefact: Artefact, score: float, count: float, kind: int | None = None) -> Tally:
    """So many outcomes of one kind, or of each, with this score."""
    tried = np.full(len(artefact.kinds), count) if kind is None else np.eye(len(artefact.kinds))[kind] * count
    return Tally(tried, tried * score, round(float(tried.sum())))


def evidence(artefact: Artefact, **tallies: Tally) -> Evidence:
    return Evidence(artefact.prior, tallies, {})


def expected(
    artefact: Artefact, lessons: Lessons, name: str, kind: int, among: tuple[Model, ...] = MODELS
) -> Expectation:
    kinds = np.eye(len(artefact.kinds))[kind]
    forecaster = Forecaster(artefact, lessons, MODELS)
    return forecaster.forecast((kinds @ forecaster.columns).tolist(), []).of[name]


def learned(artefact: Artefact, lengths: dict[str, Lengths] | None = None, **tallies: Tally) -> Lessons:
    return Lessons(artefact.version, evidence(artefact, **tallies), lengths or {})


# ---- success --------------------------------------------------------------------------------------------------------


def test_before_any_outcome_a_model_is_what_its_tier_is(artefact: Artefact) -> None:
    found = expected(artefact, Lessons.none(artefact), "usual", 0)
    assert found.success == pytest.approx(artefact.prior.rates[Tier.STANDARD][0])
    assert (found.outcomes, found.waste) == (0, 1.0)
    assert found.doubt > 0


def test_outcomes_move_success_and_take_doubt_away(artefact: Artefact) -> None:
    before = expected(artefact, Lessons.none(artefact), "usual", 0)
    good = expected(artefact, learned(artefact, usual=outcomes(artefact, 1.0, 40, 0)), "usual", 0)
    bad = expected(artefact, learned(artefact, usual=outcomes(artefact, 0.0, 40, 0)), "usual", 0)
    assert bad.success < before.success < good.success
    assert good.success > 0.9
    assert bad.success < 0.3
    assert max(good.doubt, bad.doubt) < before.doubt
    assert good.outcomes == 40


def test_outcomes_of_one_model_say_nothing_of_another(artefact: Artefact) -> None:
    lessons = learned(artefact, usual=outcomes(artefact, 0.0, 40))
    assert expected(artefact, lessons, "strong", 0) == expected(artefact, Lessons.none(artefact), "strong", 0)


def test_outcomes_of_other_kinds_move_a_model_less_than_those_of_this_kind(artefact: Artefact) -> None:
    before, here, elsewhere = (
        expected(artefact, lessons, "usual", 0).success
        for lessons in (
            Lessons.none(artefact),
            learned(artefact, usual=outcomes(artefact, 0.0, 30, 0)),
            learned(artefact, usual=outcomes(artefact, 0.0, 30, 1)),
        )
    )
    assert here < elsewhere < before


def test_a_catalog_without_models_has_an_empty_forecast(artefact: Artefact) -> None:
    assert Forecaster(artefact, Lessons.none(artefact), ()).forecast([], []).of == {}


# ---- length and waste -----------------------------------------------------------------------------------------------


def test_answers_that_were_longer_than_usual_are_expected_to_be_so_again(artefact: Artefact) -> None:
    kinds = np.eye(len(artefact.kinds))[0]
    lengths = {"usual": Lengths(kinds * 50, kinds * 50 * 4_000)}
    before = expected(artefact, Lessons.none(artefact), "usual", 0)
    assert before.output_tokens == round(artefact.output_tokens[0])
    after = expected(artefact, learned(artefact, lengths), "usual", 0)
    assert after.output_tokens == pytest.approx(4_000, rel=0.15)
    assert expected(artefact, learned(artefact, lengths), "strong", 0) == expected(
        artefact, Lessons.none(artefact), "strong", 0
    )


def test_what_was_paid_for_failures_is_expected_again_and_little_of_it_counts_little(artefact: Artefact) -> None:
    nothing = np.zeros(len(artefact.kinds))

    def waste(complete_nanousd: int, all_nanousd: int) -> float:
        lengths = {"usual": Lengths(nothing, nothing, complete_nanousd, all_nanousd)}
        return expected(artefact, learned(artefact, lengths), "usual", 0).waste

    assert waste(10**9, 2 * 10**9) == pytest.approx(2, rel=0.02)
    assert waste(0, 1_000_000) == pytest.approx(1.1)
    assert waste(0, 0) == 1.0


# ---- which tier is enough -------------------------------------------------------------------------------------------


def test_without_outcomes_the_tiers_are_those_that_were_trained(artefact: Artefact) -> None:
    assert right_tiers(artefact, evidence(artefact), MODELS) is artefact.tiers


def test_outcomes_that_show_that_a_small_model_is_enough_move_the_tier_down(artefact: Artefact) -> None:
    hard = int(artefact.tiers[:, TIERS.index(Tier.COMPLEX)].argmax())
    moved = right_tiers(
        artefact,
        evidence(artefact, **{each.name: outcomes(artefact, 0.95, 300, hard) for each in MODELS}),
        MODELS,
    )
    assert TIERS[int(moved[hard].argmax())] is Tier.BULK


def test_outcomes_that_show_that_it_is_not_enough_move_the_tier_up(artefact: Artefact) -> None:
    easy = int(artefact.tiers[:, TIERS.index(Tier.BULK)].argmax())
    moved = right_tiers(
        artefact,
        evidence(
            artefact,
            small=outcomes(artefact, 0.3, 300, easy),
            usual=outcomes(artefact, 0.5, 300, easy),
            strong=outcomes(artefact, 0.95, 300, easy),
        ),
        MODELS,
    )
    assert TIERS[int(moved[easy].argmax())] is Tier.COMPLEX


def test_kinds_without_outcomes_keep_their_tier(artefact: Artefact) -> None:
    moved = right_tiers(artefact, evidence(artefact, small=outcomes(artefact, 0.0, 300, 0)), MODELS)
    assert np.allclose(moved[1:], artefact.tiers[1:])
    assert not np.allclose(moved[0], artefact.tiers[0])


def test_the_probabilities_of_the_tiers_sum_to_one(artefact: Artefact) -> None:
    for among in (MODELS, MODELS[:1], (*MODELS, model("form", tier=Tier.STRUCTURED))):
        moved = right_tiers(artefact, evidence(artefact, small=outcomes(artefact, 0.5, 50)), among)
        assert np.allclose(moved.sum(axis=1), 1, atol=1e-3)
        assert (moved >= 0).all()


def test_outcomes_move_the_verdict_of_a_clear_request(artefact: Artefact) -> None:
    features = extract(call(RENAME))
    fresh = LearnedClassifier(artefact, Lessons.none(artefact), MODELS)
    taught = LearnedClassifier(
        artefact,
        learned(
            artefact,
            small=outcomes(artefact, 0.2, 200),
            usual=outcomes(artefact, 0.4, 200),
            strong=outcomes(artefact, 0.95, 200),
        ),
        MODELS,
    )
    assert fresh.classify(features).tier is Tier.BULK
    assert taught.classify(features).tier is Tier.COMPLEX
    assert fresh.name != taught.name


# ---- what the ledger keeps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a", RENAME, "Prove that √2 is irrational. 证明。" * 40])
def test_what_is_kept_of_a_text_is_what_is_learned_from(artefact: Artefact, text: str) -> None:
    seen = look(extract(call(text)))[0]
    kept = fingerprint(seen)
    assert len(kept) < 310
    row = features_of(seen, artefact.prior.weights)
    assert np.allclose(kept_features(artefact, kept), row, atol=0.01)
    assert not kept_features(artefact, kept[:-1]).any()
