from pathlib import Path

from routewright.bench.measure import Part, Plan, run
from routewright.bench.processes import Child, environment
from routewright.bench.settings import write_settings
from routewright.catalog.registry import Tier
from routewright.settings_source import SettingsSource


def test_the_settings_offer_a_priced_model_of_each_tier_at_the_mock_and_nothing_else(tmp_path: Path) -> None:
    config = write_settings(tmp_path, Child(name="upstream", pid=0, host="127.0.0.1", port=1))
    settings, registry = SettingsSource(environ=environment(tmp_path), cwd=tmp_path, config=config).load()
    callable_models = [model for tier in Tier for model in registry.in_tier(tier)]
    assert [model.tier for model in callable_models] == list(Tier)
    assert all(model.prices is not None for model in callable_models)
    assert {place.base_url for place in registry.deployments.values()} == {"http://127.0.0.1:1/v1"}
    assert settings.ledger.path.is_relative_to(tmp_path)
    assert settings.local_servers == {}


def test_a_part_can_be_measured_alone() -> None:
    steps: list[str] = []
    report = run(Plan(parts=frozenset({Part.DECISION}), rounds=1, decisions=10), steps.append)
    assert [each.name for each in report.figures] == ["decision_us"]
    assert report["decision_us"].median > 0
    assert steps == ["starting the upstream", "deciding"]
