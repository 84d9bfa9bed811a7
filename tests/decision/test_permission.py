from typing import Any

import pytest

from builders import call, deployment, model, registry
from deciding import choose
from routewright.call import Call, Options
from routewright.catalog.registry import Tier
from routewright.decision.permission import NOT_ALLOWED, check_permission, is_restricted, may_ask, permission_of
from routewright.errors import ContextTooLong, ModelNotFound, NoEligibleModel
from routewright.tenant import NOBODY, Tenant

SWIFT = model("swift", deployment("acme/swift"), deployment("beta/swift"), fallbacks=("strong",))
STRONG = model("strong", tier=Tier.COMPLEX)
PLAIN = model("plain", tier=Tier.BULK)
REGISTRY = registry(SWIFT, STRONG, PLAIN, quick="plain")


def tenant(*models: str, tiers: tuple[str, ...] = ()) -> Tenant:
    return Tenant(key="k", models=models, tiers=tiers)


def test_who_names_nothing_may_have_everything() -> None:
    assert not is_restricted(NOBODY)
    assert permission_of(NOBODY, REGISTRY).admits(STRONG)


@pytest.mark.parametrize(
    ("listed", "asked", "allowed"),
    [
        (("swift",), "swift", True),
        (("swift",), "acme/swift", True),
        (("swift",), "strong", False),
        (("swift",), "auto", False),
        (("swift",), "no-such", False),
        (("acme/swift",), "acme/swift", True),
        (("acme/swift",), "beta/swift", False),
        (("acme/swift",), "swift", False),
        (("quick",), "quick", True),
        (("quick",), "plain", False),
        (("plain",), "quick", True),
        (("auto",), "auto", True),
        (("auto",), "auto:best", False),
        (("auto",), "swift", False),
        (("no-such",), "no-such", True),  # and is then not found, like any other
    ],
)
def test_only_what_is_listed_may_be_asked_for(listed: tuple[str, ...], asked: str, allowed: bool) -> None:
    assert may_ask(tenant(*listed), asked, REGISTRY) is allowed


def test_a_model_of_another_tier_may_not_be_asked_for() -> None:
    bulk_only = tenant(tiers=("bulk",))
    assert may_ask(bulk_only, "plain", REGISTRY)
    assert may_ask(bulk_only, "auto", REGISTRY)
    assert not may_ask(bulk_only, "swift", REGISTRY)
    assert not may_ask(bulk_only, "no-such", REGISTRY)


def test_c15_what_is_not_allowed_is_answered_like_what_does_not_exist() -> None:
    def told(asked: Call) -> dict[str, Any]:
        with pytest.raises(ModelNotFound) as error:
            check_permission(asked, REGISTRY)
        return vars(error.value)

    mine = tenant("swift", "auto", tiers=("standard",))
    forbidden = told(call(model="strong", tenant=mine))
    unknown = told(call(model="noting", tenant=mine))
    assert forbidden["message"].replace("strong", "noting") == unknown["message"]
    assert forbidden["hint"] == unknown["hint"]
    assert told(call(model="auto", options=Options(tier=Tier.COMPLEX), tenant=mine))["param"] == "model"
    check_permission(call(model="auto", options=Options(tier=Tier.STANDARD), tenant=mine), REGISTRY)


def reasons(asked: Call) -> dict[str, str]:
    return {each.model: each.reason for each in choose(asked, among=REGISTRY).candidates}


def test_auto_chooses_among_what_is_allowed() -> None:
    route = choose(call(tenant=tenant("auto", "plain")), among=REGISTRY)
    assert [each.model for each in route.candidates if each.is_eligible] == ["plain"]
    assert reasons(call(tenant=tenant("auto", "plain")))["swift"] == NOT_ALLOWED
    assert [each.model for each in choose(call(tenant=tenant("auto", tiers=("bulk",))), among=REGISTRY).eligible] == [
        "plain"
    ]


def test_auto_alone_chooses_among_all() -> None:
    assert NOT_ALLOWED not in reasons(call(tenant=tenant("auto"))).values()


def test_a_fallback_that_is_not_allowed_is_not_tried() -> None:
    assert [each.model for each in choose(call(model="swift"), among=REGISTRY).eligible] == ["swift", "strong"]
    assert [each.model for each in choose(call(model="swift", tenant=tenant("swift")), among=REGISTRY).eligible] == [
        "swift"
    ]


def test_one_provider_of_a_model_can_be_allowed_alone() -> None:
    route = choose(call(tenant=tenant("auto", "beta/swift")), among=REGISTRY)
    assert route.chosen.deployments == ("beta/swift",)
    both = choose(call(tenant=tenant("auto", "beta/swift", "acme/swift")), among=REGISTRY)
    assert both.chosen.deployments == ("acme/swift", "beta/swift")
    whole = choose(call(tenant=tenant("auto", "beta/swift", "swift")), among=REGISTRY)
    assert whole.chosen.deployments == ("acme/swift", "beta/swift")


def test_a_refusal_does_not_name_what_is_not_allowed() -> None:
    with pytest.raises(NoEligibleModel) as refused:
        choose(call(max_output_tokens=50_000, tenant=tenant("auto", "plain")), among=REGISTRY)
    assert "plain" in refused.value.message
    assert "strong" not in refused.value.message
    with pytest.raises(NoEligibleModel, match="there is none"):
        choose(call(tenant=tenant("auto", "gone")), among=REGISTRY)
    with pytest.raises(ContextTooLong) as long:
        choose(call("word " * 200_000, tenant=tenant("auto", "plain")), among=REGISTRY)
    assert "strong" not in long.value.message
