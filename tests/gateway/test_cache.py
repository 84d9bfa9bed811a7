"""The response cache through the gateway's door: who gets which answer, and what they are told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lobby import Answered, Lobby, lobby
from redises import RedisServer, be_patient, redis_server
from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed
from routewright.simulator import Simulator
from routewright.transport import WireResponse

ALL = '[cache]\nroutes = ["all"]\n'
PLAIN = {"model": "plain"}


async def ask(house: Lobby, key: str | None = None, **fields: Any) -> Answered:
    """A question with room for all of its answer: one that is cut off is not kept."""
    return await house.ask(key, **{"max_tokens": 2_000, **fields})


def states(*answers: Answered) -> list[str | None]:
    """What each was told of the cache."""
    assert {answer.status for answer in answers} == {200}
    return [answer.headers.get("x-routewright-cache") for answer in answers]


def made(house: Lobby) -> int:
    """How many attempts went out."""
    return sum(house.runtime.engine.tally.attempts.values())


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_question_again_gets_the_same_answer_and_costs_nothing(tmp_path: Path, stream: bool) -> None:
    about: dict[str, Any] = {"stream": stream, "stream_options": {"include_usage": True}} if stream else {}
    async with lobby(tmp_path, ALL) as house:
        first = await ask(house, **about)
        house.clock.advance(90)
        again = await ask(house, **about, user="somebody else")
        assert states(first, again) == ["miss", "hit"]
        assert (again.headers["age"], again.headers["x-routewright-attempts"]) == ("90", "0")
        if stream:
            assert again.body.partition(b'"usage":{')[0] == first.body.partition(b'"usage":{')[0]
            assert b'"cost":0}' in again.body
            assert again.body.endswith(b"data: [DONE]\n\n")
        else:
            assert again.body == first.body
            assert float(again.headers["x-routewright-cost-usd"]) == 0
            assert again.headers["x-routewright-baseline-cost-usd"] == first.headers["x-routewright-baseline-cost-usd"]
        assert made(house) == 1


async def test_without_settings_nothing_is_kept_and_nothing_said(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        assert states(await ask(house), await ask(house)) == [None, None]
        assert made(house) == 2


@pytest.mark.parametrize(
    "off",
    [
        {"headers": {"x-routewright-cache": "off"}},
        {"routewright": {"cache": "off"}},
        {"headers": {"x-routewright-no-log": "1"}},
    ],
)
async def test_a_request_may_do_without(tmp_path: Path, off: dict[str, Any]) -> None:
    async with lobby(tmp_path, ALL) as house:
        assert states(await ask(house, **off), await ask(house), await ask(house, **off)) == [None, "miss", None]
        on = {"x-routewright-cache": "on"}
        assert states(await ask(house, headers=on)) == ["hit"]


async def test_no_request_may_ask_for_more_than_the_settings_allow(tmp_path: Path) -> None:
    async with lobby(tmp_path, '[cache]\nroutes = ["strong"]\n') as house:
        on = {"x-routewright-cache": "on"}
        assert states(await ask(house, **PLAIN, headers=on), await ask(house, **PLAIN, headers=on)) == [None, None]
        refused = await ask(house, headers={"x-routewright-cache": "perhaps"})
        assert (refused.status, refused.code) == (400, "invalid_request")


async def test_x10_a_shared_answer_goes_only_to_who_may_use_its_model(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL + "shared = true\n") as house:
        rich, poor = house.key("rich"), house.key("poor", models=["plain"])
        dear = {"model": "strong"}
        first = await ask(house, rich.text.reveal(), **dear)
        assert states(first, await ask(house, house.key("third").text.reveal(), **dear)) == ["miss", "hit"]
        refused = await ask(house, poor.text.reveal(), **dear)
        assert (refused.status, refused.code) == (404, "model_not_found")


async def test_one_key_may_have_it_alone(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        one, other = house.key("one"), house.key("other")
        engine = house.runtime.engine
        cache = replace(engine.settings.cache, keys=(one.key.id,))
        engine.adopt(replace(engine.settings, cache=cache), engine.registry)
        asked = [await ask(house, key.text.reveal()) for key in (one, other, one, other)]
        assert states(*asked) == ["miss", None, "hit", None]


async def test_monitoring_sees_how_often_it_helps(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL) as house:
        for _ in range(3):
            await ask(house)
        lines = (await house.call("GET", "/metrics")).body.decode().splitlines()
        assert [line for line in lines if line.startswith("routewright_cache_requests_total")] == [
            'routewright_cache_requests_total{state="miss"} 1',
            'routewright_cache_requests_total{state="hit"} 2',
        ]


async def test_a_hit_counts_against_the_limits_of_its_key(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL) as house:
        key = house.key(requests_per_minute=2).text.reveal()
        assert states(await ask(house, key), await ask(house, key)) == ["miss", "hit"]
        assert (await ask(house, key)).status == 429


async def test_a_hit_needs_no_room_in_any_budget(tmp_path: Path) -> None:
    budget = '[budgets.tiny]\nscope = "total"\nlimit_usd = 0.0006\n[spending]\nwhen_full = ["refuse"]\n'
    async with lobby(tmp_path, ALL + budget) as house:
        assert states(await ask(house, **PLAIN)) == ["miss"]
        assert (await ask(house, **PLAIN, n=9)).status == 402
        assert states(await ask(house, **PLAIN)) == ["hit"]


async def test_an_outage_is_bridged_by_an_older_answer_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(simulator: Simulator, request: WireRequest, *, connect_timeout_s: float) -> WireResponse:
        raise ConnectFailed("nobody there")

    async with lobby(tmp_path, ALL + "ttl_s = 60\nstale_if_error_s = 600\n") as house:
        fresh = await ask(house)
        house.clock.advance(100)
        monkeypatch.setattr(Simulator, "send", refuse)
        old = await ask(house)
        assert states(fresh, old) == ["miss", "stale"]
        assert (old.body, old.headers["age"]) == (fresh.body, "100")
        other = await ask(house, temperature=0.5)
        assert (other.status, other.code) == (502, "all_attempts_failed")
        house.clock.advance(560)
        assert (await ask(house)).status != 200


async def test_what_was_kept_outlives_a_reload_of_the_settings(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL) as house:
        await ask(house)
        house.runtime.reload()
        assert states(await ask(house)) == ["hit"]


async def test_in_a_file_it_outlives_the_process(tmp_path: Path) -> None:
    for state in ("miss", "hit"):
        async with lobby(tmp_path, ALL + 'store = "sqlite"\n') as house:
            assert states(await ask(house)) == [state]


@asynccontextmanager
async def sharing(folder: Path, server: RedisServer) -> AsyncIterator[Lobby]:
    """A gateway that keeps answers in Redis, once it has reached it."""
    folder.mkdir()  # noqa: ASYNC240 a moment, in a test
    settings = f'{ALL}store = "redis"\n[redis]\nurl = "{server.url}"\n'
    async with lobby(folder, settings) as house:
        following = asyncio.ensure_future(house.runtime.follow_redis())
        try:
            async with asyncio.timeout(3):
                while house.runtime.redis is None or house.runtime.redis.trouble is not None:  # noqa: ASYNC110 nobody tells
                    await asyncio.sleep(0.005)
            yield house
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def test_in_redis_gateways_share_it_and_none_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    with redis_server() as server:
        async with sharing(tmp_path / "one", server) as one:
            assert states(await ask(one)) == ["miss"]
        async with sharing(tmp_path / "other", server) as other:
            assert states(await ask(other)) == ["hit"]
            server.kill()
            assert states(await ask(other), await ask(other)) == ["miss", "miss"]


async def test_no_word_of_an_answer_is_in_the_ledger(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL + 'store = "sqlite"\n') as house:
        answer = await ask(house, messages=[{"role": "user", "content": "Say xylophone"}])
        await ask(house, messages=[{"role": "user", "content": "Say xylophone"}])
        await house.runtime.flush()
        said = answer.json["choices"][0]["message"]["content"].encode()
        folder = house.runtime.engine.settings.ledger.path
    found = {path.name for path in folder.rglob("*") if path.is_file() and said in path.read_bytes()}
    assert found == {"cache.db"}


async def test_feedback_on_a_kept_answer_is_about_the_model_that_gave_it(tmp_path: Path) -> None:
    async with lobby(tmp_path, ALL) as house:
        await ask(house)
        again = await ask(house)
        rated = {"request_id": again.headers["x-routewright-request-id"], "score": 1}
        assert (await house.call("POST", "/v1/feedback", rated)).status == 202
