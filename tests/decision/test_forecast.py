import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artefacts
from artefacts import KINDS
from builders import model
from routewright.catalog.registry import Model, Tier
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.forecast import Forecaster, Lengths, Lessons, right_tiers
from routewright.decision.residual import FloatArray, Residual
from routewright.decision.sketch import sketch
from routewright.decision.success import FEATURES, Evidence, Tally, features_of

ARTEFACT = artefacts.artefact()
DESIGN, EXTRACT, TRANSLATE = np.eye(len(KINDS))
THINKER, ALLROUNDER = model("thinker", tier=Tier.COMPLEX), model("allrounder", tier=Tier.STANDARD)
CLERK, DRUDGE = model("clerk", tier=Tier.STRUCTURED), model("drudge", tier=Tier.BULK)
TEAM = (THINKER, ALLROUNDER, CLERK, DRUDGE)
ORDER = list(Tier)
SEEN = sketch("Translate this")


def lessons(lengths: dict[str, Lengths]) -> Lessons:
    return Lessons(ARTEFACT.version, Evidence(ARTEFACT.prior, {}, {}), lengths)


def evidence_of(tallies: dict[str, Tally]) -> Evidence:
    return Evidence(ARTEFACT.prior, tallies, {})


def expected(taught: Lessons, kinds: FloatArray, name: str) -> Expectation:
    return forecast_of(Forecaster(ARTEFACT, taught, TEAM), kinds).of[name]


def forecast_of(forecaster: Forecaster, kinds: FloatArray) -> Forecast:
    """Of `SEEN`, were it of these kinds."""
    corrections = features_of(SEEN, ARTEFACT.prior.weights) @ forecaster.residuals
    return forecaster.forecast((kinds @ forecaster.columns).tolist(), corrections.tolist())


def counted(rate: float, times: float) -> Tally:
    """So many outcomes of each kind, with this rate of good ones."""
    return Tally(np.full(3, times), np.full(3, times * rate), round(3 * times))


# ---- success --------------------------------------------------------------------------------------------------------


def test_every_model_of_the_catalog_has_an_expectation() -> None:
    forecast = forecast_of(Forecaster(ARTEFACT, Lessons.none(ARTEFACT), TEAM), TRANSLATE)
    assert list(forecast.of) == ["thinker", "allrounder", "clerk", "drudge"]
    assert forecast_of(Forecaster(ARTEFACT, Lessons.none(ARTEFACT), ()), TRANSLATE).of == {}


@given(st.floats(0, 1), st.integers(0, 500), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
@settings(deadline=None)
def test_forecast_says_what_the_evidence_does(rate: float, times: int, parts: list[float]) -> None:
    kinds = np.array(parts) / sum(parts)
    weights = np.linspace(-0.5, 0.5, FEATURES, dtype=np.float32)
    evidence = Evidence(ARTEFACT.prior, {"clerk": counted(rate, times)}, {"clerk": Residual(weights, 0.1)})
    forecast = forecast_of(Forecaster(ARTEFACT, Lessons(ARTEFACT.version, evidence), TEAM), kinds)
    for each in TEAM:
        told = forecast.of[each.name]
        assert told.success == pytest.approx(evidence.of(each.name, each.tier, kinds, SEEN), abs=1e-5)
        assert told.outcomes == evidence.outcomes(each.name, kinds)
    assert forecast.of["clerk"].outcomes == times


# ---- lengths and waste ----------------------------------------------------------------------------------------------


def test_without_answers_a_length_is_what_is_usual_for_the_work() -> None:
    assert expected(Lessons.none(ARTEFACT), DESIGN, "clerk").output_tokens == 1_800
    assert expected(Lessons.none(ARTEFACT), EXTRACT, "clerk").output_tokens == 150


def test_lengths_move_with_the_answers_and_only_for_the_model_that_gave_them() -> None:
    talkative = Lengths(EXTRACT * 100, EXTRACT * 100 * 600)
    taught = lessons({"clerk": talkative})
    assert 500 < expected(taught, EXTRACT, "clerk").output_tokens <= 600
    assert expected(taught, TRANSLATE, "clerk").output_tokens > 250
    assert expected(taught, EXTRACT, "drudge").output_tokens == 150


@given(st.integers(1, 1_000), st.floats(1, 10_000))
def test_length_lies_between_the_usual_and_the_seen(answers: int, tokens: float) -> None:
    told = expected(lessons({"clerk": Lengths(EXTRACT * answers, EXTRACT * answers * tokens)}), EXTRACT, "clerk")
    assert min(150, tokens) - 1 <= told.output_tokens <= max(150, tokens) + 1


def test_waste_is_what_failures_cost_beside_complete_answers() -> None:
    nothing = np.zeros(3)
    dollar = 1_000_000_000
    assert expected(Lessons.none(ARTEFACT), EXTRACT, "clerk").waste == 1
    wasteful = lessons({"clerk": Lengths(nothing, nothing, complete_nanousd=dollar, all_nanousd=2 * dollar)})
    assert expected(wasteful, EXTRACT, "clerk").waste == pytest.approx(2, abs=0.02)
    assert expected(wasteful, EXTRACT, "drudge").waste == 1


def test_first_failure_is_not_believed_to_be_the_rule() -> None:
    nothing = np.zeros(3)
    taught = lessons({"clerk": Lengths(nothing, nothing, complete_nanousd=0, all_nanousd=1_000_000)})
    assert 1 < expected(taught, EXTRACT, "clerk").waste < 1.2


# ---- which tier is enough -------------------------------------------------------------------------------------------


def test_without_outcomes_the_artefacts_tiers_are_right() -> None:
    evidence = Lessons.none(ARTEFACT).evidence
    assert (right_tiers(ARTEFACT, evidence, TEAM) == ARTEFACT.tiers).all()
    assert (right_tiers(ARTEFACT, evidence, ()) == ARTEFACT.tiers).all()


def test_cheap_tier_that_does_everything_well_becomes_enough_for_everything() -> None:
    evidence = evidence_of({each.name: counted(0.95, 400) for each in TEAM})
    tiers = right_tiers(ARTEFACT, evidence, TEAM)
    assert (tiers.argmax(axis=1) == ORDER.index(Tier.BULK)).all()


def test_tier_that_fails_is_no_longer_enough() -> None:
    good, bad = counted(0.95, 400), counted(0.2, 400)
    evidence = evidence_of({"thinker": good, "allrounder": good, "clerk": bad, "drudge": bad})
    tiers = right_tiers(ARTEFACT, evidence, TEAM)
    assert (tiers.argmax(axis=1) == ORDER.index(Tier.STANDARD)).all()


def test_outcomes_of_one_kind_leave_the_tiers_of_others() -> None:
    seen = {each.name: Tally(DESIGN * 400, DESIGN * 380, 400) for each in TEAM}
    tiers = right_tiers(ARTEFACT, evidence_of(seen), TEAM)
    assert tiers[0].argmax() == ORDER.index(Tier.BULK)
    assert (tiers[1:] == ARTEFACT.tiers[1:]).all()


@given(
    st.lists(st.sampled_from(TEAM), unique_by=lambda each: each.name),
    st.dictionaries(st.sampled_from([each.name for each in TEAM]), st.tuples(st.floats(0, 1), st.integers(0, 10**6))),
)
@settings(deadline=None)
def test_tiers_of_any_team_with_any_outcomes_sum_to_one(team: list[Model], seen: dict[str, tuple[float, int]]) -> None:
    evidence = evidence_of({name: counted(rate, times) for name, (rate, times) in seen.items()})
    tiers = right_tiers(ARTEFACT, evidence, [each for each in TEAM if each in team])
    assert (tiers >= 0).all()
    assert tiers.sum(axis=1) == pytest.approx(1, abs=1e-5)
