"""A logged decision is made again from its route alone, and comes out as it did; under another policy, as it would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import call, model, registry
from deciding import NOW_S, choose, expecting, four_tiers, of, priced, verdict
from routewright.call import Call, Options
from routewright.catalog.registry import Registry, Tier
from routewright.decision.expectation import Expectation
from routewright.decision.intent import Match, Policy
from routewright.decision.replay import Replay, Unreplayable, replay
from routewright.route import Route, Sign

SUCCESS = {
    "bulk": 0.60, "structured": 0.70, "standard": 0.86, "standard-dear": 0.85, "complex": 0.95, "complex-dear": 0.96,
}  # fmt: skip
KNOWN = expecting(SUCCESS, {"bulk": 0.1, "standard": 0.05})


def again(
    route: Route,
    policy: Policy,
    among: Registry | None = None,
    newcomers: dict[str, Expectation] | None = None,
) -> dict[str, float]:
    found = replay(route, policy, among or four_tiers(), before=four_tiers(), now_s=NOW_S, newcomers=newcomers or {})
    assert isinstance(found, Replay)
    return dict(found.propensities)


ASKED = st.builds(
    lambda model, tier, quality, effort: call(
        model=model, reasoning_effort=effort, options=Options(tier=tier, min_quality=quality)
    ),
    st.sampled_from(["auto", "auto:cheap", "auto:best", "standard", "acme/bulk"]),
    st.none() | st.sampled_from(list(Tier)),
    st.none() | st.floats(0, 1),
    st.none() | st.just("high"),
)
POLICIES = st.builds(
    Policy,
    confidence_threshold=st.floats(0, 1),
    match=st.none() | st.just(Match("complex", 0.1)),
    min_quality=st.none() | st.floats(0, 1),
    success_value_nanousd=st.none() | st.integers(0, 10**7),
    caution=st.floats(0, 2),
    exploration=st.sampled_from([0.0, 0.1, 1.0]),
)


@given(ASKED, POLICIES, POLICIES, st.booleans(), st.sampled_from(list(Tier)), st.floats(0, 1), st.floats(0, 0.999))
def test_a_replay_is_what_the_decision_would_have_been(
    asked: Call, logged_by: Policy, other: Policy, is_known: bool, tier: Tier, sure: float, chance: float
) -> None:
    """Whoever logged it: the route of one policy has all that another one needs."""
    forecast, session = KNOWN if is_known else None, (Sign("4 tool results failed", 1.5),)
    said = verdict(tier, sure) if asked.model == "auto" and asked.options.tier is None else None
    resting = {"acme/complex": "circuit open"}

    def by(policy: Policy) -> Route:
        return choose(asked, said, policy=policy, forecast=forecast, chance=chance, resting=resting, session=session)

    then, wanted = by(logged_by), by(other)
    told = {each.model: each.propensity for each in wanted.candidates if each.propensity}
    assert again(then, other) == pytest.approx(told)


def test_other_prices_change_who_is_cheapest_and_what_it_costs() -> None:
    route = choose(call(), verdict(Tier.STANDARD))
    assert route.first_choice == "standard"
    cheaper = [
        replace(each, prices=priced(1)) if each.name == "standard-dear" else each
        for each in four_tiers().models.values()
    ]
    assert again(route, Policy(), registry(*cheaper)) == {"standard-dear": 1.0}
    found = replay(route, Policy(), registry(*cheaper), before=four_tiers(), now_s=NOW_S, newcomers={})
    assert isinstance(found, Replay)
    was = {each.model: each.expected_cost_nanousd for each in route.candidates}
    dear = was["standard-dear"]
    assert dear is not None
    assert found.costs == was | {"standard-dear": pytest.approx(dear / 5, abs=1)}


def test_a_new_model_is_chosen_where_it_would_be_and_not_where_it_cannot() -> None:
    more = registry(*four_tiers().models.values(), of(Tier.STANDARD, "new", 3, max_output_tokens=1_000))
    assert again(choose(call(), verdict(Tier.STANDARD)), Policy(), more) == {"new": 1.0}
    long = call(max_output_tokens=2_000)
    assert again(choose(long, verdict(Tier.STANDARD)), Policy(), more) == {"standard": 1.0}
    hopeful = {"new": Expectation(0.99, 0.0, 0, 100, 1.0)}
    route = choose(call(), verdict(Tier.BULK), forecast=KNOWN)
    assert again(route, Policy(min_quality=0.97), more, hopeful) == {"new": 1.0}


def test_what_could_not_take_the_request_still_cannot() -> None:
    route = choose(call(), verdict(Tier.STANDARD), uncarried={"openai_chat": "logprobs"}, among=_two_dialects())
    assert again(route, Policy(), _two_dialects()) == {"other": 1.0}


def _two_dialects() -> Registry:
    from builders import deployment

    spoken = deployment("acme/other", dialect="anthropic_messages")
    return registry(model("plain"), model("other", spoken, prices=priced(9)))


def test_what_cannot_be_replayed_says_why() -> None:
    route = choose(call(model="standard"))
    few = registry(of(Tier.BULK, "bulk", 1))
    for changed, among, reason in (
        (replace(route, asked=None), four_tiers(), "logged by a version"),
        (route, few, "standard was asked for, and is not in the other catalog"),
        (choose(call(), verdict(Tier.BULK)), registry(of(Tier.BULK, "unpriced", None)), "no model of the other"),
    ):
        found = replay(changed, Policy(), among, before=four_tiers(), now_s=NOW_S, newcomers={})
        assert isinstance(found, Unreplayable)
        assert found.reason.startswith(reason)
