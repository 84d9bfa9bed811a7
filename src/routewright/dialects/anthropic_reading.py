"""Anthropic's message request as clients send it: a body into a `Call`.

One block can be several parts of ours: its words, then its cache mark. What the canonical form does not hold is named
in `Call.extra_fields`, a field within a block by the block's type (`document.citations`).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.call import (
    Call,
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Options,
    OutputFormat,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.dialects import options as router_options
from routewright.dialects.anthropic_generations import LEAST_BUDGET, effort_of
from routewright.dialects.anthropic_thinking import DIALECT, read_redacted, read_thinking
from routewright.dialects.cache_marks import read_mark
from routewright.dialects.fields import array, boolean, mapping, number, required_text, text, whole_number, wrong
from routewright.dialects.service_tiers import wished
from routewright.dialects.session import ANTHROPIC_FIELDS, session_in
from routewright.dialects.strict_json import read_object

_MOST_TOKENS = 1_000_000_000

_CANONICAL = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stop_sequences",
        "stream", "thinking", "output_config", "output_format", "cache_control",
    }
)  # fmt: skip
_KEYS = {
    "text": frozenset({"type", "text", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "cache_control"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    "tools": frozenset({"type", "name", "description", "input_schema", "input_examples", "strict", "cache_control"}),
    "thinking_config": frozenset({"type", "budget_tokens"}),
    "output_config": frozenset({"effort", "format"}),
}
"""The keys that are read of each kind of object; others are named as not held."""


# ---- the client's body → Call -----------------------------------------------------------------------------------


def read_call(body: bytes, request_id: str, options: Options, *, is_counted_only: bool = False) -> Call:
    """The call that a body means; one whose tokens are only counted needs no `max_tokens`.

    Raises InvalidJson and InvalidRequest.
    """
    fields = read_object(body)
    if router_options.KEY in fields:
        options = router_options.with_body_options(options, fields.pop(router_options.KEY))
    reading = _Reading()
    max_tokens = whole_number(fields, "max_tokens", 0, _MOST_TOKENS)
    if max_tokens is None and not is_counted_only:
        raise wrong("max_tokens", "a whole number", None)
    choice, is_parallel = _read_tool_choice(mapping(fields, "tool_choice"))
    output_config = mapping(fields, "output_config") or {}
    effort = text(output_config, "effort", "output_config.")
    budgeted = reading.effort_in(mapping(fields, "thinking"))
    return Call(
        id=request_id,
        dialect=DIALECT,
        model=required_text(fields, "model"),
        messages=reading.messages(fields),
        body=fields,
        tools=reading.tools(array(fields, "tools") or []),
        tool_choice=choice,
        parallel_tool_calls=is_parallel,
        output_format=reading.output_format(output_config, mapping(fields, "output_format")),
        max_output_tokens=max_tokens,
        temperature=number(fields, "temperature", 0, 1),
        top_p=number(fields, "top_p", 0, 1),
        stop=_read_stop(array(fields, "stop_sequences") or []),
        reasoning_effort=budgeted if effort is None else effort,
        stream=boolean(fields, "stream") or False,
        extra_fields=reading.extra_fields(fields),
        options=options,
        session=session_in(fields, ANTHROPIC_FIELDS),
        service_tier=wished(fields.get("speed")) or wished(fields.get("service_tier")),
    )


def _read_stop(stop: list[Any]) -> tuple[str, ...]:
    for index, sequence in enumerate(stop):
        if type(sequence) is not str:
            raise wrong(f"stop_sequences[{index}]", "a string", sequence)
    return tuple(stop)


def _read_tool_choice(choice: JsonObject | None) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and False where at most one tool may be called."""
    if choice is None:
        return None, None
    at = "tool_choice."
    is_parallel = False if boolean(choice, "disable_parallel_tool_use", at) else None
    match choice.get("type"):
        case "auto":
            return ToolChoice("auto"), is_parallel
        case "any":
            return ToolChoice("required"), is_parallel
        case "tool":
            return ToolChoice("required", required_text(choice, "name", at)), is_parallel
        case "none":
            return ToolChoice("none"), None
        case kind:
            raise wrong(at + "type", 'one of "auto", "any", "tool", "none"', kind)


class _Reading:
    """One body as it is read, and the names of what is met in it that the canonical form does not hold."""

    def __init__(self) -> None:
        self._unheld: dict[str, None] = {}

    def extra_fields(self, fields: JsonObject) -> tuple[str, ...]:
        """See `Call.extra_fields`."""
        unheld = (name for name, value in fields.items() if name not in _CANONICAL and value is not None)
        return tuple(dict.fromkeys((*self._unheld, *unheld)))

    def _note_others(self, kind: str, fields: JsonObject, name: str = "") -> None:
        if fields.keys() <= _KEYS[kind]:
            return
        for key in fields.keys() - _KEYS[kind]:
            if fields[key] is not None:
                self._unheld[f"{name or kind}.{key}"] = None

    def effort_in(self, thinking: JsonObject | None) -> str | None:
        """How much to think, where there is a budget for it; adaptive thinking is what other dialects do unasked."""
        if thinking is None:
            return None
        self._note_others("thinking_config", thinking, "thinking")
        match thinking.get("type"):
            case "enabled":
                budget = whole_number(thinking, "budget_tokens", LEAST_BUDGET, _MOST_TOKENS, "thinking.")
                if budget is None:
                    raise wrong("thinking.budget_tokens", "a whole number", None)
                return effort_of(budget)
            case "adaptive" | "disabled":
                return None
            case str():
                self._unheld["thinking"] = None
                return None
            case kind:
                raise wrong("thinking.type", 'one of "enabled", "adaptive", "disabled"', kind)

    def output_format(self, config: JsonObject, old: JsonObject | None) -> OutputFormat:
        """`output_config.format`, or `output_format`, as it was called before."""
        self._note_others("output_config", config)
        described = mapping(config, "format", "output_config.") or old
        if described is None:
            return OutputFormat()
        if described.get("type") != "json_schema":
            raise wrong("output_config.format.type", '"json_schema"', described.get("type"))
        schema = mapping(described, "schema", "output_config.format.")
        if schema is None:
            raise wrong("output_config.format.schema", "an object", None)
        return OutputFormat(kind="json_schema", schema=schema)

    # ---- tools ----

    def tools(self, tools: list[Any]) -> tuple[Tool, ...]:
        """The client's own tools; those that Anthropic defines or runs are for its own dialect."""
        read = []
        for index, tool in enumerate(tools):
            at = f"tools[{index}]"
            if type(tool) is not dict:
                raise wrong(at, "an object", tool)
            if tool.get("type") in (None, "custom"):
                read.append(self._tool(tool, at + "."))
            else:
                self._unheld["tools"] = None
        return tuple(read)

    def _tool(self, tool: JsonObject, at: str) -> Tool:
        schema = mapping(tool, "input_schema", at)
        if schema is None:
            raise wrong(at + "input_schema", "an object", None)
        self._note_others("tools", tool)
        examples = array(tool, "input_examples", at)
        return Tool(
            name=required_text(tool, "name", at),
            description=text(tool, "description", at) or "",
            parameters={**schema, "examples": examples} if examples else schema,  # a schema's own word for them
            is_strict=boolean(tool, "strict", at),
            cache_mark=read_mark(tool, at),
        )

    # ---- messages ----

    def messages(self, fields: JsonObject) -> tuple[Message, ...]:
        """The conversation, with the system prompt as its first message, if there is one."""
        messages = fields.get("messages")
        if not isinstance(messages, list) or not messages:
            raise wrong("messages", "an array of at least one message", messages)
        read = [self._message(message, f"messages[{index}]") for index, message in enumerate(messages)]
        if read[-1].role == "assistant":
            self._unheld[f"messages[{len(read) - 1}] (the beginning of the answer)"] = None
        if (mark := read_mark(fields, "")) is not None:
            read[-1] = replace(read[-1], parts=(*read[-1].parts, mark))
        if has_system(fields):
            read.insert(0, Message("system", tuple(self._content(fields["system"], "system"))))
        return tuple(read)

    def _message(self, fields: Any, at: str) -> Message:
        if type(fields) is not dict:
            raise wrong(at, "an object", fields)
        role = fields.get("role")
        if role not in ("user", "assistant", "system"):
            raise wrong(f"{at}.role", 'one of "user", "assistant", "system"', role)
        return Message(role, tuple(self._content(fields.get("content"), f"{at}.content")))

    def _content(self, content: object, at: str) -> Iterator[Part]:
        if isinstance(content, str):
            yield Text(content)
        elif isinstance(content, list):
            for index, block in enumerate(content):
                yield from self.block(block, f"{at}[{index}]")
        else:
            raise wrong(at, "a string or an array of content blocks", content)

    def block(self, block: Any, at: str) -> Iterator[Part]:
        """The parts of one block: what it says, and its cache mark."""
        if type(block) is not dict:
            raise wrong(at, "an object", block)
        at += "."
        kind = required_text(block, "type", at)
        if kind in _KEYS:
            self._note_others(kind, block)
        match kind:
            case "text":
                yield Text(_string(block, "text", at))
            case "image":
                yield _read_image(block, at)
            case "document":
                yield from self._document(block, at)
            case "thinking":
                yield read_thinking(_string(block, "thinking", at), text(block, "signature", at) or "")
            case "redacted_thinking":
                yield read_redacted(_string(block, "data", at))
            case "tool_use":
                yield self._tool_use(block, at)
            case "tool_result":
                yield from self._tool_result(block, at)
            case _:
                yield Opaque(kind)
        if (mark := read_mark(block, at)) is not None:
            yield mark

    def _tool_use(self, block: JsonObject, at: str) -> ToolCall:
        caller = mapping(block, "caller", at)
        if caller is not None and caller.get("type") != "direct":
            self._unheld["tool_use.caller"] = None
        arguments = mapping(block, "input", at) or {}
        return ToolCall(
            id=required_text(block, "id", at),
            name=required_text(block, "name", at),
            arguments=msgspec.json.encode(arguments).decode(),
        )

    def _tool_result(self, block: JsonObject, at: str) -> Iterator[Part]:
        """The result, and then what only a user can show in other dialects."""
        call_id = required_text(block, "tool_use_id", at)
        is_error = boolean(block, "is_error", at) or False
        content = block.get("content")
        parts = () if content is None else tuple(self._content(content, at + "content"))
        yield ToolResult(
            call_id,
            "\n".join(part.text for part in parts if isinstance(part, Text)),
            is_error,
            tuple(part for part in parts if isinstance(part, Image)),
        )
        yield from (part for part in parts if not isinstance(part, Text | Image))

    def _document(self, block: JsonObject, at: str) -> Iterator[Part]:
        """A file, or, of a document that is given in words, these."""
        citations = mapping(block, "citations", at) or {}
        if citations.get("enabled"):
            self._unheld["document.citations"] = None
        title, context = text(block, "title", at) or "", text(block, "context", at) or ""
        source = mapping(block, "source", at) or {}
        at += "source."
        kind = source.get("type")
        is_worded = kind in ("text", "content")
        if heading := "\n".join(filter(None, (title if is_worded else "", context))):
            yield Text(heading)
        match kind:
            case "text":
                yield Text(_string(source, "data", at))
            case "content":
                yield from self._content(source.get("content"), at + "content")
            case "base64":
                media_type = required_text(source, "media_type", at)
                yield Document(f"data:{media_type};base64,{_string(source, 'data', at)}", title)
            case "url":
                yield Document(required_text(source, "url", at), title)
            case _:
                yield Opaque("document")


def read_block(block: JsonObject) -> list[Part]:
    """The parts that a block of a request was read into."""
    return list(_Reading().block(block, ""))


def has_system(fields: JsonObject) -> bool:
    """Whether there is a system prompt that stands apart from the messages."""
    return bool(fields.get("system"))


def _read_image(block: JsonObject, at: str) -> Part:
    source = mapping(block, "source", at) or {}
    at += "source."
    match source.get("type"):
        case "base64":
            return Image(f"data:{required_text(source, 'media_type', at)};base64,{_string(source, 'data', at)}")
        case "url":
            return Image(required_text(source, "url", at))
        case _:
            return Opaque("image")


def _string(fields: JsonObject, name: str, at: str) -> str:
    """A string that must be there, and may be empty."""
    value = fields.get(name)
    if type(value) is not str:
        raise wrong(at + name, "a string", value)
    return value
