"""S10: gateways see different Redis, or one sees none. What a key gets too much is bounded; budgets are exact."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet, fleet
from lab import model
from proxy import Toxics

from redises import RedisServer, redis_server
from routewright.shared import board, connection

LIMIT = 12
"""Requests of the key in a minute; too few come back during a test to matter, but for one or two."""
REFILLED = 2


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    monkeypatch.setattr(connection, "AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr(board, "ALIVE_S", 0.4)
    with redis_server() as started:
        yield started


async def test_s10_one_that_is_cut_off_takes_its_share_and_no_more(tmp_path: Path, redis: RedisServer) -> None:
    async with fleet(tmp_path, redis.port, requests_per_minute=LIMIT) as them:
        first, second = them.gateways
        await second.lose(Toxics(timeout=True))
        await them.until(lambda: second.redis != "ok")
        assert first.redis == "ok"
        share = LIMIT // len(them.gateways)
        answered = await first.ask_all(), await second.ask_all()
        assert LIMIT <= answered[0] <= LIMIT + REFILLED
        assert share <= answered[1] <= share + REFILLED
        await second.lose(Toxics())
        await them.until(lambda: them.are_together)
        await them.audit()


async def test_s10_of_two_redis_each_gives_the_limit_once(tmp_path: Path, redis: RedisServer) -> None:
    with redis_server() as other:
        async with fleet(tmp_path, redis.port, requests_per_minute=LIMIT) as them:
            await part(them, other)
            assert [each.ask("ZCARD routewright:gateways") for each in (redis, other)] == [":1", ":1"]
            answered = sum([await each.ask_all() for each in them.gateways])
            share = LIMIT // len(them.gateways)
            assert LIMIT < answered <= LIMIT + len(them.gateways) * share + REFILLED
            second = them.gateways[1]
            second.link.target = redis.port
            await second.link.close()
            await them.until(lambda: them.are_together)
            assert [(await each.ask()).status for each in them.gateways] == [429, 429]
            await them.audit()


async def test_s10_a_budget_is_exact_whatever_redis_each_sees(tmp_path: Path, redis: RedisServer) -> None:
    """E6: what is spent stays within the limit, though each gateway is asked for more than all of it."""
    settings = '[spending]\nwhen_full = ["refuse"]\n\n[budgets.all]\nscope = "total"\nlimit_usd = "0.0002"\n'
    with redis_server() as other:
        short = model("short", max_output_tokens=20)
        async with fleet(tmp_path, redis.port, short, settings=settings, requests_per_minute=1_000) as them:
            await part(them, other)
            seen = await asyncio.gather(*(each.ask("short") for _ in range(8) for each in them.gateways))
            assert {answer.status for answer in seen} == {200, 402}
            await them.audit()
            spent = sum(line.cost_nanousd for line in (await them.gateways[0].lab.books()).bill)
            assert 50_000 < spent <= 200_000 < spent * 16 / sum(answer.status == 200 for answer in seen)


async def part(them: Fleet, other: RedisServer) -> None:
    """Have the second gateway see another Redis from now on."""
    second = them.gateways[1]
    second.link.target = other.port
    await second.link.close()
    await them.until(lambda: [each.gateways for each in them.gateways] == [1, 1])
