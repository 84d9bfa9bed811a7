"""Anthropic's message request, written from a `Call`.

What has no counterpart either stops the call before it is written (`cannot_carry`) or is a hint that is left out
(`dropped_fields`). The differences that shape this file: the system prompt stands apart, turns alternate, tool results
are part of the user's turn, and the output limit is required.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from routewright.call import Attempt, Call, Image, JsonObject, Message, Part, Text, Tool, ToolCall, ToolResult
from routewright.dialects.strict_json import UNREADABLE

HINTS = frozenset(
    {
        "metadata", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "safety_identifier", "seed", "service_tier", "store", "user", "verbosity",
    }
)  # fmt: skip
"""OpenAI's fields that change speed, price, bookkeeping or tone, but not what is asked."""

_NEUTRAL: JsonObject = {
    "frequency_penalty": 0,
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "presence_penalty": 0,
    "top_logprobs": 0,
}
"""Values that ask for nothing: many clients send every field they know."""

_IMAGE_HEADS = {
    "data:image/jpeg;base64": "image/jpeg",
    "data:image/jpg;base64": "image/jpeg",
    "data:image/png;base64": "image/png",
    "data:image/gif;base64": "image/gif",
    "data:image/webp;base64": "image/webp",
}

_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}

# Claude up to 4.6 takes temperature or top_p, though not both; every model since refuses both; the SDK dropped them.
_TAKES_SAMPLING = re.compile(r"claude-(?:[23]|(?:opus|sonnet|haiku)-4(?:$|@|[-.][0-6](?!\d)|-20\d{6}))")
# Effort came with Opus 4.5; of the models that take sampling these do not know it, and the others nothing above "high".
_LACKS_EFFORT = re.compile(
    r"claude-(?:[23]|(?:opus|sonnet|haiku)-4(?:$|@|[-.][0-4](?!\d)|-20\d{6})|(?:sonnet|haiku)-4[-.]5)"
)
# Adaptive thinking came with 4.6.
_LACKS_ADAPTIVE_THINKING = re.compile(r"claude-opus-4[-.]5")

_TOOL_ID = re.compile(r"[^a-zA-Z0-9_-]")


# ---- what can be said -------------------------------------------------------------------------------------------


def unsayable_field(call: Call) -> str | None:
    """The first field of the call that changes the answer and has no counterpart."""
    if call.choices > 1:
        return "n"
    if call.temperature is not None and call.temperature > 1:
        return "temperature"
    if call.temperature not in (None, 1) and call.top_p not in (None, 1):
        return "top_p"
    if any(not sequence.strip() for sequence in call.stop):
        return "stop"
    if call.output_format.kind == "json_object" or (
        call.output_format.kind == "json_schema" and call.output_format.schema is None
    ):
        return "response_format"
    if call.reasoning_effort is not None and call.reasoning_effort not in _EFFORTS:
        return "reasoning_effort"
    for field in call.extra_fields:
        if field not in HINTS and call.body.get(field) != _NEUTRAL.get(field):
            return field
    return _unsayable_part(call)


def _unsayable_part(call: Call) -> str | None:
    for index, message in enumerate(call.messages):
        for part in message.parts:
            if type(part) is Text:
                continue
            if type(part) is Image and (message.role != "user" or _image_source(part.url) is None):
                return f"messages[{index}] (image of this kind or in this place)"
            if type(part) not in (Image, ToolCall, ToolResult):
                return f"messages[{index}] ({getattr(part, 'kind', 'part')})"
    return None


def unsaid_fields(call: Call) -> tuple[str, ...]:
    """The hints that are left out, and sampling, which only models up to Claude 4.6 still take."""
    sampling = {"temperature": call.temperature, "top_p": call.top_p}
    return (
        *(field for field in call.extra_fields if field in HINTS),
        *(name for name, value in sampling.items() if value not in (None, 1)),
    )


# ---- the body ---------------------------------------------------------------------------------------------------


def write_body(attempt: Attempt) -> bytes:
    """The body of `POST /v1/messages`."""
    call, most = attempt.call, attempt.model.max_output_tokens
    body: JsonObject = {
        "model": attempt.deployment.upstream_model,
        "max_tokens": min(call.max_output_tokens or most, most),
        "messages": _write_turns(call.messages),
        "system": "\n\n".join(message.text for message in call.messages if message.role == "system") or None,
        "tools": [_write_tool(tool) for tool in call.tools] or None,
        "tool_choice": _write_tool_choice(call) if call.tools else None,
        "stop_sequences": call.stop or None,
        "stream": call.stream or None,
        **_write_manner(call, attempt.deployment.upstream_model),
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _write_manner(call: Call, model: str) -> JsonObject:
    """How to think, to sample and to shape the answer, in the words that this generation of models knows."""
    written: JsonObject = {}
    output: JsonObject = {}
    if call.output_format.schema is not None:
        output["format"] = {"type": "json_schema", "schema": call.output_format.schema}
    effort = None if call.reasoning_effort is None else _EFFORTS[call.reasoning_effort]
    takes_sampling = _TAKES_SAMPLING.search(model) is not None
    if effort is not None and not _LACKS_EFFORT.search(model):
        output["effort"] = "high" if takes_sampling and effort in ("xhigh", "max") else effort
        is_forced = call.tool_choice is not None and call.tool_choice.mode == "required"  # refused together
        if (
            call.reasoning_effort not in ("none", "minimal")
            and not is_forced
            and not _LACKS_ADAPTIVE_THINKING.search(model)
        ):
            written["thinking"] = {"type": "adaptive"}
    if takes_sampling and "thinking" not in written:  # thinking fixes the temperature at 1
        written["temperature"] = None if call.temperature == 1 else call.temperature
        written["top_p"] = None if call.top_p == 1 else call.top_p
    if output:
        written["output_config"] = output
    return written


def _write_turns(messages: tuple[Message, ...]) -> list[JsonObject]:
    """The messages but for the system's, neighbours of one role made one turn, with tool results first as required."""
    turns: list[JsonObject] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts for block in _write_part(part)]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return turns


def _write_part(part: Part) -> Iterator[JsonObject]:
    match part:
        case Text():
            if part.text:  # empty text blocks are refused
                yield {"type": "text", "text": part.text}
        case Image():
            yield {"type": "image", "source": _image_source(part.url)}
        case ToolCall():
            yield {"type": "tool_use", "id": _tool_id(part.id), "name": part.name, "input": _tool_input(part.arguments)}
        case ToolResult():
            block = {"type": "tool_result", "tool_use_id": _tool_id(part.call_id), "content": part.text}
            yield {**block, "is_error": True} if part.is_error else block


def _image_source(url: str) -> JsonObject | None:
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    head, _, data = url.partition(",")
    media_type = _IMAGE_HEADS.get(head)
    return None if media_type is None else {"type": "base64", "media_type": media_type, "data": data}


def _tool_id(call_id: str) -> str:
    """An id in the letters allowed here; the same one for a call and its result."""
    return _TOOL_ID.sub("_", call_id) or "_"


def _tool_input(arguments: str) -> Raw | JsonObject:
    """Arguments must be an object here; a model's broken ones are told as they are."""
    if not arguments.strip():
        return {}
    try:
        is_object = type(msgspec.json.decode(arguments)) is dict
    except UNREADABLE:
        is_object = False
    return Raw(arguments.encode()) if is_object else {"arguments": arguments}


def _write_tool(tool: Tool) -> JsonObject:
    written: JsonObject = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        written["description"] = tool.description
    return written


def _write_tool_choice(call: Call) -> JsonObject | None:
    choice = call.tool_choice
    if choice is not None and choice.mode == "none":
        return {"type": "none"}
    if choice is None or choice.mode == "auto":
        written: JsonObject = {"type": "auto"}
    else:
        written = {"type": "any"} if choice.name is None else {"type": "tool", "name": choice.name}
    if call.parallel_tool_calls is False:
        written["disable_parallel_tool_use"] = True
    return written if choice is not None or len(written) > 1 else None
