"""Every model stands in the route once, with the reason; the cheapest that may do it comes first."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import call, deployment, model, registry
from deciding import ALL, NOW_S, choose, four_tiers, of, priced, reasons, tried, verdict
from routewright.call import Call, Image, Message, Options, OutputFormat, Text, Tool
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import MAX_ATTEMPTS, Capability, Registry, Tier
from routewright.decision.intent import UPWARDS, VIRTUAL_MODELS, Policy, needs_verdict
from routewright.errors import ContextTooLong, ModelNotFound, NoEligibleModel, UnpricedModel
from routewright.route import Route, Verdict

# ---- the tier -----------------------------------------------------------------------------------------------------


def test_sure_verdict_is_followed_and_its_fallbacks_come_after_the_tier() -> None:
    route = choose(said=verdict(Tier.STANDARD))
    assert (route.tier, route.reason, route.classifier) == (Tier.STANDARD, "because", "test@1")
    assert tried(route) == ["standard", "standard-dear", "complex"]
    assert reasons(route) == {
        "standard": "cheapest of tier standard",
        "standard-dear": "tier standard",
        "complex": "fallback of standard",
        "bulk": "tier bulk is not standard",
        "structured": "tier structured is not standard",
        "complex-dear": "tier complex is not standard",
    }


def test_unsure_verdict_takes_standard_and_says_so() -> None:
    route = choose(said=verdict(Tier.BULK, 0.61))
    assert route.tier is Tier.STANDARD
    assert route.reason == "confidence 0.61 < 0.70: standard"
    assert route.verdict is not None
    assert route.verdict.tier is Tier.BULK


def test_tier_asked_for_needs_no_verdict_and_wins_over_one() -> None:
    asked = call(options=Options(tier=Tier.STRUCTURED))
    assert not needs_verdict(asked)
    route = choose(asked, verdict(Tier.COMPLEX))
    assert (route.tier, route.reason, route.verdict) == (Tier.STRUCTURED, "tier structured was asked for", None)


@pytest.mark.parametrize(
    ("name", "needed"), [("auto", True), ("claude-auto", True), ("auto:cheap", False), ("x", False)]
)
def test_only_a_request_for_any_model_is_classified(name: str, needed: bool) -> None:
    assert needs_verdict(call(model=name)) is needed


def test_empty_tier_gives_way_to_the_next_one_up() -> None:
    route = choose(said=verdict(Tier.BULK), among=registry(of(Tier.STANDARD, "s", 1), of(Tier.COMPLEX, "c", 2)))
    assert (route.tier, tried(route)) == (Tier.STANDARD, ["s"])
    assert route.reason == "because; no model of tier bulk can take it: standard"


def test_classified_request_goes_down_when_there_is_nothing_above() -> None:
    route = choose(said=verdict(Tier.COMPLEX), among=registry(of(Tier.BULK, "b", 1), of(Tier.STANDARD, "s", 2)))
    assert (route.tier, tried(route)) == (Tier.STANDARD, ["s"])
    assert route.reason == "because; no model of tier complex can take it: standard"


def test_tier_asked_for_is_never_undercut() -> None:
    with pytest.raises(NoEligibleModel, match="tier complex was asked for"):
        choose(call(options=Options(tier=Tier.COMPLEX)), among=registry(of(Tier.BULK, "b", 1)))


def test_cheap_takes_the_cheapest_of_all_tiers() -> None:
    route = choose(call(model="auto:cheap"))
    assert tried(route) == ["bulk", "structured", "standard", "standard-dear", "complex", "complex-dear"]
    assert (route.tier, route.verdict, route.reason) == (Tier.BULK, None, "cheapest of all tiers")


def test_best_starts_with_the_complex_tier() -> None:
    assert tried(choose(call(model="auto:best"))) == ["complex", "complex-dear"]
    only_bulk = choose(call(model="auto:best"), among=registry(of(Tier.BULK, "b", 1)))
    assert (only_bulk.tier, tried(only_bulk)) == (Tier.BULK, ["b"])


def test_virtual_models_are_all_known() -> None:
    assert {"auto", "claude-auto", "auto:cheap", "auto:best"} == set(VIRTUAL_MODELS)
    for name in VIRTUAL_MODELS:
        assert choose(call(model=name)).chosen.is_eligible


# ---- named models -------------------------------------------------------------------------------------------------


def test_named_model_comes_first_with_its_fallbacks_as_declared() -> None:
    among = registry(
        of(Tier.BULK, "cheap", 1),
        of(Tier.COMPLEX, "dear", 9, fallbacks=("dearer", "cheap")),
        of(Tier.COMPLEX, "dearer", 99),
        big="dear",
    )
    for name in ("dear", "big"):
        route = choose(call(model=name), among=among)
        assert tried(route) == ["dear", "dearer", "cheap"]
        assert (route.verdict, route.classifier, route.tier) == (None, None, Tier.COMPLEX)
        assert route.reason == f"{name} was asked for"


def test_other_models_are_listed_as_not_asked_for() -> None:
    assert reasons(choose(call(model="bulk")))["structured"] == "bulk was asked for"


def test_provider_and_model_use_that_deployment_only() -> None:
    swift = of(
        Tier.BULK, "swift", 1, fallbacks=("slow",), deployments=(deployment("acme/swift"), deployment("zeta/s1"))
    )
    route = choose(call(model="zeta/swift"), among=registry(swift, of(Tier.BULK, "slow", 2)))
    assert tried(route) == ["swift"]
    assert route.chosen.deployments == ("zeta/s1",)
    assert reasons(route)["slow"] == "only zeta/swift was asked for"


def test_named_model_needs_no_price_and_auto_never_picks_one_without() -> None:
    among = registry(of(Tier.STANDARD, "secret", None), of(Tier.STANDARD, "known", 50))
    assert tried(choose(call(model="secret"), among=among)) == ["secret"]
    route = choose(said=verdict(Tier.STANDARD), among=among)
    assert tried(route) == ["known"]
    assert reasons(route)["secret"] == "no price"


def test_unknown_model_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        choose(call(model="nobody"))


# ---- constraints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "able", "lack"),
    [
        (call(tools=(Tool("look", "", {}),)), Capability.TOOLS, "no tools"),
        (
            call(messages=(Message("user", (Text("What?"), Image("https://a.example/b.png"))),)),
            Capability.VISION,
            "no vision",
        ),
        (call(output_format=OutputFormat("json_schema", "answer", {})), Capability.JSON_SCHEMA, "no json_schema"),
    ],
)
def test_model_must_be_able_to_do_what_is_asked(asked: Call, able: Capability, lack: str) -> None:
    among = registry(
        of(Tier.STANDARD, "unable", 1, capabilities=ALL - {able}),
        of(Tier.STANDARD, "able", 9, capabilities=frozenset({able})),
    )
    route = choose(asked, verdict(Tier.STANDARD), among)
    assert tried(route) == ["able"]
    assert reasons(route)["unable"] == lack


def test_plain_json_needs_no_schema() -> None:
    among = registry(of(Tier.STANDARD, "plain", 1, capabilities=frozenset()))
    assert tried(choose(call(output_format=OutputFormat("json_object")), verdict(Tier.STANDARD), among)) == ["plain"]


def test_asked_output_must_fit_the_models_limit() -> None:
    among = registry(
        of(Tier.STANDARD, "short", 1, max_output_tokens=8_192), of(Tier.STANDARD, "long", 9, max_output_tokens=20_000)
    )
    route = choose(call(max_output_tokens=16_000), verdict(Tier.STANDARD), among)
    assert tried(route) == ["long"]
    assert reasons(route)["short"] == "output limit 8,192 < 16,000 asked"


def test_input_and_output_must_fit_the_window_by_the_models_own_count() -> None:
    among = registry(
        of(Tier.STANDARD, "narrow", 1, context_window=1_000, max_output_tokens=500),
        of(Tier.STANDARD, "counts-double", 1, context_window=3_000),
        of(Tier.STANDARD, "wide", 9, context_window=200_000),
    )
    asked = call("word " * 1_500, max_output_tokens=400)
    route = choose(asked, verdict(Tier.STANDARD), among, ratios={"counts-double": 2.0})
    assert tried(route) == ["wide"]
    needed = route.input_tokens + 400
    assert reasons(route)["narrow"] == f"context window 1,000 < {needed:,} needed"
    assert reasons(route)["counts-double"].startswith("context window 3,000 < ")


def test_field_that_a_dialect_cannot_carry_removes_the_model() -> None:
    other = of(Tier.STANDARD, "other", 1, deployments=(deployment("zeta/other", dialect="anthropic_messages"),))
    among = registry(other, of(Tier.STANDARD, "same", 9))
    asked = call(dialect="openai_chat")
    route = choose(asked, verdict(Tier.STANDARD), among, uncarried={"anthropic_messages": "logit_bias"})
    assert tried(route) == ["same"]
    assert reasons(route)["other"] == "openai_chat field 'logit_bias' cannot be carried to anthropic_messages"


def test_only_deployments_that_can_carry_the_call_are_tried() -> None:
    both = of(
        Tier.STANDARD,
        "both",
        1,
        deployments=(deployment("zeta/both", dialect="anthropic_messages"), deployment("acme/both")),
    )
    asked = call(dialect="openai_chat")
    uncarried = {"anthropic_messages": "logit_bias"}
    route = choose(asked, verdict(Tier.STANDARD), registry(both), uncarried=uncarried)
    assert route.chosen.deployments == ("acme/both",)
    assert choose(asked, verdict(Tier.STANDARD), registry(both)).chosen.deployments == ("zeta/both", "acme/both")


def test_dropped_fields_are_said() -> None:
    other = of(Tier.STANDARD, "other", 1, deployments=(deployment("zeta/other", dialect="anthropic_messages"),))
    route = choose(
        call(dialect="openai_chat"), verdict(Tier.STANDARD), registry(other), dropped={"anthropic_messages": ("seed",)}
    )
    assert route.chosen.dropped_fields == ("seed",)


def test_model_dearer_than_the_callers_limit_is_removed_with_both_figures() -> None:
    among = registry(of(Tier.STANDARD, "cheap", 1), of(Tier.STANDARD, "dear", 1_000))
    route = choose(call(options=Options(max_cost_nanousd=10_000_000)), verdict(Tier.STANDARD), among)
    assert tried(route) == ["cheap"]
    assert reasons(route)["dear"].startswith("expected $1.2")
    assert reasons(route)["dear"].endswith(" > max-cost $0.01")


def test_reasoning_effort_prefers_a_model_that_reasons_and_does_not_require_it() -> None:
    simple = of(Tier.COMPLEX, "simple", 1, capabilities=frozenset())
    thinking = of(Tier.COMPLEX, "thinking", 9)
    asked = call(reasoning_effort="high")
    assert tried(choose(asked, verdict(Tier.COMPLEX), registry(simple, thinking))) == ["thinking", "simple"]
    assert tried(choose(asked, verdict(Tier.COMPLEX), registry(simple))) == ["simple"]
    minimal = call(reasoning_effort="minimal")
    assert tried(choose(minimal, verdict(Tier.COMPLEX), registry(simple, thinking))) == ["simple", "thinking"]


def test_resting_model_goes_last_and_says_why() -> None:
    route = choose(said=verdict(Tier.STANDARD), resting={"acme/standard": "circuit open"})
    assert tried(route) == ["standard-dear", "standard"]
    assert reasons(route)["standard"] == "tier standard; last: circuit open (all deployments rest)"


def test_model_with_one_deployment_awake_does_not_rest_and_tries_that_one_first() -> None:
    swift = of(Tier.STANDARD, "swift", 1, deployments=(deployment("acme/swift"), deployment("zeta/swift")))
    route = choose(said=verdict(Tier.STANDARD), among=registry(swift), resting={"acme/swift": "circuit open"})
    assert route.chosen.reason == "cheapest of tier standard"
    assert route.chosen.deployments == ("zeta/swift", "acme/swift")


def test_model_without_a_deployment_is_known_but_not_tried() -> None:
    among = registry(of(Tier.STANDARD, "dark", 1, deployments=()), of(Tier.STANDARD, "lit", 9))
    assert reasons(choose(said=verdict(Tier.STANDARD), among=among))["dark"] == "no deployment"


def test_ninth_model_of_a_tier_is_not_tried() -> None:
    among = registry(*(of(Tier.BULK, f"m{at}", at + 1) for at in range(10)))
    route = choose(said=verdict(Tier.BULK), among=among)
    assert tried(route) == [f"m{at}" for at in range(MAX_ATTEMPTS)]
    assert reasons(route)["m8"] == "8 others are tried first"
    cheap = choose(call(model="auto:cheap"), among=among)
    assert reasons(cheap)["m9"] == "8 others are tried first"


# ---- what it is expected to cost ------------------------------------------------------------------------------------


def test_expected_cost_is_input_and_expected_output_at_the_prices_of_the_moment() -> None:
    dearer_later = PriceSchedule(
        (Price(input=1_000_000, output=2_000_000), Price(input=3_000_000, output=6_000_000, since=NOW_S)),
    )
    among = registry(of(Tier.BULK, "b", 1, prices=dearer_later))
    before = choose(said=verdict(Tier.BULK), among=among, now_s=NOW_S - 1)
    after = choose(said=verdict(Tier.BULK), among=among)
    assert before.output_tokens == 500
    assert before.chosen.expected_cost_nanousd == (before.input_tokens + 2 * 500) * 1_000
    assert after.chosen.expected_cost_nanousd == 3 * (after.input_tokens + 2 * 500) * 1_000


def test_expected_output_is_bounded_by_what_the_caller_allows_and_counts_every_choice() -> None:
    route = choose(call(max_output_tokens=50, choices=3), verdict(Tier.COMPLEX))
    assert route.output_tokens == 150
    assert route.chosen.expected_cost_nanousd == (route.input_tokens * 10 + 150 * 20) * 1_000


def test_baseline_is_the_dearest_complex_model_unless_the_policy_names_one() -> None:
    route = choose(said=verdict(Tier.BULK))
    assert route.baseline_model == "complex-dear"
    assert route.baseline_cost_nanousd == (route.input_tokens * 20 + 500 * 40) * 1_000
    assert choose(said=verdict(Tier.BULK), policy=Policy(baseline="standard")).baseline_model == "standard"
    assert choose(said=verdict(Tier.BULK), among=registry(of(Tier.BULK, "only", 1))).baseline_model == "only"


def test_route_names_the_versions_it_was_decided_with() -> None:
    among = four_tiers()
    route = choose(said=verdict(Tier.BULK), among=among)
    assert (route.catalog, route.policy, route.propensity) == (among.version, Policy().version, 1.0)


def test_policy_version_follows_its_content() -> None:
    assert Policy().version == Policy().version
    assert Policy().version.startswith("default@")
    changed = [Policy(confidence_threshold=0.8), Policy(baseline="x"), Policy(expected_output_tokens={Tier.BULK: 1})]
    assert len({policy.version for policy in [Policy(), *changed]}) == 4
    assert replace(Policy(), confidence_threshold=0.8).version == changed[0].version


# ---- nobody -------------------------------------------------------------------------------------------------------


def test_a_withdrawn_model_is_only_taken_when_it_is_named() -> None:
    said, withdrawn = verdict(Tier.STANDARD), {"standard": "drift: it fell"}
    assert tried(choose(call(), said))[0] == "standard"
    route = choose(call(), said, withdrawn=withdrawn)
    assert "standard" not in tried(route)
    assert (route.chosen.model, reasons(route)["standard"]) == ("standard-dear", "drift: it fell")
    assert choose(call(model="standard"), said, withdrawn=withdrawn).chosen.model == "standard"


def test_a_withdrawn_model_is_taken_when_nobody_else_can_answer() -> None:
    only = registry(of(Tier.STANDARD, "standard", 4), of(Tier.STANDARD, "unpriced", None))
    route = choose(call(), verdict(Tier.STANDARD), only, withdrawn={"standard": "drift: it fell"})
    assert tried(route) == ["standard"]


def test_nobody_eligible_names_each_model_and_what_removed_it() -> None:
    among = registry(of(Tier.BULK, "a", 1, capabilities=frozenset()), of(Tier.COMPLEX, "b", None))
    with pytest.raises(NoEligibleModel, match="a: no tools; b: no price") as caught:
        choose(call(tools=(Tool("look", "", {}),)), verdict(Tier.BULK), among)
    assert caught.value.hint


def test_input_that_fits_no_window_is_too_long() -> None:
    among = registry(of(Tier.BULK, "a", 1, context_window=600), of(Tier.BULK, "b", 1, capabilities=frozenset()))
    with pytest.raises(ContextTooLong, match="a: context window 600 < ") as caught:
        choose(call("word " * 5_000, tools=(Tool("look", "", {}),)), verdict(Tier.BULK), among)
    assert caught.value.status == 400


def test_named_model_without_a_price_cannot_be_held_to_a_limit() -> None:
    with pytest.raises(UnpricedModel, match="what secret costs is not known"):
        choose(call(model="secret", options=Options(max_cost_nanousd=1)), among=registry(of(Tier.BULK, "secret", None)))


# ---- properties ---------------------------------------------------------------------------------------------------

NAMES = [f"m{at}" for at in range(12)]
# Made once: a strategy that is made anew for each draw is looked through anew, which takes longer than the draw.
SCHEDULES = st.one_of(st.none(), st.integers(0, 1_000).map(priced))
COUNTS = st.integers(1, len(NAMES))
TIERS = st.sampled_from(Tier)
WINDOWS, MOST = st.sampled_from([500, 5_000, 500_000]), st.sampled_from([100, 10_000])
CAPABILITIES = st.frozensets(st.sampled_from(Capability))
FALLBACKS = {count: st.lists(st.sampled_from(NAMES[:count]), max_size=3) for count in range(1, len(NAMES) + 1)}
PLACES = {name: st.sampled_from([(), (f"acme/{name}",), (f"acme/{name}", f"zeta/{name}")]) for name in NAMES}


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    count = draw(COUNTS)
    models = []
    for name in NAMES[:count]:
        fallbacks = tuple(draw(FALLBACKS[count]))
        places = draw(PLACES[name])
        models.append(
            model(
                name,
                tier=draw(TIERS),
                prices=draw(SCHEDULES),
                context_window=draw(WINDOWS),
                max_output_tokens=draw(MOST),
                capabilities=draw(CAPABILITIES),
                fallbacks=() if set(fallbacks) == {name} else fallbacks,
                deployments=tuple(map(deployment, places)),
            )
        )
    return registry(*models)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    return call(
        "word " * draw(st.sampled_from([1, 400, 4_000])),
        model=draw(st.sampled_from(["auto", "auto", "auto:cheap", "auto:best", "m0", "acme/m1"])),
        tools=draw(st.sampled_from([(), (Tool("look", "", {}),)])),
        max_output_tokens=draw(st.sampled_from([None, 50, 1_000])),
        reasoning_effort=draw(st.sampled_from([None, "high"])),
        options=Options(max_cost_nanousd=draw(st.sampled_from([None, 10_000, 10_000_000]))),
    )


VERDICTS = st.builds(verdict, st.sampled_from(Tier), st.floats(0.3, 0.95))
RESTING = st.dictionaries(st.sampled_from([f"acme/{name}" for name in NAMES]), st.just("circuit open"))


def choose_or_none(asked: Call, said: Verdict, among: Registry, **world: Any) -> Route | None:
    try:
        return choose(asked, said, among, **world)
    except (ContextTooLong, ModelNotFound, NoEligibleModel, UnpricedModel):
        return None


@given(calls(), VERDICTS, registries(), RESTING)
def test_every_model_stands_in_a_route_once_and_the_eligible_ones_first(
    asked: Call, said: Verdict, among: Registry, resting: dict[str, str]
) -> None:
    route = choose_or_none(asked, said, among, resting=resting)
    if route is None:
        return
    assert sorted(candidate.model for candidate in route.candidates) == sorted(among.models)
    eligible = [candidate.is_eligible for candidate in route.candidates]
    assert eligible == sorted(eligible, reverse=True)
    assert 1 <= len(route.eligible) <= MAX_ATTEMPTS
    assert route.chosen.is_eligible
    assert all(candidate.reason for candidate in route.candidates)


@given(calls(), VERDICTS, registries(), st.sampled_from([0.5, 1.0, 3.0]))
def test_no_candidate_is_too_small_unable_or_out_of_reach(
    asked: Call, said: Verdict, among: Registry, ratio: float
) -> None:
    route = choose_or_none(asked, said, among, ratios=dict.fromkeys(NAMES, ratio))
    for candidate in route.eligible if route else ():
        chosen = among.models[candidate.model]
        assert route is not None
        assert (
            round(route.input_tokens * ratio) + (asked.max_output_tokens or route.output_tokens)
            <= chosen.context_window
        )
        assert asked.max_output_tokens is None or asked.max_output_tokens <= chosen.max_output_tokens
        assert not asked.tools or Capability.TOOLS in chosen.capabilities
        assert candidate.deployments
        assert set(candidate.deployments) <= {place.id for place in chosen.deployments}
        if asked.model in VIRTUAL_MODELS:
            assert candidate.expected_cost_nanousd is not None
        if asked.options.max_cost_nanousd is not None:
            assert (candidate.expected_cost_nanousd or 0) <= asked.options.max_cost_nanousd


@given(VERDICTS, registries(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_budget_never_leads_farther_from_the_tier_that_suits(
    said: Verdict, among: Registry, one: int, other: int
) -> None:
    routes = [
        choose_or_none(call(options=Options(max_cost_nanousd=budget)), said, among) for budget in sorted((one, other))
    ]
    poor, rich = routes
    if poor is None:
        return
    assert rich is not None
    wanted = UPWARDS.index(said.tier if said.confidence >= 0.7 else Tier.STANDARD)
    path = [*UPWARDS[wanted:], *reversed(UPWARDS[:wanted])]
    assert path.index(rich.tier) <= path.index(poor.tier)


@given(VERDICTS, registries(), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_higher_threshold_never_leaves_standard_for_another_tier(
    said: Verdict, among: Registry, thresholds: list[float]
) -> None:
    low, high = (
        choose_or_none(call(), said, among, policy=Policy(confidence_threshold=threshold))
        for threshold in sorted(thresholds)
    )
    if low is not None and high is not None and (said.tier is Tier.STANDARD or low.reason.startswith("confidence")):
        assert low.tier is high.tier


@given(VERDICTS, registries())
def test_within_the_tier_no_cheaper_model_comes_later(said: Verdict, among: Registry) -> None:
    route = choose_or_none(call(), said, among)
    in_tier = [candidate for candidate in route.eligible if candidate.tier is route.tier] if route else []
    first = [candidate for candidate in in_tier if candidate.reason.endswith(f"tier {candidate.tier.value}")]
    for one, next_one in pairwise(first):
        assert (one.expected_cost_nanousd or 0) <= (next_one.expected_cost_nanousd or 0)
