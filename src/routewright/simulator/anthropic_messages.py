"""Anthropic's Messages, as its provider speaks it. Written apart from `dialects`, so that each tests the other."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from routewright.call import JsonObject, OutputFormat, Tool, ToolCall, ToolChoice
from routewright.reply import FinishReason
from routewright.simulator import tokens
from routewright.simulator.answers import Ask, Choice, Completion, Prefix
from routewright.simulator.wire import Chunk, Reason, Refusal, server_sent, words
from routewright.usage import Usage

CACHED_FROM_TOKENS = 1024
"""A shorter prefix is not kept, as Anthropic documents it for most models."""
MESSAGE_TOKENS = 3
"""What the frame around each message weighs."""

_ERRORS: dict[Reason, tuple[int, str]] = {
    Reason.INVALID: (400, "invalid_request_error"),
    Reason.NOT_FOUND: (404, "not_found_error"),
    Reason.RATE_LIMITED: (429, "rate_limit_error"),
    Reason.FAILED: (500, "api_error"),
    Reason.OVERLOADED: (529, "overloaded_error"),
}
_STOP_REASONS: dict[FinishReason, str] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class _Message(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[JsonObject]


class _CacheControl(Struct, frozen=True):
    ttl: Literal["5m", "1h"] = "5m"


class _Tool(Struct, frozen=True):
    name: str
    description: str | None = None
    input_schema: JsonObject | None = None
    """None for a tool that the provider runs itself; the simulator has none of those."""
    cache_control: _CacheControl | None = None


class _ToolChoice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(Struct, frozen=True):
    schema: JsonObject


class _OutputConfig(Struct, frozen=True):
    format: _Format | None = None


class _SystemBlock(Struct, frozen=True):
    text: str
    cache_control: _CacheControl | None = None


class _Request(Struct, frozen=True):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    system: str | list[_SystemBlock] = ""
    tools: list[_Tool] = []
    tool_choice: _ToolChoice = _ToolChoice("auto")
    output_config: _OutputConfig = _OutputConfig()
    stop_sequences: list[str] = []
    stream: bool = False


class AnthropicMessages:
    """`/v1/messages`."""

    request_id_header = "request-id"

    def read(self, body: bytes) -> Ask:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Reason.INVALID, f"The request cannot be read: {error}") from None
        last = request.messages[-1]
        tools = tuple(_tool(tool) for tool in request.tools if tool.input_schema is not None)
        schema = request.output_config.format.schema if request.output_config.format else None
        conversation = sum(MESSAGE_TOKENS + tokens.count_content(message.content) for message in request.messages)
        return Ask(
            model=request.model,
            digest=sha256(msgspec.json.encode((request.system, request.messages))).hexdigest(),
            prompt=words(last.content) if last.role == "user" else "",
            input_tokens=conversation + _opening_tokens(request),
            prefix=_prefix(request),
            tools=tools,
            tool_choice=_tool_choice(request.tool_choice, tools),
            may_call_in_parallel=not request.tool_choice.disable_parallel_tool_use,
            output_format=OutputFormat("json_schema", schema=schema) if schema is not None else OutputFormat(),
            max_tokens=request.max_tokens,
            stop=tuple(request.stop_sequences),
            is_streamed=request.stream,
        )

    def whole(self, completion: Completion) -> bytes:
        choice = completion.choices[0]
        calls = [_block(call, _arguments(call)) for call in choice.tool_calls]
        content = calls or [{"type": "text", "text": choice.text}]
        return msgspec.json.encode(_message(completion, content, _end(choice), completion.usage.output_total))

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        """Usage is always told: what was sent at the start, what was generated at the end."""
        choice = completion.choices[0]
        opening = _message(completion, [], {"stop_reason": None, "stop_sequence": None}, output_tokens=1)
        yield _event("message_start", {"message": opening}, takes_a_token=True)
        yield _event("ping", {})
        if choice.tool_calls:
            for index, call in enumerate(choice.tool_calls):
                yield from _block_events(index, _block(call, {}), "input_json_delta", "partial_json", call.arguments)
        else:
            yield from _block_events(0, {"type": "text", "text": ""}, "text_delta", "text", choice.text)
        told = _usage(completion.usage, completion.usage.output_total)
        del told["cache_creation"]  # only message_start breaks it down
        yield _event("message_delta", {"delta": _end(choice), "usage": told})
        yield _event("message_stop", {})

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        status, kind = _ERRORS[refusal.reason]
        error = {"type": kind, "message": refusal.message}
        return status, msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def _tool(tool: _Tool) -> Tool:
    return Tool(tool.name, tool.description or "", tool.input_schema or {})


def _tool_choice(asked: _ToolChoice, tools: tuple[Tool, ...]) -> ToolChoice:
    match asked.type:
        case "tool":
            if asked.name not in {tool.name for tool in tools}:
                raise Refusal(Reason.INVALID, f"tool_choice names {asked.name!r}, which is not among the tools")
            return ToolChoice("required", asked.name)
        case "any":
            return ToolChoice("required")
        case "none":
            return ToolChoice("none")
        case "auto":
            return ToolChoice("auto")


def _opening_tokens(request: _Request) -> int:
    system = request.system if isinstance(request.system, str) else "\n".join(block.text for block in request.system)
    return tokens.count(system) + (tokens.count_json(request.tools) if request.tools else 0)


def _prefix(request: _Request) -> Prefix | None:
    """Tools and system prompt, when one of them is marked for the cache; marks on messages are passed over."""
    blocks = request.system if isinstance(request.system, list) else []
    controls = (*(tool.cache_control for tool in request.tools), *(block.cache_control for block in blocks))
    marks = [control for control in controls if control is not None]
    kept = _opening_tokens(request) if marks else 0
    if kept < CACHED_FROM_TOKENS:
        return None
    opening = msgspec.json.encode((request.tools, request.system))
    return Prefix(sha256(opening).hexdigest(), kept, marks[-1].ttl)


def _message(completion: Completion, content: list[JsonObject], end: JsonObject, output_tokens: int) -> JsonObject:
    return {
        "id": f"msg_{completion.id}",
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": content,
        **end,
        "usage": _usage(completion.usage, output_tokens),
    }


def _end(choice: Choice) -> JsonObject:
    reason = "stop_sequence" if choice.stop_sequence is not None else _STOP_REASONS[choice.finish]
    return {"stop_reason": reason, "stop_sequence": choice.stop_sequence}


def _usage(usage: Usage, output_tokens: int) -> JsonObject:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": output_tokens,
    }


def _block(call: ToolCall, arguments: JsonObject) -> JsonObject:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": arguments}


def _arguments(call: ToolCall) -> JsonObject:
    """The arguments as an object; empty when they were cut short, since half an object cannot be sent whole."""
    try:
        return msgspec.json.decode(call.arguments, type=JsonObject)
    except msgspec.DecodeError:
        return {}


def _block_events(index: int, block: JsonObject, kind: str, field: str, text: str) -> Iterator[Chunk]:
    yield _event("content_block_start", {"index": index, "content_block": block})
    for piece in tokens.split(text):
        delta = {"type": kind, field: piece}
        yield _event("content_block_delta", {"index": index, "delta": delta}, takes_a_token=True)
    yield _event("content_block_stop", {"index": index})


def _event(name: str, data: JsonObject, *, takes_a_token: bool = False) -> Chunk:
    return Chunk(server_sent({"type": name, **data}, event=name), takes_a_token)
