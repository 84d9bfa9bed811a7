"""Items of OpenAI's Responses API: messages, tool calls, results and thoughts; into our messages, and back.

Items are smaller than turns. What a model said, thought and asked of tools without being answered is one turn of ours,
since every other dialect wants it together.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from routewright.call import (
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from routewright.dialects.carrying import FAILED
from routewright.dialects.fields import array, required_text, text, wrong
from routewright.dialects.seals import unwrapped

DIALECT = "openai_responses"

LONGEST_CALL_ID = 64
"""Characters; a longer one is refused."""

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


# ---- items → messages ---------------------------------------------------------------------------------------------


class Turn(Struct):
    """A message, and which items it is made of; none for the instructions."""

    role: Role
    parts: list[Part]
    items: list[int]


def input_items(fields: JsonObject) -> list[Any]:
    """The input as items. Raises InvalidRequest when it is neither words nor items."""
    given = fields.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    if isinstance(given, list):
        return given
    if given is None and (fields.get("prompt") is not None or fields.get("previous_response_id") is not None):
        return []
    raise wrong("input", "a string or an array of items", given)


def read_messages(fields: JsonObject) -> tuple[Message, ...]:
    """The messages that a body means. Raises InvalidRequest."""
    messages = tuple(Message(turn.role, tuple(turn.parts)) for turn in read_turns(fields))
    if fields.get("prompt") is not None:  # its words are the provider's secret
        return (*messages, Message("user", (Opaque("prompt"),)))
    if not messages and fields.get("previous_response_id") is None:
        raise wrong("input", "a string or an array of at least one item", fields.get("input"))
    return messages


def read_turns(fields: JsonObject) -> list[Turn]:
    """The messages, each with where it came from. Raises InvalidRequest."""
    turns: list[Turn] = []
    if instructions := text(fields, "instructions"):
        turns.append(Turn("system", [Text(instructions)], []))
    for index, item in enumerate(input_items(fields)):
        role, parts = _read_item(item, f"input[{index}]")
        if role == "assistant" and turns and turns[-1].role == role:
            turns[-1].parts += parts
            turns[-1].items.append(index)
        else:
            turns.append(Turn(role, list(parts), [index]))
    return turns


def _read_item(item: object, at: str) -> tuple[Role, Iterator[Part] | tuple[Part, ...]]:
    if not isinstance(item, dict):
        raise wrong(at, "an object", item)
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    at += "."
    match kind:
        case "message":
            role = item.get("role")
            if type(role) is not str or role not in _ROLES:
                raise wrong(at + "role", f"one of {', '.join(_ROLES)}", role)
            return _ROLES[role], _read_content(item.get("content"), at + "content")
        case "function_call":
            call_id, name = required_text(item, "call_id", at), required_text(item, "name", at)
            return "assistant", (ToolCall(call_id, name, text(item, "arguments", at) or ""),)
        case "function_call_output":
            return "tool", _read_tool_result(item, at)
        case "reasoning":
            return "assistant", (_read_thinking(item, at),)
        case str():
            return "tool" if kind.endswith("_output") else "assistant", (Opaque(kind),)
        case _:
            raise wrong(at + "type", "a string", kind)


def _read_content(content: object, at: str) -> Iterator[Part]:
    if isinstance(content, str):
        yield Text(content)
    elif isinstance(content, list):
        for index, part in enumerate(content):
            yield _read_part(part, f"{at}[{index}]")
    else:
        raise wrong(at, "a string or an array of content parts", content)


def _read_part(part: object, at: str) -> Part:
    if not isinstance(part, dict):
        raise wrong(at, "an object", part)
    at += "."
    kind = required_text(part, "type", at)
    if kind in ("input_text", "output_text", "text", "refusal"):
        words = part.get("refusal" if kind == "refusal" else "text")
        if type(words) is not str:
            raise wrong(at + ("refusal" if kind == "refusal" else "text"), "a string", words)
        return Text(words)
    if kind == "input_image" and (url := text(part, "image_url", at)):
        return Image(url, text(part, "detail", at))
    if kind == "input_file" and (url := text(part, "file_url", at) or _data_url(text(part, "file_data", at))):
        return Document(url, text(part, "filename", at) or "")
    return Opaque(kind)


def _data_url(data: str | None) -> str | None:
    return data if data is not None and data.startswith("data:") else None


def _read_tool_result(item: JsonObject, at: str) -> Iterator[Part]:
    """What a tool gave back, with its pictures; files stand beside it, as no other dialect has them in it."""
    parts = list(_read_content(item.get("output"), at + "output"))
    yield ToolResult(
        required_text(item, "call_id", at),
        "\n".join(part.text for part in parts if isinstance(part, Text)),
        images=tuple(part for part in parts if isinstance(part, Image)),
    )
    yield from (part for part in parts if not isinstance(part, Text | Image))


def _read_thinking(item: JsonObject, at: str) -> Thinking:
    pieces = array(item, "summary", at) or array(item, "content", at) or []
    words = [piece["text"] for piece in pieces if isinstance(piece, dict) and isinstance(piece.get("text"), str)]
    seal, dialect = unwrapped(text(item, "encrypted_content", at) or "", DIALECT)
    return Thinking("\n\n".join(words), seal, dialect)


# ---- messages → items -----------------------------------------------------------------------------------------------


def write_items(message: Message) -> Iterator[JsonObject]:
    """The items that say the same as a message: what was said together is one, calls and results are each one."""
    content: list[JsonObject] = []
    for part in message.parts:
        item = _write_item(part)
        if item is None:
            content += _write_part(part, message.role)
            continue
        if content:
            yield _write_message(message.role, content)
            content = []
        yield item
    if content:
        yield _write_message(message.role, content)


def _write_message(role: Role, content: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": "user" if role == "tool" else role, "content": content}


def _write_item(part: Part) -> JsonObject | None:
    match part:
        case ToolCall(call_id, name, arguments):
            return {
                "type": "function_call", "call_id": _call_id(call_id), "name": name, "arguments": arguments
            }  # fmt: skip
        case ToolResult(call_id, words, is_error, images):
            words = f"{FAILED}{words}" if is_error else words
            output: str | list[JsonObject] = words
            if images:
                shown: list[Part] = [*([Text(words)] if words else []), *images]
                output = [written for each in shown for written in _write_part(each, "tool")]
            return {"type": "function_call_output", "call_id": _call_id(call_id), "output": output}
        case Thinking(words, seal, dialect) if seal and dialect == DIALECT:
            summary = [{"type": "summary_text", "text": words}] if words else []
            return {"type": "reasoning", "summary": summary, "encrypted_content": seal}
        case _:
            return None


def _write_part(part: Part, role: Role) -> Iterator[JsonObject]:
    match part:
        case Text(words):
            if role == "assistant":
                yield {"type": "output_text", "text": words, "annotations": []}
            else:
                yield {"type": "input_text", "text": words}
        case Image(url, detail):
            yield {"type": "input_image", "image_url": url, "detail": detail or "auto"}
        case Document(url, name):
            if url.startswith("data:"):
                yield {"type": "input_file", "filename": name or "document.pdf", "file_data": url}
            else:
                yield {"type": "input_file", "file_url": url}
        case _:
            pass  # refused or told before anything is written


def _call_id(call_id: str) -> str:
    """An id of the length allowed here; the same one for a call and its result."""
    if len(call_id) <= LONGEST_CALL_ID:
        return call_id
    return f"call_{blake2b(call_id.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"
