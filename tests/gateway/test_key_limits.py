"""What a key may ask for, and how much of it, through the whole gateway."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lobby import GOOD, Lobby, lobby


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


async def test_c15_a_model_that_is_not_allowed_and_one_that_does_not_exist_are_the_same(house: Lobby) -> None:
    key = house.key(models=["auto", "plain"]).text.reveal()
    for path in ("/v1/chat/completions", "/v1/route"):
        forbidden = await house.call("POST", path, {**GOOD, "model": "strong"}, key=key)
        unknown = await house.call("POST", path, {**GOOD, "model": "noting"}, key=key)
        assert (forbidden.status, forbidden.code) == (404, "model_not_found")
        assert forbidden.body.replace(b"strong", b"noting") == unknown.body
    forbidden = await house.call("GET", "/v1/models/strong", key=key)
    unknown = await house.call("GET", "/v1/models/noting", key=key)
    assert forbidden.body.replace(b"strong", b"noting") == unknown.body
    fields = {"request_id": "01981234-5678-7abc-8def-0123456789ab", "good": True}
    forbidden = await house.call("POST", "/v1/feedback", {**fields, "model": "strong"}, key=key)
    unknown = await house.call("POST", "/v1/feedback", {**fields, "model": "noting"}, key=key)
    assert (forbidden.status, forbidden.body.replace(b"strong", b"noting")) == (404, unknown.body)
    assert house.runtime.engine.tally.attempts == {}


async def test_a_key_judges_its_own_requests_and_its_teams_and_no_others(house: Lobby) -> None:
    own, mate, stranger = (house.key(team=team).text.reveal() for team in ("search", "search", "sales"))
    answered = await house.call("POST", "/v1/messages", GOOD, key=own)
    opinion = {"request_id": answered.headers["x-routewright-request-id"], "good": True}
    told = [await house.call("POST", "/v1/feedback", opinion, key=key) for key in (own, mate, stranger)]
    assert [each.status for each in told] == [202, 202, 404]
    assert told[2].code == "request_not_found"


async def test_a_list_of_models_has_only_what_the_key_may_ask_for(house: Lobby) -> None:
    async def listed(**fields: Any) -> set[str]:
        answered = await house.call("GET", "/v1/models", key=house.key(**fields).text.reveal())
        return {entry["id"] for entry in answered.json["data"]}

    assert "acme/strong" in await listed()
    assert await listed(models=["auto", "plain"]) == {"auto", "plain", "acme/plain", "quick"}
    assert await listed(models=["acme/swift"]) == {"acme/swift"}
    assert await listed(tiers=["bulk"], models=["swift", "quick"]) == {"quick"}


async def test_the_decision_shows_a_key_only_what_it_may_use(house: Lobby) -> None:
    key = house.key(models=["auto", "plain"]).text.reveal()
    answered = await house.call("POST", "/v1/route", GOOD, key=key)
    assert [candidate["model"] for candidate in answered.json["candidates"]] == ["plain"]
    assert b"strong" not in answered.body
    assert (await house.ask(key)).headers["x-routewright-model"] == "plain"
    refused = await house.ask(key, max_tokens=10_000_000)
    assert refused.status == 400
    assert b"strong" not in refused.body


async def test_a_tier_that_is_not_allowed_cannot_be_asked_for(house: Lobby) -> None:
    key = house.key(tiers=["bulk"]).text.reveal()
    refused = await house.ask(key, headers={"x-routewright-tier": "complex"})
    assert (refused.status, refused.code) == (404, "model_not_found")
    assert (await house.ask(key, headers={"x-routewright-tier": "bulk"})).json["model"] == "plain"


JUDGED = {"ROUTEWRIGHT_SECOND_OPINION__KIND": "judge", "ROUTEWRIGHT_POLICY__CONFIDENCE_THRESHOLD": "1"}


async def test_c15_no_second_opinion_is_asked_for_what_is_not_allowed(tmp_path: Path) -> None:
    async with lobby(tmp_path, environ=JUDGED) as house:
        forbidden, allowed = (
            house.key(models=["plain"]).text.reveal(),
            house.key(models=["auto", "swift"]).text.reveal(),
        )
        assert (await house.ask(forbidden)).code == "model_not_found"
        assert house.runtime.engine.tally.attempts == {}
        assert (await house.ask(allowed)).json["model"] == "swift"
        causes = {cause for _, cause, _ in house.runtime.engine.tally.attempts}
        assert causes == {"judge", "first"}  # whom to ask for an opinion is the operator's choice


async def test_answers_to_a_limited_key_tell_its_limits_and_a_refusal_when_to_come_back(house: Lobby) -> None:
    key = house.key(requests_per_minute=2, tokens_per_minute=1000).text.reveal()
    first = await house.ask(key)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "30s"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert 900 < int(first.headers["x-ratelimit-remaining-tokens"]) < 1000
    assert first.headers["x-ratelimit-reset-tokens"].endswith("s")
    streamed = await house.ask(key, stream=True)
    assert streamed.headers["x-ratelimit-remaining-requests"] == "0"
    refused = await house.ask(key)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("30", "30000")
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert refused.headers["x-should-retry"] == "true"
    house.clock.advance(30)
    assert (await house.ask(key)).status == 200


async def test_a_key_without_limits_is_told_none(house: Lobby) -> None:
    answered = await house.ask(house.key().text.reveal())
    assert not [name for name in answered.headers if name.startswith("x-ratelimit")]


async def test_a_refused_request_is_in_the_ledger(house: Lobby) -> None:
    key = house.key(requests_per_minute=1).text.reveal()
    for _ in range(2):
        await house.ask(key)
    await house.runtime.flush()
    assert {row.outcome for row in house.runtime.store.tail(5)} == {"rate_limited", "complete"}
