"""OpenAI's chat request as clients send it: a body into a `Call`, and other messages into the body."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from routewright.call import (
    CacheMark,
    Call,
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Options,
    OutputFormat,
    Part,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.catalog.registry import LONGEST_NAME
from routewright.dialects import options as router_options
from routewright.dialects.cache_marks import KEY as CACHE_CONTROL
from routewright.dialects.cache_marks import read_mark
from routewright.dialects.fields import (
    array,
    boolean,
    functions_in,
    mapping,
    number,
    required_text,
    text,
    whole_number,
    wrong,
)
from routewright.dialects.openai_thinking import KEYS as THOUGHTS
from routewright.dialects.openai_thinking import read_thoughts
from routewright.dialects.openai_writing import DIALECT, write_message
from routewright.dialects.service_tiers import wished
from routewright.dialects.session import OPENAI_FIELDS, session_in
from routewright.dialects.strict_json import read_object
from routewright.errors import InvalidRequest

_MOST_TOKENS = 1_000_000_000
_MOST_CHOICES = 128
MOST_STOPS = 4
_MOST_LOGPROBS = 20

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",  # the tool role's predecessor: passed on as it is, and by no other dialect
}
_CANONICAL = frozenset(
    {
        "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "max_tokens",
        "max_completion_tokens", "temperature", "top_p", "stop", "reasoning_effort", "n", "stream", "stream_options",
    }
)  # fmt: skip


# ---- the client's body → Call -----------------------------------------------------------------------------------


def read_call(body: bytes, request_id: str, options: Options) -> Call:
    """The call that a body means. Raises InvalidJson and InvalidRequest."""
    fields = read_object(body)
    if router_options.KEY in fields:
        options = router_options.with_body_options(options, fields.pop(router_options.KEY))
    options = router_options.with_usual_fields(options, fields)
    said: dict[str, Any] = {}
    """Of the call's fields those that the body says something about: most bodies say little."""
    if "stream" in fields or "stream_options" in fields:
        said |= _read_stream(fields)
    if "tools" in fields or "tool_choice" in fields:
        said |= _read_tools(fields)
    model, messages = _read_model(fields), _read_messages(fields.get("messages"))
    for name in filter(fields.__contains__, _FURTHER):
        of_call, read = _FURTHER[name]
        said[of_call] = read(fields)
    if not fields.keys() <= _CANONICAL:
        others = (name for name, value in fields.items() if name not in _CANONICAL and value is not None)
        said["extra_fields"] = (*said.get("extra_fields", ()), *others)
    return Call(id=request_id, dialect=DIALECT, model=model, messages=messages, body=fields, options=options, **said)


def _read_stream(fields: JsonObject) -> JsonObject:
    stream = boolean(fields, "stream") or False
    stream_options = mapping(fields, "stream_options") or {}
    include_usage = boolean(stream_options, "include_usage", "stream_options.") or False
    return {"stream": stream, "wants_usage": stream and include_usage}


def _read_tools(fields: JsonObject) -> JsonObject:
    tools, foreign_tools = functions_in(array(fields, "tools") or [], _read_function)
    choice, foreign_choice = _read_tool_choice(fields.get("tool_choice"))
    return {"tools": tools, "tool_choice": choice, "extra_fields": (*foreign_tools, *foreign_choice)}


def _read_model(fields: JsonObject) -> str:
    if fields.get("model") is None:
        raise InvalidRequest(
            "model is required", param="model", hint='name one that GET /v1/models lists, or "auto" to have it chosen'
        )
    name = required_text(fields, "model")
    if len(name) > LONGEST_NAME:
        raise wrong("model", f"a name of at most {LONGEST_NAME} characters", name)
    return name


def _read_max_tokens(fields: JsonObject) -> int | None:
    old = whole_number(fields, "max_tokens", 1, _MOST_TOKENS)
    new = whole_number(fields, "max_completion_tokens", 1, _MOST_TOKENS)
    if old is not None and new is not None and old != new:
        raise InvalidRequest(
            f"max_tokens ({old}) and max_completion_tokens ({new}) contradict each other",
            param="max_tokens",
            hint="send max_completion_tokens alone",
        )
    return old if new is None else new


def _read_logprobs(fields: JsonObject) -> int | None:
    most = whole_number(fields, "top_logprobs", 0, _MOST_LOGPROBS)
    return (most or 0) if boolean(fields, "logprobs") else None


def _read_stop(stop: object) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,)
    if not isinstance(stop, list) or len(stop) > MOST_STOPS:
        raise wrong("stop", f"a string or an array of at most {MOST_STOPS}", stop)
    for index, sequence in enumerate(stop):
        if type(sequence) is not str:
            raise wrong(f"stop[{index}]", "a string", sequence)
    return tuple(stop)


def _read_output_format(fields: JsonObject | None) -> OutputFormat:
    if fields is None:
        return OutputFormat()
    at = "response_format."
    match fields.get("type"):
        case "text":
            return OutputFormat()
        case "json_object":
            return OutputFormat(kind="json_object")
        case "json_schema":
            described = mapping(fields, "json_schema", at)
            if described is None:
                raise wrong(at + "json_schema", "an object", None)
            at += "json_schema."
            name = required_text(described, "name", at)
            return OutputFormat(
                kind="json_schema",
                name=name,
                schema=mapping(described, "schema", at),
                is_strict=boolean(described, "strict", at),
                description=text(described, "description", at) or "",
            )
        case kind:
            raise wrong(at + "type", 'one of "text", "json_object", "json_schema"', kind)


def _read_function(tool: JsonObject, tool_at: str) -> Tool:
    function = mapping(tool, "function", tool_at)
    at = tool_at + "function."
    if function is None:
        raise wrong(tool_at + "function", "an object", None)
    return Tool(
        name=required_text(function, "name", at),
        description=text(function, "description", at) or "",
        parameters=mapping(function, "parameters", at) or {},
        is_strict=boolean(function, "strict", at),
        cache_mark=read_mark(tool, tool_at) or read_mark(function, at),
    )


def _read_tool_choice(choice: Any) -> tuple[ToolChoice | None, tuple[str, ...]]:
    """The choice, and `("tool_choice",)` if it is of a kind that only this dialect knows."""
    match choice:
        case None:
            return None, ()
        case "auto" | "none" | "required":
            return ToolChoice(choice), ()
        case {"type": "function"}:
            function = mapping(choice, "function", "tool_choice.") or {}
            return ToolChoice("required", required_text(function, "name", "tool_choice.function.")), ()
        case {"type": "custom" | "allowed_tools"}:
            return None, ("tool_choice",)
        case _:
            raise wrong("tool_choice", '"auto", "none", "required" or an object that names a function', choice)


_FURTHER: Mapping[str, tuple[str, Callable[[JsonObject], Any]]] = {
    "parallel_tool_calls": ("parallel_tool_calls", lambda fields: boolean(fields, "parallel_tool_calls")),
    "response_format": ("output_format", lambda fields: _read_output_format(mapping(fields, "response_format"))),
    "max_tokens": ("max_output_tokens", _read_max_tokens),
    "max_completion_tokens": ("max_output_tokens", _read_max_tokens),
    "temperature": ("temperature", lambda fields: number(fields, "temperature", 0, 2)),
    "top_p": ("top_p", lambda fields: number(fields, "top_p", 0, 1)),
    "stop": ("stop", lambda fields: _read_stop(fields["stop"])),
    "reasoning_effort": ("reasoning_effort", lambda fields: text(fields, "reasoning_effort")),
    "top_logprobs": ("logprobs", _read_logprobs),
    "logprobs": ("logprobs", _read_logprobs),
    "n": ("choices", lambda fields: whole_number(fields, "n", 1, _MOST_CHOICES) or 1),
    **{name: ("session", lambda fields: session_in(fields, OPENAI_FIELDS)) for name in OPENAI_FIELDS},
    "service_tier": ("service_tier", lambda fields: wished(fields["service_tier"])),
}
"""What each optional field of a body is in a call, in the order in which mistakes are told."""


# ---- messages: a request may have thousands, so the plain ones take the short way ------------------------------------


def _read_messages(messages: object) -> tuple[Message, ...]:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "an array of at least one message", messages)
    read = []
    for index, fields in enumerate(messages):
        if type(fields) is not dict:
            raise wrong(f"messages[{index}]", "an object", fields)
        role = fields.get("role")
        content = fields.get("content")
        if type(content) is str and len(fields) == 2 and (role == "user" or role == "system" or role == "assistant"):
            read.append(Message(role, (Text(content),)))
        else:
            read.append(_read_message(fields, f"messages[{index}]."))
    return tuple(read)


def _read_message(fields: JsonObject, at: str) -> Message:
    name = fields.get("role")
    role = _ROLES.get(name) if type(name) is str else None
    if role is None:
        raise wrong(at + "role", f"one of {', '.join(_ROLES)}", name)
    if name == "function":
        return Message(role, (Opaque("function"),))
    if role == "tool":
        parts = _read_tool_result(fields, at)
    elif role == "assistant":
        parts = _read_assistant_parts(fields, at)
    else:
        parts = _read_content(fields.get("content"), at + "content")
    _mark(parts, fields, at)
    return Message(role, tuple(parts))


def _mark(parts: list[Part], fields: JsonObject, at: str) -> None:
    """Put the mark on a message, or on a part of it, after its parts: it stands for all that comes before its end."""
    if CACHE_CONTROL in fields and (mark := read_mark(fields, at)) is not None:
        parts.append(mark)


def _read_content(content: object, at: str) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list) or not content:
        raise wrong(at, "a string or an array of content parts", content)
    parts: list[Part] = []
    for index, part in enumerate(content):
        parts.append(_read_part(part, f"{at}[{index}]"))
        _mark(parts, part, f"{at}[{index}].")
    return parts


def _read_part(part: object, at: str) -> Part:
    if not isinstance(part, dict):
        raise wrong(at, "an object", part)
    kind = required_text(part, "type", at + ".")
    if kind == "text" or kind == "refusal":
        words = part.get(kind)
        if type(words) is not str:
            raise wrong(f"{at}.{kind}", "a string", words)
        return Text(words)
    if kind == "image_url":
        image = mapping(part, "image_url", at + ".") or {}
        url = required_text(image, "url", at + ".image_url.")
        return Image(url, text(image, "detail", at + ".image_url."))
    if kind == "file":
        file = mapping(part, "file", at + ".") or {}
        data = text(file, "file_data", at + ".file.") or ""
        if data.startswith("data:"):
            return Document(data, text(file, "filename", at + ".file.") or "")
    return Opaque(kind)


def _read_tool_result(fields: JsonObject, at: str) -> list[Part]:
    call_id = required_text(fields, "tool_call_id", at)
    content = fields.get("content")
    if type(content) is str:
        return [ToolResult(call_id, content)]
    parts = _read_content(content, at + "content")
    words = "\n".join(part.text for part in parts if isinstance(part, Text))
    images = tuple(part for part in parts if isinstance(part, Image))
    return [ToolResult(call_id, words, images=images), *(part for part in parts if not isinstance(part, Text | Image))]


def _read_assistant_parts(fields: JsonObject, at: str) -> list[Part]:
    parts: list[Part] = [] if THOUGHTS.isdisjoint(fields) else [*read_thoughts(fields, at)]
    calls = array(fields, "tool_calls", at) or []
    refusal = text(fields, "refusal", at)
    content = fields.get("content")
    if content is not None and not (content == "" and (calls or refusal)):
        parts += _read_content(content, at + "content")
    if refusal:
        parts.append(Text(refusal))
    for kind in ("audio", "function_call"):
        if fields.get(kind) is not None:
            parts.append(Opaque(kind))
    for index, call in enumerate(calls):
        parts.append(_read_tool_call(call, f"{at}tool_calls[{index}]"))
    return parts


def _read_tool_call(call: object, at: str) -> Part:
    if not isinstance(call, dict):
        raise wrong(at, "an object", call)
    if call.get("type", "function") != "function":
        return Opaque(required_text(call, "type", at + "."))
    function = mapping(call, "function", at + ".") or {}
    arguments = text(function, "arguments", at + ".function.")
    return ToolCall(
        id=required_text(call, "id", at + "."),
        name=required_text(function, "name", at + ".function."),
        arguments=arguments or "",
    )


# ---- other messages in the client's body ---------------------------------------------------------------------------


def with_messages(call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
    """The call with other messages, in its canonical fields and in its body.

    `sources` says for each message which of the call's own it is or was made from, or None. A message that is the same
    keeps all fields of the client's; of one whose words have changed, only the words are written anew.
    """
    written: list[JsonObject] = []
    for message, source in zip(messages, sources, strict=True):
        if source is None:
            written.extend(write_message(message))
        else:
            fields, old = call.body["messages"][source], call.messages[source]
            written.append(fields if message == old else _with_words(fields, message, old))
    return structs.replace(call, messages=tuple(messages), body={**call.body, "messages": written})


def _with_words(fields: JsonObject, message: Message, old: Message) -> JsonObject:
    """The client's message with the words of ours; `old` is what its fields were read into, part by part."""
    content = fields["content"]
    words = [part.text for part in message.parts if isinstance(part, Text | ToolResult)]
    if isinstance(content, str):
        return {**fields, "content": words[0]}
    if message.role == "tool":  # however many texts it came in, they were read as one
        told: JsonObject = {"type": "text", "text": words[0]}
        others = []
        for part in content:
            if part["type"] not in ("text", "refusal"):
                others.append(part)
            elif CACHE_CONTROL in part:
                told[CACHE_CONTROL] = part[CACHE_CONTROL]
        return {**fields, "content": [told, *others]}
    parts = [
        {**part, "text": new.text} if isinstance(new, Text) and new != was else part
        for part, new, was in zip(content, _unmarked(message), _unmarked(old), strict=True)
    ]
    return {**fields, "content": parts}


def _unmarked(message: Message) -> Iterator[Part]:
    return (part for part in message.parts if type(part) is not CacheMark)
