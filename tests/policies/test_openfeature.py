"""Flags of an OpenFeature provider: what they decide, and that none of their failures reaches a request."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

import flag_providers
from builders import call
from flag_providers import FLAGS, Failing, Late, Raising, flag
from routewright.call import Options
from routewright.errors import SettingsError
from routewright.policies import openfeature as module
from routewright.policies.choice import Flagged
from routewright.policies.openfeature import ENABLED_FLAG, POLICY_FLAG, SHARES_FLAG, OpenFeatureFlags
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.tenant import Tenant
from routewright.testing import FakeClock

SETTINGS = """
[policy]
classifier = "heuristic"
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 10_000
price = { input = "1", output = "2" }
[policies.second]
confidence_threshold = 0.9
[policies.third]
confidence_threshold = 0.8
[rollout]
shares = { second = 100 }
[flags]
provider = "openfeature:flag_providers:in_memory"
"""


def flags_of(provider: Any, clock: FakeClock | None = None) -> OpenFeatureFlags:
    return OpenFeatureFlags(provider, clock or FakeClock())


def memory(**flags: object) -> InMemoryProvider:
    names = {"enabled": ENABLED_FLAG, "policy": POLICY_FLAG, "shares": SHARES_FLAG}
    return InMemoryProvider({names[name]: flag(value) for name, value in flags.items()})


def test_what_flags_say_is_taken_and_what_they_do_not_say_stays() -> None:
    assert flags_of(memory()).of("s1", call()) == Flagged()
    assert flags_of(Raising()).of("s1", call()) == Flagged()
    said = flags_of(memory(enabled=False, policy="second", shares={"second": 12.5})).of("s1", call())
    assert said == Flagged(is_on=False, policy="second", shares={"second": 12.5})


def test_a_provider_is_told_who_asks_and_what() -> None:
    def by_team(flag: InMemoryFlag[str], context: Any) -> FlagResolutionDetails[str]:
        told.append((context.targeting_key, dict(context.attributes)))
        return FlagResolutionDetails("second" if context.attributes["team"] == "research" else "")

    told: list[tuple[str, dict[str, object]]] = []
    flags = flags_of(InMemoryProvider({POLICY_FLAG: InMemoryFlag("it", {"it": ""}, context_evaluator=by_team)}))
    tenant = Tenant(key="k1", team="research", tags=("a",))
    said = flags.of("s1", call(tenant=tenant, options=Options(tags=("b",))))
    assert said is not None
    assert said.policy == "second"
    assert told == [("s1", {"model": "auto", "key": "k1", "team": "research", "tags": ["a", "b"]})]
    assert flags.of("s1", call()) == Flagged()


@pytest.mark.parametrize(
    "said",
    [{"enabled": "no"}, {"policy": 7}, {"shares": ["second"]}, {"shares": {"second": 101}}, {"shares": {"a": "10"}}],
)
def test_flags_of_the_wrong_type_are_a_failure(said: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    assert flags_of(memory(**said)).of("s1", call()) is None
    assert "flags cannot be read, the base decides: ValueError" in caplog.text


def test_a_failure_is_told_once_in_a_while_and_the_provider_asked_on(caplog: pytest.LogCaptureFixture) -> None:
    provider, clock = Failing(), FakeClock()
    flags = flags_of(provider, clock)
    assert [flags.of("s1", call()) for _ in range(3)] == [None] * 3
    assert provider.asked == 3
    assert caplog.text.count("flags cannot be read") == 1
    clock.advance(module.TOLD_EVERY_S)
    assert flags.of("s1", call()) is None
    assert caplog.text.count("flags cannot be read") == 2


def test_one_that_takes_long_is_left_alone_for_a_while() -> None:
    class Slow(InMemoryProvider):
        def resolve_boolean_details(self, *arguments: Any) -> FlagResolutionDetails[bool]:
            clock.advance(1)
            return super().resolve_boolean_details(*arguments)

    clock = FakeClock()
    flags = flags_of(Slow({}), clock)
    assert flags.of("s1", call()) == Flagged()
    assert flags.of("s1", call()) is None
    clock.advance(module.REST_S)
    assert flags.of("s1", call()) == Flagged()


def test_one_that_does_not_start_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_S", 0.01)
    flags = flags_of(Late())
    assert flags.of("s1", call()) is None
    flags.close()
    monkeypatch.setattr(module, "START_AGAIN_S", 0.001)
    monkeypatch.setattr(module, "START_S", 5)
    provider = Late()
    assert flags_of(provider).of("s1", call()) == Flagged()
    assert provider.starts == 2


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("flag_providers:broken", "flag_providers:broken cannot be loaded: OSError: no such host"),
        ("flag_providers:nobody", "providers:nobody cannot be loaded: AttributeError"),
        ("nowhere_at_all:nobody", "nowhere_at_all:nobody cannot be loaded: ModuleNotFoundError"),
        ("builtins:dict", "builtins:dict makes no OpenFeature provider"),
    ],
)
def test_what_makes_no_provider_is_refused_with_the_settings(place: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        OpenFeatureFlags.load(f"openfeature:{place}", FakeClock())


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openfeature.provider", None)
    with pytest.raises(SettingsError) as caught:
        OpenFeatureFlags.load("openfeature:flag_providers:in_memory", FakeClock())
    assert caught.value.hint == "pip install 'routewright[flags]'"


@pytest.fixture
def flagged() -> Iterator[dict[str, InMemoryFlag[Any]]]:
    yield FLAGS
    FLAGS.clear()


async def policy_by(folder: Path, settings: str = SETTINGS, **options: str) -> tuple[str, int]:
    """The policy that a call gets, and how often the base stood in."""
    (folder / "routewright.toml").write_text(settings)
    source = SettingsSource(environ={"HOME": str(folder)}, cwd=folder)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    route = runtime.engine.route(call(options=Options(**options)))  # type: ignore[arg-type]
    fallbacks = runtime.engine.tally.policy_fallbacks.total()
    await runtime.close()
    return route.policy.partition("@")[0], fallbacks


async def test_flags_go_before_shares_and_a_named_policy_before_flags(
    tmp_path: Path, flagged: dict[str, InMemoryFlag[Any]]
) -> None:
    assert await policy_by(tmp_path) == ("second", 0)
    flagged[POLICY_FLAG] = flag("third")
    assert await policy_by(tmp_path) == ("third", 0)
    assert await policy_by(tmp_path, policy="second") == ("second", 0)
    flagged[POLICY_FLAG] = flag("default")
    assert await policy_by(tmp_path) == ("default", 0)
    flagged[ENABLED_FLAG] = flag(False)
    assert await policy_by(tmp_path, policy="second") == ("default", 0)


async def test_shares_of_a_flag_take_the_place_of_those_that_are_set(
    tmp_path: Path, flagged: dict[str, InMemoryFlag[Any]]
) -> None:
    flagged[SHARES_FLAG] = flag({"third": 100})
    assert await policy_by(tmp_path) == ("third", 0)


async def test_a_flag_that_names_no_policy_and_one_that_fails_leave_it_to_the_base_and_are_counted(
    tmp_path: Path, flagged: dict[str, InMemoryFlag[Any]]
) -> None:
    flagged[POLICY_FLAG] = flag("fourth")
    assert await policy_by(tmp_path) == ("default", 1)
    assert await policy_by(tmp_path, SETTINGS.replace("in_memory", "Failing")) == ("default", 1)


async def test_a_provider_is_kept_over_reloads_and_ended_with_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noting(InMemoryProvider):
        def __init__(self) -> None:
            super().__init__({})
            seen.append("made")

        def shutdown(self) -> None:
            seen.append("ended")

    seen: list[str] = []
    monkeypatch.setattr(flag_providers, "in_memory", Noting)
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    runtime.reload()
    assert seen == ["made"]
    (tmp_path / "routewright.toml").write_text(SETTINGS.partition("[flags]")[0])
    runtime.reload()
    assert seen == ["made", "ended"]
    await runtime.close()
