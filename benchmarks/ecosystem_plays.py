"""What programs do with LangChain and pydantic-ai, at a gateway: run by `ecosystem.py`, in an environment of its own.

    python ecosystem_plays.py URL MODEL…

Prints a line of JSON for each integration and model: what went well, and of what did not, how it failed.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

KEY = "unused"
ASK = "What is the weather in Paris? Use get_weather."


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


# ---- LangChain ------------------------------------------------------------------------------------------------------


def langchain_chat(model: Any) -> None:
    """A question, its answer and its tokens."""
    answer = model.invoke("Hi, how are you?")
    assert answer.text
    assert answer.usage_metadata["output_tokens"] > 0


def langchain_stream(model: Any) -> None:
    """The same in pieces, added up by the library."""
    pieces = list(model.stream("Tell me a story"))
    whole: Any = sum(pieces[1:], pieces[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.text
    assert len(pieces) > 2
    assert whole.usage_metadata["output_tokens"] > 0


def langchain_tools(model: Any) -> None:
    """A tool is called, whole and streamed, and its result taken."""
    bound = model.bind_tools([get_weather])
    said: list[Any] = [HumanMessage(ASK)]
    answer = bound.invoke(said)
    [call] = answer.tool_calls
    said += [answer, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(said).text
    pieces = list(bound.stream(ASK))
    streamed: Any = sum(pieces[1:], pieces[0])
    assert streamed.tool_calls[0]["name"] == "get_weather"
    assert streamed.tool_calls[0]["args"]["city"]


def langchain_structured(model: Any) -> None:
    """An answer in a form, by each way that the library has."""
    for method in ("json_schema", "function_calling"):
        person = model.with_structured_output(Person, method=method).invoke("Extract: Ann, 34")
        assert isinstance(person, Person)


# ---- pydantic-ai ----------------------------------------------------------------------------------------------------


def pydantic_chat(model: Any) -> None:
    """A question, its answer and its tokens, and one more turn."""
    agent = Agent(model, system_prompt="Be brief.")
    first = agent.run_sync("Hi, how are you?")
    assert first.output
    assert first.usage.output_tokens > 0
    assert agent.run_sync("And now?", message_history=first.all_messages()).output


def pydantic_stream(model: Any) -> None:
    """The same in pieces."""

    async def stream() -> str:
        async with Agent(model).run_stream("Tell me a story") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            assert len(pieces) > 1
            return "".join(pieces)

    assert asyncio.run(stream())


def pydantic_tools(model: Any) -> None:
    """A tool is called and its result goes back, until there are words."""
    asked: list[str] = []
    agent = Agent(model)

    @agent.tool_plain(name="get_weather")  # type: ignore[untyped-decorator]
    def weather(city: str) -> str:
        asked.append(city)
        return "rain"

    assert agent.run_sync(ASK).output
    assert asked


def pydantic_structured(model: Any) -> None:
    """An answer in a form, which is an output tool here."""
    assert isinstance(Agent(model, output_type=Person).run_sync("Extract: Ann, 34").output, Person)


LANGCHAIN = (langchain_chat, langchain_stream, langchain_tools, langchain_structured)
PYDANTIC = (pydantic_chat, pydantic_stream, pydantic_tools, pydantic_structured)


def integrations(url: str, model: str) -> Iterator[tuple[str, Any, tuple[Callable[[Any], None], ...]]]:
    """Each by its name, with what it is to do."""
    openai = {"base_url": f"{url}/v1", "api_key": KEY, "model": model, "max_retries": 0}
    yield "langchain-openai, chat", ChatOpenAI(**openai, stream_usage=True), LANGCHAIN
    yield "langchain-openai, responses", ChatOpenAI(**openai, use_responses_api=True), LANGCHAIN
    yield "langchain-anthropic", ChatAnthropic(base_url=url, api_key=KEY, model=model, max_retries=0), LANGCHAIN
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)
    yield "pydantic-ai, chat", OpenAIChatModel(model, provider=provider), PYDANTIC
    yield "pydantic-ai, responses", OpenAIResponsesModel(model, provider=provider), PYDANTIC
    anthropic = AnthropicProvider(base_url=url, api_key=KEY)
    yield "pydantic-ai, anthropic", AnthropicModel(model, provider=anthropic), PYDANTIC


def main(url: str, models: list[str]) -> None:
    """Play all of it."""
    for model in models:
        for name, client, plays in integrations(url, model):
            outcomes = {}
            for play in plays:
                try:
                    play(client)
                except Exception as error:  # noqa: BLE001 whatever a library raises is what is to be told
                    outcomes[play.__name__] = f"{type(error).__name__}: {error}"[:400]
                else:
                    outcomes[play.__name__] = ""
            print(json.dumps({"integration": name, "model": model, "outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
