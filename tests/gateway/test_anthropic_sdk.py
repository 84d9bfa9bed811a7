"""The official `anthropic` SDK, unchanged, against a real gateway over a real socket; the simulator answers.

`claude-opus-4.7` answers in the SDK's own dialect, `gpt-5.5` in OpenAI's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from served import serving

MODELS = ["claude-opus-4.7", "gpt-5.5"]
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city"],
    },
}
HI: list[MessageParam] = [{"role": "user", "content": "Hi, how are you today?"}]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving(home, "--simulate") as served:
        yield served.url


@pytest.fixture
def client(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ["auto", "claude-auto", *MODELS])
def test_a_plain_question_is_answered(client: anthropic.Anthropic, model: str) -> None:
    raw = client.messages.with_raw_response.create(model=model, max_tokens=4000, messages=HI)
    answer = raw.parse()
    [block] = answer.content
    assert block.type == "text"
    assert block.text
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens > 0, answer.usage.output_tokens > 0) == (True, True)
    assert answer._request_id == raw.headers["x-routewright-request-id"]
    assert float(raw.headers["x-routewright-cost-usd"]) > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_is_put_together(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=200, system="Be brief.", messages=HI) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    [block] = message.content
    assert block.type == "text"
    assert block.text == text
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens > 0, message.usage.output_tokens > 1) == (True, True)


@pytest.mark.parametrize("model", MODELS)
def test_both_dialects_give_the_same_kinds_of_events(client: anthropic.Anthropic, model: str) -> None:
    kinds = [event.type for event in client.messages.create(model=model, max_tokens=50, messages=HI, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    wish: dict[str, Any] = {"model": model, "max_tokens": 500, "messages": HI, "tools": [WEATHER]}
    wish["tool_choice"] = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    if stream:
        with client.messages.stream(**wish) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**wish)
    assert message.stop_reason == "tool_use"
    [block] = message.content
    assert block.type == "tool_use"
    assert block.name == "get_weather"
    assert isinstance(block.input, dict)
    assert "city" in block.input


@pytest.mark.parametrize("model", MODELS)
def test_the_tool_runner_runs_tools_and_goes_on(client: anthropic.Anthropic, model: str) -> None:
    asked = []

    @beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=500,
        messages=[{"role": "user", "content": "What is the weather in Paris? Use get_weather."}],
        tools=[get_weather],
        max_iterations=2,
    )
    messages = list(runner)
    assert asked
    assert messages[0].stop_reason == "tool_use"
    assert len(messages) == 2


def test_a_conversation_with_tools_moves_between_providers_and_back(client: anthropic.Anthropic) -> None:
    messages: list[MessageParam] = list(HI)
    for model in ("gpt-5.5", "claude-opus-4.7", "deepseek-v3", "claude-opus-4.7"):
        answer = client.messages.create(
            model=model, max_tokens=500, messages=messages, tools=[WEATHER], tool_choice={"type": "any"}
        )
        calls = [block for block in answer.content if block.type == "tool_use"]
        assert calls
        messages.append({"role": "assistant", "content": answer.content})
        results: Any = [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in calls]
        messages.append({"role": "user", "content": [*results, {"type": "text", "text": "And tomorrow?"}]})


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("model", MODELS)
def test_structured_output_is_parsed(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.parse(
        model=model,
        max_tokens=500,
        messages=[{"role": "user", "content": "Extract the person: Ann, 34"}],
        output_format=Person,
    )
    assert isinstance(answer.parsed_output, Person)


def test_tokens_are_counted_before_anything_is_sent(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.count_tokens(model="auto", messages=HI, system="Be brief.", tools=[WEATHER])
    assert raw.headers["x-routewright-estimated"] == "1"
    few = raw.parse().input_tokens
    more = client.messages.count_tokens(
        model="claude-opus-4.7", messages=[{"role": "user", "content": "word " * 1000}]
    ).input_tokens
    assert 10 < few < 200 < 900 < more < 2000


async def test_the_async_client_streams_and_does_not(url: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, auth_token="unused", max_retries=0) as client:
        answer = await client.messages.create(model="gpt-5.5", max_tokens=50, messages=HI)
        assert answer.content
        async with client.messages.stream(model="gpt-5.5", max_tokens=50, messages=HI) as stream:
            assert "".join([text async for text in stream.text_stream])
        assert (await client.messages.count_tokens(model="gpt-5.5", messages=HI)).input_tokens > 0


def test_models_are_listed_and_found(client: anthropic.Anthropic) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"auto", "claude-auto", "claude-opus-4.7", "deepseek-v3"} <= models.keys()
    assert all(model.display_name for model in models.values())
    found = client.models.retrieve("claude-opus-4.7")
    assert found == models["claude-opus-4.7"]
    assert found.max_tokens
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize(
    ("wish", "kind", "told"),
    [
        ({"model": "no-such-model"}, anthropic.NotFoundError, "not_found_error"),
        ({"extra_body": {"temperature": 9}}, anthropic.BadRequestError, "invalid_request_error"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
        ({"extra_body": {"routewright": {"max_cost_usd": 0}}}, anthropic.BadRequestError, "invalid_request_error"),
        ({"extra_headers": {"anthropic-version": "2031-01-01"}}, anthropic.BadRequestError, "invalid_request_error"),
        ({"extra_headers": {"Origin": "https://evil.example"}}, anthropic.PermissionDeniedError, "permission_error"),
    ],
)
def test_a_refusal_is_the_class_that_the_sdk_has_for_it(
    client: anthropic.Anthropic, wish: dict[str, Any], kind: type[anthropic.APIStatusError], told: str
) -> None:
    with pytest.raises(kind) as refused:
        client.messages.create(**{"model": "auto", "max_tokens": 50, "messages": HI, **wish})
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] == "error"
    assert refused.value.body["error"]["type"] == told
    assert refused.value.request_id == refused.value.body["request_id"]


def test_what_only_one_dialect_can_carry_is_answered_there(client: anthropic.Anthropic) -> None:
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    raw = client.messages.with_raw_response.create(model="gpt-5.5", max_tokens=50, messages=HI, tools=[search])
    assert raw.headers["x-routewright-model"].startswith("claude-")


STRICT = """
[server]
api_key = "env:GATEWAY_KEY"
max_body_bytes = 2_000
[budgets.all]
scope = "total"
limit_usd = "0.000001"
period = "day"
"""
OPERATOR_KEY = "the-operators-own-key"


@pytest.fixture(scope="module")
def strict_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that refuses everything, each for another reason."""
    home: Path = tmp_path_factory.mktemp("strict")
    (home / "routewright.toml").write_text(STRICT)
    with serving(home, "--simulate", environ={"GATEWAY_KEY": OPERATOR_KEY}) as served:
        yield served.url


def make_key(url: str, **wish: object) -> str:
    """A virtual key."""
    with anthropic.Anthropic(base_url=url, auth_token=OPERATOR_KEY, max_retries=0) as operator:
        made = operator.post("/admin/keys", cast_to=dict[str, Any], body={"name": "app", **wish})
    key: str = made["key"]
    return key


def refusal(url: str, key: str, text: str = "Hi") -> anthropic.APIStatusError:
    with (
        anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as refused,
    ):
        client.messages.create(model="auto", max_tokens=50, messages=[{"role": "user", "content": text}])
    return refused.value


def test_every_gate_refuses_by_the_class_that_the_sdk_has_for_it(strict_url: str) -> None:
    limited = make_key(strict_url, requests_per_minute=1)
    reading = make_key(strict_url, roles=["read"])
    refused = [
        refusal(strict_url, "a-wrong-key"),
        refusal(strict_url, OPERATOR_KEY, "x" * 3_000),
        refusal(strict_url, OPERATOR_KEY),
        refusal(strict_url, reading),
        refusal(strict_url, limited),
        refusal(strict_url, limited),
    ]
    assert [type(error) for error in refused] == [
        anthropic.AuthenticationError,
        anthropic._exceptions.ContentTooLargeError,
        anthropic._exceptions.PaymentRequiredError,
        anthropic.PermissionDeniedError,
        anthropic._exceptions.PaymentRequiredError,
        anthropic.RateLimitError,
    ]
    assert [error.type for error in refused] == [
        "authentication_error",
        "request_too_large",
        "billing_error",
        "permission_error",
        "billing_error",
        "rate_limit_error",
    ]
    assert refused[-1].response.headers["retry-after"]


def test_an_unknown_address_answers_in_the_dialect_of_its_client(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.batches.list()
    assert isinstance(missing.value.body, dict)
    assert missing.value.body["error"]["type"] == "not_found_error"


def test_what_is_left_out_is_said(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="gpt-5.5",
        max_tokens=50,
        messages=HI,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        metadata={"user_id": "somebody"},
    )
    assert raw.headers["x-routewright-dropped"] == "metadata, cache_control"
