"""Prompts written for the training, each with its kind of work and its tier; see `training/README.md`."""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from routewright.call import Call, Message, OutputFormat, Text, Tool, ToolChoice, ToolResult
from routewright.catalog.registry import Tier
from routewright.errors import ArtefactError


class Prompt(Struct, frozen=True, kw_only=True):
    """One written prompt."""

    kind: str
    tier: Tier
    lang: str
    ask: str
    """The user's own words."""
    content: str = ""
    """What was pasted with them, or what a tool gave back."""
    place: Literal["before", "after"] = "after"
    """Where the content stands to the user's words."""
    tools: int = 0
    """How many tools are offered."""
    format: Literal["json_object", "json_schema"] | None = None
    forced_tool: bool = False
    tool_result: bool = False
    """The content is what a tool gave back, not a part of the turn."""
    turns: int = 1
    """Messages by the user, this one included."""
    before: str = ""
    """The user turn before."""

    @property
    def text(self) -> str:
        """The last user turn."""
        if not self.content or self.tool_result:
            return self.ask
        parts = (self.content, self.ask) if self.place == "before" else (self.ask, self.content)
        return "\n\n".join(parts)

    def call(self) -> Call:
        """The request as a client would send it."""
        messages = [Message("user", (Text(f"({number})"),)) for number in range(self.turns - 1 - bool(self.before))]
        if self.before:
            messages += [Message("user", (Text(self.before),)), Message("assistant", (Text("Done."),))]
        messages.append(Message("user", (Text(self.text),)))
        if self.tool_result:
            messages.append(Message("tool", (ToolResult("1", self.content),)))
        return Call(
            id="0",
            dialect="openai_chat",
            model="auto",
            messages=tuple(messages),
            body={},
            tools=tuple(Tool(f"tool_{number}", "", {}) for number in range(self.tools)),
            tool_choice=ToolChoice("required", "tool_0") if self.forced_tool and self.tools else None,
            output_format=_FORMATS[self.format],
        )


_FORMATS = {
    None: OutputFormat(),
    "json_object": OutputFormat("json_object"),
    "json_schema": OutputFormat("json_schema", schema={"type": "object"}),
}


def read_prompts(paths: list[Path]) -> list[Prompt]:
    """Every prompt of these files. Raises ArtefactError, naming the file, for one that is not as described."""
    prompts: list[Prompt] = []
    for path in paths:
        try:
            prompts += [msgspec.json.decode(line, type=Prompt) for line in path.read_bytes().splitlines()]
        except (OSError, msgspec.MsgspecError) as error:
            raise ArtefactError(f"{path} cannot be read as written prompts: {error}") from error
    return prompts
