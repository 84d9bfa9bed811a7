"""What was asked and answered, in the form that the conventions give it: only where the operator opted in, twice."""

from collections.abc import Sequence

import msgspec

from routewright.call import Message, Part, Text, Thinking, ToolCall, ToolResult
from routewright.reply import Event

MOST_CHARS = 32_768
"""Of each direction; the text beyond it is left out, and an ellipsis says so."""


class _Room:
    """What may still be told."""

    def __init__(self) -> None:
        self._left = MOST_CHARS

    def cut(self, text: str) -> str:
        kept = text[: self._left]
        self._left -= len(kept)
        return kept if kept == text else f"{kept}…"


def messages_json(messages: Sequence[Message]) -> str:
    """`gen_ai.input.messages`."""
    room = _Room()
    told = [{"role": each.role, "parts": [_part(part, room) for part in each.parts]} for each in messages]
    return msgspec.json.encode(told).decode()


class Heard:
    """Listens to an answer: its first choice's text and tool calls."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._chars = 0
        self._calls: dict[int, str] = {}

    def hear(self, events: tuple[Event, ...]) -> None:
        """See `Reply.overhear`."""
        for event in events:
            if event.choice or self._chars > MOST_CHARS:
                continue
            self._text.append(event.text)
            self._chars += len(event.text)
            for delta in event.tool_calls:
                self._calls.setdefault(delta.index, delta.name)

    def json(self, finish: str) -> str:
        """`gen_ai.output.messages`."""
        parts: list[dict[str, str]] = []
        if text := _Room().cut("".join(self._text)):
            parts.append({"type": "text", "content": text})
        parts += [{"type": "tool_call", "name": name} for name in self._calls.values()]
        return msgspec.json.encode([{"role": "assistant", "parts": parts, "finish_reason": finish}]).decode()


def _part(part: Part, room: _Room) -> dict[str, str]:
    """Text as it is; of all else, no more than that it is there."""
    match part:
        case Text(text):
            return {"type": "text", "content": room.cut(text)}
        case Thinking(text):
            return {"type": "reasoning", "content": room.cut(text)}
        case ToolCall(id, name, arguments):
            return {"type": "tool_call", "id": id, "name": name, "arguments": room.cut(arguments)}
        case ToolResult(call_id, text):
            return {"type": "tool_call_response", "id": call_id, "response": room.cut(text)}
        case _:
            return {"type": type(part).__struct_config__.tag or ""}  # type: ignore[dict-item]
