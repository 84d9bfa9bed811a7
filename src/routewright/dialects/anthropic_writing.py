"""Anthropic's message request, written from a `Call`: a client's own body if it is of this dialect, else a new one.

What has no counterpart either stops the call before it is written (`cannot_carry`) or is a hint that is left out
(`dropped_fields`). The differences that shape this file: the system prompt stands apart, turns alternate, tool results
are part of the user's turn, and the output limit is required.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw

from routewright.call import (
    Attempt,
    CacheMark,
    Call,
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from routewright.dialects.anthropic_generations import (
    fitted,
    knows_adaptive_thinking,
    knows_effort,
    takes_sampling,
)
from routewright.dialects.anthropic_thinking import DIALECT, is_foreign, write_thinking
from routewright.dialects.cache_marks import write_mark
from routewright.dialects.carrying import asks_for_nothing, nothing_said
from routewright.dialects.strict_json import UNREADABLE

HINTS = frozenset(
    {
        "client_metadata", "metadata", "prediction", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "safety_identifier", "seed", "service_tier", "store", "user", "verbosity",
    }
)  # fmt: skip
"""OpenAI's fields that change speed, price, bookkeeping or tone, but not what is asked."""

_IMAGE_HEADS = {
    "data:image/jpeg;base64": "image/jpeg",
    "data:image/jpg;base64": "image/jpeg",
    "data:image/png;base64": "image/png",
    "data:image/gif;base64": "image/gif",
    "data:image/webp;base64": "image/webp",
}

_PDF_HEAD = "data:application/pdf;base64"
_PLAIN_TEXT = re.compile(r"data:text/[\w.+-]+(?:;charset=utf-8)?;base64", re.IGNORECASE)

_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}

_TOOL_ID = re.compile(r"[^a-zA-Z0-9_-]")


# ---- what can be said -------------------------------------------------------------------------------------------


def unsayable_field(call: Call) -> str | None:
    """The first field of a call in another dialect that changes the answer and has no counterpart."""
    if _has_own_body(call):
        return None
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
        if field not in HINTS and not asks_for_nothing(call, field):
            return field
    return _unsayable_part(call) or nothing_said(call)


def _has_own_body(call: Call) -> bool:
    return call.dialect == DIALECT and bool(call.body)


def _unsayable_part(call: Call) -> str | None:
    for index, message in enumerate(call.messages):
        for part in message.parts:
            kind = None if type(part) is Text else _unsayable_kind(part, message.role)
            if kind is not None:
                return f"messages[{index}] ({kind})"
    return None


def _unsayable_kind(part: Part, role: str) -> str | None:
    match part:
        case Image(url):
            is_sayable = role == "user" and _image_source(url) is not None
            return None if is_sayable else "image of this kind or in this place"
        case Document(url):
            is_sayable = role == "user" and _document_source(url) is not None
            return None if is_sayable else "document of this kind or in this place"
        case ToolResult(images=images):
            return None if all(map(_image_source, (image.url for image in images))) else "image of this kind"
        case Opaque(kind):
            return kind
    return None


def unsaid_fields(call: Call) -> tuple[str, ...]:
    """The hints that are left out, thoughts of others, and sampling, which only models up to Claude 4.6 still take."""
    thoughts = ("thinking",) if any(_is_foreign(part) for message in call.messages for part in message.parts) else ()
    if _has_own_body(call):
        return thoughts
    sampling = {"temperature": call.temperature, "top_p": call.top_p}
    return (
        *(field for field in call.extra_fields if field in HINTS),
        *(name for name, value in sampling.items() if value not in (None, 1)),
        *thoughts,
    )


def _is_foreign(part: Part) -> bool:
    return type(part) is Thinking and not (part.seal and part.dialect == DIALECT)


# ---- the body ---------------------------------------------------------------------------------------------------


def write_body(attempt: Attempt) -> bytes:
    """The body of `POST /v1/messages`.

    Always our own serialisation, so that we and the provider cannot read it differently.
    """
    return msgspec.json.encode(_own_body(attempt) if _has_own_body(attempt.call) else _canonical_body(attempt))


def _own_body(attempt: Attempt) -> JsonObject:
    """The client's fields as they came, but for the model and what we decide: how much to answer, and in pieces or not.

    For a model that the client did not name, what it says of thinking may need other words.
    Thoughts of another dialect's provider would be taken for forged ones.
    """
    call, place = attempt.call, attempt.deployment
    body = {**call.body, "model": place.upstream_model, "messages": _without_foreign_thoughts(call)}
    body["max_tokens"] = call.max_output_tokens
    if body.get("stream") and not call.stream:
        del body["stream"]
    is_named = call.model in (attempt.model.name, place.upstream_model, place.id)
    return body if is_named else fitted(body, place.upstream_model)


def _without_foreign_thoughts(call: Call) -> list[JsonObject]:
    messages: list[JsonObject] = call.body["messages"]
    thoughts = (part for message in call.messages for part in message.parts if type(part) is Thinking)
    if all(thought.dialect == DIALECT for thought in thoughts):
        return messages
    kept = []
    for message in messages:
        content = message["content"]
        own = content if isinstance(content, str) else [block for block in content if not is_foreign(block)]
        if own or not content:
            kept.append({**message, "content": own})
    return kept


def _canonical_body(attempt: Attempt) -> JsonObject:
    call, most = attempt.call, attempt.model.max_output_tokens
    body: JsonObject = {
        "model": attempt.deployment.upstream_model,
        "max_tokens": min(call.max_output_tokens or most, most),
        "messages": write_turns(call.messages),
        "system": _write_system(call.messages),
        "tools": [_write_tool(tool) for tool in call.tools] or None,
        "tool_choice": _write_tool_choice(call) if call.tools else None,
        "stop_sequences": call.stop or None,
        "stream": call.stream or None,
        **_write_manner(call, attempt.deployment.upstream_model),
    }
    return {name: value for name, value in body.items() if value is not None}


def _write_manner(call: Call, model: str) -> JsonObject:
    """How to think, to sample and to shape the answer, in the words that this generation of models knows."""
    written: JsonObject = {}
    output: JsonObject = {}
    if call.output_format.schema is not None:
        output["format"] = {"type": "json_schema", "schema": call.output_format.described_schema}
    effort = None if call.reasoning_effort is None else _EFFORTS[call.reasoning_effort]
    samples = takes_sampling(model)
    if effort is not None and knows_effort(model):
        output["effort"] = "high" if samples and effort in ("xhigh", "max") else effort
        is_forced = call.tool_choice is not None and call.tool_choice.mode == "required"  # refused together
        if call.reasoning_effort not in ("none", "minimal") and not is_forced and knows_adaptive_thinking(model):
            written["thinking"] = {"type": "adaptive"}
    if samples and "thinking" not in written:  # thinking fixes the temperature at 1
        written["temperature"] = None if call.temperature == 1 else call.temperature
        written["top_p"] = None if call.top_p == 1 else call.top_p
    if output:
        written["output_config"] = output
    return written


def _write_system(messages: tuple[Message, ...]) -> str | list[JsonObject] | None:
    """All that the system says: as one text, or in blocks where one of them is marked for the cache."""
    system = [message for message in messages if message.role == "system"]
    if any(type(part) is CacheMark for message in system for part in message.parts):
        return [block for message in system for block in _write_blocks(message.parts)]
    return "\n\n".join(message.text for message in system) or None


def write_turns(messages: Iterable[Message]) -> list[JsonObject]:
    """The messages but for the system's, neighbours of one role made one turn, with tool results first as required."""
    turns: list[JsonObject] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _write_blocks(message.parts)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return turns


def _write_blocks(parts: Iterable[Part]) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    for part in parts:
        if type(part) is not CacheMark:
            blocks += _write_part(part)
        elif blocks and blocks[-1]["type"] not in ("thinking", "redacted_thinking"):  # which cannot be marked
            blocks[-1]["cache_control"] = write_mark(part)
    return blocks


def _write_part(part: Part) -> Iterator[JsonObject]:
    match part:
        case Text():
            if part.text:  # empty text blocks are refused
                yield {"type": "text", "text": part.text}
        case Image():
            yield {"type": "image", "source": _image_source(part.url)}
        case Document():
            block = {"type": "document", "source": _document_source(part.url)}
            yield {**block, "title": part.name} if part.name else block
        case Thinking():
            if not _is_foreign(part):
                yield write_thinking(part)
        case ToolCall():
            yield {"type": "tool_use", "id": tool_id(part.id), "name": part.name, "input": tool_input(part.arguments)}
        case ToolResult():
            yield _write_tool_result(part)


def _write_tool_result(result: ToolResult) -> JsonObject:
    block: JsonObject = {"type": "tool_result", "tool_use_id": tool_id(result.call_id), "content": result.text}
    if result.images:
        texts = [{"type": "text", "text": result.text}] if result.text else []
        block["content"] = [*texts, *({"type": "image", "source": _image_source(image.url)} for image in result.images)]
    return {**block, "is_error": True} if result.is_error else block


def _image_source(url: str) -> JsonObject | None:
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    head, _, data = url.partition(",")
    media_type = _IMAGE_HEADS.get(head)
    return None if media_type is None else {"type": "base64", "media_type": media_type, "data": data}


def _document_source(url: str) -> JsonObject | None:
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    head, _, data = url.partition(",")
    if head == _PDF_HEAD:
        return {"type": "base64", "media_type": "application/pdf", "data": data}
    if not _PLAIN_TEXT.fullmatch(head):
        return None
    try:
        return {"type": "text", "media_type": "text/plain", "data": b64decode(data, validate=True).decode()}
    except ValueError:
        return None


def tool_id(call_id: str) -> str:
    """An id in the letters allowed here; the same one for a call and its result."""
    return _TOOL_ID.sub("_", call_id) or "_"


def tool_input(arguments: str) -> Raw | JsonObject:
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
    if tool.is_strict is not None:
        written["strict"] = tool.is_strict
    if tool.cache_mark is not None:
        written["cache_control"] = write_mark(tool.cache_mark)
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
