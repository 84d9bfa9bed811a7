"""S01, S02, S03 through the whole engine: a full disk, a locked store, a disk that fails. Nothing is lost; it heals."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from builders import message
from routewright.call import Call
from routewright.errors import LedgerUnavailable, OperatorError
from routewright.ids import uuid7
from routewright.ledger.files import OS_FILES
from routewright.runtime import Runtime
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
context_window = 1000
price = { input = "1", output = "2" }
"""


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    yield runtime
    await runtime.close()


async def ask(runtime: Runtime) -> str:
    """The id of a request that was answered."""
    call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message("Hi"),), body={})
    await (await runtime.engine.ask(call)).read()
    return call.id


def refuse(code: int) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    return call


async def until_well(runtime: Runtime) -> None:
    """A thread of the journal's is waited for."""
    for _ in range(1000):
        if runtime.engine.health()["status"] == "ok":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never healed")


async def must_be_whole(runtime: Runtime, *answered: str) -> None:
    """Every request that was answered is in the store, and every hold is closed."""
    await runtime.flush()
    for request_id in answered:
        record = runtime.store.request(request_id)
        assert record is not None
        assert record.request is not None
        assert record.request.outcome == "complete"
    assert runtime.store.pending(set) == []


async def test_s01_a_full_disk_refuses_what_is_new_and_heals_itself(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await ask(runtime)
    with monkeypatch.context() as full:
        full.setattr(OS_FILES, "write", refuse(errno.ENOSPC))
        with pytest.raises(LedgerUnavailable, match="No space left") as refusal:
            await ask(runtime)
        assert (refusal.value.code, refusal.value.status) == ("ledger_unavailable", 503)
    await must_be_whole(runtime, before, await ask(runtime))


async def test_s01_an_answer_under_way_is_settled_while_the_disk_is_full(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message("Hi"),), body={})
    reply = await runtime.engine.ask(call)
    with monkeypatch.context() as full:
        full.setattr(OS_FILES, "write", refuse(errno.ENOSPC))
        await reply.read()
        await must_be_whole(runtime)
    await must_be_whole(runtime, call.id)


async def test_s02_a_locked_store_is_not_noticed_by_anyone(runtime: Runtime) -> None:
    with closing(apsw.Connection(str(runtime.engine.settings.ledger.path / "ledger.db"))) as backup:
        backup.execute("BEGIN IMMEDIATE")
        answered = [await ask(runtime) for _ in range(5)]
        with pytest.raises(LedgerUnavailable, match="did not take"):
            await asyncio.to_thread(runtime._journal.flush_blocking, 0.05)
        assert runtime.engine.health()["status"] == "ok"
        backup.execute("ROLLBACK")
    await must_be_whole(runtime, *answered)


async def test_s03_a_disk_that_fails_a_sync_is_told_and_healed(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = await ask(runtime)
    with monkeypatch.context() as failing:
        failing.setattr(OS_FILES, "sync", refuse(errno.EIO))
        for _ in range(3):
            with pytest.raises(LedgerUnavailable):
                await ask(runtime)
        health = runtime.engine.health()
    assert health["status"] == "degraded"
    assert health["ledger"] == "refuses: the journal's disk failed"
    await until_well(runtime)
    assert "goes on in a fresh segment" in caplog.text
    await must_be_whole(runtime, before, await ask(runtime))


async def test_a_second_process_on_the_same_ledger_has_a_slot_of_its_own(runtime: Runtime, tmp_path: Path) -> None:
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    other = Runtime.open(source, simulator=Simulator(time_scale=0))
    first, second = await ask(runtime), await ask(other)
    await other.close()
    await must_be_whole(runtime, first, second)


def write_in_the_way(folder: Path) -> None:
    (folder / "ledger.db").mkdir(parents=True)


def write_newer(folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(apsw.Connection(str(folder / "ledger.db"))) as newer:
        newer.pragma("journal_mode", "wal")
        newer.pragma("user_version", 9999)


def write_something_else(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "ledger.db").write_bytes(b"this is no database, but it is long enough to look" * 100)


def write_file_for_directory(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "journal").write_text("")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (write_in_the_way, "cannot open the ledger"),
        (write_newer, "written by a newer routewright"),
        (write_something_else, "not a database"),
        (write_file_for_directory, "cannot open the journal's"),
    ],
)
def test_s11_a_ledger_that_cannot_be_used_is_refused_at_the_start_and_left_as_it_is(
    tmp_path: Path, prepare: Callable[[Path], None], told: str
) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    folder = tmp_path / "ledger"
    prepare(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    environ = {"HOME": str(tmp_path), "ROUTEWRIGHT_LEDGER__PATH": str(folder)}
    with pytest.raises(OperatorError, match=told):
        Runtime.open(SettingsSource(environ=environ, cwd=tmp_path), simulator=Simulator(time_scale=0))
    assert before.items() <= {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}.items()
