"""One suite over the board in Redis, and over the one in memory that other tests use in its place."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest

from boards import MemoryBoard, Place
from redises import RedisServer, be_patient, redis_server
from routewright.layers.hearsay import Finding, News
from routewright.layers.key_quota import Take
from routewright.secret import Secret
from routewright.shared import board as shared
from routewright.shared.board import Board, RedisBoard, Told
from routewright.shared.connection import Client, Connection
from routewright.testing import FakeClock

NewBoard = Callable[[], Board]
RESTS = Finding(News.RESTS, 1, 5.0, "it failed 5 times in a row")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@pytest.fixture
async def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    be_patient(monkeypatch)
    server.ask("FLUSHALL")
    connection = Connection(Secret(server.url))
    following = asyncio.ensure_future(connection.follow())
    while connection.trouble:  # noqa: ASYNC110 nobody tells
        await asyncio.sleep(0.005)
    yield connection
    following.cancel()
    await connection.close()


@pytest.fixture(params=["memory", "redis"])
def new_board(request: pytest.FixtureRequest, redis: Connection) -> NewBoard:
    """A gateway named 1, 2, … at each call, over one place."""
    numbers, place = count(1), Place(FakeClock())
    if request.param == "memory":
        return lambda: MemoryBoard(place, str(next(numbers)))
    return lambda: RedisBoard(redis, str(next(numbers)))


def take(amount: float, *, key: str = "k", limit: int = 60) -> Take:
    return Take(key, "requests", limit, amount)


async def test_gateways_are_counted(new_board: NewBoard) -> None:
    boards = [new_board() for _ in range(3)]
    for _ in range(2):
        heard = [await board.exchange(Told()) for board in boards]
    assert [each.gateways for each in heard] == [3, 3, 3]


async def test_what_is_taken_is_added_up_by_key_and_kind(new_board: NewBoard) -> None:
    one, other = new_board(), new_board()
    await one.exchange(Told(takes=[take(5), Take("k", "tokens", 1000, 700)]))
    heard = await other.exchange(Told(takes=[take(2), take(1, key="another"), Take("k", "tokens", 1000, -100)]))
    assert heard.used == pytest.approx([7, 1, 600], abs=1)
    assert (await one.exchange(Told(takes=[take(-100)]))).used == [0]


async def test_findings_are_told_to_the_others_for_as_long_as_they_hold(new_board: NewBoard) -> None:
    one, other = new_board(), new_board()
    cools = Finding(News.COOLS, 3, 0.0)
    told = Told(findings=[("acme/swift 12", RESTS), ("acme/swift 12", cools)])
    assert (await one.exchange(told)).rumours == []
    (rumour,) = (await other.exchange(Told())).rumours
    assert (rumour.by, rumour.circuit) == ("1", "acme/swift 12")
    assert (rumour.finding.news, rumour.finding.number, rumour.finding.why) == (News.RESTS, 1, RESTS.why)
    assert 4 < rumour.finding.lasts_s <= 5


async def test_a_turn_is_one_gateways_until_a_round_ends_it(new_board: NewBoard) -> None:
    one, other = new_board(), new_board()
    assert await one.take_turn("a")
    assert await one.take_turn("a")
    assert not await other.take_turn("a")
    assert await other.take_turn("b")
    await one.exchange(Told(probing=frozenset({"a"})))
    await other.exchange(Told())
    assert not await other.take_turn("a")
    assert await one.take_turn("b")
    await one.exchange(Told())
    assert await other.take_turn("a")


async def test_a_bucket_refills_by_the_clock_of_redis_and_is_forgotten_when_full(
    redis: Connection, server: RedisServer
) -> None:
    board = RedisBoard(redis, "1")
    await board.exchange(Told(takes=[take(6, limit=6000)]))  # a hundred a second
    await asyncio.sleep(0.03)
    (left,) = (await board.exchange(Told(takes=[take(0, limit=6000)]))).used
    assert 0 < left < 3.1
    assert 60 <= int(server.ask("TTL routewright:used:requests:k")[1:]) <= 61


async def test_the_turn_of_a_dead_gateway_ends(redis: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "TURN_S", 0.03)
    dead, alive = RedisBoard(redis, "1"), RedisBoard(redis, "2")
    assert await dead.take_turn("a")
    assert not await alive.take_turn("a")
    await asyncio.sleep(0.04)
    assert await alive.take_turn("a")


async def test_a_dead_gateway_is_not_counted_for_long(redis: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "ALIVE_S", 0.03)
    await RedisBoard(redis, "dead").exchange(Told())
    await asyncio.sleep(0.04)
    assert (await RedisBoard(redis, "alive").exchange(Told())).gateways == 1


async def test_what_is_over_is_cleared_away(redis: Connection, server: RedisServer) -> None:
    board = RedisBoard(redis, "1")
    await board.exchange(Told(findings=[("a", Finding(News.COOLS, 1, 0.01))]))
    await asyncio.sleep(0.02)
    await board.exchange(Told())
    assert server.ask("HLEN routewright:findings") == ":0"


@pytest.mark.parametrize(
    ("wrong", "is_believed"),
    [
        ('"news": "cools"', True),
        ('"news": "dances"', False),
        ('"ends_at": 9e9', False),
        ('"why": "\\u001b[31m"', False),
        ('"number": "many"', False),
    ],
)
async def test_what_others_wrote_is_believed_as_little_as_possible(
    redis: Connection, wrong: str, is_believed: bool
) -> None:
    ends_at = time.time() + 100
    row = f'{{"by": "2", "circuit": "a", "news": "rests", "number": 1, "why": "", "ends_at": {ends_at}, {wrong}}}'

    async def write(client: Client) -> object:
        return await client.eval("return redis.call('HSET', 'routewright:findings', 'x', ARGV[1])", 0, row)

    await redis.run(write)
    await RedisBoard(redis, "3").exchange(Told(findings=[("a", RESTS)]))
    rumours = (await RedisBoard(redis, "1").exchange(Told())).rumours
    assert {each.by for each in rumours} == ({"2", "3"} if is_believed else {"3"})
