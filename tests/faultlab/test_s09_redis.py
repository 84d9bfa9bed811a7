"""S09: Redis refuses, is a black hole, takes 5 s, comes back empty. Nobody waits, nobody fails, and it is used again.

How long requests wait on gateways in processes of their own is a figure (F13): see `redis_loss`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
from faulty_upstream import Exchange
from fleet import Fleet, Replica, fleet
from lab import model
from proxy import Toxics
from redis_loss import measure

from redises import RedisServer, redis_server
from routewright.layers.circuit import FAILURES_IN_A_ROW
from routewright.shared import connection

Injury = Callable[[RedisServer, Fleet], Awaitable[None]]
MINUTE = 100_000
"""Requests of a key: more than are asked, so that all of them are counted and none refused."""


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    monkeypatch.setattr(connection, "AGAIN_AFTER_S", 0.05)
    with redis_server() as started:
        yield started


async def black_hole(server: RedisServer, _: Fleet) -> None:
    server.freeze()


async def refused(server: RedisServer, _: Fleet) -> None:
    server.kill()


async def slow(_: RedisServer, them: Fleet) -> None:
    for each in them.gateways:
        await each.lose(Toxics(latency_s=5))


async def restarted_empty(server: RedisServer, _: Fleet) -> None:
    server.kill()
    server.start()


async def thaw(server: RedisServer, _: Fleet) -> None:
    server.thaw()


async def restart(server: RedisServer, _: Fleet) -> None:
    server.start()


async def mend(_: RedisServer, them: Fleet) -> None:
    for each in them.gateways:
        await each.lose(Toxics())


async def ask(them: Fleet, times: int) -> float:
    """Ask all of them, and see that all is answered; the median of how long it took, in seconds.

    If each waited for Redis, it would show in that; what a few take is for a figure: here the provider, two gateways
    and their clients share a process.
    """
    seen = [await each.ask() for _ in range(times) for each in them.gateways]
    assert {(answer.status, answer.is_complete) for answer in seen} == {(200, True)}
    return median(answer.seconds for answer in seen)


@pytest.mark.parametrize(("injure", "heal"), [(black_hole, thaw), (refused, restart), (slow, mend)])
async def test_s09_requests_go_on_as_if_redis_were_not_there(
    tmp_path: Path, redis: RedisServer, injure: Injury, heal: Injury
) -> None:
    async with fleet(tmp_path, redis.port, requests_per_minute=MINUTE) as them:
        usual_s = await ask(them, 25)
        await injure(redis, them)
        during_s = await ask(them, 50)
        await them.until(lambda: not any(each.redis == "ok" for each in them.gateways))
        during_s = max(during_s, await ask(them, 50))
        assert during_s - usual_s < 0.05
        assert all(each.redis.startswith("not reached") for each in them.gateways)
        assert all(each.lab.runtime.engine.health()["status"] == "ok" for each in them.gateways)
        await heal(redis, them)
        await them.until(lambda: them.are_together)
        await ask(them, 5)
        await them.audit()


async def test_s09_one_that_comes_back_empty_knows_all_again_within_a_round(tmp_path: Path, redis: RedisServer) -> None:
    async with fleet(tmp_path, redis.port, requests_per_minute=MINUTE) as them:
        await ask(them, 5)
        await restarted_empty(redis, them)
        assert redis.ask("DBSIZE") in (":0", ":1")
        await ask(them, 20)
        await them.until(lambda: them.are_together)
        await ask(them, 1)
        await asyncio.sleep(0.25)
        assert redis.ask("ZCARD routewright:gateways") == ":2"
        await them.audit()


async def test_s09_together_a_minutes_requests_are_counted_once(tmp_path: Path, redis: RedisServer) -> None:
    async with fleet(tmp_path, redis.port, requests_per_minute=12) as them:
        first, second = them.gateways
        assert await first.ask_all() >= 12
        await asyncio.sleep(0.25)  # a round or two
        assert (await second.ask()).status == 200, "it hears of a key when it is asked by it"
        await asyncio.sleep(0.25)
        assert (await second.ask()).status == 429


async def test_s09_alone_each_takes_its_share_of_a_minutes_requests(tmp_path: Path, redis: RedisServer) -> None:
    async with fleet(tmp_path, redis.port, requests_per_minute=12) as them:
        redis.freeze()
        await them.until(lambda: not any(each.redis == "ok" for each in them.gateways))
        assert [await each.ask_all() for each in them.gateways] == [6, 6]


async def test_s09_a_pause_that_one_was_asked_for_is_kept_by_the_other(tmp_path: Path, redis: RedisServer) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.refuse(429, "retry-after: 30", kind="rate_limit_error")

    async with fleet(tmp_path, redis.port, model("busy", fallbacks=["ok"]), faults={"busy": busy}) as them:
        first, second = them.gateways
        assert (await first.ask("busy")).headers["x-routewright-model"] == "ok"
        assert await them.until(lambda: _rests(second, "cooling down")) < 1
        assert (await second.ask("busy")).headers["x-routewright-model"] == "ok"
        assert (first.lab.upstream.reached("busy"), second.lab.upstream.reached("busy")) == (1, 0)
        await them.audit()


async def test_s09_a_circuit_that_one_opened_rests_at_the_other_and_is_probed_by_one(
    tmp_path: Path, redis: RedisServer
) -> None:
    is_back = asyncio.Event()

    async def sick(exchange: Exchange) -> None:
        if is_back.is_set():
            await asyncio.sleep(0.2)
            await exchange.answer_well()
        else:
            await exchange.refuse(500)

    async with fleet(tmp_path, redis.port, model("sick", fallbacks=["ok"]), faults={"sick": sick}) as them:
        first, second = them.gateways
        while first.lab.upstream.reached("sick") < FAILURES_IN_A_ROW:
            await first.ask("sick")
        assert await them.until(lambda: _rests(second, "as another gateway met")) < 1
        is_back.set()
        await them.until(lambda: not _rests(first, "") and not _rests(second, ""))
        before = first.lab.upstream.reached("sick")
        await asyncio.gather(*(each.ask("sick") for each in them.gateways))
        probes = first.lab.upstream.reached("sick") - before + second.lab.upstream.reached("sick")
        assert probes == 1, "one of them, and the other's call went elsewhere"
        await them.audit(most_attempts=FAILURES_IN_A_ROW * 2)


def _rests(replica: Replica, why: str) -> bool:
    engine = replica.lab.runtime.engine
    return any(why in told for told in engine._assembly.circuits.resting(engine._clock.monotonic()).values())


def test_s09_f13_gateways_in_processes_of_their_own_do_not_wait_either(tmp_path: Path) -> None:
    loss = measure(tmp_path, changes=1, seconds=0.5)
    assert loss.was_noticed
    assert loss.errors == 0
    assert loss.requests > 50
