"""What every store of answers does, and what each does at its bounds and when it fails."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from redises import RedisServer, be_patient, redis_server
from routewright.cache.answers import Answers
from routewright.cache.aside import Aside
from routewright.cache.memory import MemoryAnswers
from routewright.cache.places import Place, Places
from routewright.cache.redis import RedisAnswers
from routewright.cache.sqlite import FILE, SqliteAnswers
from routewright.errors import SettingsError, StoreUnavailable
from routewright.secret import Secret
from routewright.shared.connection import Connection

SECOND_NS = 10**9
KINDS = ("memory", "sqlite", "redis")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@asynccontextmanager
async def connected(server: RedisServer) -> AsyncIterator[Connection]:
    connection = Connection(Secret(server.url))
    following = asyncio.ensure_future(connection.follow())
    try:
        async with asyncio.timeout(3):
            while connection.trouble is not None:  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.005)
        yield connection
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await connection.close()


@pytest.fixture(params=KINDS)
async def answers(
    request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Answers]:
    """An empty store with room for three entries of ten bytes each, where it has bounds of its own."""
    kept: Answers
    if request.param == "redis":
        server.ask("FLUSHALL")
        be_patient(monkeypatch)
        async with connected(server) as connection:
            kept = RedisAnswers(connection)
            yield kept
            await kept.close()
        return
    if request.param == "memory":
        kept = MemoryAnswers(max_entries=3, max_bytes=30)
    else:
        kept = Aside(SqliteAnswers(tmp_path / FILE, max_entries=3, max_bytes=30))
    yield kept
    await kept.close()


async def keep(answers: Answers, key: bytes, kept: bytes, *, seconds: float = 60, now_ns: int = 0) -> None:
    """Keep it, and wait until it can be there."""
    answers.keep(key, kept, until_ns=now_ns + round(seconds * SECOND_NS), now_ns=now_ns)
    if isinstance(answers, RedisAnswers):
        await answers.close()


async def test_what_was_kept_is_found_and_nothing_else(answers: Answers) -> None:
    key = bytes(range(32))
    assert await answers.find(key, 0) is None
    await keep(answers, key, b"\x00\xff\n")
    assert await answers.find(key, 0) == b"\x00\xff\n"
    assert await answers.find(key[:31], 0) is None
    assert await answers.find(bytes(32), 0) is None


async def test_the_newest_counts(answers: Answers) -> None:
    await keep(answers, b"a", b"old")
    await keep(answers, b"a", b"new")
    assert await answers.find(b"a", 0) == b"new"


async def test_what_is_over_is_not_found(answers: Answers) -> None:
    await keep(answers, b"a", b"x", seconds=0.03)
    if isinstance(answers, RedisAnswers):
        await asyncio.sleep(0.05)  # it has a clock of its own
    assert await answers.find(b"a", SECOND_NS) is None


async def test_what_is_over_already_is_not_kept(answers: Answers) -> None:
    await keep(answers, b"a", b"x", seconds=0)
    assert await answers.find(b"a", 0) is None


@pytest.mark.parametrize("answers", ["memory", "sqlite"], indirect=True)
async def test_the_first_make_room_for_the_last(answers: Answers) -> None:
    names = [bytes([name]) for name in range(20)]
    for name in names:
        await keep(answers, name, b"x")
    found = [name for name in names if await answers.find(name, 0)]
    assert 0 < len(found) <= 3
    assert found == names[-len(found) :]


@pytest.mark.parametrize("answers", ["memory", "sqlite"], indirect=True)
async def test_all_together_have_a_bound_in_bytes(answers: Answers) -> None:
    await keep(answers, b"a", b"x" * 20)
    await keep(answers, b"b", b"x" * 20)
    assert await answers.find(b"a", 0) is None
    assert await answers.find(b"b", 0) is not None
    await keep(answers, b"c", b"x" * 31)
    assert await answers.find(b"c", 0) is None


# ---- the file -------------------------------------------------------------------------------------------------------


def opened(folder: Path) -> SqliteAnswers:
    return SqliteAnswers(folder / FILE, max_entries=100, max_bytes=10_000)


def test_a_file_outlives_its_process_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = opened(tmp_path / "new")
    first.keep(b"a", b"x", until_ns=9, now_ns=0)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    first.close()
    assert modes == {0o600}
    assert opened(tmp_path / "new").find(b"a", 0) == b"x"


def test_two_processes_use_one_file(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.keep(b"a", b"x", until_ns=9, now_ns=0)
    other.keep(b"b", b"y", until_ns=9, now_ns=0)
    assert (other.find(b"a", 0), one.find(b"b", 0)) == (b"x", b"y")


def test_a_file_that_is_locked_is_not_waited_for(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep(b"a", b"x", until_ns=9, now_ns=0)
    other = apsw.Connection(str(tmp_path / FILE))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        store.keep(b"b", b"y", until_ns=9, now_ns=0)
    assert store.find(b"a", 0) == b"x"
    other.execute("ROLLBACK")
    store.keep(b"b", b"y", until_ns=9, now_ns=0)


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 1000)
    store = opened(tmp_path)
    with pytest.raises(StoreUnavailable):
        store.find(b"a", 0)
    store.keep(b"a", b"x", until_ns=9, now_ns=0)
    assert store.find(b"a", 0) == b"x"


def test_a_file_of_another_version_is_emptied(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep(b"a", b"x", until_ns=9, now_ns=0)
    store.close()
    apsw.Connection(str(tmp_path / FILE)).pragma("user_version", 99)
    assert opened(tmp_path).find(b"a", 0) is None


# ---- Redis ----------------------------------------------------------------------------------------------------------


async def test_without_redis_there_is_nothing_and_nobody_fails() -> None:
    with redis_server() as server:
        async with connected(server) as connection:
            answers = RedisAnswers(connection)
            await keep(answers, b"a", b"x")
            server.kill()
            assert await answers.find(b"a", 0) is None
            await keep(answers, b"b", b"y")
            assert connection.trouble is not None


async def test_a_redis_that_does_not_answer_costs_fifty_milliseconds_once() -> None:
    with redis_server() as server:
        async with connected(server) as connection:
            answers = RedisAnswers(connection)
            await keep(answers, b"a", b"x")
            server.freeze()
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert [await answers.find(b"a", 0) for _ in range(20)] == [None] * 20
            assert loop.time() - began < 0.5
            server.thaw()


# ---- which ----------------------------------------------------------------------------------------------------------


async def test_a_place_is_opened_once_and_left_for_another(tmp_path: Path) -> None:
    places = Places()
    memory = Place(store="memory", folder=tmp_path, max_entries=9, max_bytes=9)
    file = Place(store="sqlite", folder=tmp_path, max_entries=9, max_bytes=9)
    assert places.at(memory) is places.at(memory)
    left = places.at(file)
    assert isinstance(left, Aside)
    assert await left.find(b"a", 0) is None  # its thread runs
    larger = places.at(replace(file, max_entries=10))
    assert larger is not left
    del left
    async with asyncio.timeout(3):
        while len(_threads()) > 0:  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)
    with pytest.raises(SettingsError, match="when this process began"):
        places.at(replace(file, store="redis"))
    await places.close()


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("routewright-cache")]
