from hypothesis import given
from hypothesis import strategies as st

from routewright.decision.success_rates import Told, success_by, wilson
from routewright.route import KindShare

TRUST = ("check", "shadow", "judge", "feedback")
DAY_NS = 86_400 * 10**9


def told(request_id: str, score: float, /, **changes: object) -> Told:
    plain: dict[str, object] = {
        "at_ns": DAY_NS,
        "model": "swift",
        "tier": "bulk",
        "kinds": (KindShare("chat", 0.9), KindShare("code", 0.1)),
        "source": "feedback",
        "check": "",
    }
    return Told(request_id=request_id, score=score, **(plain | changes))  # type: ignore[arg-type]


def rates(*opinions: Told, by: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, float]]:
    return {line.keys: (line.outcomes, line.rate) for line in success_by(opinions, by, TRUST)}  # type: ignore[arg-type]


def test_of_one_answer_the_most_trusted_counts_and_of_equals_the_last() -> None:
    opinions = [
        told("a", 1.0, source="feedback"),
        told("a", 0.0, source="feedback"),
        told("a", 1.0, source="judge"),
        told("b", 1.0, source="check", check="json"),
    ]
    assert rates(*opinions, by=("model",)) == {("swift",): (2, 0.5)}


def test_each_source_has_its_own_word() -> None:
    opinions = [told("a", 1.0), told("a", 0.0, source="judge"), told("a", 0.5, source="judge")]
    assert rates(*opinions, by=("source",)) == {("feedback",): (1, 1.0), ("judge",): (1, 0.5)}


def test_every_check_is_counted_and_nothing_else_beside_them() -> None:
    opinions = [
        told("a", 1.0, source="check", check="json"),
        told("a", 0.0, source="check", check="length"),
        told("b", 0.0, source="check", check="json"),
        told("b", 1.0),
    ]
    assert rates(*opinions, by=("check",)) == {("json",): (2, 0.5), ("length",): (1, 0.0)}


def test_two_models_answers_to_one_request_are_two() -> None:
    opinions = [told("a", 1.0), told("a", 0.0, model="sage", tier=None, kinds=())]
    assert rates(*opinions, by=("model", "kind")) == {("sage", "(none)"): (1, 0.0), ("swift", "chat"): (1, 1.0)}
    assert rates(*opinions, by=("tier",)) == {("(none)",): (1, 0.0), ("bulk",): (1, 1.0)}


def test_time_is_by_days_and_by_weeks_from_monday() -> None:
    thursday, friday, monday = (told(name, 1.0, at_ns=day * DAY_NS) for name, day in (("a", 0), ("b", 1), ("c", 4)))
    assert list(rates(thursday, friday, monday, by=("day",))) == [("1970-01-01",), ("1970-01-02",), ("1970-01-05",)]
    assert rates(thursday, friday, monday, by=("week",)) == {("1969-12-29",): (2, 1.0), ("1970-01-05",): (1, 1.0)}


def test_the_interval_is_wilsons() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, method 3
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0.0, 10)[0] == 0.0
    assert round(wilson(0.0, 10)[1], 4) == 0.2775


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_the_interval_holds_the_rate_and_narrows(rate: float, outcomes: int) -> None:
    low, high = wilson(rate, outcomes)
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
    wide = wilson(rate, max(1, outcomes // 4))
    assert high - low <= wide[1] - wide[0] + 1e-12
