"""Both official SDKs, unchanged, against a real gateway before Gemini; the simulator checks what Google checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from served import Served, serving

MODEL = "gemini-3.8-flash"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving(home, "--simulate", environ={"GEMINI_API_KEY": "sk-made-up"}) as served:
        yield served


@pytest.fixture
def chat(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def messages(served: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_answered_at_the_price_of_gemini(chat: openai.OpenAI, stream: bool) -> None:
    said: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 200}
    if stream:
        chunks = list(chat.chat.completions.create(**said, stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage, model = chunks[-1].usage, chunks[0].model
    else:
        answer = chat.chat.completions.create(**said)
        text, usage, model = answer.choices[0].message.content, answer.usage, answer.model
    assert (model, text[: len(MODEL) + 11]) == (MODEL, f"[simulated {MODEL}")
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 10
    assert usage.cost > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_uses_a_tool(chat: openai.OpenAI, stream: bool) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    turns: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    wish: Any = {"model": MODEL, "tools": [tool], "tool_choice": "required"}
    if stream:
        with chat.chat.completions.stream(messages=turns, **wish) as events:
            answer = events.get_final_completion()
    else:
        answer = chat.chat.completions.create(messages=turns, **wish)
    said, finish = answer.choices[0].message, answer.choices[0].finish_reason
    assert finish == "tool_calls"
    turns.append(said.model_dump(exclude_none=True))
    turns += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in said.tool_calls or ()]
    last = chat.chat.completions.create(messages=turns, **{**wish, "tool_choice": "none"})
    assert last.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_messages_use_a_tool(messages: anthropic.Anthropic, stream: bool) -> None:
    turns: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    tools: Any = [{"name": "weather", "description": "", "input_schema": SCHEMA}]
    wish: Any = {"model": MODEL, "max_tokens": 4000, "tools": tools, "tool_choice": {"type": "any"}}
    if stream:
        with messages.messages.stream(messages=turns, **wish) as events:
            answer = events.get_final_message()
    else:
        answer = messages.messages.create(messages=turns, **wish)
    assert answer.stop_reason == "tool_use"
    assert answer.content[0].type == "redacted_thinking"
    assert answer.content[0].data.startswith("rw1.gemini.call0:")
    turns.append({"role": "assistant", "content": answer.content})
    calls = [block for block in answer.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    turns.append({"role": "user", "content": results})
    last = messages.messages.create(
        model=MODEL, max_tokens=4000, messages=turns, tools=tools, tool_choice={"type": "none"}
    )
    assert last.content[0].type == "text"


def test_what_gemini_cannot_be_asked_is_answered_by_another(chat: openai.OpenAI) -> None:
    hi: Any = [{"role": "user", "content": "Hi"}]
    answer = chat.chat.completions.create(model=MODEL, messages=hi, logit_bias={"1": 5})
    assert answer.model == "gpt-5.5"
