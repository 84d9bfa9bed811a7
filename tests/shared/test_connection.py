import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from proxy import Toxics, proxy

from redises import RedisServer, be_patient, redis_server
from routewright.errors import RedisUnavailable, SettingsError
from routewright.secret import Secret
from routewright.shared import connection as shared
from routewright.shared.connection import Client, Connection

SHORT_S = shared.OPERATION_S


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "AGAIN_AFTER_S", 0.02)
    monkeypatch.setattr(shared, "CONNECT_S", 0.2)
    be_patient(monkeypatch)


def be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is outside of tests: from here on somebody is silent."""
    monkeypatch.setattr(shared, "OPERATION_S", SHORT_S)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    connection = Connection(Secret(f"redis://127.0.0.1:{port}/0"))
    following = asyncio.ensure_future(connection.follow())
    try:
        yield connection
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await connection.close()


async def until_open(connection: Connection, *, is_open: bool = True) -> None:
    async with asyncio.timeout(30):
        while (connection.trouble is None) is not is_open:  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)


async def count(client: Client) -> int:
    return int(await client.incr("n"))


async def refused(connection: Connection) -> float:
    """How long it takes to be refused, in seconds."""
    began = time.monotonic()
    with pytest.raises(RedisUnavailable):
        await connection.run(count)
    return time.monotonic() - began


async def refused_unasked(connection: Connection) -> None:
    """At once: nothing is even asked."""
    with pytest.raises(RedisUnavailable, match="left alone"):
        await connection.run(never)


async def never(client: Client) -> int:
    raise AssertionError("Redis was asked")


async def test_the_door_is_shut_until_redis_was_seen(server: RedisServer) -> None:
    async with connected(server.port) as connection:
        with pytest.raises(RedisUnavailable, match="not reached yet"):
            await connection.run(count)
        await until_open(connection)
        assert [await connection.run(count) for _ in range(3)] == [1, 2, 3]


async def test_s09_a_black_hole_is_waited_for_once_and_then_left_alone(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(server.port) as connection:
        await until_open(connection)
        await connection.run(count)
        server.freeze()
        be_short(monkeypatch)
        assert await refused(connection) > 0.04
        for _ in range(100):
            await refused_unasked(connection)
        assert connection.failures == 1
        server.thaw()
        be_patient(monkeypatch)
        await until_open(connection)
        assert await connection.run(count) >= 2


async def test_s09_one_that_refuses_and_comes_back_empty_is_used_again(server: RedisServer) -> None:
    async with connected(server.port) as connection:
        await until_open(connection)
        await asyncio.gather(*(connection.run(count) for _ in range(8)))
        server.kill()
        await refused(connection)
        await asyncio.sleep(0.1)
        assert connection.trouble is not None
        server.start()
        await until_open(connection)
        assert sorted(await asyncio.gather(*(connection.run(count) for _ in range(8)))) == list(range(1, 9))


async def test_s09_one_that_takes_five_seconds_is_left_alone(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(server.port, Toxics()) as slow, connected(slow.port) as connection:
        await until_open(connection)
        be_short(monkeypatch)
        slow.toxics = Toxics(latency_s=5)
        await slow.close()  # connections keep the toxics they began with
        await refused(connection)
        await asyncio.sleep(0.5)
        assert slow.connections >= 2
        await refused_unasked(connection)


async def test_s09_one_that_answers_but_not_in_time_is_not_let_in(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_short(monkeypatch)
    monkeypatch.setattr(shared, "CONNECT_S", 3.0)
    async with proxy(server.port, Toxics(latency_s=0.08)) as slow, connected(slow.port) as connection:
        async with asyncio.timeout(3):
            while "within 50 ms" not in str(connection.trouble):  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.005)
        assert connection.failures == 0


async def test_an_answer_that_comes_too_late_is_nobody_elses(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(server.port) as connection:
        await until_open(connection)
        be_short(monkeypatch)
        with pytest.raises(RedisUnavailable, match="within 50 ms"):
            await connection.run(lambda client: client.blpop(["nothing"], timeout=1))
        be_patient(monkeypatch)
        await until_open(connection)
        assert [await connection.run(count) for _ in range(3)] == [1, 2, 3]


async def test_what_redis_refuses_to_do_is_a_failure_like_others(server: RedisServer) -> None:
    async with connected(server.port) as connection:
        await until_open(connection)
        with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
            await connection.run(lambda client: client.eval("redis.call('SET', 'l', 1) redis.call('LPOP', 'l')", 0))


async def test_one_that_fails_again_and_again_is_tried_ever_more_rarely(server: RedisServer) -> None:
    async with connected(server.port) as connection:
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            with suppress(RedisUnavailable):
                await connection.run(lambda client: client.eval("return redis.error_reply('no')", 0))
            await asyncio.sleep(0.001)
        assert 2 <= connection.failures <= 5, "after 40, 80, 160, 320 ms"


@pytest.mark.parametrize("wrong", ["host:port/0", "host/0?socket_timeout=long", "host/0?such=none"])
def test_an_address_that_is_none_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"redis://ann:\*\*\*@host") as raised:
        Connection(Secret(f"redis://ann:very-secret@{wrong}"))
    assert "very-secret" not in str(raised.value)
