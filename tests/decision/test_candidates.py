"""Of many models a few are written out, and of the others there are columns: who reads a route sees all the same."""

from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, deployment, registry
from deciding import choose, expecting, four_tiers, of, reasons, verdict
from routewright.call import Options
from routewright.catalog.registry import MAX_ATTEMPTS, Model, Registry, Tier
from routewright.decision import candidates
from routewright.decision.intent import Policy
from routewright.errors import CallerError
from routewright.route import Route

MODELS = 24
TIERS = list(Tier)


def one(at: int) -> Model:
    """Some without a price, without tools, with a small window, with a second place of another dialect."""
    second = [deployment(f"other/model-{at}", dialect="gemini")] if at % 5 == 0 else []
    places = (deployment(f"acme/model-{at}"), *second)
    changes: dict[str, Any] = {"deployments": places, "context_window": 100 if at % 7 == 0 else 100_000}
    if at % 6 == 0:
        changes["capabilities"] = frozenset()
    return of(TIERS[at % 4], f"model-{at}", None if at % 11 == 3 else 1 + at % 9, **changes)


MANY: Registry = registry(*[one(at) for at in range(MODELS)])
NAMES = list(MANY.models)

SITUATIONS = st.fixed_dictionaries(
    {
        "resting": st.dictionaries(st.sampled_from(list(MANY.deployments)), st.just("ill"), max_size=4),
        "warm": st.dictionaries(st.sampled_from(NAMES), st.integers(0, 50), max_size=2),
        "ratios": st.dictionaries(st.sampled_from(NAMES), st.floats(0.5, 2), max_size=3),
        "uncarried": st.sampled_from([{}, {}, {"gemini": "tools"}, {"openai_chat": "seed"}]),
        "forecast": st.none() | st.sets(st.sampled_from(NAMES), min_size=1).map(
            lambda names: expecting({name: (NAMES.index(name) + 1) / (MODELS + 1) for name in names}, 0.0123)
        ),
        "withdrawn": st.dictionaries(st.sampled_from(NAMES), st.just("drifted"), max_size=2),
        "policy": st.sampled_from([Policy(), Policy(exploration=0.3), Policy(exploration=0.3, min_quality=0.6)]),
        "chance": st.none() | st.floats(0, 0.999),
    }
)  # fmt: skip
ASKED = st.builds(
    lambda model, tier, most: call("word " * 30, model=model, options=Options(tier=tier, max_cost_nanousd=most)),
    st.sampled_from(["auto", "auto", "auto", "auto:cheap", "auto:best", "model-1", "other/model-5"]),
    st.sampled_from([None, None, None, *TIERS]),
    st.sampled_from([None, None, None, 10**6]),
)


def routed(**given: Any) -> Route | str:
    try:
        return choose(said=verdict(Tier.STRUCTURED), among=MANY, **given)
    except CallerError as error:
        return error.message


@given(ASKED, SITUATIONS)
def test_what_is_read_is_what_would_have_been_written_out(asked: Any, situation: dict[str, Any]) -> None:
    short = routed(asked=asked, **situation)
    with mock.patch.object(candidates, "MAX_ATTEMPTS", MODELS):
        whole = routed(asked=asked, **situation)
    if not isinstance(whole, Route) or not isinstance(short, Route):
        assert short == whole
        return
    assert len(whole.written) == MODELS
    assert short.written_out() == whole
    stored = msgspec.json.decode(msgspec.json.encode(short), type=Route)
    assert stored.candidates == whole.candidates
    assert msgspec.json.encode(stored.written_out()) == msgspec.json.encode(whole)


def test_a_model_that_might_have_been_drawn_says_how_probable_that_was() -> None:
    among = registry(*[of(TIERS[at % 4], f"model-{at}", 1 + at) for at in range(40)])
    route = choose(said=verdict(Tier.BULK), among=among, policy=Policy(exploration=0.4), chance=0.9)
    assert [each.propensity for each in route.candidates] == pytest.approx([0.61, *[0.01] * 39])


def test_a_few_models_are_all_written_out() -> None:
    route = choose(said=verdict(Tier.STANDARD))
    assert {each.model for each in route.written} == set(four_tiers().models)
    assert b"examined" not in msgspec.json.encode(route)


def test_of_hundreds_of_models_those_that_are_tried_are_written_out() -> None:
    among = registry(*[of(TIERS[at % 4], f"model-{at}", 1 + at) for at in range(400)])
    route = choose(said=verdict(Tier.BULK), among=among, forecast=expecting(dict.fromkeys(among.models, 0.9), 0.1))
    assert len(route.written) == len(route.eligible) == MAX_ATTEMPTS
    assert len(route.candidates) == 400
    assert reasons(route)["model-0"] == "tier complex is not bulk"
    assert len(msgspec.json.encode(route)) < 100 * 400  # 300 bytes each where they are written out


@pytest.mark.parametrize("rests", [False, True])
def test_a_model_of_which_more_is_to_be_said_is_written_out(rests: bool) -> None:
    route = choose(said=verdict(Tier.BULK), among=MANY, resting={"acme/model-4": "ill"} if rests else {})
    assert [each.hindrance for each in route.written if each.model == "model-4"] == (["resting"] if rests else [])
    assert {each.model for each in route.candidates} == set(NAMES)
