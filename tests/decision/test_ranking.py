"""A quality that was asked for is held, as cheaply as it can be; where nothing can hold it, that is said."""

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import call, registry
from deciding import choose, expecting, four_tiers, of, reasons, tried, verdict
from routewright.call import Call, Options
from routewright.catalog.registry import Tier
from routewright.decision.expectation import Forecast
from routewright.decision.intent import Match, Policy
from routewright.errors import NoEligibleModel
from routewright.route import Route

SUCCESS = {
    "bulk": 0.60, "structured": 0.70, "standard": 0.86, "standard-dear": 0.85, "complex": 0.95, "complex-dear": 0.96,
}  # fmt: skip
KNOWN = expecting(SUCCESS)


def wanting(policy: Policy, forecast: Forecast | None = KNOWN, **changes: Any) -> Route:
    return choose(call(), verdict(Tier.BULK), policy=policy, forecast=forecast, **changes)


def asking(min_quality: float, model: str = "auto") -> Call:
    return call(model=model, options=Options(min_quality=min_quality))


# ---- floor, match and value ---------------------------------------------------------------------------------------


def test_the_cheapest_model_above_the_floor_is_taken_whatever_its_tier() -> None:
    route = wanting(Policy(min_quality=0.8))
    assert tried(route) == ["standard", "standard-dear", "complex", "complex-dear"]
    assert (route.tier, route.reason) == (Tier.STANDARD, "because; quality 0.80 was asked for")
    assert reasons(route) == {
        "standard": "cheapest eligible",
        "standard-dear": "good enough",
        "complex": "good enough",
        "complex-dear": "good enough",
        "bulk": "below floor 0.80",
        "structured": "below floor 0.80",
    }


def test_every_candidate_shows_its_success_and_what_that_rests_on() -> None:
    known = Forecast.of_each({name: replace(each, outcomes=37) for name, each in KNOWN.of.items()})
    route = choose(said=verdict(Tier.BULK), forecast=known)
    assert {candidate.model: candidate.success for candidate in route.candidates} == SUCCESS
    assert {candidate.outcomes for candidate in route.candidates} == {37}


def test_a_match_is_a_floor_below_the_model_named() -> None:
    within_a_tenth = wanting(Policy(match=Match("complex-dear", 0.11)))
    assert within_a_tenth.chosen.model == "standard"
    assert within_a_tenth.reason == "because; to match complex-dear within 11 %"
    assert wanting(Policy(match=Match("complex-dear", 0.02))).chosen.model == "complex"


def test_a_match_may_name_an_alias() -> None:
    among = registry(of(Tier.BULK, "b", 1), of(Tier.COMPLEX, "c", 9), best="c")
    route = choose(
        said=verdict(Tier.BULK), among=among, policy=Policy(match=Match("best", 0.1)),
        forecast=expecting({"b": 0.5, "c": 0.9}),
    )  # fmt: skip
    assert tried(route) == ["c"]


def test_a_model_matches_itself_however_little_is_known_of_it() -> None:
    route = wanting(Policy(match=Match("standard", 0.01), caution=1), expecting(SUCCESS, {"standard": 0.2}))
    assert route.chosen.model == "standard"


def test_a_match_with_a_model_that_cannot_be_called_leaves_the_tier_and_says_so() -> None:
    route = wanting(Policy(match=Match("absent", 0.02)))
    assert (route.chosen.model, route.reason) == ("bulk", "because; absent, to be matched, is not available")


@pytest.mark.parametrize(
    ("usd", "chosen"), [("0.000001", "bulk"), ("0.0005", "bulk"), ("0.01", "standard"), ("1", "complex-dear")]
)
def test_the_more_a_good_answer_is_worth_the_stronger_the_model(usd: str, chosen: str) -> None:
    route = wanting(Policy(success_value_nanousd=round(float(usd) * 1e9), caution=0))
    assert route.chosen.model == chosen
    assert len(tried(route)) == len(SUCCESS)
    assert reasons(route)[chosen] == "most for the money"


def test_a_promise_goes_before_a_price_and_a_match_before_a_floor() -> None:
    both = Policy(min_quality=0.8, success_value_nanousd=1)
    assert wanting(both).chosen.model == "standard"
    assert wanting(replace(both, match=Match("complex", 0.0))).chosen.model == "complex"


# ---- whose word counts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [Policy(min_quality=0.1), Policy(match=Match("bulk", 0.0)), Policy(success_value_nanousd=1)]
)
def test_the_callers_floor_goes_before_the_policy(policy: Policy) -> None:
    route = choose(asking(0.9), verdict(Tier.BULK), policy=policy, forecast=KNOWN)
    assert (route.chosen.model, route.reason) == ("complex", "because; quality 0.90 was asked for")


def test_the_callers_tier_goes_before_every_wish() -> None:
    asked = call(options=Options(tier=Tier.STANDARD, min_quality=0.99))
    route = choose(asked, policy=Policy(min_quality=0.9), forecast=KNOWN)
    assert (route.chosen.model, route.reason) == ("standard", "tier standard was asked for")


def test_a_named_model_is_taken_whatever_its_quality() -> None:
    route = choose(asking(0.99, "bulk"), policy=Policy(min_quality=0.9), forecast=KNOWN)
    assert (route.chosen.model, route.reason) == ("bulk", "bulk was asked for")


def test_how_sure_the_verdict_is_of_its_tier_is_no_matter_where_quality_is_asked_for() -> None:
    route = choose(asking(0.5), verdict(Tier.COMPLEX, 0.3), forecast=KNOWN)
    assert (route.chosen.model, route.reason) == ("bulk", "because; quality 0.50 was asked for")


@pytest.mark.parametrize(("name", "reason"), [("auto", "because"), ("auto:cheap", "cheapest of all tiers")])
def test_a_floor_that_nobody_can_hold_anything_against_is_told(name: str, reason: str) -> None:
    route = choose(asking(0.9, name), verdict(Tier.BULK))
    assert route.reason == f"{reason}; no success is known to hold against the quality asked for"
    assert route.chosen.model == "bulk"


def test_cheap_takes_the_cheapest_that_reaches_the_callers_floor() -> None:
    assert choose(call(model="auto:cheap"), forecast=KNOWN).chosen.model == "bulk"
    route = choose(asking(0.9, "auto:cheap"), forecast=KNOWN)
    assert (route.chosen.model, route.verdict) == ("complex", None)


def test_best_takes_the_strongest_and_the_cheaper_of_equals() -> None:
    assert tried(choose(call(model="auto:best"), forecast=KNOWN))[:2] == ["complex-dear", "complex"]
    equals = expecting(SUCCESS | {"complex-dear": 0.95})
    assert choose(call(model="auto:best"), forecast=equals).chosen.model == "complex"


# ---- little evidence ----------------------------------------------------------------------------------------------


def test_where_there_is_little_evidence_the_stronger_one_is_taken() -> None:
    doubtful = expecting(SUCCESS, {"standard": 0.1, "standard-dear": 0.1})
    assert wanting(Policy(min_quality=0.8, caution=0), doubtful).chosen.model == "standard"
    careful = wanting(Policy(min_quality=0.8, caution=1), doubtful)
    assert careful.chosen.model == "complex"
    assert reasons(careful)["standard"] == "too little evidence for floor 0.80"
    assert wanting(Policy(success_value_nanousd=10**7, caution=0), doubtful).chosen.model == "standard"
    assert wanting(Policy(success_value_nanousd=10**7, caution=1), doubtful).chosen.model == "complex"


def test_the_strongest_is_taken_for_what_it_is_believed_to_be() -> None:
    route = wanting(Policy(min_quality=0.9, caution=2), expecting(SUCCESS, 0.1))
    assert tried(route) == ["complex-dear"]
    assert reasons(route)["complex-dear"] == "strongest"


def test_a_floor_that_nobody_reaches_takes_the_strongest_and_says_so() -> None:
    route = wanting(Policy(min_quality=0.99))
    assert tried(route) == ["complex-dear"]
    assert route.reason == "because; quality 0.99 was asked for; no model reaches 0.99: the strongest"


# ---- models that rest ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy(min_quality=0.8), Policy(success_value_nanousd=10**7)])
def test_a_resting_model_comes_last_however_good_and_cheap(policy: Policy) -> None:
    route = wanting(policy, resting={"acme/standard": "circuit open"})
    assert route.chosen.model != "standard"
    assert tried(route)[-1] == "standard"
    assert reasons(route)["standard"].endswith("last: circuit open (all deployments rest)")


# ---- properties ---------------------------------------------------------------------------------------------------

PROBABILITY, DOUBT = st.floats(0, 1), st.floats(0, 0.3)


@st.composite
def forecasts(draw: st.DrawFn) -> Forecast:
    names = list(four_tiers().models)
    success = {name: draw(PROBABILITY) for name in names}
    return expecting(success, {name: draw(DOUBT) for name in names}, output_tokens=draw(st.integers(1, 999)))


def counted(route: Route, forecast: Forecast, caution: float) -> float:
    """What the choice counts for: the strongest whole, every other less its doubt."""
    chosen = forecast.of[route.chosen.model]
    strongest = max(each.success for each in forecast.of.values())
    return chosen.success if chosen.success == strongest else chosen.success - caution * chosen.doubt


@given(forecasts(), PROBABILITY, PROBABILITY, st.floats(0, 2))
def test_a_higher_floor_never_lowers_the_success_of_the_choice(
    forecast: Forecast, one: float, other: float, caution: float
) -> None:
    low, high = (
        counted(wanting(Policy(min_quality=floor, caution=caution), forecast), forecast, caution)
        for floor in sorted((one, other))
    )
    assert low <= high


@given(forecasts(), st.integers(0, 10**10), st.integers(0, 10**10), st.floats(0, 2))
def test_a_higher_value_of_success_never_lowers_the_success_of_the_choice(
    forecast: Forecast, one: int, other: int, caution: float
) -> None:
    low, high = (
        counted(wanting(Policy(success_value_nanousd=value, caution=caution), forecast), forecast, caution)
        for value in sorted((one, other))
    )
    assert low <= high or math.isclose(low, high)


@given(forecasts(), PROBABILITY, st.booleans())
def test_every_model_stands_in_the_route_once_and_no_choice_is_below_the_floor(
    forecast: Forecast, floor: float, by_caller: bool
) -> None:
    asked = asking(floor) if by_caller else call()
    route = choose(asked, verdict(Tier.BULK), policy=Policy(min_quality=floor, caution=0), forecast=forecast)
    assert sorted(candidate.model for candidate in route.candidates) == sorted(four_tiers().models)
    assert forecast.of[route.chosen.model].success >= floor or "no model reaches" in route.reason


# ---- exploration --------------------------------------------------------------------------------------------------

SHARE = st.floats(0.001, 1)
CHANCE = st.floats(0, 1, exclude_max=True)


def exploring(share: float, chance: float | None, asked: Call | None = None, **changes: Any) -> Route:
    policy = Policy(min_quality=0.8, exploration=share)
    return choose(asked or call(), verdict(Tier.BULK), policy=policy, forecast=KNOWN, chance=chance, **changes)


def propensities(route: Route) -> dict[str, float]:
    return {each.model: each.propensity for each in route.candidates if each.propensity}


@given(SHARE, CHANCE)
def test_what_was_drawn_stands_before_the_usual_order(share: float, chance: float) -> None:
    usual, drawn = tried(exploring(0.0, 1.0)), tried(exploring(share, chance))
    assert drawn == [drawn[0], *(name for name in usual if name != drawn[0])]


@pytest.mark.parametrize(
    ("asked", "drawable"),
    [
        (call(), set(SUCCESS)),
        (asking(0.8), {"standard", "standard-dear", "complex", "complex-dear"}),
        (call(options=Options(tier=Tier.COMPLEX)), {"complex", "complex-dear"}),
        (call(model="auto:cheap"), set(SUCCESS)),
        (asking(0.9, "auto:cheap"), {"complex", "complex-dear"}),
    ],
)
def test_a_callers_own_wish_is_kept_and_the_policys_is_what_there_is_to_learn_about(
    asked: Call, drawable: set[str]
) -> None:
    assert set(propensities(exploring(0.1, 0.5, asked))) == drawable
    assert {exploring(1.0, at / 100, asked).chosen.model for at in range(100)} == drawable


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("asked", [call(), asking(0.8), call(model="auto:best")])
def test_every_model_comes_first_as_often_as_each_route_says(share: float, asked: Call) -> None:
    random, times = Random(7), 4_000
    routes = [exploring(share, random.random(), asked) for _ in range(times)]
    told = propensities(routes[0])
    assert math.isclose(sum(told.values()), 1)
    assert all(propensities(route) == told for route in routes)
    assert all(route.propensity == told[route.first_choice] for route in routes)
    assert all(route.first_choice == route.chosen.model for route in routes)
    seen = Counter(route.first_choice for route in routes)
    for name, propensity in told.items():
        assert seen[name] / times == pytest.approx(propensity, abs=4 * math.sqrt(propensity * (1 - propensity) / times))


@given(SHARE)
def test_the_greatest_chances_draw_a_model_too(share: float) -> None:
    assert exploring(share, math.nextafter(share, 0)).chosen.is_eligible
    assert exploring(share, math.nextafter(1, 0)).chosen.is_eligible


def test_what_was_drawn_says_so() -> None:
    route = exploring(0.02, 0.0199)
    assert reasons(route)[route.chosen.model] == "drawn to explore (2.0% of requests)"
    assert route.chosen.model != "standard"
    assert route.propensity == pytest.approx(0.02 / 6)


def test_a_model_that_rests_or_cannot_take_the_call_is_never_drawn() -> None:
    resting = {"acme/complex": "circuit open", "acme/complex-dear": "circuit open"}
    too_long = call(max_output_tokens=4_001)
    drawn = Counter(exploring(1.0, at / 100, resting=resting).chosen.model for at in range(100))
    assert drawn == dict.fromkeys(("bulk", "structured", "standard", "standard-dear"), 25)
    assert [each.hindrance for each in exploring(1.0, 0.5, resting=resting).candidates].count("resting") == 2
    everything = {f"acme/{name}": "circuit open" for name in SUCCESS}
    assert propensities(exploring(1.0, 0.9, resting=everything)) == {"standard": 1.0}
    with pytest.raises(NoEligibleModel):
        exploring(1.0, 0.9, too_long)


@pytest.mark.parametrize("name", ["bulk", "acme/bulk"])
def test_a_named_model_is_never_exchanged(name: str) -> None:
    route = choose(call(model=name), policy=Policy(exploration=1.0), forecast=KNOWN, chance=0.99)
    assert (route.chosen.model, propensities(route)) == ("bulk", {"bulk": 1.0})


def test_without_chance_nothing_is_drawn_whatever_the_policy_says() -> None:
    assert propensities(exploring(1.0, None)) == {"standard": 1.0}


def test_a_decision_that_is_told_again_is_certain() -> None:
    again = exploring(0.5, 0.1).made_without_chance("complex")
    assert (again.first_choice, again.propensity, propensities(again)) == ("complex", 1.0, {"complex": 1.0})
