"""OpenAI's Chat Completions, as its provider speaks it. Written apart from `dialects`, so that each tests the other."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import zip_longest
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from routewright.call import JsonObject, OutputFormat, Tool, ToolCall, ToolChoice
from routewright.simulator import tokens
from routewright.simulator.answers import Ask, Choice, Completion, Prefix
from routewright.simulator.wire import Chunk, Reason, Refusal, server_sent, words
from routewright.usage import Usage

CACHED_FROM_TOKENS = 1024
"""A shorter prefix is not kept, and a kept one counts in steps of `CACHE_STEP`, as OpenAI documents it."""
CACHE_STEP = 128
MESSAGE_TOKENS = 4
"""What the frame around each message weighs."""

_ERRORS: dict[Reason, tuple[int, str, str | None]] = {
    Reason.INVALID: (400, "invalid_request_error", None),
    Reason.NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    Reason.RATE_LIMITED: (429, "requests", "rate_limit_exceeded"),
    Reason.FAILED: (500, "server_error", None),
    Reason.OVERLOADED: (503, "server_error", None),
}


class _Message(Struct, frozen=True, omit_defaults=True):
    role: str
    content: str | list[JsonObject] | None = None
    tool_calls: list[JsonObject] | None = None


class _Function(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: JsonObject | None = None


class _Tool(Struct, frozen=True):
    function: _Function | None = None


class _Named(Struct, frozen=True):
    name: str


class _NamedChoice(Struct, frozen=True):
    function: _Named | None = None


class _JsonSchema(Struct, frozen=True):
    name: str
    schema: JsonObject = {}


class _ResponseFormat(Struct, frozen=True):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class _Request(Struct, frozen=True):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    tools: list[_Tool] | None = None
    tool_choice: str | _NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    service_tier: str | None = None


class OpenAIChat:
    """`/chat/completions`."""

    request_id_header = "x-request-id"

    def read(self, body: bytes) -> Ask:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Reason.INVALID, f"The request cannot be read: {error}") from None
        last = request.messages[-1]
        tools = tuple(_tool(tool.function) for tool in request.tools or () if tool.function is not None)
        return Ask(
            model=request.model,
            digest=sha256(msgspec.json.encode(request.messages)).hexdigest(),
            prompt=words(last.content) if last.role == "user" else "",
            input_tokens=_count(request.messages, tools),
            prefix=_prefix(request.messages, tools),
            tools=tools,
            tool_choice=_tool_choice(request.tool_choice, tools),
            may_call_in_parallel=request.parallel_tool_calls is not False,
            output_format=_output_format(request.response_format),
            max_tokens=request.max_completion_tokens or request.max_tokens,
            stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
            choices=request.n or 1,
            is_streamed=bool(request.stream),
            wants_usage=request.stream_options is not None and request.stream_options.include_usage,
            service_tier="default" if request.service_tier in (None, "auto") else request.service_tier,
        )

    def whole(self, completion: Completion) -> bytes:
        choices = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": None if choice.tool_calls else choice.text,
                    "refusal": None,
                    **({"tool_calls": [_whole_call(call) for call in choice.tool_calls]} if choice.tool_calls else {}),
                },
                "logprobs": None,
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(completion.choices)
        ]
        head = _head(completion, "chat.completion")
        return msgspec.json.encode({**head, "choices": choices, "usage": _usage(completion.usage)})

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        head = _head(completion, "chat.completion.chunk")
        tail: JsonObject = {"usage": None} if with_usage else {}
        for deltas in zip_longest(*(_deltas(choice) for choice in completion.choices)):
            for index, delta in enumerate(deltas):
                if delta is not None:
                    choice = {"index": index, "logprobs": None, **delta}
                    # the answers are written side by side, so a round of them takes the time of one token
                    yield Chunk(server_sent({**head, "choices": [choice], **tail}), takes_a_token=index == 0)
        if with_usage:
            yield Chunk(server_sent({**head, "choices": [], "usage": _usage(completion.usage)}))
        yield Chunk(b"data: [DONE]\n\n")

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        return refusal_body(refusal)


def refusal_body(refusal: Refusal) -> tuple[int, bytes]:
    """The status and body of an error answer, in all of OpenAI's formats."""
    status, kind, code = _ERRORS[refusal.reason]
    error = {"message": refusal.message, "type": kind, "param": None, "code": code}
    return status, msgspec.json.encode({"error": error})


def _tool(function: _Function) -> Tool:
    return Tool(function.name, function.description or "", function.parameters or {})


def _tool_choice(asked: str | _NamedChoice | None, tools: tuple[Tool, ...]) -> ToolChoice:
    if isinstance(asked, _NamedChoice) and asked.function is not None:
        name = asked.function.name
        if name not in {tool.name for tool in tools}:
            raise Refusal(Reason.INVALID, f"tool_choice names {name!r}, which is not among the tools")
        return ToolChoice("required", name)
    if asked == "none":
        return ToolChoice("none")
    return ToolChoice("required" if asked == "required" else "auto")


def _output_format(asked: _ResponseFormat | None) -> OutputFormat:
    if asked is not None and asked.type == "json_object":
        return OutputFormat("json_object")
    if asked is not None and asked.type == "json_schema" and asked.json_schema is not None:
        return OutputFormat("json_schema", asked.json_schema.name, asked.json_schema.schema)
    return OutputFormat()


def _count(messages: list[_Message], tools: tuple[Tool, ...]) -> int:
    calls = sum(tokens.count_json(message.tool_calls) for message in messages if message.tool_calls)
    content = sum(MESSAGE_TOKENS + tokens.count_content(message.content) for message in messages)
    return content + calls + (tokens.count_json(tools) if tools else 0)


def _prefix(messages: list[_Message], tools: tuple[Tool, ...]) -> Prefix | None:
    """Tools and system prompt, when they are long enough for the provider to keep them of its own accord."""
    system = [message for message in messages if message.role in ("system", "developer")]
    kept = _count(system, tools) // CACHE_STEP * CACHE_STEP
    if kept < CACHED_FROM_TOKENS:
        return None
    return Prefix(sha256(msgspec.json.encode((tools, system))).hexdigest(), kept)


def _head(completion: Completion, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{completion.id}",
        "object": kind,
        "created": completion.created_s,
        "model": completion.model,
        "service_tier": completion.service_tier,
        "system_fingerprint": "simulated",
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }


def _whole_call(call: ToolCall) -> JsonObject:
    return {"id": f"call_{call.id}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _deltas(choice: Choice) -> Iterator[JsonObject]:
    """What the stream says of one answer: its role, its pieces, why it ended."""
    yield _delta({"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None})
    for piece in tokens.split(choice.text):
        yield _delta({"content": piece})
    for index, call in enumerate(choice.tool_calls):
        whole = _whole_call(call)
        yield _delta({"tool_calls": [{"index": index, **whole, "function": {"name": call.name, "arguments": ""}}]})
        for piece in tokens.split(call.arguments):
            yield _delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _delta({}, choice.finish)


def _delta(delta: JsonObject, finish: str | None = None) -> JsonObject:
    return {"delta": delta, "finish_reason": finish}
