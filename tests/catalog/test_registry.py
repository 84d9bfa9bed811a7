"""The registry resolves names and fallbacks once, refuses what leads nowhere, and knows its own content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import deployment, model, registry
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import MAX_ATTEMPTS, Model, Registry, Tier, build_registry
from routewright.errors import ModelNotFound, SettingsError
from routewright.secret import Secret


def chain(length: int) -> Registry:
    """m0 falls back to m1, m1 to m2, …"""
    return registry(
        *(model(f"m{at}", fallbacks=(f"m{at + 1}",) if at + 1 < length else ()) for at in range(length)),
    )


def test_order_starts_with_the_model_and_goes_depth_first() -> None:
    found = registry(
        model("a", fallbacks=("b", "c")),
        model("b", fallbacks=("d",)),
        model("c"),
        model("d"),
    )
    assert found.order == {"a": ("a", "b", "d", "c"), "b": ("b", "d"), "c": ("c",), "d": ("d",)}


def test_models_that_name_each_other_are_visited_once() -> None:
    found = registry(model("a", fallbacks=("b",)), model("b", fallbacks=("a", "b")))
    assert found.order == {"a": ("a", "b"), "b": ("b", "a")}


def test_chain_of_fifty_ends_after_eight_attempts() -> None:
    assert chain(50).order["m0"] == tuple(f"m{at}" for at in range(MAX_ATTEMPTS))
    assert chain(50).order["m47"] == ("m47", "m48", "m49")


@given(st.data())
def test_any_fallback_lists_give_bounded_orders_without_repeats(data: st.DataObject) -> None:
    names = [f"m{at}" for at in range(data.draw(st.integers(2, 12)))]
    lists = {name: tuple(data.draw(st.lists(st.sampled_from(names), max_size=5))) for name in names}
    models = [model(name, fallbacks=() if set(lists[name]) == {name} else lists[name]) for name in names]
    found = build_registry(models, {})
    for name, order in found.order.items():
        assert order[0] == name
        assert len(order) == len(set(order)) <= MAX_ATTEMPTS


def test_model_that_only_falls_back_to_itself_is_refused_with_the_path() -> None:
    with pytest.raises(SettingsError, match=r"models\.a\.fallbacks: a → a leads nowhere else"):
        registry(model("a", fallbacks=("a",)))


def test_unknown_fallback_is_refused_by_name_and_place() -> None:
    with pytest.raises(SettingsError, match=r"models\.a\.fallbacks: no model is called 'x'") as caught:
        registry(model("a", fallbacks=("x",)), model("b"))
    assert caught.value.hint == "known: a, b"


def test_alias_of_an_alias_is_followed() -> None:
    found = registry(model("swift"), fast="default", default="swift")
    assert found.aliases == {"fast": "swift", "default": "swift"}
    assert found.resolve("fast").name == "swift"


@pytest.mark.parametrize(
    ("aliases", "told"),
    [
        ({"a": "a"}, r"aliases\.a: a → a goes in a circle"),
        ({"a": "b", "b": "c", "c": "a"}, r"aliases\.a: a → b → c → a goes in a circle"),
        ({"a": "b", "b": "nowhere"}, r"aliases\.a: a → b → nowhere ends at no known model"),
    ],
)
def test_alias_that_leads_nowhere_is_refused_with_the_path(aliases: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        registry(model("swift"), **aliases)


def test_model_is_resolved_by_name_and_then_keeps_all_its_deployments() -> None:
    both = model("swift", deployment("acme/swift"), deployment("zeta/swift-1"))
    assert registry(both).resolve("swift") is both


@pytest.mark.parametrize("requested", ["zeta/swift-1", "zeta/swift"])
def test_provider_and_model_resolve_to_that_providers_deployments_only(requested: str) -> None:
    both = model("swift", deployment("acme/swift"), deployment("zeta/swift-1"))
    assert [place.id for place in registry(both).resolve(requested).deployments] == ["zeta/swift-1"]


def test_a_models_own_name_wins_over_provider_and_model() -> None:
    slashed = model("meta/llama", deployment("groq/llama-3"), deployment("meta/llama"))
    assert registry(slashed).resolve("meta/llama") is slashed


def test_unknown_model_is_not_found_and_says_where_to_look() -> None:
    with pytest.raises(ModelNotFound, match="no model is called 'gpt-9'") as caught:
        registry().resolve("gpt-9")
    assert caught.value.param == "model"
    assert "/v1/models" in (caught.value.hint or "")


def test_tier_lists_models_that_can_be_called_in_the_order_of_the_settings() -> None:
    uncallable: Model = model("dark", tier=Tier.BULK, deployments=())
    found = registry(model("b", tier=Tier.BULK), model("other"), uncallable, model("a", tier=Tier.BULK))
    assert [each.name for each in found.in_tier(Tier.BULK)] == ["b", "a"]


def test_version_changes_with_the_content_and_not_with_keys() -> None:
    plain = registry(model("swift", deployment("acme/swift", key=Secret("one"))))
    other_key = registry(model("swift", deployment("acme/swift", key=Secret("two"))))
    other_price = registry(
        model("swift", deployment("acme/swift", key=Secret("one")), prices=PriceSchedule((Price(input=1, output=1),)))
    )
    assert plain.version == other_key.version
    assert len({plain.version, other_price.version, registry(model("swift"), fast="swift").version}) == 3
    assert len(plain.version) == 12


def test_deployments_are_found_by_id() -> None:
    found = registry(model("swift", deployment("acme/swift"), deployment("zeta/swift-1")), model("slow"))
    assert set(found.deployments) == {"acme/swift", "zeta/swift-1", "acme/slow"}
    assert found.deployments["zeta/swift-1"].provider == "zeta"
