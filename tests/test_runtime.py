from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from builders import message
from routewright.call import Call
from routewright.errors import InvalidRequest, ModelNotFound, SettingsError, StoreUnavailable
from routewright.ids import uuid7
from routewright.ledger.ledger import OutcomeRecorded, Reserved, Settled, encode_event
from routewright.ledger.price_history import PriceHistory
from routewright.ledger.segments import encode_lines
from routewright.ledger.sqlite import SqliteDatabase
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
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


async def test_how_an_answer_turned_out_is_in_the_store_beside_what_it_took(runtime: Runtime) -> None:
    answer = await (await runtime.engine.ask(question())).read()
    runtime.engine.observe(answer.request_id, 0.25)
    runtime.engine.observe(answer.request_id, 1, model="acme/one", source="judge")
    await runtime.flush()
    told = runtime.store.outcomes(0)
    assert [(row.model, row.source, row.score) for row in told] == [("one", "feedback", 0.25), ("one", "judge", 1.0)]
    assert {row.cost_nanousd for row in told} == {answer.receipt.cost_nanousd}
    assert {row.output_tokens for row in told} == {answer.usage.output_total}
    assert [row.verdict for row in told] == [answer.route.verdict] * 2


@pytest.mark.parametrize(
    ("request_id", "score", "param"),
    [
        ("chosen-by-the-client", 1.0, "request_id"),
        (uuid7(1, Random(1)), 1.5, "score"),
        (uuid7(1, Random(1)), -0.1, "score"),
        (uuid7(1, Random(1)), float("nan"), "score"),
    ],
)
async def test_an_outcome_that_means_nothing_is_refused(
    runtime: Runtime, request_id: str, score: float, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        runtime.engine.observe(request_id, score)
    assert refused.value.param == param


async def test_an_outcome_of_a_model_that_nobody_knows_is_refused(runtime: Runtime) -> None:
    with pytest.raises(ModelNotFound):
        runtime.engine.observe(uuid7(1, Random()), 1, model="nobody")


async def test_an_outcome_survives_the_process_it_was_told_to(source: SettingsSource) -> None:
    first = Runtime.open(source, simulator=Simulator(time_scale=0))
    answer = await (await first.engine.ask(question())).read()
    await first.flush()
    await first.close()
    outcome = OutcomeRecorded(outcome_id="o1", request_id=answer.request_id, at_ns=1, source="feedback", score=0.5)
    slot = first.engine.settings.ledger.path / "journal/slot-0"
    (slot / f"{10**6:012d}.log").write_bytes(encode_lines([encode_event(outcome)]) * 2)
    second = Runtime.open(source)
    assert [(row.model, row.score) for row in second.store.outcomes(0)] == [("one", 0.5)]
    await second.close()


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


LISTED = """
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 1000
"""


def price_document(usd: int) -> bytes:
    row = {"input": usd * 10**6, "output": usd * 10**6}
    models = [{"id": "one", "standard": [[row]]}, {"id": "other", "standard": [[row]]}]
    return msgspec.json.encode(
        {"source": "list", "date": "2026-11-01", "providers": [{"id": "acme", "models": models}]}
    )


@pytest.fixture
def listed(tmp_path: Path) -> SettingsSource:
    """A model whose price is in a document beside the ledger."""
    (tmp_path / "routewright.toml").write_text(LISTED)
    folder = tmp_path / ".local/share/routewright"
    folder.mkdir(parents=True)
    (folder / "prices.json").write_bytes(price_document(1))
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


async def test_s12_prices_that_change_between_hold_and_end_leave_the_hold_and_its_end_at_the_old_ones(
    listed: SettingsSource, tmp_path: Path
) -> None:
    runtime = Runtime.open(listed, simulator=Simulator(time_scale=0))
    before = runtime.engine.registry.models["one"].price_version
    reply = await runtime.engine.ask(question())
    (tmp_path / ".local/share/routewright/prices.json").write_bytes(price_document(5))
    assert listed.has_changed()
    runtime.reload()
    after = runtime.engine.registry.models["one"].price_version
    answers = [await reply.read(), await (await runtime.engine.ask(question("Hello again"))).read()]
    await runtime.flush()
    for answer, version, usd in zip(answers, (before, after), (1, 5), strict=True):
        record = runtime.store.request(answer.request_id)
        assert record is not None
        (attempt,) = record.attempts
        assert attempt.hold is not None
        assert isinstance(attempt.close, Settled)
        assert (attempt.hold.price_version, attempt.close.price_version) == (version, version)
        assert attempt.close.cost_nanousd == answer.usage.total * usd * 1_000
    assert before != after
    await runtime.close()


async def test_every_price_version_that_an_entry_may_name_can_be_looked_up(
    listed: SettingsSource, tmp_path: Path
) -> None:
    runtime = Runtime.open(listed, simulator=Simulator(time_scale=0))
    first = runtime.engine.registry.models["one"].price_version
    (tmp_path / ".local/share/routewright/prices.json").write_bytes(price_document(5))
    runtime.reload()
    second = runtime.engine.registry.models["one"].price_version
    await runtime.close()
    database = SqliteDatabase(tmp_path / ".local/share/routewright/ledger.db")
    history = PriceHistory(database)
    for version, usd in ((first, 1), (second, 5)):
        found = history.lookup(version)
        assert found is not None
        assert (found.model, found.source) == ("one", "list")
        assert found.tariff.standard.prices[0].input == usd * 10**6
    database.close()


async def test_calls_go_on_when_the_price_versions_cannot_be_written_now(
    listed: SettingsSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(PriceHistory, "remember", refuse)
    runtime = Runtime.open(listed, simulator=Simulator(time_scale=0))
    assert "the prices in force are not in the ledger yet: locked" in caplog.text
    assert (await (await runtime.engine.ask(question())).read()).model == "one"
    await runtime.close()


async def test_a_price_document_with_a_mistake_leaves_the_last_good_prices_in_force(
    listed: SettingsSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime.open(listed, simulator=Simulator(time_scale=0))
    before = runtime.engine.registry.models["one"].price_version
    (tmp_path / ".local/share/routewright/prices.json").write_bytes(b"{")
    assert listed.has_changed()
    runtime.reload()
    assert runtime.engine.registry.models["one"].price_version == before
    assert "prices.json: the price document is damaged" in caplog.text
    await runtime.close()
