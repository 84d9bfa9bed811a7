import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from builders import call, model, registry
from deciding import choose, reasons, tried
from desk import Desk
from routewright.catalog.registry import Registry, Tier
from routewright.decision.intent import Match
from routewright.errors import PolicyRefused, SettingsError
from routewright.policies.overlay import (
    NOTHING,
    applied,
    digest_of,
    document_of,
    policy_of,
    read_overlay,
    text_of,
    unknown_models,
)
from routewright.settings import Settings
from routewright.settings.schema import Overlay

FULL: Mapping[str, Any] = {
    "confidence_threshold": 0.8,
    "quality": "match strong within 2.5 %",
    "min_quality": 0.9,
    "success_value_usd": "0.05",
    "caution": 1.0,
    "exploration": 0.02,
    "session_evidence": False,
    "hedge_after_ms": 500,
    "hedge_max_usd": "0.02",
    "baseline": "strong",
    "models": ["swift", "strong"],
    "tiers": {"swift": "bulk"},
    "fallbacks": {"swift": ["strong"]},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    desk = Desk(tmp_path)
    desk.write('[policy]\nquality = "match strong within 1 %"\n')
    return desk.load()


@pytest.fixture
def catalog() -> Registry:
    return registry(model("swift"), model("strong", tier=Tier.COMPLEX), model("other"))


def read(**document: object) -> Overlay:
    return read_overlay(document, name="trial", shown_as="policy.json")


def test_an_overlay_is_the_same_after_it_was_written_and_read() -> None:
    overlay = read(**FULL)
    assert json.loads(text_of(overlay)) == FULL
    assert read(**document_of(overlay)) == overlay
    assert document_of(NOTHING) == {}
    assert set(Overlay.__struct_fields__) == FULL.keys()


def test_equal_overlays_have_equal_digests_and_others_have_others() -> None:
    one, other = read(min_quality=0.9, caution=1), read(caution=1.0, min_quality=0.9)
    assert text_of(one) == text_of(other)
    assert digest_of(one) == digest_of(other) != digest_of(read(min_quality=0.91, caution=1))
    assert len(digest_of(one)) == 8
    assert digest_of(NOTHING) == ""


def test_a_key_that_does_not_exist_is_told_with_its_place_and_the_nearest_name() -> None:
    with pytest.raises(SettingsError) as caught:
        read(tresholds=0.8, min_quality=2)
    assert 'unknown key "tresholds" in [policies.trial] (policy.json)' in caught.value.message
    assert "policies.trial.min_quality: 2 is not a number from 0 to 1 (policy.json)" in caught.value.message


def test_nothing_laid_over_is_the_settings_as_they_are(settings: Settings, catalog: Registry) -> None:
    base = applied("default", NOTHING, settings, catalog)
    assert (base.settings, base.registry) == (settings, catalog)
    assert base.policy == policy_of(settings.policy)


def test_what_is_said_is_changed_and_what_is_not_stays(settings: Settings, catalog: Registry) -> None:
    trial = applied("trial", read(confidence_threshold=0.9, hedge_after_ms=300), settings, catalog)
    assert trial.policy.name == "trial"
    assert trial.policy.confidence_threshold == 0.9
    assert trial.policy.match == Match("strong", 0.01)
    assert trial.settings.policy.hedge_after_ms == 300
    assert trial.settings.policy.deadline_ms == settings.policy.deadline_ms
    assert trial.registry is catalog


def test_a_wish_takes_the_place_of_any_other(settings: Settings, catalog: Registry) -> None:
    trial = applied("trial", read(success_value_usd="0.05"), settings, catalog)
    assert (trial.policy.match, trial.policy.success_value_nanousd) == (None, 50_000_000)
    assert trial.settings.policy.success_value_usd == Decimal("0.05")


def test_versions_differ_by_name_by_wish_and_by_what_changes_in_the_catalog(
    settings: Settings, catalog: Registry
) -> None:
    overlays = [read(), read(min_quality=0.9), read(tiers={"swift": "bulk"}), read(models=["swift"])]
    versions = {applied(name, each, settings, catalog).policy.version for name in ("a", "b") for each in overlays}
    assert len(versions) == 8
    assert {version.partition("@")[0] for version in versions} == {"a", "b"}


def test_tiers_and_fallbacks_are_changed_in_the_catalog(settings: Settings, catalog: Registry) -> None:
    changes = read(tiers={"swift": "bulk", "gone": "bulk"}, fallbacks={"swift": ["gone", "swift", "strong"]})
    changed = applied("trial", changes, settings, catalog).registry
    assert changed.models["swift"].tier is Tier.BULK
    assert changed.order["swift"] == ("swift", "strong")
    assert changed.models["strong"] == catalog.models["strong"]
    assert changed.version != catalog.version
    assert list(changed.models) == list(catalog.models)


def test_of_the_models_that_take_part_one_must_be_there(settings: Settings, catalog: Registry) -> None:
    assert applied("trial", read(models=["swift", "gone"]), settings, catalog).policy.models == {"swift", "gone"}
    with pytest.raises(PolicyRefused, match="none of its models can be called: gone"):
        applied("trial", read(models=["gone"]), settings, catalog)


def test_names_of_no_model_are_told(settings: Settings, catalog: Registry) -> None:
    overlay = read(
        quality="match lost within 1 %", models=["swift", "gone"], tiers={"gone": "bulk"}, fallbacks={"swift": ["away"]}
    )
    assert list(unknown_models(overlay, settings, catalog)) == ["gone", "away", "lost"]


def test_only_who_takes_part_is_chosen_but_whoever_is_named_still_answers(
    settings: Settings, catalog: Registry
) -> None:
    policy = applied("trial", read(models=["strong"], min_quality=0.0), settings, catalog).policy
    route = choose(among=catalog, policy=policy)
    assert tried(route) == ["strong"]
    assert reasons(route)["swift"] == "takes no part in this policy"
    assert tried(choose(call(model="swift"), among=catalog, policy=policy)) == ["swift"]
