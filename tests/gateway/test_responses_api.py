"""`/v1/responses`: one conversation over several providers, what is kept of it, and for whom."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lobby import Answered, Lobby, lobby
from routewright.dialects.sse import Splitter
from routewright.gateway.responses_kept import KEPT_FOR_S

SETTINGS = """
[providers.items]
base_url = "simulator:"
dialect = "openai_responses"
[models.thinker]
tier = "complex"
deployments = ["items/thinker"]
context_window = 100_000
capabilities = ["tools", "reasoning"]
price = { input = "1", output = "2" }
[models.talker]
tier = "standard"
deployments = ["acme/talker"]
context_window = 100_000
capabilities = ["tools", "reasoning"]
price = { input = "1", output = "2" }
"""
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"far": {"enum": [1]}}}}
EVERYWHERE = pytest.mark.parametrize("model", ["thinker", "talker"])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    more = SETTINGS
    async with lobby(tmp_path, more) as opened:
        yield opened


async def ask(
    house: Lobby, model: str, said: Any = "Hi", *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Answered:
    key = fields.pop("key", None)
    body = {"model": model, "input": said, **fields}
    return await house.call("POST", "/v1/responses", body, key=key, headers=headers)


def last(answered: Answered) -> Any:
    """The response that a stream ended with."""
    *_, end = Splitter().feed(answered.body)
    return msgspec.json.decode(end.data)["response"]


async def shown(house: Lobby, response_id: str, key: str | None = None) -> Answered:
    return await house.call("GET", f"/v1/responses/{response_id}", key=key)


async def items(house: Lobby, response_id: str, query: str = "") -> Any:
    answered = await house.call("GET", f"/v1/responses/{response_id}/input_items{query}")
    return answered.json["data"]


@EVERYWHERE
@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_is_kept_as_it_was_sent(house: Lobby, model: str, stream: bool) -> None:
    answered = await ask(house, model, stream=stream)
    response = last(answered) if stream else answered.json
    assert (response["object"], response["status"]) == ("response", "completed")
    assert (await shown(house, response["id"])).json == response
    gone = await house.call("DELETE", f"/v1/responses/{response['id']}")
    assert gone.json == {"id": response["id"], "object": "response", "deleted": True}
    missing = await shown(house, response["id"])
    assert (missing.status, missing.code) == (404, "response_not_found")


async def test_a_conversation_goes_on_wherever_it_is_answered(house: Lobby) -> None:
    first = (await ask(house, "thinker", "One.", reasoning={"effort": "low"})).json
    kinds = [item["type"] for item in first["output"]]
    assert kinds == ["reasoning", "message"]
    second = (await ask(house, "talker", "Two.", previous_response_id=first["id"])).json
    answered = await ask(house, "thinker", "Three.", previous_response_id=second["id"], stream=True)
    third = last(answered)
    assert third["status"] == "completed"
    told = await items(house, third["id"])
    assert [item.get("role", item["type"]) for item in told][::-1] == [
        "user",
        "reasoning",  # with the seal of the model that gets it back now, and that refuses any other
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert [item["content"][0]["text"] for item in told if item.get("role") == "user"] == ["Three.", "Two.", "One."]
    assert second["previous_response_id"] == first["id"]


async def test_what_one_provider_thought_is_not_shown_to_another_and_that_is_told(house: Lobby) -> None:
    first = (await ask(house, "thinker", reasoning={"effort": "low"})).json
    second = await ask(house, "talker", previous_response_id=first["id"])
    assert second.status == 200
    assert second.headers["x-routewright-dropped"] == "thinking"


async def test_a_provider_of_the_same_dialect_is_not_shown_another_dialects_thoughts_and_that_is_told(
    house: Lobby,
) -> None:
    theirs = {"type": "reasoning", "summary": [], "encrypted_content": "rw1.anthropic_messages.x"}
    answered = await ask(house, "thinker", [theirs, {"role": "user", "content": "Hi"}])  # it refuses foreign seals
    assert answered.status == 200
    assert answered.headers["x-routewright-dropped"] == "thinking"


async def test_tool_calls_keep_their_ids_when_a_conversation_moves_and_comes_back(house: Lobby) -> None:
    before = None
    for model in ("thinker", "talker", "thinker"):
        called = (
            await ask(house, model, "look", tools=[LOOK], tool_choice="required", previous_response_id=before)
        ).json
        [call] = called["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "a wall"}
        other = "talker" if model == "thinker" else "thinker"
        answered = await ask(house, other, [result], tools=[LOOK], previous_response_id=called["id"])
        assert answered.status == 200
        before = answered.json["id"]
    results = [item["call_id"] for item in await items(house, before or "") if item["type"] == "function_call_output"]
    calls = [item["call_id"] for item in await items(house, before or "") if item["type"] == "function_call"]
    assert results == calls
    assert len(set(calls)) == 3


async def test_items_can_be_referred_to(house: Lobby) -> None:
    first = (await ask(house, "talker")).json
    [said] = first["output"]
    reference = {"type": "item_reference", "id": said["id"]}
    second = await ask(house, "thinker", [reference, {"role": "user", "content": "Go on."}])
    assert second.status == 200
    told = await items(house, second.json["id"], "?order=asc")
    assert told[0]["content"][0]["text"] == said["content"][0]["text"]
    unknown = await ask(house, "talker", [{"type": "item_reference", "id": "msg_x"}, {"role": "user", "content": "Hi"}])
    assert (unknown.status, unknown.code) == (400, "no_eligible_model")
    assert "item_reference" in unknown.json["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wish", [{"store": False}, {"headers": {"x-routewright-no-log": "1"}}])
async def test_what_is_not_to_be_kept_is_not(house: Lobby, wish: dict[str, Any], stream: bool) -> None:
    answered = await ask(house, "talker", stream=stream, **wish)
    response = last(answered) if stream else answered.json
    assert (await shown(house, response["id"])).status == 404
    follow_up = await ask(house, "talker", previous_response_id=response["id"])
    assert (follow_up.status, follow_up.code) == (400, "previous_response_not_found")
    assert follow_up.json["error"]["param"] == "previous_response_id"


async def test_after_a_day_a_conversation_cannot_go_on(house: Lobby) -> None:
    first = (await ask(house, "talker")).json
    house.clock.advance(KEPT_FOR_S)
    gone = await ask(house, "talker", previous_response_id=first["id"])
    assert gone.code == "previous_response_not_found"


async def test_nobody_sees_or_goes_on_from_what_is_another_keys(house: Lobby) -> None:
    one, other = (house.key(name).text.reveal() for name in ("one", "other"))
    first = (await ask(house, "talker", key=one)).json
    assert (await shown(house, first["id"], one)).status == 200
    assert (await shown(house, first["id"], other)).code == "response_not_found"
    taken = await ask(house, "talker", key=other, previous_response_id=first["id"])
    assert taken.code == "previous_response_not_found"
    assert (await house.call("DELETE", f"/v1/responses/{first['id']}", key=other)).status == 404


@pytest.mark.parametrize(
    ("query", "param"), [("?limit=0", "limit"), ("?limit=x", "limit"), ("?order=up", "order"), ("?limit=101", "limit")]
)
async def test_a_wrong_page_is_a_mistake(house: Lobby, query: str, param: str) -> None:
    first = (await ask(house, "talker")).json
    wrong = await house.call("GET", f"/v1/responses/{first['id']}/input_items{query}")
    assert (wrong.status, wrong.json["error"]["param"]) == (400, param)


async def test_a_response_is_not_streamed_again(house: Lobby) -> None:
    first = (await ask(house, "talker")).json
    wrong = await house.call("GET", f"/v1/responses/{first['id']}?stream=true")
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "stream")


@EVERYWHERE
async def test_c14_a_stream_asked_for_again_is_made_once(house: Lobby, model: str) -> None:
    key = {"idempotency-key": "order-4711"}
    first = await ask(house, model, stream=True, headers=key)
    again = await ask(house, model, stream=True, headers=key)
    assert (again.body, again.headers["x-routewright-replayed"]) == (first.body, "1")


@EVERYWHERE
async def test_what_it_cost_is_in_the_last_event(house: Lobby, model: str) -> None:
    response = last(await ask(house, model, stream=True))
    assert response["usage"]["cost"] > 0
    assert response["usage"]["total_tokens"] > 0
