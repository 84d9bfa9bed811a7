"""What a request is expected to cost at each model: its answer's length, its warm beginning, its failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, registry
from deciding import choose, expecting, of, tried, verdict
from routewright.call import Call
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Tier
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.features import extract
from routewright.decision.intent import Policy

LONG = "word " * 2_000
WITH_CACHE = PriceSchedule((Price(input=1_000_000, output=2_000_000, cache_read=100_000),))


def cost(forecast: Forecast | None, asked: Call | None = None, warm: int = 0) -> int:
    """Nano-USD at one model of $1 / $2 (cached $0.10) per million."""
    among = registry(of(Tier.STANDARD, "one", 1, prices=WITH_CACHE))
    route = choose(
        asked or call(), verdict(Tier.STANDARD), among, forecast=forecast, warm={"one": warm} if warm else {}
    )
    assert route.chosen.expected_cost_nanousd is not None
    return route.chosen.expected_cost_nanousd


def input_tokens(asked: Call | None = None) -> int:
    return extract(asked or call()).input_tokens


def test_the_answer_is_as_long_as_this_models_answers_are() -> None:
    assert cost(expecting({"one": 0.9}, output_tokens=250)) == 1_000 * input_tokens() + 2_000 * 250
    assert cost(None) == 1_000 * input_tokens() + 2_000 * Policy().expected_output_tokens[Tier.STANDARD]


def test_the_answer_is_no_longer_than_the_caller_or_the_model_allows() -> None:
    forecast = expecting({"one": 0.9}, output_tokens=10**6)
    assert cost(forecast, call(max_output_tokens=10)) == 1_000 * input_tokens() + 2_000 * 10
    assert cost(forecast) == 1_000 * input_tokens() + 2_000 * 4_000


def test_each_of_several_answers_has_that_length() -> None:
    assert cost(expecting({"one": 0.9}, output_tokens=50), call(choices=3)) == 1_000 * input_tokens() + 2_000 * 150


def test_the_route_tells_the_length_expected_of_the_choice() -> None:
    among = registry(of(Tier.STANDARD, "terse", 1), of(Tier.STANDARD, "wordy", 1))
    forecast = Forecast.of_each({"terse": Expectation(0.9, 0, 0, 20, 1.0), "wordy": Expectation(0.9, 0, 0, 900, 1.0)})
    route = choose(said=verdict(Tier.STANDARD), among=among, forecast=forecast)
    assert (tried(route), route.output_tokens) == (["terse", "wordy"], 20)


def test_a_model_that_is_dear_by_the_token_may_be_cheap_by_the_answer() -> None:
    among = registry(of(Tier.STANDARD, "dear-and-terse", 3), of(Tier.STANDARD, "cheap-and-wordy", 1))
    forecast = Forecast.of_each(
        {"dear-and-terse": Expectation(0.9, 0, 0, 50, 1.0), "cheap-and-wordy": Expectation(0.9, 0, 0, 2_000, 1.0)}
    )
    assert choose(said=verdict(Tier.STANDARD), among=among, forecast=forecast).chosen.model == "dear-and-terse"


def test_what_is_warm_costs_what_the_cache_costs() -> None:
    asked, forecast = call(LONG), expecting({"one": 0.9})
    assert cost(forecast, asked) - cost(forecast, asked, warm=1_500) == 1_500 * 900


def test_no_more_is_warm_than_is_sent() -> None:
    forecast = expecting({"one": 0.9}, output_tokens=100)
    assert cost(forecast, warm=10**9) == 100 * input_tokens() + 2_000 * 100


def test_a_warm_cache_keeps_a_conversation_where_it_is() -> None:
    dear = PriceSchedule((Price(input=2_000_000, output=2_000_000, cache_read=100_000),))
    among = registry(of(Tier.STANDARD, "cheap", 1), of(Tier.STANDARD, "warm", 2, prices=dear))
    said = verdict(Tier.STANDARD)
    assert choose(call(LONG), said, among).chosen.model == "cheap"
    assert choose(call(LONG), said, among, warm={"warm": 1_900}).chosen.model == "warm"


def test_what_is_paid_for_failures_counts() -> None:
    steady, failing = expecting({"one": 0.9}), expecting({"one": 0.9}, waste=1.5)
    assert cost(failing) == pytest.approx(1.5 * cost(steady), abs=1)


@given(st.integers(0, 4_000), st.integers(0, 3_000), st.floats(1, 3))
def test_more_warmth_never_costs_more_and_more_waste_never_less(tokens: int, warm: int, waste: float) -> None:
    asked, plain = call(LONG), expecting({"one": 0.9}, output_tokens=tokens)
    assert cost(plain, asked, warm) <= cost(plain, asked)
    assert cost(expecting({"one": 0.9}, output_tokens=tokens, waste=waste), asked, warm) >= cost(plain, asked, warm)
