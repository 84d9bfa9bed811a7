from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.catalog.registry import Tier
from routewright.decision.neighbours import (
    GOOD_RATE,
    Experience,
    Neighbour,
    Neighbourhood,
    Vector,
    opinion,
    tier_records,
    unit,
)
from routewright.decision.selection import UPWARDS
from routewright.route import Verdict

TIERS = st.sampled_from(UPWARDS)
SCORES = st.floats(0, 1)
NEIGHBOURS = st.lists(
    st.builds(Neighbour, st.floats(0.6, 1), st.lists(st.tuples(TIERS, SCORES), min_size=1, max_size=3).map(tuple)),
    max_size=12,
)
VERDICTS = st.builds(Verdict, tier=TIERS, confidence=SCORES, reason=st.just("first"), classifier=st.just("heuristic@1"))


def vector(*coordinates: float) -> Vector:
    return np.array(coordinates, np.float32)


def met(name: str, *coordinates: float, tier: Tier = Tier.STANDARD, score: float = 1.0, by: str = "user") -> Experience:
    return Experience(request_id=name, vector=vector(*coordinates), tier=tier, opinion=by, score=score)


def knowing(*experiences: Experience, max_entries: int = 100) -> Neighbourhood:
    neighbourhood = Neighbourhood(max_entries)
    for experience in experiences:
        neighbourhood.learn(experience)
    return neighbourhood


def found(neighbourhood: Neighbourhood, *query: float, k: int = 5, least: float = 0.5) -> Sequence[Neighbour]:
    return neighbourhood.nearest(vector(*query), k=k, least_similarity=least)


def verdict(tier: Tier = Tier.STANDARD, confidence: float = 0.6) -> Verdict:
    return Verdict(tier=tier, confidence=confidence, reason="first", signals=("word:a",), classifier="heuristic@1")


def same(*outcomes: tuple[Tier, float], times: int = 8) -> list[Neighbour]:
    return [Neighbour(1.0, outcomes)] * times


# ---- the index


def test_the_most_similar_come_first_and_only_those_similar_enough() -> None:
    known = knowing(
        met("a", 1, 1, score=0.1), met("b", 5, 0, score=0.2), met("c", -1, 0), met("d", 0.1, 0.9, score=0.3)
    )
    near = found(known, 2, 0)
    assert [neighbour.outcomes for neighbour in near] == [((Tier.STANDARD, 0.2),), ((Tier.STANDARD, 0.1),)]
    assert [neighbour.similarity for neighbour in near] == pytest.approx([1.0, 0.7071], abs=1e-4)
    assert len(found(known, 2, 0, k=1)) == 1


def test_a_newer_opinion_replaces_the_older_and_others_stand_beside_it() -> None:
    known = knowing(
        met("a", 1, 0, score=1.0), met("a", 1, 0, score=0.0), met("a", 1, 0, tier=Tier.BULK, score=0.5, by="judge")
    )
    assert len(known) == 1
    assert found(known, 1, 0)[0].outcomes == ((Tier.STANDARD, 0.0), (Tier.BULK, 0.5))


@pytest.mark.parametrize("bad", [(0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0, 0.0, 0.0)])
def test_a_vector_that_means_nothing_here_is_left_out(bad: tuple[float, ...]) -> None:
    known = knowing(met("a", 1, 0), met("bad", *bad))
    assert len(known) == 1
    assert found(known, *bad) == ()


@given(st.integers(1, 7), st.integers(0, 30))
def test_beyond_the_bound_the_first_met_goes_first(max_entries: int, count: int) -> None:
    known = knowing(*(met(str(n), 1, n, score=n / 100) for n in range(count)), max_entries=max_entries)
    near = found(known, 1, 0, k=100, least=-1)
    kept = sorted(round(outcome[1] * 100) for neighbour in near for outcome in neighbour.outcomes)
    assert kept == list(range(max(0, count - max_entries), count))


def test_it_grows_without_forgetting() -> None:
    known = knowing(*(met(str(n), 1, n) for n in range(1000)), max_entries=1000)
    assert len(found(known, 1, 500, k=2000, least=-1)) == 1000
    assert found(known, 1, 500, k=1)[0].similarity == pytest.approx(1.0)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_a_unit_vector_has_length_one(coordinates: list[float]) -> None:
    made = unit(vector(*coordinates))
    assert made is None or np.linalg.norm(made) == pytest.approx(1.0, abs=1e-5)


# ---- the opinion


def test_without_neighbours_there_is_no_opinion() -> None:
    assert opinion(verdict(), (), least_similarity=0.6) is None


def test_a_single_one_that_is_not_the_same_is_too_little() -> None:
    assert opinion(verdict(), [Neighbour(0.9, ((Tier.BULK, 1.0),))], least_similarity=0.6) is None


def test_a_cheap_tier_that_did_well_is_taken() -> None:
    second = opinion(verdict(Tier.COMPLEX, 0.5), same((Tier.BULK, 1.0), (Tier.COMPLEX, 1.0)), least_similarity=0.6)
    assert second is not None
    assert second.tier is Tier.BULK
    assert second.confidence > GOOD_RATE
    assert second.reason == "first; similar requests went well with bulk"
    assert second.signals == ("word:a", "neighbours:8, nearest 1.00")
    assert second.classifier == "heuristic@1+neighbours"


def test_where_the_known_tiers_did_badly_the_next_one_is_taken() -> None:
    second = opinion(verdict(Tier.STANDARD, 0.6), same((Tier.STANDARD, 0.0)), least_similarity=0.6)
    assert second is not None
    assert second.tier is Tier.COMPLEX
    assert second.confidence > 0.7
    assert second.reason == "first; similar requests went badly with standard"


def test_when_even_the_best_tier_did_badly_it_is_taken_without_confidence() -> None:
    second = opinion(verdict(Tier.COMPLEX, 0.6), same((Tier.COMPLEX, 0.1)), least_similarity=0.6)
    assert second is not None
    assert second.tier is Tier.COMPLEX
    assert second.confidence < 0.5


@given(VERDICTS, NEIGHBOURS)
def test_every_opinion_is_a_verdict(first: Verdict, neighbours: list[Neighbour]) -> None:
    second = opinion(first, neighbours, least_similarity=0.6)
    assert second is None or (0 <= second.confidence <= 1 and second.tier in UPWARDS)


@given(VERDICTS, NEIGHBOURS)
def test_rates_are_between_belief_and_experience(first: Verdict, neighbours: list[Neighbour]) -> None:
    for record in tier_records(first, neighbours, least_similarity=0.6):
        assert -1e-9 <= record.rate <= 1 + 1e-9


@given(VERDICTS, NEIGHBOURS, TIERS, SCORES, SCORES)
def test_a_better_outcome_never_lowers_a_rate(
    first: Verdict, neighbours: list[Neighbour], tier: Tier, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    rates = [
        {record.tier: record.rate for record in tier_records(first, all_of_them, least_similarity=0.6)}
        for all_of_them in ([*neighbours, Neighbour(1.0, ((tier, score),))] for score in (low, high))
    ]
    assert rates[0].keys() == rates[1].keys()
    assert all(rates[0][each] <= rates[1][each] + 1e-9 for each in rates[0])


@given(VERDICTS, TIERS)
def test_much_experience_outweighs_any_belief(first: Verdict, tier: Tier) -> None:
    [record] = tier_records(first, same((tier, 1.0), times=100), least_similarity=0.6)
    assert record.rate > 0.95
