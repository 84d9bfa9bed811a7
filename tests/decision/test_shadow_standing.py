from random import Random

import pytest

from routewright.decision.shadow_standing import LEAST_RATED, ShadowStanding, standings
from routewright.ledger.ledger import ComparisonRecorded


def comparison(number: int, result: str, /, **changes: object) -> ComparisonRecorded:
    plain: dict[str, object] = {
        "at_ns": number,
        "model": "strong",
        "shadow": "cheap",
        "decided_by": "judge",
        "cost_nanousd": 1000,
        "shadow_cost_nanousd": 10,
        "total_ms": 100,
        "shadow_ms": 10 + number,
    }
    return ComparisonRecorded(comparison_id=f"c{number}", request_id=f"r{number}", result=result, **(plain | changes))  # type: ignore[arg-type]


def only(*comparisons: ComparisonRecorded, **ratings: float) -> ShadowStanding:
    [standing] = standings(comparisons, {})
    return standing


def test_shares_are_of_what_was_decided() -> None:
    results = ["win"] * 3 + ["loss"] * 5 + ["tie"] * 2 + ["different"] * 4 + ["failed"]
    standing = only(*(comparison(number, result, is_same=result == "tie") for number, result in enumerate(results)))
    assert standing.comparisons == 15
    assert (standing.same, standing.undecided, standing.failed) == (2, 4, 1)
    assert standing.wins is not None
    assert (standing.wins.count, standing.wins.rate) == (3, 0.3)
    assert standing.wins.low < 0.3 < standing.wins.high
    assert standing.preference is not None
    assert standing.preference[0] == pytest.approx(-0.2)


def test_cost_and_time_stand_side_by_side_where_both_have_them() -> None:
    standing = only(
        comparison(1, "win", judge_cost_nanousd=5),
        comparison(2, "tie", shadow_cost_nanousd=None),
        comparison(3, "failed", shadow_ms=99_999),
    )
    assert (standing.cost_nanousd, standing.shadow_cost_nanousd, standing.judge_cost_nanousd) == (1000, 10, 5)
    assert (standing.median_ms, standing.shadow_median_ms) == (100, 11.5)


def test_nothing_decided_is_no_share_and_no_preference() -> None:
    standing = only(comparison(1, "different"))
    assert (standing.wins, standing.losses, standing.ties, standing.preference) == (None, None, None, None)


def test_each_pair_of_models_has_its_own() -> None:
    found = standings([comparison(1, "win"), comparison(2, "win", model="other"), comparison(3, "loss")], {})
    assert [(each.shadow, each.model, each.comparisons) for each in found] == [
        ("cheap", "other", 1),
        ("cheap", "strong", 2),
    ]


def biased(random: Random, rated: int) -> ShadowStanding:
    """People find both as good; the judge prefers the shadow in three of ten cases more than it should."""
    comparisons, ratings = [], {}
    for number in range(1000):
        people = random.choice((-1, 0, 1))
        judge = "win" if random.random() < 0.3 else {-1: "loss", 0: "tie", 1: "win"}[people]
        comparisons.append(comparison(number, judge))
        if number < rated:
            ratings[f"r{number}", "cheap"] = 0.5 + people / 2
            ratings[f"r{number}", "strong"] = 0.5
    [standing] = standings(comparisons, ratings)
    return standing


def test_people_correct_the_judge() -> None:
    covered = {0: 0, 100: 0}
    for seed in range(60):
        for rated in covered:
            standing = biased(Random(seed), rated)
            assert standing.preference is not None
            _, low, high = standing.preference
            covered[rated] += low <= 0 <= high
    assert covered[0] == 0, "the bias is there"
    assert covered[100] >= 53


def test_too_few_ratings_correct_nothing() -> None:
    few = biased(Random(1), LEAST_RATED - 1)
    assert few.rated == LEAST_RATED - 1
    assert few.preference == biased(Random(1), 0).preference
