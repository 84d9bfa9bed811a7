from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from builders import message
from routewright.call import Call
from routewright.errors import SettingsError
from routewright.ids import uuid7
from routewright.ledger.ledger import Reserved, encode_event
from routewright.runtime import Runtime, SettingsSource
from routewright.simulator import Simulator
from routewright.testing import FakeClock

ONE = """
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 1000
price = { input = "1", output = "2" }
"""


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "routewright.toml").write_text(ONE)
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
async def runtime(source: SettingsSource) -> AsyncIterator[Runtime]:
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    yield runtime
    await runtime.close()


def question(text: str = "Hello") -> Call:
    return Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message(text),), body={})


async def test_a_change_of_the_settings_is_taken_over_whole(
    runtime: Runtime, source: SettingsSource, tmp_path: Path
) -> None:
    before = runtime.engine.registry.version
    (tmp_path / "routewright.toml").write_text(ONE.replace("models.one", "models.two"))
    assert source.has_changed()
    assert not source.has_changed(), "a change is told once"
    runtime.reload()
    assert "two" in runtime.engine.registry.models
    assert "one" not in runtime.engine.registry.models
    assert runtime.engine.registry.version != before
    assert (await (await runtime.engine.ask(question())).read()).model == "two"


async def test_k01_wrong_settings_leave_the_last_good_ones_in_force(
    runtime: Runtime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "routewright.toml").write_text(ONE + "\n[policy]\ntresholds = 1\n")
    runtime.reload()
    assert "one" in runtime.engine.registry.models
    assert 'unknown key "tresholds" in [policy] (routewright.toml:11:1)' in caplog.text
    assert runtime.engine.health()["settings"] != "in force"
    (tmp_path / "routewright.toml").write_text(ONE)
    runtime.reload()
    assert runtime.engine.health()["settings"] == "in force"


async def test_requests_in_flight_keep_the_settings_they_started_with(runtime: Runtime, tmp_path: Path) -> None:
    reply = await runtime.engine.ask(question())
    (tmp_path / "routewright.toml").write_text(ONE.replace("models.one", "models.two"))
    runtime.reload()
    assert (await reply.read()).model == "one"


async def test_what_was_answered_is_in_the_store(runtime: Runtime) -> None:
    answer = await (await runtime.engine.ask(question())).read()
    await runtime.flush()
    record = runtime.store.request(answer.request_id)
    assert record is not None
    assert runtime.store.totals().cost_nanousd == answer.receipt.cost_nanousd


async def test_a_hold_of_a_dead_process_is_settled_at_its_upper_bound(source: SettingsSource) -> None:
    first = Runtime.open(source)
    hold = Reserved(
        attempt_id="orphan", request_id="r", at_ns=0, boot="dead", model="one", deployment="acme/one",
        cause="first", amount_nanousd=77, price_version="v",
    )  # fmt: skip
    first.store.absorb([encode_event(hold)])
    await first.close()
    second = Runtime.open(source, clock=FakeClock())
    await second.flush()
    assert second.store.totals().cost_nanousd == 77
    assert not second.store.pending(lambda: set())
    await second.close()


def test_wrong_settings_do_not_start(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text("[polcy]\n")
    with pytest.raises(SettingsError, match="polcy"):
        Runtime.open(SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path))
