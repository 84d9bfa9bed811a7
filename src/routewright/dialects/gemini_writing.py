"""Gemini's request, written from a `Call`.

What has no counterpart either stops the call before it is written (`cannot_carry`) or is a hint that is left out
(`dropped_fields`). The differences that shape this file: the system prompt stands apart, tool results are part of the
user's turn and name their function, and the signatures of a model's turn stand on the parts that they were given with.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from routewright.call import (
    Attempt,
    Call,
    Document,
    Image,
    JsonObject,
    Message,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from routewright.catalog.registry import Capability
from routewright.dialects.anthropic_writing import tool_input
from routewright.dialects.gemini_generations import is_since_3, thinking_config
from routewright.dialects.gemini_media import write_file
from routewright.dialects.gemini_schemas import written_schema
from routewright.dialects.gemini_thinking import DIALECT, TEXT, THOUGHT, call_place, read_seal

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_SEEDS = range(-(1 << 31), 1 << 31)

_NOT_OURS = "skip_thought_signature_validator"
"""What Google has documented for a call that another provider's model made, and so has no signature."""


def seed_of(call: Call) -> int | None:
    """The seed that a client of OpenAI's dialect asks for, if it can be said here."""
    seed = call.body.get("seed") if "seed" in call.extra_fields else None
    return seed if type(seed) is int and seed in _SEEDS else None


def write_body(attempt: Attempt) -> bytes:
    """The body of `POST …:generateContent`; it does not say which model, nor whether to stream."""
    call, model = attempt.call, attempt.deployment.upstream_model
    body: JsonObject = {
        "systemInstruction": _write_system(call.messages),
        "contents": _Contents(call.messages, model).write(),
        "tools": [{"functionDeclarations": [_write_tool(tool) for tool in call.tools]}] if call.tools else None,
        "toolConfig": _write_tool_config(call) if call.tools else None,
        "generationConfig": _write_generation(attempt) or None,
    }
    return msgspec.json.encode(_said(body))


def _said(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _write_generation(attempt: Attempt) -> JsonObject:
    call, most = attempt.call, attempt.model.max_output_tokens
    form = call.output_format
    can_reason = Capability.REASONING in attempt.model.capabilities
    effort = call.reasoning_effort if can_reason else None
    return _said(
        {
            "maxOutputTokens": None if call.max_output_tokens is None else min(call.max_output_tokens, most),
            "temperature": call.temperature,
            "topP": call.top_p,
            "stopSequences": call.stop or None,
            "candidateCount": call.choices if call.choices > 1 else None,
            "seed": seed_of(call),
            "responseMimeType": None if form.kind == "text" else "application/json",
            "responseJsonSchema": written_schema(form.described_schema),
            "responseLogprobs": None if call.logprobs is None else True,
            "logprobs": call.logprobs or None,
            "thinkingConfig": None if effort is None else thinking_config(attempt.deployment.upstream_model, effort),
        }
    )


# ---- tools --------------------------------------------------------------------------------------------------------


def _write_tool(tool: Tool) -> JsonObject:
    written: JsonObject = {"name": tool.name, "description": tool.description or tool.name}
    if tool.parameters:
        written["parametersJsonSchema"] = written_schema(tool.parameters)
    return written


def _write_tool_config(call: Call) -> JsonObject | None:
    """Whether to call; a tool whose arguments must fit its schema needs a mode that sees to it."""
    choice = call.tool_choice
    mode = "AUTO" if choice is None else _MODES[choice.mode]
    if mode == "AUTO" and any(tool.is_strict for tool in call.tools):
        mode = "VALIDATED"
    elif choice is None:
        return None
    config: JsonObject = {"mode": mode}
    if choice is not None and choice.name is not None:
        config["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": config}


# ---- contents -------------------------------------------------------------------------------------------------------


def _write_system(messages: Iterable[Message]) -> JsonObject | None:
    words = "\n\n".join(message.text for message in messages if message.role == "system")
    return {"parts": [{"text": words}]} if words else None


def names_of_calls(messages: Iterable[Message]) -> Mapping[str, str]:
    """Id of a call → the name of its function, which its result must repeat here."""
    return {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}


class _Contents:
    """The turns of one conversation, for one model."""

    def __init__(self, messages: tuple[Message, ...], model: str) -> None:
        self._messages = messages
        self._names = names_of_calls(messages)
        self._is_since_3 = is_since_3(model)

    def write(self) -> list[JsonObject]:
        """All messages but the system's; neighbours of one role are one turn, which begins with tool results."""
        turns: list[tuple[str, list[Message]]] = []
        for message in self._messages:
            if message.role != "system":
                role = "model" if message.role == "assistant" else "user"
                if not turns or turns[-1][0] != role:
                    turns.append((role, []))
                turns[-1][1].append(message)
        written = [
            (role, self._write_model(messages) if role == "model" else self._write_user(messages))
            for role, messages in turns
        ]
        return [{"role": role, "parts": parts} for role, parts in written if parts]

    def _write_user(self, messages: list[Message]) -> list[JsonObject]:
        results: list[JsonObject] = []
        others: list[JsonObject] = []
        for part in (part for message in messages for part in message.parts):
            match part:
                case ToolResult():
                    results.append(self._write_result(part))
                    if not self._is_since_3:
                        others += [write_file(image.url) for image in part.images]
                case Text():
                    others += _write_text(part)
                case Image() | Document():
                    others.append(write_file(part.url))
                case _:
                    pass  # refused by `cannot_carry`, or told by `dropped_fields`, before anything is written
        return results + others

    def _write_result(self, result: ToolResult) -> JsonObject:
        response: JsonObject = {
            "id": result.call_id,
            "name": self._names[result.call_id],
            "response": {"error" if result.is_error else "output": result.text},
        }
        if result.images and self._is_since_3:
            response["parts"] = [write_file(image.url) for image in result.images]
        return {"functionResponse": response}

    def _write_model(self, messages: list[Message]) -> list[JsonObject]:
        parts: list[JsonObject] = []
        for message in messages:
            parts += _write_said(message)
        if self._is_since_3:
            calls = [part for part in parts if "functionCall" in part]
            if calls and not any("thoughtSignature" in call for call in calls):
                calls[0]["thoughtSignature"] = _NOT_OURS
        return parts


def _write_said(message: Message) -> list[JsonObject]:
    """What the model said, each signature on the part that it was given with."""
    parts: list[JsonObject] = []
    signatures: dict[str, str] = {}
    for part in message.parts:
        match part:
            case Thinking():
                signature = read_seal(part.seal) if part.dialect == DIALECT else None
                if signature is None:
                    continue
                if signature.place == THOUGHT:
                    parts.append({"text": part.text, "thought": True, "thoughtSignature": signature.text})
                else:
                    signatures[signature.place] = signature.text
            case Text():
                parts += _write_text(part)
            case ToolCall():
                call = {"id": part.id, "name": part.name, "args": tool_input(part.arguments)}
                parts.append({"functionCall": call})
            case _:
                pass
    return _signed(parts, signatures)


def _signed(parts: list[JsonObject], signatures: Mapping[str, str]) -> list[JsonObject]:
    """The parts, with the signatures of calls and of the text; that stands on the last of several."""
    for index, call in enumerate(part for part in parts if "functionCall" in part):
        if signature := signatures.get(call_place(index)):
            call["thoughtSignature"] = signature
    if TEXT in signatures:
        texts = [part for part in parts if "text" in part and "thought" not in part]
        if not texts:
            texts = [{"text": ""}]
            parts += texts
        texts[-1]["thoughtSignature"] = signatures[TEXT]
    return parts


def _write_text(part: Text) -> Iterator[JsonObject]:
    if part.text:
        yield {"text": part.text}
