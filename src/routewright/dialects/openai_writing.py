"""OpenAI's chat request, written from a `Call`: a client's own body if it is of this dialect, else a new one."""

from collections.abc import Iterator

import msgspec

from routewright.call import (
    Call,
    Document,
    Image,
    JsonObject,
    Message,
    OutputFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.dialects.carrying import FAILED
from routewright.dialects.openai_thinking import without_wrapped

DIALECT = "openai_chat"

_EFFORTS = {"max": "high", "xhigh": "high"}
"""Of other dialects' efforts those that not all models with an effort know here."""


def write_body(call: Call, upstream_model: str, provider: str, *, can_reason: bool = True) -> bytes:
    """The body for a provider: the client's own fields if they are of this dialect, else the canonical ones.

    Many models refuse a wish for reasoning, so one that cannot is not told of it.

    Always our own serialisation, so that we and the provider cannot read it differently.
    """
    if call.dialect == DIALECT and call.body:
        body = {**call.body, "model": upstream_model}
        if _has_thoughts(call.messages):
            body["messages"] = [without_wrapped(message) for message in body["messages"]]
    else:
        body = {"model": upstream_model, **_canonical_body(call, can_reason=can_reason)}
    if call.max_output_tokens is not None:  # the budget may have lowered it since the client's body was read
        body |= dict.fromkeys(_max_tokens_fields(body, provider), call.max_output_tokens)
    if call.stream:
        body["stream"] = True
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    elif body.get("stream"):  # a layer above wants the answer whole
        del body["stream"]
        body.pop("stream_options", None)
    return msgspec.json.encode(body)


def _has_thoughts(messages: tuple[Message, ...]) -> bool:
    for message in messages:
        for part in message.parts:
            if type(part) is Thinking:
                return True
    return False


def _max_tokens_fields(body: JsonObject, provider: str) -> list[str]:
    """OpenAI's newer models refuse `max_tokens`, many imitators know nothing else; a client's own words stand."""
    said = [name for name in ("max_completion_tokens", "max_tokens") if body.get(name) is not None]
    return said or ["max_completion_tokens" if provider == "openai" else "max_tokens"]


def _canonical_body(call: Call, *, can_reason: bool) -> JsonObject:
    body: JsonObject = {
        "messages": list(_write_messages(call.messages)),
        "tools": [_write_tool(tool) for tool in call.tools] or None,
        "tool_choice": _write_tool_choice(call.tool_choice) if call.tools else None,
        "parallel_tool_calls": call.parallel_tool_calls if call.tools else None,
        "response_format": _write_output_format(call.output_format),
        "temperature": call.temperature,
        "top_p": call.top_p,
        "stop": call.stop or None,
        "reasoning_effort": _EFFORTS.get(effort, effort) if can_reason and (effort := call.reasoning_effort) else None,
        "logprobs": None if call.logprobs is None else True,
        "top_logprobs": call.logprobs or None,
        "n": call.choices if call.choices > 1 else None,
        "stream": call.stream or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _write_messages(messages: tuple[Message, ...]) -> Iterator[JsonObject]:
    """All messages. Pictures that tools gave back are shown by the user, after the last of the results."""
    shown: list[JsonObject] = []
    for message in messages:
        for written in write_message(message):
            if message.role == "tool" and written["role"] == "user":
                content = written["content"]
                shown += [{"type": "text", "text": content}] if isinstance(content, str) else content
                continue
            if shown and written["role"] != "tool":
                yield {"role": "user", "content": shown}
                shown = []
            yield written
    if shown:
        yield {"role": "user", "content": shown}


def write_message(message: Message) -> Iterator[JsonObject]:
    """One message of ours can be several of theirs: every tool result is one of its own, before what else was said."""
    content: list[JsonObject] = []
    calls: list[JsonObject] = []
    for part in message.parts:
        match part:
            case ToolResult():
                told = f"{FAILED}{part.text}" if part.is_error else part.text
                yield {"role": "tool", "tool_call_id": part.call_id, "content": told}
                content += [_write_image(image) for image in part.images]
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Text():
                content.append({"type": "text", "text": part.text})
            case Image():
                content.append(_write_image(part))
            case Document():
                file = {"filename": part.name or "document.pdf", "file_data": part.url}
                content.append({"type": "file", "file": file})
            case _:
                pass  # refused by `cannot_carry`, or told by `dropped_fields`, before anything is written
    if not content and not calls and message.role != "assistant":
        return
    written: JsonObject = {"role": "user" if message.role == "tool" else message.role, "content": _plain(content)}
    if calls:
        written["tool_calls"] = calls
    yield written


def _write_image(image: Image) -> JsonObject:
    url = {"url": image.url} if image.detail is None else {"url": image.url, "detail": image.detail}
    return {"type": "image_url", "image_url": url}


def _plain(content: list[JsonObject]) -> str | list[JsonObject] | None:
    """Content in its shortest form; some servers read nothing but strings."""
    if len(content) == 1 and content[0]["type"] == "text":
        words: str = content[0]["text"]
        return words
    return content or None


def _write_tool(tool: Tool) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return {"type": "function", "function": function}


def _write_tool_choice(choice: ToolChoice | None) -> str | JsonObject | None:
    if choice is None:
        return None
    if choice.name is None:
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _write_output_format(output_format: OutputFormat) -> JsonObject | None:
    match output_format.kind:
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            described: JsonObject = {"name": output_format.name}
            if output_format.description:
                described["description"] = output_format.description
            if output_format.schema is not None:
                described["schema"] = output_format.schema
            if output_format.is_strict is not None:
                described["strict"] = output_format.is_strict
            return {"type": "json_schema", "json_schema": described}
