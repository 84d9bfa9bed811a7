import asyncio
import pickle
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from routewright.call import Options
from routewright.errors import ClusterUnusable, ModelNotFound
from routewright.jobs.job import Job
from routewright.jobs.lines import Question, call_of
from routewright.jobs.ray_actor import Answerer, Common, Posting, machine
from routewright.jobs.results import Answered
from routewright.jobs.store import JobStore
from routewright.reply import Receipt
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource


def source_in(folder: Path, **environ: str) -> SettingsSource:
    flags = {"policy.classifier": "heuristic"}
    return SettingsSource(environ={"HOME": str(folder), **environ}, cwd=folder, flags=flags, simulate=True)


@dataclass
class World:
    runtime: Runtime
    posting: Posting


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Whoever has a job, and what it tells its actors."""
    runtime = Runtime.open(source_in(tmp_path))
    job = Job(id="batch_1", created_at_ns=1, source="in", output="out", errors="err", fingerprint="f")
    job = JobStore(runtime.store.database).create(job)
    common = Common(catalog=runtime.engine.registry.version, machine=machine())
    yield World(runtime, Posting(source=source_in(tmp_path), job=job, common=common))
    await runtime.close()


def question(model: str = "auto") -> Question:
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return Question("1", "/v1/chat/completions", body)


def call(model: str = "auto", request_id: str = "request"):  # type: ignore[no-untyped-def]
    return call_of(question(model), request_id=request_id, options=Options())


async def test_an_answer_is_settled_once_whoever_asked_has_it(world: World) -> None:
    actor = Answerer()
    assert await actor.begin(world.posting) is None
    answered = await actor.answer(call(), 60)
    assert isinstance(answered, Answered)
    assert actor._runtime is not None
    await actor._runtime.flush()
    assert [hold.request_id for hold in world.runtime.store.open_holds()] == ["request"], "it is not settled yet"
    receipt = await actor.settle("request")
    assert isinstance(receipt, Receipt)
    assert receipt.cost_nanousd > 0
    assert await actor.settle("request") is None
    await actor.close()
    assert world.runtime.store.totals().cost_nanousd == receipt.cost_nanousd


async def test_a_failure_is_told_as_a_value(world: World) -> None:
    actor = Answerer()
    await actor.begin(world.posting)
    assert isinstance(await actor.answer(call("nobody"), 60), ModelNotFound)
    await actor.close()


async def test_an_answer_that_nobody_kept_is_closed_at_the_end(world: World) -> None:
    actor = Answerer()
    await actor.begin(world.posting)
    await actor.answer(call(), 60)
    await actor.close()
    assert world.runtime.store.open_holds() == []


async def test_a_file_is_the_ledger_of_one_machine(world: World) -> None:
    posting = replace(world.posting, common=replace(world.posting.common, machine="another"))
    error = await Answerer().begin(posting)
    assert isinstance(error, ClusterUnusable)
    assert (error.hint or "").endswith("in PostgreSQL: ledger.database_url")


async def test_an_actor_with_another_ledger_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    error = await Answerer().begin(replace(world.posting, source=source_in(tmp_path / "there")))
    assert isinstance(error, ClusterUnusable)
    assert "does not have batch_1" in error.message


async def test_an_actor_with_other_models_is_refused(world: World) -> None:
    error = await Answerer().begin(replace(world.posting, common=replace(world.posting.common, catalog="another")))
    assert isinstance(error, ClusterUnusable)
    assert "its models, their prices or who has a key differ" in error.message


async def test_closing_what_never_began_does_nothing() -> None:
    await asyncio.wait_for(Answerer().close(), 1)


def test_settings_that_go_elsewhere_take_no_secret_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read there, with the environment of there."""
    sent = pickle.dumps(source_in(tmp_path, OPENAI_API_KEY="made-up-secret"))
    assert b"made-up-secret" not in sent
    monkeypatch.setenv("HOME", str(tmp_path / "there"))
    settings, _ = pickle.loads(sent).load()  # noqa: S301 our own
    assert settings.ledger.path.is_relative_to(tmp_path / "there")
