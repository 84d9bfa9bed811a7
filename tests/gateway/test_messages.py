"""`/v1/messages` through the whole gateway: what goes upstream, what comes back, and what costs nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lobby import Answered, Lobby, lobby
from routewright.dialects.wire import WireRequest
from routewright.simulator import Simulator
from routewright.simulator.provider import SimulatedResponse

HOME = """
[providers.home]
base_url = "simulator:"
dialect = "anthropic_messages"
[models.claude]
tier = "standard"
deployments = ["home/claude"]
context_window = 100_000
price = { input = "1", output = "2" }
[models.away]
tier = "standard"
deployments = ["acme/away"]
context_window = 100_000
price = { input = "1", output = "2" }
"""
GOOD = {"model": "claude", "max_tokens": 4_000, "messages": [{"role": "user", "content": "Hi"}]}


class Recorder(Simulator):
    """A simulator that keeps what it was sent and what it said."""

    def __init__(self) -> None:
        super().__init__(time_scale=0)
        self.requests: list[WireRequest] = []
        self.said: list[bytes] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> SimulatedResponse:
        self.requests.append(request)
        response = await super().send(request, connect_timeout_s=connect_timeout_s)
        self.said.append(b"")
        return SimulatedResponse(response.status, response.headers, self._heard(response))

    def _heard(self, response: SimulatedResponse) -> Any:
        for wait_s, piece in response._pieces:
            self.said[-1] += piece
            yield wait_s, piece


class House(msgspec.Struct):
    """A gateway and its provider."""

    lobby: Lobby
    provider: Recorder

    async def ask(self, headers: dict[str, str] | None = None, **fields: object) -> Answered:
        return await self.lobby.call("POST", "/v1/messages", {**GOOD, **fields}, headers=headers)

    @property
    def attempts(self) -> int:
        return sum(self.lobby.runtime.engine.tally.attempts.values())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    provider = Recorder()
    async with lobby(tmp_path, HOME, simulator=provider) as opened:
        yield House(opened, provider)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_provider_of_the_dialect_says_is_passed_on_byte_for_byte(house: House, stream: bool) -> None:
    answer = await house.ask(stream=stream)
    assert answer.status == 200
    assert answer.body == house.provider.said[-1]
    assert answer.headers["x-routewright-model"] == "claude"
    assert answer.headers["request-id"] == answer.headers["x-routewright-request-id"]


async def test_a_body_goes_on_as_it_came_and_so_do_version_and_betas(house: House) -> None:
    extra = {"of_next_year": {"a": [1.5, None]}, "container": None, "metadata": {"user_id": "somebody"}}
    sent = {"anthropic-version": "2026-10-21", "anthropic-beta": "context-1m-2025-08-07,x", "x-other": "not-this"}
    await house.ask(headers=sent, **extra)
    [request] = house.provider.requests
    assert msgspec.json.decode(request.body) == {**GOOD, **extra}
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.headers["anthropic-beta"] == "context-1m-2025-08-07,x"
    assert "x-other" not in request.headers


async def test_other_dialects_get_no_headers_of_this_one_and_who_says_no_version_is_served(house: House) -> None:
    assert (await house.ask(headers={"anthropic-beta": "x"}, model="away")).status == 200
    assert (await house.ask()).status == 200
    assert not any(name.startswith("anthropic") for name in house.provider.requests[0].headers)
    assert house.provider.requests[1].headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("version", ["2031-01-01", "2023-01-01", "latest", ""])
async def test_a_version_that_is_not_known_is_a_400_that_names_those_that_are(house: House, version: str) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        refused = await house.lobby.call("POST", path, GOOD, headers={"anthropic-version": version})
        assert (refused.status, refused.json["error"]["param"]) == (400, "anthropic-version")
        assert "2023-06-01 or 2026-10-21" in refused.json["error"]["message"]
    assert house.provider.requests == []


@pytest.mark.parametrize("values", [(b"a", b"b"), (b"\xe9",), (b"a\tb",)])
async def test_betas_that_cannot_go_on_as_they_came_are_a_400(house: House, values: tuple[bytes, ...]) -> None:
    sent = tuple((b"anthropic-beta", value) for value in values)
    refused = await house.lobby.call("POST", "/v1/messages", GOOD, raw_headers=sent)
    assert (refused.status, refused.json["error"]["param"]) == (400, "anthropic-beta")
    assert house.provider.requests == []


async def test_what_no_model_can_carry_is_named(house: House) -> None:
    refused = await house.ask(model="away", top_k=5)
    assert refused.status == 400
    assert "anthropic_messages field 'top_k' cannot be carried to openai_chat" in refused.json["error"]["message"]
    assert house.provider.requests == []


async def test_what_is_left_out_for_another_dialect_is_said(house: House) -> None:
    marked = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    sent: dict[str, Any] = {"metadata": {"user_id": "x"}, "context_management": {}, "system": marked}
    answer = await house.ask({"anthropic-beta": "x"}, model="away", **sent)
    dropped = "metadata, context_management, anthropic-beta, cache_control"
    assert answer.headers["x-routewright-dropped"] == dropped
    assert "x-routewright-dropped" not in (await house.ask({"anthropic-beta": "x"}, **sent)).headers


async def test_a_body_that_is_too_deep_is_a_400_in_this_dialect(house: House) -> None:
    deep = b'{"model":"claude","messages":' + b"[" * 100 + b"]" * 100 + b"}"
    for body in (deep, b"{", b"[]", b"\xff"):
        refused = await house.lobby.call("POST", "/v1/messages", body)
        assert (refused.status, refused.json["type"]) == (400, "error")
        assert (refused.json["error"]["type"], refused.code) == ("invalid_request_error", "invalid_json")


async def test_counting_calls_nobody_and_leaves_no_trace(house: House) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "word " * 500}]}
    counted = await house.lobby.call("POST", "/v1/messages/count_tokens", body)
    assert counted.status == 200
    assert counted.headers["x-routewright-estimated"] == "1"
    assert 300 < counted.json["input_tokens"] < 1_000
    assert (house.provider.requests, house.attempts) == ([], 0)
    assert house.lobby.runtime.engine.tally.requests == {}


async def test_what_is_too_long_for_every_model_is_counted_too(house: House) -> None:
    body = {"model": "claude", "messages": [{"role": "user", "content": "word " * 200_000}]}
    counted = await house.lobby.call("POST", "/v1/messages/count_tokens", body)
    assert counted.json["input_tokens"] > 100_000
    unknown = await house.lobby.call("POST", "/v1/messages/count_tokens", {**body, "model": "nobody"})
    assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("model", ["claude", "away"])
@pytest.mark.parametrize("stream", [False, True])
async def test_c14_the_same_request_again_gets_the_same_bytes(house: House, model: str, stream: bool) -> None:
    key = {"idempotency-key": "once"}
    first = await house.ask(headers=key, model=model, stream=stream)
    again = await house.ask(headers=key, model=model, stream=stream)
    assert (first.status, again.body, house.attempts) == (200, first.body, 1)
    assert again.headers["x-routewright-replayed"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "is_anthropics"),
    [
        ("GET", "/v1/messages", True),
        ("POST", "/v1/messages/batches", True),
        ("GET", "/v1/models/nobody", True),
        ("POST", "/v1/chat/completions", False),
    ],
)
async def test_a_refusal_speaks_the_dialect_of_its_address_or_else_of_its_client(
    house: House, method: str, path: str, is_anthropics: bool
) -> None:
    refused = await house.lobby.call(method, path, {}, headers={"anthropic-version": "2023-06-01"})
    assert refused.status in (400, 404, 405)
    assert (refused.json.get("type") == "error") is is_anthropics
    if is_anthropics:
        assert refused.json["request_id"] == refused.headers["request-id"]


async def test_models_are_listed_in_the_form_of_the_client(house: House) -> None:
    listed = await house.lobby.call("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
    models = {entry["id"]: entry for entry in listed.json["data"]}
    assert (listed.json["has_more"], listed.json["first_id"]) == (False, "auto")
    assert {"claude-auto", "claude", "quick", "home/claude"} <= models.keys()
    assert models["claude"]["max_input_tokens"] == 100_000
    assert models["auto"]["max_tokens"] is None
    assert (await house.lobby.call("GET", "/v1/models")).json["object"] == "list"


async def test_a_long_conversation_is_shortened_in_its_body(tmp_path: Path) -> None:
    provider, more = Recorder(), HOME + "[context]\nenabled = true\nthreshold_tokens = 200\n"
    rows = "[" + ", ".join('{"a":   1}' for _ in range(500)) + "]"
    use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": rows}], "is_error": False}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        {"role": "user", "content": "And now?"},
    ]
    async with lobby(tmp_path, more, simulator=provider) as opened:
        answer = await House(opened, provider).ask(system="Be brief.", messages=messages)
    assert "tidied 1 message" in answer.headers["x-routewright-context"]
    body = msgspec.json.decode(provider.requests[0].body)
    shortened = {**result, "content": [{"type": "text", "text": rows.replace(" ", "")}]}
    assert body["messages"] == [*messages[:2], {"role": "user", "content": [shortened]}, messages[3]]
    assert body["system"] == "Be brief."
