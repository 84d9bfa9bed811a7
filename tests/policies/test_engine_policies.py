"""Named policies in a running engine: who is answered by which, what is recorded, and what never fails a request."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest

from builders import call
from routewright.call import Call, Options
from routewright.errors import PolicyNotFound, SettingsError
from routewright.ids import uuid7
from routewright.runtime import Runtime
from routewright.settings.schema import Overlay
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

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
[models.two]
tier = "standard"
deployments = ["acme/two"]
context_window = 10_000
price = { input = "5", output = "10" }
"""
SECOND = """
[policies.second]
models = ["two"]
"""


class Desk:
    """A settings file, and a runtime that reads it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "routewright.toml"
        self.source = SettingsSource(environ={"HOME": str(folder)}, cwd=folder)
        self.runtime: Runtime | None = None

    def open(self, more: str = "") -> Runtime:
        self.file.write_text(SETTINGS + more)
        self.runtime = Runtime.open(self.source, simulator=Simulator(time_scale=0))
        return self.runtime


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., Runtime]]:
    desk = Desk(tmp_path)
    yield desk.open
    if desk.runtime is not None:
        await desk.runtime.close()


def asking(text: str = "Hello", **options: object) -> Call:
    return call(text, id=uuid7(1, Random()), options=Options(**options))  # type: ignore[arg-type]


def chosen(runtime: Runtime, asked: Call) -> tuple[str, str]:
    """The model, and the name of the policy."""
    route = runtime.engine.route(asked)
    return route.chosen.model, route.policy.partition("@")[0]


def counted(runtime: Runtime, requests: int = 400) -> Counter[tuple[str, str]]:
    return Counter(chosen(runtime, asking(f"question {number}")) for number in range(requests))


async def test_a_named_policy_decides_and_is_recorded_with_its_version(opened: Callable[..., Runtime]) -> None:
    runtime = opened(SECOND)
    reply = await runtime.engine.ask(asking(policy="second"))
    answer = await reply.read()
    assert answer.model == "two"
    assert reply.route.policy == runtime.engine.plan.policies["second"].applied.policy.version  # type: ignore[union-attr]
    await runtime.flush()
    record = runtime.store.request(reply.attempt.call.id)
    assert record is not None
    assert record.request is not None
    assert record.request.route is not None
    assert record.request.route.policy == reply.route.policy
    assert chosen(runtime, asking()) == ("one", "default")


async def test_without_other_policies_nothing_is_chosen(opened: Callable[..., Runtime]) -> None:
    runtime = opened()
    assert runtime.engine._snapshot.chooser is None
    assert chosen(runtime, asking(policy="default")) == ("one", "default")


async def test_a_policy_that_does_not_exist_is_refused_and_the_refusal_recorded(
    opened: Callable[..., Runtime],
) -> None:
    for more in ("", SECOND):
        runtime = opened(more)
        asked = asking(policy="third")
        with pytest.raises(PolicyNotFound, match="no policy 'third' can be used here"):
            await runtime.engine.ask(asked)
        await runtime.flush()
        record = runtime.store.request(asked.id)
        assert record is not None
        assert record.request is not None
        assert record.request.outcome == "policy_not_found"
        await runtime.close()


async def test_a_share_goes_to_its_policy_and_the_rest_to_the_base(opened: Callable[..., Runtime]) -> None:
    counts = counted(opened(SECOND + "[rollout.shares]\nsecond = 25"))
    assert counts.keys() == {("one", "default"), ("two", "second")}
    assert 70 <= counts["two", "second"] <= 130


async def test_the_kill_switch_leaves_the_base_alone_also_to_who_names_another(
    opened: Callable[..., Runtime],
) -> None:
    runtime = opened(SECOND + "[rollout]\nenabled = false\nshares = { second = 100 }")
    runtime.policies.store.apply("default", Overlay(models=("two",)), author="me")
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "default")
    assert chosen(runtime, asking(policy="second")) == ("one", "default")


async def test_the_switch_in_the_ledger_does_the_same_until_it_is_switched_on_again(
    opened: Callable[..., Runtime],
) -> None:
    runtime = opened(SECOND + "[rollout.shares]\nsecond = 100")
    assert chosen(runtime, asking()) == ("two", "second")
    runtime.policies.store.switch(on=False, author="me")
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "default")
    runtime.policies.store.switch(on=True, author="me")
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("two", "second")


async def test_a_version_in_the_ledger_takes_the_place_of_the_base_until_it_is_rolled_back(
    opened: Callable[..., Runtime],
) -> None:
    runtime = opened()
    before = runtime.engine.route(asking()).policy
    runtime.policies.store.apply("default", Overlay(models=("two",)), author="me")
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("two", "default")
    assert runtime.engine.route(asking()).policy != before
    runtime.policies.store.rollback("default", author="me")
    runtime.policies.refresh()
    assert runtime.engine.route(asking()).policy == before


async def test_a_version_in_the_ledger_goes_before_the_settings_of_the_same_name(
    opened: Callable[..., Runtime],
) -> None:
    runtime = opened(SECOND)
    runtime.policies.store.apply("second", Overlay(models=("one",)), author="me", share=100)
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "second")


async def test_what_the_ledger_says_is_in_force_from_the_start(tmp_path: Path) -> None:
    first = Desk(tmp_path).open()
    first.policies.store.apply("trial", Overlay(models=("two",)), author="me", share=100)
    await first.close()
    second = Desk(tmp_path).open()
    assert chosen(second, asking()) == ("two", "trial")
    await second.close()


async def test_a_policy_whose_models_are_gone_leaves_its_share_to_the_base(
    opened: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    runtime = opened()
    runtime.policies.store.apply("trial", Overlay(models=("gone",)), author="me", share=50)
    runtime.policies.refresh()
    assert counted(runtime, 40).keys() == {("one", "default")}
    assert runtime.engine.tally.policy_fallbacks["unusable"] > 0
    assert "policy trial: none of its models can be called: gone" in caplog.text
    runtime.policies.store.apply("default", Overlay(models=("gone",)), author="me")
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "default")


async def test_a_version_that_cannot_be_read_leaves_its_requests_to_the_base(
    opened: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    runtime = opened(SECOND)
    for name in ("second", "default"):
        runtime.policies.store.apply(name, Overlay(models=("two",)), author="me", share=100)
    with runtime.store.database.transaction() as transaction:
        transaction.execute("UPDATE policy_versions SET overlay = ?", '{"cascade": "agreement"}')
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "default")
    assert "version 1 cannot be read" in caplog.text
    with pytest.raises(PolicyNotFound):
        runtime.engine.route(asking(policy="second"))


async def test_shares_of_a_name_that_is_no_policy_go_to_the_base_and_are_told(
    opened: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    runtime = opened("[rollout.shares]\ntrail = 100")
    assert chosen(runtime, asking()) == ("one", "default")
    assert "no policy is called trail" in caplog.text


async def test_shares_of_the_settings_go_before_those_of_the_ledger(opened: Callable[..., Runtime]) -> None:
    runtime = opened(SECOND + "[rollout.shares]\nsecond = 0")
    runtime.policies.store.apply("second", Overlay(models=("two",)), author="me", share=100)
    runtime.policies.refresh()
    assert chosen(runtime, asking()) == ("one", "default")


async def test_lessons_and_new_settings_keep_the_policies(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    runtime = desk.open(SECOND)
    runtime.policies.store.apply("trial", Overlay(models=("two",)), author="me", share=100)
    runtime.policies.refresh()
    desk.file.write_text(SETTINGS + SECOND + "[rollout.shares]\nsecond = 50")
    runtime.reload()
    assert counted(runtime, 40).keys() == {("two", "second"), ("two", "trial")}
    await runtime.close()


async def test_a_conversation_keeps_its_policy(opened: Callable[..., Runtime]) -> None:
    runtime = opened(SECOND + "[rollout.shares]\nsecond = 50")
    for number in range(20):
        asked = call(f"turn {number}", session="s1", id=uuid7(1, Random()))
        assert chosen(runtime, asked) == chosen(runtime, call("another", session="s1", id=asked.id))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            '[policies.second]\nmodels = ["tow"]',
            'no model is called "tow" (routewright.toml:17:1) — did you mean "two"?',
        ),
        (
            "[policies.second]\nmin_qualtiy = 0.9",
            'unknown key "min_qualtiy" in [policies.second] (routewright.toml:17:1)',
        ),
        ("[policies.default]\nmin_quality = 0.9", "policies.default: this is the name of [policy] itself"),
        ("[rollout.shares]\na = 60\nb = 50", "rollout.shares: together they are 110 percent"),
        ("[rollout.shares]\ndefault = 60", "this is the base, which gets what the others leave"),
        ("[rollout.shares]\na = 101", "rollout.shares.a: 101 is not a number from 0 to 100"),
        ('[policies.second]\nfallbacks = { one = ["tow"] }', "policies.second.fallbacks.one: no model"),
        ('[policies.second]\ntiers = { one = "hard" }', 'policies.second.tiers.one: "hard" is not "complex"'),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, more: str, told: str) -> None:
    desk = Desk(tmp_path)
    desk.file.write_text(SETTINGS + more)
    with pytest.raises(SettingsError) as caught:
        desk.source.load()
    assert told in caught.value.message
