"""OpenAI's Responses, as its provider speaks them. Written apart from `dialects`, so that each tests the other.

It thinks where effort is asked for, under a seal, and like the real one it refuses a seal that it has not made.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from routewright.call import JsonObject, OutputFormat, Tool, ToolChoice
from routewright.simulator import tokens
from routewright.simulator.answers import Ask, Completion, Prefix
from routewright.simulator.openai_chat import CACHE_STEP, CACHED_FROM_TOKENS, MESSAGE_TOKENS, refusal_body
from routewright.simulator.wire import Chunk, Reason, Refusal, server_sent, words
from routewright.usage import Usage

THOUGHT = "Simulated thoughts, which are about nothing."
_SEAL = "simulated-seal-"


class _Tool(Struct, frozen=True):
    type: str
    name: str = ""
    description: str | None = None
    parameters: JsonObject | None = None


class _NamedChoice(Struct, frozen=True):
    name: str = ""


class _Format(Struct, frozen=True):
    type: str = "text"
    name: str = ""
    schema: JsonObject = {}


class _Text(Struct, frozen=True):
    format: _Format = _Format()


class _Reasoning(Struct, frozen=True):
    effort: str | None = None


class _Request(Struct, frozen=True):
    model: str
    input: str | Annotated[list[JsonObject], Meta(min_length=1)]
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text = _Text()
    reasoning: _Reasoning | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stream: bool | None = None
    service_tier: str | None = None


class OpenAIResponses:
    """`/responses`."""

    request_id_header = "x-request-id"

    def read(self, body: bytes) -> Ask:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Reason.INVALID, f"The request cannot be read: {error}") from None
        if request.previous_response_id is not None:
            raise Refusal(Reason.NOT_FOUND, f"Previous response with id {request.previous_response_id!r} not found.")
        items = [{"role": "user", "content": request.input}] if isinstance(request.input, str) else request.input
        _check_seals(items)
        tools = tuple(
            Tool(tool.name, tool.description or "", tool.parameters or {})
            for tool in request.tools or ()
            if tool.type == "function"
        )
        last = items[-1]
        return Ask(
            model=request.model,
            digest=sha256(msgspec.json.encode((request.instructions, items))).hexdigest(),
            prompt=words(last.get("content")) if last.get("role") == "user" else "",
            input_tokens=_count(request.instructions, items, tools),
            prefix=_prefix(request.instructions, items, tools),
            tools=tools,
            tool_choice=_tool_choice(request.tool_choice, tools),
            may_call_in_parallel=request.parallel_tool_calls is not False,
            output_format=_output_format(request.text.format),
            max_tokens=request.max_output_tokens,
            thinks=request.reasoning is not None and request.reasoning.effort not in (None, "none"),
            is_streamed=bool(request.stream),
            service_tier="default" if request.service_tier in (None, "auto") else request.service_tier,
        )

    def whole(self, completion: Completion) -> bytes:
        return msgspec.json.encode(_response(completion, is_done=True))

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        for number, (event, takes_a_token) in enumerate(_events(completion)):
            yield Chunk(server_sent({**event, "sequence_number": number}, event["type"]), takes_a_token)

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        return refusal_body(refusal)


def _check_seals(items: list[JsonObject]) -> None:
    for item in items:
        seal = item.get("encrypted_content")
        if seal is not None and not (isinstance(seal, str) and seal.startswith(_SEAL)):
            raise Refusal(Reason.INVALID, "The encrypted content of an item could not be verified.")


def _tool_choice(asked: str | _NamedChoice | None, tools: tuple[Tool, ...]) -> ToolChoice:
    if isinstance(asked, _NamedChoice):
        if asked.name not in {tool.name for tool in tools}:
            raise Refusal(Reason.INVALID, f"tool_choice names {asked.name!r}, which is not among the tools")
        return ToolChoice("required", asked.name)
    if asked == "none":
        return ToolChoice("none")
    return ToolChoice("required" if asked == "required" else "auto")


def _output_format(asked: _Format) -> OutputFormat:
    if asked.type == "json_object":
        return OutputFormat("json_object")
    return OutputFormat("json_schema", asked.name, asked.schema) if asked.type == "json_schema" else OutputFormat()


def _count(instructions: str | None, items: list[JsonObject], tools: tuple[Tool, ...]) -> int:
    said = sum(MESSAGE_TOKENS + _count_item(item) for item in items)
    return said + tokens.count(instructions or "") + (tokens.count_json(tools) if tools else 0)


def _count_item(item: JsonObject) -> int:
    content = item.get("content", item.get("output"))
    return tokens.count_json(item) if content is None else tokens.count_content(content)


def _prefix(instructions: str | None, items: list[JsonObject], tools: tuple[Tool, ...]) -> Prefix | None:
    """Tools and system prompt, when they are long enough for the provider to keep them of its own accord."""
    system = [item for item in items if item.get("role") in ("system", "developer")]
    kept = _count(instructions, system, tools) // CACHE_STEP * CACHE_STEP
    if kept < CACHED_FROM_TOKENS:
        return None
    return Prefix(sha256(msgspec.json.encode((tools, instructions, system))).hexdigest(), kept)


def _response(completion: Completion, *, is_done: bool) -> JsonObject:
    [choice] = completion.choices
    is_cut = choice.finish == "length"
    return {
        "id": f"resp_{completion.id}",
        "object": "response",
        "created_at": completion.created_s,
        "status": ("incomplete" if is_cut else "completed") if is_done else "in_progress",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_done and is_cut else None,
        "model": completion.model,
        "output": _output(completion) if is_done else [],
        "parallel_tool_calls": True,
        "service_tier": completion.service_tier,
        "tool_choice": "auto",
        "tools": [],
        "usage": _usage(completion.usage) if is_done else None,
    }


def _output(completion: Completion) -> list[JsonObject]:
    [choice] = completion.choices
    items: list[JsonObject] = []
    if completion.ask is not None and completion.ask.thinks:
        summary = [{"type": "summary_text", "text": THOUGHT}]
        items.append({"type": "reasoning", "summary": summary, "encrypted_content": _SEAL + completion.id})
    if choice.text or not choice.tool_calls:
        content = [{"type": "output_text", "text": choice.text, "annotations": [], "logprobs": []}]
        items.append({"type": "message", "status": "completed", "role": "assistant", "content": content})
    for call in choice.tool_calls:
        told = {"call_id": f"call_{call.id}", "name": call.name, "arguments": call.arguments}
        items.append({"type": "function_call", "status": "completed", **told})
    return [{"id": f"item_{completion.id}{index}", **item} for index, item in enumerate(items)]


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def _events(completion: Completion) -> Iterator[tuple[JsonObject, bool]]:
    """What the stream says, and whether a token had to be generated for it."""
    begun = _response(completion, is_done=False)
    yield {"type": "response.created", "response": begun}, False
    yield {"type": "response.in_progress", "response": begun}, False
    for index, item in enumerate(_output(completion)):
        empty: dict[str, JsonObject] = {
            "reasoning": {"summary": []},
            "message": {"content": []},
            "function_call": {"arguments": ""},
        }
        added = {**item, **empty[item["type"]], "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": index, "item": added}, False
        at = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "message":
                yield from _words(item["content"][0], {**at, "content_index": 0})
            case "function_call":
                for piece in tokens.split(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}, True
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **at, **done}, False
            case "reasoning":
                yield from _thoughts(item["summary"][0], {**at, "summary_index": 0})
        yield {"type": "response.output_item.done", "output_index": index, "item": item}, False
    ended = _response(completion, is_done=True)
    yield {"type": f"response.{ended['status']}", "response": ended}, False


def _words(part: JsonObject, at: JsonObject) -> Iterator[tuple[JsonObject, bool]]:
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}, False
    for piece in tokens.split(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}, True
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}, False
    yield {"type": "response.content_part.done", **at, "part": part}, False


def _thoughts(part: JsonObject, at: JsonObject) -> Iterator[tuple[JsonObject, bool]]:
    yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}, False
    for piece in tokens.split(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}, False
    yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}, False
    yield {"type": "response.reasoning_summary_part.done", **at, "part": part}, False
