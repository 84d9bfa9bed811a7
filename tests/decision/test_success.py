import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artefacts
from artefacts import KINDS, KNOWN_MODEL
from routewright.catalog.registry import Tier
from routewright.decision.learned import kept_features
from routewright.decision.residual import FloatArray, Residual
from routewright.decision.sketch import fingerprint, sketch
from routewright.decision.success import (
    FEATURES,
    PRIOR_STRENGTH,
    Evidence,
    Experience,
    Tally,
    features_of,
    learn,
    tally,
)

ARTEFACT = artefacts.artefact()
PRIOR = ARTEFACT.prior
NOTHING = np.zeros(FEATURES, np.float32)
DESIGN, EXTRACT, TRANSLATE = np.eye(len(KINDS))
SCORES = st.floats(0, 1)
SHARES = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda parts: np.array(parts) / sum(parts))
OUTCOMES = st.lists(st.tuples(SHARES, SCORES), min_size=1, max_size=30)
TIERS = st.sampled_from([*Tier, ""])


def experiences(outcomes: list[tuple[FloatArray, float]], model: str = "swift") -> list[Experience]:
    return [Experience(f"request-{at}", model, score, kinds, NOTHING) for at, (kinds, score) in enumerate(outcomes)]


def learned(*outcomes: tuple[FloatArray, float], model: str = "swift", tier: str = Tier.STANDARD) -> Evidence:
    return learn(PRIOR, experiences(list(outcomes), model), {model: tier})


def mean(evidence: Evidence, kinds: FloatArray, tier: str = Tier.STANDARD, model: str = "swift") -> float:
    return evidence.of(model, tier, kinds)


# ---- the prior ------------------------------------------------------------------------------------------------------


@given(TIERS, SHARES)
def test_without_outcomes_the_tiers_rate_is_believed(tier: str, kinds: FloatArray) -> None:
    evidence = Evidence(PRIOR, {}, {})
    assert mean(evidence, kinds, tier) == pytest.approx(kinds @ PRIOR.rates[tier])
    assert evidence.outcomes("swift", kinds) == 0


def test_recorded_outcomes_of_a_known_model_count_where_there_are_some() -> None:
    rates, doubts = Evidence(PRIOR, {}, {}).posterior(KNOWN_MODEL, "")
    believed = PRIOR.rates[""][0]
    assert rates[0] == pytest.approx((believed * PRIOR_STRENGTH + 0.2 * 64) / (PRIOR_STRENGTH + 64))
    assert rates[1] > believed
    assert rates[2] == pytest.approx(believed)
    assert doubts[0] < doubts[2]


def test_own_outcomes_overrule_what_was_recorded_of_a_known_model() -> None:
    evidence = learned(*[(DESIGN, 1.0)] * 300, model=KNOWN_MODEL, tier="")
    assert mean(evidence, DESIGN, "", KNOWN_MODEL) > 0.8


# ---- outcomes -------------------------------------------------------------------------------------------------------


@given(TIERS, SCORES, st.integers(1, 5_000))
def test_posterior_lies_between_what_was_believed_and_what_happened(tier: str, score: float, times: int) -> None:
    seen = Tally(DESIGN * times, DESIGN * times * score, times)
    believed = PRIOR.rates[tier][0]
    rate = Evidence(PRIOR, {"swift": seen}, {}).posterior("swift", tier)[0][0]
    assert min(believed, score) - 1e-9 <= rate <= max(believed, score) + 1e-9


@given(TIERS, OUTCOMES, SHARES)
@settings(deadline=None)
def test_good_outcome_raises_the_expectation_and_a_bad_one_lowers_it(
    tier: str, outcomes: list[tuple[FloatArray, float]], kinds: FloatArray
) -> None:
    now = mean(learned(*outcomes, tier=tier), kinds, tier)
    assert mean(learned(*outcomes, (kinds, 1.0), tier=tier), kinds, tier) > now
    assert mean(learned(*outcomes, (kinds, 0.0), tier=tier), kinds, tier) < now


@given(TIERS, st.floats(0.05, 0.95), st.integers(1, 200))
def test_more_outcomes_of_the_same_rate_leave_less_doubt(tier: str, score: float, times: int) -> None:
    def doubt(number: int) -> float:
        seen = Tally(DESIGN * number, DESIGN * number * score, number)
        return float(Evidence(PRIOR, {"swift": seen}, {}).posterior("swift", tier)[1][0])

    assert doubt(20 * times + 50) < doubt(times)


def test_outcomes_as_believed_move_nothing_and_leave_less_doubt() -> None:
    believed = PRIOR.rates[Tier.STANDARD]
    seen = Tally(np.full(3, 40.0), 40 * believed, 120)
    rates, doubts = Evidence(PRIOR, {"swift": seen}, {}).posterior("swift", Tier.STANDARD)
    assert rates == pytest.approx(believed)
    assert (doubts < Evidence(PRIOR, {}, {}).posterior("swift", Tier.STANDARD)[1]).all()


def test_many_outcomes_leave_nothing_of_the_prior() -> None:
    seen = Tally(DESIGN * 100_000, DESIGN * 25_000, 100_000)
    rates, doubts = Evidence(PRIOR, {"swift": seen}, {}).posterior("swift", Tier.COMPLEX)
    assert rates[0] == pytest.approx(0.25, abs=1e-3)
    assert doubts[0] < 2e-3


def test_model_that_fails_at_one_kind_is_believed_worse_at_all() -> None:
    before = Evidence(PRIOR, {}, {})
    after = learned(*[(DESIGN, 0.0)] * 20)
    assert mean(after, TRANSLATE) < mean(before, TRANSLATE) - 0.1
    assert mean(after, DESIGN) < mean(after, TRANSLATE)
    assert mean(after, TRANSLATE, model="other") == mean(before, TRANSLATE, model="other")


def test_mixed_work_is_expected_to_go_as_its_parts_do() -> None:
    evidence = learned(*[(DESIGN, 0.0), (EXTRACT, 1.0)] * 10)
    half = (DESIGN + EXTRACT) / 2
    assert mean(evidence, half) == pytest.approx((mean(evidence, DESIGN) + mean(evidence, EXTRACT)) / 2)


def test_outcomes_are_counted_by_the_kinds_they_speak_of() -> None:
    evidence = learned(*[(DESIGN, 1.0)] * 6, *[(EXTRACT, 1.0)] * 2)
    assert [evidence.outcomes("swift", kinds) for kinds in (DESIGN, EXTRACT, TRANSLATE)] == [6, 2, 0]
    assert evidence.outcomes("other", DESIGN) == 0


@given(OUTCOMES.flatmap(lambda outcomes: st.tuples(st.just(outcomes), st.permutations(outcomes))))
def test_order_of_outcomes_does_not_matter_for_what_is_counted(
    orders: tuple[list[tuple[FloatArray, float]], list[tuple[FloatArray, float]]],
) -> None:
    one, other = (tally(experiences(outcomes), 3) for outcomes in orders)
    assert one.outcomes == other.outcomes == len(orders[0])
    assert np.allclose(one.tried, other.tried)
    assert np.allclose(one.good, other.good)


@given(OUTCOMES, st.integers(0, 30))
def test_counting_goes_on_from_what_was_counted(outcomes: list[tuple[FloatArray, float]], at: int) -> None:
    its = experiences(outcomes)
    whole, parts = tally(its, 3), tally(its[at:], 3, tally(its[:at], 3))
    assert whole.outcomes == parts.outcomes
    assert (whole.tried == parts.tried).all()
    assert (whole.good == parts.good).all()


def test_without_outcomes_nothing_is_learned() -> None:
    assert learn(PRIOR, [], {}).tallies == {}
    assert learn(PRIOR, [], {}).of("anyone", "", TRANSLATE) == pytest.approx(PRIOR.rates[""][2])


# ---- versions -------------------------------------------------------------------------------------------------------


@given(OUTCOMES)
def test_same_outcomes_in_the_same_order_have_the_same_version(outcomes: list[tuple[FloatArray, float]]) -> None:
    version = learned(*outcomes).version
    assert version == learned(*outcomes).version
    assert version.partition("@")[0] == str(len(outcomes))
    assert version != learned(*outcomes, (DESIGN, 1.0)).version


def test_version_tells_good_outcomes_from_bad_ones_and_models_apart() -> None:
    versions = {learned((DESIGN, score), model=model).version for score in (0.0, 1.0) for model in ("swift", "other")}
    assert len(versions) == 4


# ---- words ----------------------------------------------------------------------------------------------------------


def test_residual_speaks_only_where_words_were_seen() -> None:
    weights = np.zeros(FEATURES, np.float32)
    weights[sketch("invoice").words[0] % 2048] = -3.0
    evidence = Evidence(PRIOR, {}, {"swift": Residual(weights, 0.0)})
    plain = evidence.of("swift", Tier.STANDARD, EXTRACT)
    assert evidence.of("swift", Tier.STANDARD, EXTRACT, sketch("invoice")) < plain - 0.3
    assert evidence.of("swift", Tier.STANDARD, EXTRACT, sketch("letter")) == pytest.approx(plain)
    assert evidence.of("other", Tier.STANDARD, EXTRACT, sketch("invoice")) == pytest.approx(plain)


@given(SHARES, st.text(max_size=200))
@settings(deadline=None)
def test_many_at_once_are_expected_as_each_alone(kinds: FloatArray, text: str) -> None:
    weights = np.linspace(-1, 1, FEATURES, dtype=np.float32)
    evidence = Evidence(PRIOR, {}, {"swift": Residual(weights, 0.2)})
    seen = sketch(text)
    rows = features_of(seen, PRIOR.weights)[None]
    for model in ("swift", "other"):
        alone = evidence.of(model, Tier.BULK, kinds, seen)
        assert evidence.batch(model, Tier.BULK, kinds[None], rows)[0] == pytest.approx(alone, abs=1e-5)
        assert 0 < alone < 1


@given(st.text(st.characters(exclude_categories=()), max_size=2_500))
@settings(deadline=None)
def test_fingerprint_brings_back_what_was_learned_on(text: str) -> None:
    seen = sketch(text)
    kept = fingerprint(seen)
    assert len(kept) < 300
    assert kept_features(ARTEFACT, kept) == pytest.approx(features_of(seen, PRIOR.weights), abs=0.3 / 128 + 1e-6)


@pytest.mark.parametrize("kept", [b"", b"\x01", b"\xff" * 282, b"\xff" * 284])
def test_what_is_no_fingerprint_tells_nothing(kept: bytes) -> None:
    assert not kept_features(ARTEFACT, kept).any()
