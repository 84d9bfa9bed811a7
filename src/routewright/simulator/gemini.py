"""Gemini's generated content, as Google speaks it. Written apart from `dialects`, so that each tests the other."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from routewright.call import JsonObject, OutputFormat, Tool, ToolCall, ToolChoice
from routewright.reply import FinishReason
from routewright.simulator import tokens
from routewright.simulator.answers import Ask, Choice, Completion, Prefix
from routewright.simulator.wire import Chunk, Reason, Refusal, server_sent
from routewright.usage import Usage

CACHED_FROM_TOKENS = 1024
"""A shorter beginning is not kept."""
TURN_TOKENS = 3
"""What the frame around each turn weighs."""

_STREAM = ":streamGenerateContent"
_WHOLE = ":generateContent"
ENDS = (_STREAM, _WHOLE)
"""How its addresses end."""

_ERRORS: dict[Reason, tuple[int, str]] = {
    Reason.INVALID: (400, "INVALID_ARGUMENT"),
    Reason.NOT_FOUND: (404, "NOT_FOUND"),
    Reason.RATE_LIMITED: (429, "RESOURCE_EXHAUSTED"),
    Reason.FAILED: (500, "INTERNAL"),
    Reason.OVERLOADED: (503, "UNAVAILABLE"),
}
_FINISH: dict[FinishReason, str] = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}

_UNSIGNED = ("gemini-1", "gemini-2")
"""Models that take calls back without a signature."""
_NOT_OURS = "skip_thought_signature_validator"


class _FunctionCall(Struct, frozen=True):
    name: str
    args: JsonObject = {}
    id: str | None = None


class _FunctionResponse(Struct, frozen=True):
    name: str
    response: JsonObject
    id: str | None = None


class _Part(Struct, frozen=True, rename="camel", omit_defaults=True):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    inline_data: JsonObject | None = None
    file_data: JsonObject | None = None
    function_call: _FunctionCall | None = None
    function_response: _FunctionResponse | None = None


class _Content(Struct, frozen=True):
    parts: Annotated[list[_Part], Meta(min_length=1)]
    role: Literal["user", "model"] = "user"


class _Declaration(Struct, frozen=True, rename="camel"):
    name: str
    description: str = ""
    parameters_json_schema: JsonObject = {}


class _Tool(Struct, frozen=True, rename="camel"):
    function_declarations: list[_Declaration] = []


class _CallingConfig(Struct, frozen=True, rename="camel"):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(Struct, frozen=True, rename="camel"):
    function_calling_config: _CallingConfig = _CallingConfig()


class _GenerationConfig(Struct, frozen=True, rename="camel"):
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] = []
    candidate_count: Annotated[int, Meta(ge=1, le=8)] = 1
    response_mime_type: str = "text/plain"
    response_json_schema: JsonObject | None = None


class _Request(Struct, frozen=True, rename="camel"):
    contents: Annotated[list[_Content], Meta(min_length=1)]
    system_instruction: _Content | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig = _ToolConfig()
    generation_config: _GenerationConfig = _GenerationConfig()


class Gemini:
    """`/models/{model}:generateContent` and `:streamGenerateContent`; the address says what to ask, and how."""

    request_id_header = "x-request-id"

    def __init__(self, path: str) -> None:
        self._is_streamed = path.endswith(_STREAM)
        self._model = unquote(path.rpartition("/")[2].rpartition(":")[0])

    def read(self, body: bytes) -> Ask:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Reason.INVALID, f"The request cannot be read: {error}") from None
        self._check_turns(request.contents)
        config = request.generation_config
        tools = tuple(
            Tool(each.name, each.description, each.parameters_json_schema)
            for tool in request.tools
            for each in tool.function_declarations
        )
        last = request.contents[-1]
        system = [request.system_instruction] if request.system_instruction else []
        return Ask(
            model=self._model,
            digest=sha256(msgspec.json.encode((system, request.contents))).hexdigest(),
            prompt=_words(last) if last.role == "user" else "",
            input_tokens=_count([*system, *request.contents], tools),
            prefix=_prefix(system, tools),
            tools=tools,
            tool_choice=_tool_choice(request.tool_config.function_calling_config, tools),
            output_format=_output_format(config),
            max_tokens=config.max_output_tokens,
            stop=tuple(config.stop_sequences),
            choices=config.candidate_count,
            is_streamed=self._is_streamed,
        )

    def whole(self, completion: Completion) -> bytes:
        candidates = [
            _candidate(index, _parts(choice), _FINISH[choice.finish]) for index, choice in enumerate(completion.choices)
        ]
        return msgspec.json.encode(_response(completion, candidates, completion.usage))

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        """Usage is always told: what was sent in every chunk, what was generated in the last one."""
        sent = msgspec.structs.replace(completion.usage, output=0)
        for index, choice in enumerate(completion.choices):
            parts = _parts(choice) if choice.tool_calls else [{"text": piece} for piece in tokens.split(choice.text)]
            for part in parts:
                chunk = _response(completion, [_candidate(index, [part])], sent)
                yield Chunk(server_sent(chunk), takes_a_token=True)
            ended = _candidate(index, [{"text": ""}], _FINISH[choice.finish])
            yield Chunk(server_sent(_response(completion, [ended], completion.usage)))

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        status, name = _ERRORS[refusal.reason]
        error: JsonObject = {"code": status, "message": refusal.message, "status": name}
        if refusal.retry_after_s is not None:
            delay = f"{refusal.retry_after_s}s"
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
        return status, msgspec.json.encode({"error": error})

    def _check_turns(self, turns: list[_Content]) -> None:
        """Calls are answered one by one in the next turn, and come back with the signature they were given with."""
        for turn, after in zip(turns, [*turns[1:], None], strict=True):
            calls = [part for part in turn.parts if part.function_call is not None]
            if not calls:
                continue
            answers = [part.function_response for part in (after.parts if after else ()) if part.function_response]
            wanted = [(part.function_call.id, part.function_call.name) for part in calls if part.function_call]
            if sorted(map(str, wanted)) != sorted(str((answer.id, answer.name)) for answer in answers):
                raise Refusal(Reason.INVALID, "Function responses must match the function calls of the turn before")
            first = calls[0]
            if not self._model.startswith(_UNSIGNED) and first.thought_signature not in (_signature(first), _NOT_OURS):
                raise Refusal(Reason.INVALID, "Function call is missing a thought_signature in functionCall parts")


def _signature(part: _Part) -> str:
    assert part.function_call is not None
    return sha256(part.function_call.name.encode()).hexdigest()


def _words(content: _Content) -> str:
    return "\n".join(part.text for part in content.parts if part.text)


def _tool_choice(asked: _CallingConfig, tools: tuple[Tool, ...]) -> ToolChoice:
    unknown = set(asked.allowed_function_names) - {tool.name for tool in tools}
    if unknown:
        raise Refusal(Reason.INVALID, f"allowed_function_names has {min(unknown)!r}, which is not declared")
    match asked.mode:
        case "ANY":
            return ToolChoice("required", next(iter(asked.allowed_function_names), None))
        case "NONE":
            return ToolChoice("none")
        case _:
            return ToolChoice("auto")


def _output_format(config: _GenerationConfig) -> OutputFormat:
    if config.response_json_schema is not None:
        return OutputFormat("json_schema", schema=config.response_json_schema)
    return OutputFormat("json_object" if config.response_mime_type == "application/json" else "text")


def _count(contents: list[_Content], tools: tuple[Tool, ...]) -> int:
    said = sum(TURN_TOKENS + tokens.count_json(msgspec.to_builtins(content.parts)) for content in contents)
    return said + (tokens.count_json(tools) if tools else 0)


def _prefix(system: list[_Content], tools: tuple[Tool, ...]) -> Prefix | None:
    """Tools and system instruction, when they are long enough to be kept without being asked."""
    kept = _count(system, tools)
    if kept < CACHED_FROM_TOKENS:
        return None
    return Prefix(sha256(msgspec.json.encode((tools, system))).hexdigest(), kept)


def _parts(choice: Choice) -> list[JsonObject]:
    """The text, or the calls, the first of which is signed."""
    if not choice.tool_calls:
        return [{"text": choice.text}]
    parts: list[JsonObject] = [{"functionCall": _call(call)} for call in choice.tool_calls]
    parts[0]["thoughtSignature"] = _signature(msgspec.convert(parts[0], _Part))
    return parts


def _call(call: ToolCall) -> JsonObject:
    """Arguments that were cut short are left out, since half an object cannot be sent."""
    try:
        arguments = msgspec.json.decode(call.arguments, type=JsonObject)
    except msgspec.DecodeError:
        arguments = {}
    return {"id": call.id, "name": call.name, "args": arguments}


def _candidate(index: int, parts: list[JsonObject], finish: str | None = None) -> JsonObject:
    candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": index}
    return candidate if finish is None else {**candidate, "finishReason": finish}


def _response(completion: Completion, candidates: list[JsonObject], usage: Usage) -> JsonObject:
    counts = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output,
        "cachedContentTokenCount": usage.cache_read,
        "totalTokenCount": usage.total,
    }
    return {
        "candidates": candidates,
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": completion.model,
        "responseId": completion.id,
    }
