"""The SDK's Responses against a real gateway over a real socket; simulated providers of each dialect answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseInputItemParam
from pydantic import BaseModel

from served import serving

MODELS = ("chat", "items", "claude")
EVERYWHERE = pytest.mark.parametrize("model", MODELS)
SETTINGS = '[policy]\nclassifier = "heuristic"\n' + "".join(
    f"""
[providers.{name}]
base_url = "simulator:"
dialect = "{dialect}"
[models.{name}]
tier = "standard"
deployments = ["{name}/{name}"]
context_window = 100_000
max_output_tokens = 4_000
capabilities = ["tools", "json_schema", "vision", "reasoning"]
price = {{ input = "1", output = "2" }}
"""
    for name, dialect in zip(MODELS, ("openai_chat", "openai_responses", "anthropic_messages"), strict=True)
)
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    (home / "routewright.toml").write_text(SETTINGS)
    with serving(home) as served:
        yield served.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


class Person(BaseModel):
    name: str
    age: int


@EVERYWHERE
def test_a_plain_question_is_answered(client: openai.OpenAI, model: str) -> None:
    raw = client.responses.with_raw_response.create(
        model=model, input="Hi, how are you today?", instructions="Be brief."
    )
    answer = raw.parse()
    assert answer.output_text
    assert (answer.status, answer.error) == ("completed", None)
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0
    assert raw.headers["x-routewright-model"] == model
    assert float(raw.headers["x-routewright-cost-usd"]) > 0


@EVERYWHERE
def test_a_stream_is_put_together_by_the_sdk(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="Tell me a story") as events:
        told = list(events)
        answer = events.get_final_response()
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == answer.output_text
    assert answer.output_text
    assert [event.sequence_number for event in told if event.type.endswith(".done")]
    assert answer.usage is not None
    assert answer.usage.model_dump()["cost"] > 0


@EVERYWHERE
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_taken(client: openai.OpenAI, model: str, stream: bool) -> None:
    said: list[ResponseInputItemParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
    wish: Any = {"model": model, "tools": [WEATHER], "tool_choice": "required"}
    if stream:
        with client.responses.stream(input=said, **wish) as events:
            answer: Any = events.get_final_response()
    else:
        answer = client.responses.create(input=said, **wish)
    [call] = answer.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert '"city"' in call.arguments
    said += [item.model_dump(exclude={"parsed_arguments"}) for item in answer.output]
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    assert client.responses.create(model=model, input=said, tools=[WEATHER]).output_text


@EVERYWHERE
def test_structured_output_is_parsed(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.parse(model=model, input="Extract the person: Ann, 34", text_format=Person)
    assert isinstance(answer.output_parsed, Person)


def test_a_conversation_goes_on_by_its_name_from_one_provider_to_the_next(client: openai.OpenAI) -> None:
    previous: str | None = None
    for model in MODELS:
        previous = client.responses.create(model=model, input=f"Hello {model}", previous_response_id=previous).id
    assert previous is not None
    told = list(client.responses.input_items.list(previous, limit=2, order="asc"))  # the SDK turns the pages
    assert len(told) == 5
    assert client.responses.retrieve(previous).output_text
    client.responses.delete(previous)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(previous)
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(model="chat", input="Hi", previous_response_id=previous)
    assert (gone.value.code, gone.value.param) == ("previous_response_not_found", "previous_response_id")


@EVERYWHERE
async def test_the_async_client_streams_and_does_not(url: str, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        assert (await client.responses.create(model=model, input="Hello there")).output_text
        async with client.responses.stream(model=model, input="Hello there") as events:
            kinds = [event.type async for event in events]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


@EVERYWHERE
def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.create(model=model, input="Tell me a story", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_picture_is_taken_everywhere(client: openai.OpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
    ]
    for model in MODELS:
        assert client.responses.create(model=model, input=[{"role": "user", "content": content}]).output_text


@pytest.mark.parametrize(
    ("wish", "error", "param"),
    [
        ({"model": "no-such-model"}, openai.NotFoundError, "model"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        ({"background": True}, openai.BadRequestError, "background"),
        ({"input": [{"role": "wizard", "content": "x"}]}, openai.BadRequestError, "input[0].role"),
        ({"previous_response_id": "resp_x"}, openai.BadRequestError, "previous_response_id"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_mistake_raises_the_right_class(
    client: openai.OpenAI, wish: dict[str, Any], error: type[openai.APIStatusError], param: str | None, stream: bool
) -> None:
    with pytest.raises(error) as wrong:
        client.responses.create(**{"model": "chat", "input": "Hi", "stream": stream, **wish})
    assert wrong.value.param == param


def test_what_no_provider_can_carry_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'tools' cannot be carried to openai_chat"):
        client.responses.create(model="chat", input="Hi", tools=[{"type": "web_search"}])
    assert client.responses.create(model="items", input="Hi", tools=[{"type": "web_search"}]).output_text


def test_a_chat_completion_is_answered_by_responses_too(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="items",
            messages=[{"role": "user", "content": "Tell me a story"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    answer = client.chat.completions.parse(
        model="items", messages=[{"role": "user", "content": "Ann, 34"}], response_format=Person
    )
    assert isinstance(answer.choices[0].message.parsed, Person)
