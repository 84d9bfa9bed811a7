import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artefacts
from artefacts import KNOWN_MODEL
from routewright.catalog.registry import Tier
from routewright.decision import predict_success, score
from routewright.decision.appraisal import Appraiser, Known
from routewright.decision.sketch import fingerprint, sketch
from routewright.errors import ArtefactError
from routewright.route import KindShare

APPRAISER = Appraiser(artefacts.artefact())
DESIGN, TRANSLATE = "Please design this", "Please translate this"


# ---- the shipped artefact, as others measure it ---------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=100), max_size=4))
@settings(deadline=None)
def test_any_prompts_have_a_score_and_a_success_each(prompts: list[str]) -> None:
    scores, success = score(prompts), predict_success(prompts, ["complex", "bulk"])
    assert scores.shape == (len(prompts),)
    assert success.shape == (len(prompts), 2)
    assert ((scores > 0) & (scores < 1)).all()
    assert ((success > 0) & (success < 1)).all()


def test_nothing_is_asked_and_nothing_is_answered() -> None:
    assert score([]).shape == (0,)
    assert predict_success([], ["bulk"]).shape == (0, 1)
    assert predict_success(["Hello"], []).shape == (1, 0)
    assert predict_success([], []).shape == (0, 0)


def test_prompt_is_scored_the_same_alone_and_among_others() -> None:
    assert score([DESIGN, TRANSLATE])[1] == score([TRANSLATE])[0]


def test_complex_tier_is_expected_to_do_no_worse_than_the_bulk_tier() -> None:
    success = predict_success(["Prove that there are infinitely many primes.", "Hi!"], ["complex", "bulk"])
    assert (success[:, 0] > success[:, 1]).all()


def test_unknown_model_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(ArtefactError, match="'nobody'") as caught:
        predict_success(["Hello"], ["complex", "nobody"])
    assert caught.value.hint is not None
    assert all(tier in caught.value.hint for tier in Tier)


# ---- by hand --------------------------------------------------------------------------------------------------------


def test_known_model_is_expected_to_do_as_it_did() -> None:
    (design, translate), (other, _) = APPRAISER.success([DESIGN, TRANSLATE], [KNOWN_MODEL, "complex"]).T
    assert design < 0.4 < translate
    assert other == pytest.approx(0.95, abs=0.01)


def test_need_of_strength_is_a_probability() -> None:
    design, translate = APPRAISER.needs([DESIGN, TRANSLATE])
    assert design > 0.9
    assert translate == pytest.approx(0.5)


def test_prompt_of_which_only_the_verdict_is_known_is_seen_as_the_prompt_itself() -> None:
    known = Known((KindShare("design", 1.0),), fingerprint(sketch(DESIGN)))
    both = APPRAISER.see([DESIGN, known])
    assert both.kinds[0] == pytest.approx(both.kinds[1], abs=0.01)
    assert both.features[0] == pytest.approx(both.features[1], abs=0.01)


def test_kinds_of_another_artefact_are_refused() -> None:
    with pytest.raises(ArtefactError, match="no kind of work of a row"):
        APPRAISER.see([Known((KindShare("gardening", 1.0),), b"")])


# ---- learning from a table ------------------------------------------------------------------------------------------

PROMPTS = [DESIGN, TRANSLATE] * 40
SCORES = {"swift": np.tile([0.0, 1.0], 40), "strong": np.tile([1.0, np.nan], 40)}
COSTS = {"swift": np.tile([0.004, 0.001], 40), "strong": np.full(80, np.nan)}


def test_outcomes_of_a_table_are_learned() -> None:
    learned = APPRAISER.fit(PROMPTS, SCORES, COSTS)
    success = learned.success([DESIGN, TRANSLATE], ["swift", "strong", "new"])
    assert success.shape == (2, 3)
    assert success[0, 0] < 0.2 < 0.9 < success[1, 0]
    assert success[0, 1] > 0.9
    assert success[0, 2] == pytest.approx(0.8, abs=0.01)
    assert learned.evidence.version.startswith("120@")


def test_costs_of_a_table_are_learned_by_kind_of_work() -> None:
    costs = APPRAISER.fit(PROMPTS, SCORES, COSTS).cost([DESIGN, TRANSLATE], ["swift", "strong", "new"])
    assert costs[0, 0] == pytest.approx(0.004, rel=0.15)
    assert costs[1, 0] == pytest.approx(0.001, rel=0.25)
    assert np.isnan(costs[:, 1:]).all()


def test_empty_table_teaches_nothing() -> None:
    learned = APPRAISER.fit([], {"swift": np.zeros(0)}, {"swift": np.zeros(0)})
    assert learned.success([DESIGN], ["swift"])[0, 0] == pytest.approx(0.8, abs=0.01)
    assert learned.success([DESIGN], []).shape == learned.cost([DESIGN], []).shape == (1, 0)
    assert np.isnan(learned.cost([DESIGN], ["swift"])).all()
