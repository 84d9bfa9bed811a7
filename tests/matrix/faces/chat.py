"""`openai`, chat completions."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import ModuleType
from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from matrix.faces.face import Heard
from matrix.meaning import File, Given, Line, Outcome, Picture, Said, Spent, Thought, Use, Wish, Words

_FINISH = {"tool_calls": "tools", "content_filter": "refusal"}


class Chat:
    """A `Face`."""

    name = "openai_chat"
    sdk: ModuleType = openai
    classes: Mapping[str, str] = {"402": "APIStatusError", "cut": "APIError", "413": "APIStatusError"}
    lacks = frozenset({"error"})

    def __init__(self, url: str, key: str = "unused") -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def ask(
        self, wish: Wish, *, model: str, stream: bool, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Heard:
        """Ask, and read to the end."""
        body: dict[str, Any] = {**body_of(wish), "model": model, "extra_body": more, "extra_headers": headers or {}}
        create: Any = self._client.chat.completions.with_raw_response.create
        if not stream:
            raw = create(**body)
            return _heard(raw.parse(), raw.headers)
        raw = create(**body, stream=True, stream_options={"include_usage": True})
        state: Any = ChatCompletionStreamState()
        for chunk in raw.parse():
            state.handle_chunk(chunk)
        return _heard(state.current_completion_snapshot, raw.headers)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def body_of(wish: Wish) -> dict[str, Any]:
    """The fields of a request that say this; which model, and whether to stream, are not among them."""
    body: dict[str, Any] = {"messages": list(_messages(wish)), "max_completion_tokens": wish.max_tokens}
    if wish.functions:
        body["tools"] = [
            {"type": "function", "function": {"name": each.name, "parameters": each.parameters}}
            for each in wish.functions
        ]
    if wish.has_hosted_tool:
        body["tools"] = [*body.get("tools", ()), {"type": "custom", "custom": {"name": "patch"}}]
    if wish.choice:
        is_mode = wish.choice in ("none", "required")
        body["tool_choice"] = wish.choice if is_mode else {"type": "function", "function": {"name": wish.choice}}
    if not wish.is_parallel:
        body["parallel_tool_calls"] = False
    if wish.schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": wish.schema}}
    if wish.effort:
        body["reasoning_effort"] = wish.effort
    if wish.stop:
        body["stop"] = [wish.stop]
    if wish.wants_logprobs:
        body["logprobs"] = True
    return body


def _messages(wish: Wish) -> Iterator[Any]:
    for role, lines in groupby(wish.lines, _role):
        group = list(lines)
        if role == "given":
            yield from (line.native for line in group if isinstance(line, Given))
            continue
        results = [line for line in group if isinstance(line, Outcome)]
        for result in results:
            shown = [_part(picture) for picture in result.pictures]
            content: Any = [{"type": "text", "text": result.text}, *shown] if shown else result.text
            yield {"role": "tool", "tool_call_id": result.id, "content": content}
        message: dict[str, Any] = {"role": role}
        if parts := [_part(line) for line in group if not isinstance(line, Outcome | Use)]:
            message["content"] = parts
            if wish.is_marked and role == "system":
                parts[-1]["cache_control"] = {"type": "ephemeral"}
        if uses := [_call(line) for line in group if isinstance(line, Use)]:
            message["tool_calls"] = uses
        if len(message) > 1:
            yield message


def _role(line: Line) -> str:
    if isinstance(line, Given):
        return "given"
    return line.role if isinstance(line, Words) else "assistant" if isinstance(line, Use) else "user"


def _call(use: Use) -> dict[str, Any]:
    function = {"name": use.name, "arguments": json.dumps(use.arguments)}
    return {"id": use.id, "type": "function", "function": function}


def _part(line: Line) -> dict[str, Any]:
    match line:
        case Words(_, text):
            return {"type": "text", "text": text}
        case Picture(url):
            return {"type": "image_url", "image_url": {"url": url}}
        case File(url):
            return {"type": "file", "file": {"filename": "paper.pdf", "file_data": url}}
    raise AssertionError(line)


def _heard(completion: Any, headers: Mapping[str, str]) -> Heard:
    [choice] = completion.choices
    message, usage = choice.message, completion.usage
    told = message.model_dump(exclude_none=True, exclude={"parsed"})
    blocks = told.get("thinking_blocks", ())
    thoughts = [Thought(block.get("thinking", ""), block.get("signature", block.get("data"))) for block in blocks]
    if not thoughts and told.get("reasoning_content"):
        thoughts = [Thought(told["reasoning_content"])]
    logprobs = choice.logprobs.content if choice.logprobs and choice.logprobs.content else ()
    said = Said(
        pieces=(message.content or "",),
        thoughts=tuple(thoughts),
        uses=tuple(
            Use(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ),
        finish="refusal" if message.refusal else _FINISH.get(choice.finish_reason, choice.finish_reason),
        refusal=message.refusal or "",
        logprobs=tuple((entry.token, entry.logprob) for entry in logprobs),
        spent=_spent(usage),
    )
    for call in told.get("tool_calls", ()):
        call.get("function", {}).pop("parsed_arguments", None)
        call.pop("index", None)
    cost = (usage.model_extra or {}).get("cost", headers.get("x-routewright-cost-usd"))
    return Heard(said=said, native=told, headers=headers, cost_usd=cost and str(cost))


def _spent(usage: Any) -> Spent:
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return Spent(fresh=usage.prompt_tokens - cached, cached=cached, output=usage.completion_tokens)
