"""The official `openai` SDK, unchanged, against a real gateway over a real socket; the simulator answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from served import serving

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving(home, "--simulate") as served:
        yield served.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def ask(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_a_plain_question_is_answered(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ask("Hi, how are you today?"))
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert raw.headers["x-routewright-tier"] == "standard"
    assert raw.headers["x-routewright-model"] == "claude-sonnet-4.6"
    assert float(raw.headers["x-routewright-cost-usd"]) > 0


@pytest.mark.parametrize("by_header", [True, False])
def test_a_decision_is_shown_with_its_quality_and_calls_nobody(client: openai.OpenAI, by_header: bool) -> None:
    body = {"model": "auto", "messages": ask("rename foo to bar in this file")}
    wish = {"routewright": {"min_quality": 1}}
    plain = client.post("/route", cast_to=dict[str, Any], body=body)
    wished = client.post(
        "/route",
        cast_to=dict[str, Any],
        body=body if by_header else body | wish,
        options={"headers": {"x-routewright-min-quality": "1"} if by_header else {}},
    )
    assert (plain["tier"], plain["candidates"][0]["model"]) == ("bulk", "deepseek-v3")
    assert all(0 < candidate["success"] < 1 for candidate in plain["candidates"])
    assert all(candidate["outcomes"] == 0 for candidate in plain["candidates"])
    assert plain["verdict"]["kinds"]
    assert "quality 1.00 was asked for; no model reaches 1.00: the strongest" in wished["reason"]
    strongest = max(wished["candidates"], key=lambda candidate: candidate["success"])
    assert wished["candidates"][0] == strongest


@pytest.mark.parametrize("model", ["claude-opus-4.7", "gpt-5.5"])
def test_both_dialects_stream_through_the_same_client(client: openai.OpenAI, model: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=model, messages=ask("Tell me a story"), stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens > 0
    assert usage.model_dump()["cost"] > 0


def test_usage_that_was_not_asked_for_is_not_sent(client: openai.OpenAI) -> None:
    for model in ("claude-opus-4.7", "gpt-5.5"):
        chunks = list(client.chat.completions.create(model=model, messages=ask("Tell me"), stream=True))
        assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("model", ["claude-opus-4.7", "gpt-5.5", "deepseek-v3"])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(client: openai.OpenAI, model: str, stream: bool) -> None:
    wish = {"model": model, "messages": ask("What is the weather in Paris?"), "tools": [WEATHER]}
    if stream:
        with client.chat.completions.stream(**wish, tool_choice="required") as events:  # type: ignore[arg-type]
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**wish, tool_choice="required").choices[0].message  # type: ignore[call-overload]
    assert message.tool_calls
    assert message.tool_calls[0].function.name == "get_weather"
    assert '"city"' in message.tool_calls[0].function.arguments


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


@pytest.mark.parametrize("model", ["auto", "claude-opus-4.7", "gpt-5.5"])
def test_structured_output_is_parsed(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model, messages=ask("Extract the person: Ann, 34, admin and author"), response_format=Person
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_a_demand_for_a_schema_is_structured_work(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.parse(
        model="auto", messages=ask("Extract the person: Ann, 34"), response_format=Person
    )
    assert raw.headers["x-routewright-tier"] == "structured"


async def test_the_async_client_streams_and_does_not(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        answer = await client.chat.completions.create(model="auto", messages=ask("Hello there"))
        assert answer.choices[0].message.content
        stream = await client.chat.completions.create(model="auto", messages=ask("Hello there"), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"auto", "auto:cheap", "auto:best", "claude-auto", "claude-opus-4.7", "deepseek-v3"} <= set(names)
    for name in names:
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_an_unknown_model_is_a_404_that_the_sdk_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="no-such-model", messages=ask("Hi"))
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"


def test_a_mistake_is_a_400_that_names_its_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="auto", messages=ask("Hi"), temperature=9)
    assert bad.value.param == "temperature"


@pytest.mark.parametrize(
    "header", [{"Origin": "https://evil.example"}, {"Host": "evil.example:8484"}, {"Origin": "null"}, {"Host": "["}]
)
def test_a_foreign_web_page_cannot_spend_through_a_gateway_without_a_key(
    client: openai.OpenAI, header: dict[str, str]
) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="auto", messages=ask("Hi"), extra_headers=header)
    assert refused.value.code == "foreign_origin"


def test_every_name_of_this_machine_is_at_home(client: openai.OpenAI) -> None:
    for host in ("localhost:8484", "127.0.0.2", "[::1]:8484"):
        assert client.chat.completions.create(model="auto", messages=ask("Hi"), extra_headers={"Host": host}).choices


def test_the_decision_can_be_asked_for_alone(client: openai.OpenAI) -> None:
    route = client.post(
        "/route", cast_to=object, body={"model": "auto", "messages": ask("Translate to French: good morning")}
    )
    assert isinstance(route, dict)
    assert route["candidates"][0]["is_eligible"]
    assert {candidate["model"] for candidate in route["candidates"]} == {
        "claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3",
    }  # fmt: skip


@pytest.fixture(scope="module")
def caching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("caching")
    (home / "routewright.toml").write_text('[cache]\nroutes = ["all"]\nstore = "sqlite"\n')
    with serving(home, "--simulate") as served:
        yield served.url


@pytest.mark.parametrize("model", ["deepseek-v3", "claude-sonnet-4.6"])  # as it came, and translated
def test_a_kept_answer_is_the_same_streamed_or_not(caching: str, model: str) -> None:
    wholes, streams = [], []
    with openai.OpenAI(base_url=f"{caching}/v1", api_key="unused", max_retries=0) as client:
        for _ in range(2):
            raw = client.chat.completions.with_raw_response.create(model=model, messages=ask("Which day is it?"))
            wholes.append((raw.headers["x-routewright-cache"], raw.parse()))
            with client.chat.completions.with_streaming_response.create(
                model=model,
                messages=ask("Which day is it?"),
                stream=True,
                stream_options={"include_usage": True},
            ) as streamed:
                streams.append((streamed.headers["x-routewright-cache"], list(streamed.parse())))
    assert [state for state, _ in wholes] == [state for state, _ in streams] == ["miss", "hit"]
    assert wholes[0][1].choices == wholes[1][1].choices
    made, kept = (chunks for _, chunks in streams)
    assert [chunk.choices for chunk in kept] == [chunk.choices for chunk in made]
    assert len(kept) > 3
    assert kept[-1].usage is not None
    assert made[-1].usage is not None
    assert kept[-1].usage.total_tokens == made[-1].usage.total_tokens
    assert (made[-1].usage.model_extra or {})["cost"] > (kept[-1].usage.model_extra or {})["cost"] == 0
