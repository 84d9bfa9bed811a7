"""OpenAI's response request: the client's body into a `Call`, and a `Call` into a provider's body."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from routewright.call import Call, JsonObject, Message, Opaque, Options, OutputFormat, Tool, ToolChoice
from routewright.dialects import options as router_options
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
from routewright.dialects.responses_items import DIALECT, input_items, read_messages, read_turns, write_items
from routewright.dialects.seals import is_wrapped
from routewright.dialects.service_tiers import wished
from routewright.dialects.session import session_in
from routewright.dialects.strict_json import read_object
from routewright.errors import InvalidRequest

_MOST_TOKENS = 1_000_000_000
_MOST_LOGPROBS = 20
_LOGPROBS = "message.output_text.logprobs"

_CANONICAL = frozenset(
    {
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
        "max_output_tokens", "temperature", "top_p", "top_logprobs", "include", "stream", "stream_options",
        # what is kept and told by the gateway itself, whoever answers
        "metadata", "store", "previous_response_id", "background",
    }
)  # fmt: skip
_NEUTRAL: JsonObject = {"truncation": "disabled", "max_tool_calls": None}
"""Values that ask for nothing."""


# ---- the client's body → Call -----------------------------------------------------------------------------------


def read_call(body: bytes, request_id: str, options: Options) -> Call:
    """The call that a body means. Raises InvalidJson and InvalidRequest."""
    fields = read_object(body)
    if router_options.KEY in fields:
        options = router_options.with_body_options(options, fields.pop(router_options.KEY))
    options = router_options.with_usual_fields(options, fields)
    _check_mode(fields)
    tools, foreign_tools = functions_in(array(fields, "tools") or [], _read_function)
    tool_choice, foreign_choice = _read_tool_choice(fields.get("tool_choice"))
    asked_text = mapping(fields, "text") or {}
    logprobs = _read_logprobs(fields)
    return Call(
        id=request_id,
        dialect=DIALECT,
        model=_read_model(fields),
        messages=read_messages(fields),
        body=fields,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=boolean(fields, "parallel_tool_calls"),
        output_format=_read_output_format(mapping(asked_text, "format", "text.")),
        max_output_tokens=whole_number(fields, "max_output_tokens", 1, _MOST_TOKENS),
        temperature=number(fields, "temperature", 0, 2),
        top_p=number(fields, "top_p", 0, 1),
        reasoning_effort=text(mapping(fields, "reasoning") or {}, "effort", "reasoning."),
        logprobs=logprobs,
        stream=boolean(fields, "stream") or False,
        wants_usage=True,
        extra_fields=(
            *foreign_tools,
            *foreign_choice,
            *(("verbosity",) if text(asked_text, "verbosity", "text.") not in (None, "medium") else ()),
            *(("include",) if logprobs is not None else ()),
            *(
                name
                for name, value in fields.items()
                if name not in _CANONICAL and value is not None and value != _NEUTRAL.get(name)
            ),
        ),
        options=options,
        session=session_in(fields, ("prompt_cache_key",)),
        service_tier=wished(fields.get("service_tier")),
    )


def _check_mode(fields: JsonObject) -> None:
    if boolean(fields, "background"):
        raise InvalidRequest(
            "background is not supported: an answer is given while its client waits",
            param="background",
            hint='leave it out, and send "stream": true for an answer that takes long',
        )
    text(fields, "previous_response_id")
    boolean(fields, "store")
    mapping(fields, "metadata")


def _read_model(fields: JsonObject) -> str:
    if fields.get("model") is None:
        raise InvalidRequest(
            "model is required", param="model", hint='name one that GET /v1/models lists, or "auto" to have it chosen'
        )
    return required_text(fields, "model")


def _read_logprobs(fields: JsonObject) -> int | None:
    most = whole_number(fields, "top_logprobs", 0, _MOST_LOGPROBS)
    return (most or 0) if _LOGPROBS in (array(fields, "include") or []) else None


def _read_output_format(fields: JsonObject | None) -> OutputFormat:
    if fields is None:
        return OutputFormat()
    at = "text.format."
    match fields.get("type"):
        case "text":
            return OutputFormat()
        case "json_object":
            return OutputFormat(kind="json_object")
        case "json_schema":
            return OutputFormat(
                kind="json_schema",
                name=required_text(fields, "name", at),
                schema=mapping(fields, "schema", at),
                is_strict=boolean(fields, "strict", at),
                description=text(fields, "description", at) or "",
            )
        case kind:
            raise wrong(at + "type", 'one of "text", "json_object", "json_schema"', kind)


def _read_function(tool: JsonObject, at: str) -> Tool:
    return Tool(
        name=required_text(tool, "name", at),
        description=text(tool, "description", at) or "",
        parameters=mapping(tool, "parameters", at) or {},
        is_strict=boolean(tool, "strict", at),
    )


def _read_tool_choice(choice: Any) -> tuple[ToolChoice | None, tuple[str, ...]]:
    """The choice, and `("tool_choice",)` if it is of a kind that only this dialect knows."""
    match choice:
        case None:
            return None, ()
        case "auto" | "none" | "required":
            return ToolChoice(choice), ()
        case {"type": "function"}:
            return ToolChoice("required", required_text(choice, "name", "tool_choice.")), ()
        case {"type": str()}:
            return None, ("tool_choice",)
        case _:
            raise wrong("tool_choice", '"auto", "none", "required" or an object that names a tool', choice)


# ---- other items in the client's body -----------------------------------------------------------------------------


def with_input(call: Call, items: Sequence[JsonObject]) -> Call:
    """The call with these items for its input: what was said before, and what is said now. Raises InvalidRequest."""
    body = {**call.body, "input": list(items)}
    messages = read_messages(body)
    if not messages:
        raise wrong("input", "a string or an array of at least one item", None)
    return replace(call, body=body, messages=messages)


def with_messages(call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
    """The call with other messages, in its canonical fields and in its body.

    `sources` says for each message which of the call's own it is or was made from, or None. One that is the same keeps
    the client's items, and so does one with a part in it that only this dialect knows; others are written anew.
    """
    items, turns = input_items(call.body), read_turns(call.body)
    instructions: str | None = None
    written: list[JsonObject] = []
    kept: list[Message] = []
    for message, source in zip(messages, sources, strict=True):
        old = None if source is None else call.messages[source]
        if old is not None and any(isinstance(part, Opaque) for part in old.parts):
            message = old
        kept.append(message)
        if source is not None and source < len(turns) and not turns[source].items:
            instructions = message.text
        elif source is not None and message == old:
            written += [items[index] for index in (turns[source].items if source < len(turns) else ())]
        else:
            written += write_items(message)
    body = {**call.body, "input": written}
    if call.body.get("instructions") is not None:
        body["instructions"] = instructions
    return replace(call, messages=tuple(kept), body=body)


# ---- Call → a provider's body -----------------------------------------------------------------------------------

_SHARED = (
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "user",
)  # fmt: skip
"""Fields that OpenAI's two dialects have by the same name."""


def write_body(call: Call, upstream_model: str, *, can_reason: bool = True) -> bytes:
    """The body for a provider: the client's own fields if they are of this dialect, else the canonical ones.

    Many models refuse a wish for reasoning, so one that cannot is not told of it.

    Always our own serialisation, so that we and the provider cannot read it differently.
    """
    if call.dialect == DIALECT and call.body:
        body = {**call.body, "model": upstream_model}
        body.pop("previous_response_id", None)  # what it stands for is in the input already
        if isinstance(body.get("input"), list):
            body["input"] = [item for item in body["input"] if not _is_sealed_by_another(item)]
    else:
        body = {"model": upstream_model, **_canonical_body(call, can_reason=can_reason)}
    if call.max_output_tokens is not None:  # the budget may have lowered it since the client's body was read
        body["max_output_tokens"] = call.max_output_tokens
    if call.stream:
        body["stream"] = True
    else:  # a layer above may want the answer whole
        body.pop("stream", None)
        body.pop("stream_options", None)
    return msgspec.json.encode(body)


def has_thoughts_of_others(body: JsonObject) -> bool:
    """Whether there are items in a client's own body that are not sent on."""
    items = body.get("input")
    return isinstance(items, list) and any(map(_is_sealed_by_another, items))


def _is_sealed_by_another(item: object) -> bool:
    """Another dialect's thoughts: no provider of this one can read them, and it would refuse the request."""
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    seal = item.get("encrypted_content")
    return isinstance(seal, str) and is_wrapped(seal)


def _canonical_body(call: Call, *, can_reason: bool) -> JsonObject:
    effort = "high" if call.reasoning_effort == "max" else call.reasoning_effort  # which not all models know here
    thinks = can_reason and effort not in (None, "none")
    reasoning = {"effort": effort, **({"summary": "auto"} if thinks else {})}
    include = [_LOGPROBS] if call.logprobs is not None else []
    if thinks:  # so that its thoughts can be given back, since nothing is stored
        include.append("reasoning.encrypted_content")
    body: JsonObject = {
        "input": [item for message in call.messages for item in write_items(message)],
        "tools": [_write_tool(tool) for tool in call.tools] or None,
        "tool_choice": _write_tool_choice(call.tool_choice) if call.tools else None,
        "parallel_tool_calls": call.parallel_tool_calls if call.tools else None,
        "text": _write_text(call),
        "reasoning": reasoning if can_reason and effort else None,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "top_logprobs": call.logprobs,
        "include": include or None,
        "store": False,  # unless asked, this API stores, and no other does
        **({name: call.body.get(name) for name in _SHARED} if call.dialect == "openai_chat" else {}),
    }
    return {name: value for name, value in body.items() if value is not None}


def _write_tool(tool: Tool) -> JsonObject:
    # Absent means strict here, and in no other dialect.
    written: JsonObject = {"type": "function", "name": tool.name, "strict": tool.is_strict or False}
    if tool.description:
        written["description"] = tool.description
    return {**written, "parameters": tool.parameters or {"type": "object", "properties": {}}}


def _write_tool_choice(choice: ToolChoice | None) -> str | JsonObject | None:
    if choice is None:
        return None
    return choice.mode if choice.name is None else {"type": "function", "name": choice.name}


def _write_text(call: Call) -> JsonObject | None:
    written: JsonObject = {}
    output = call.output_format
    if output.kind == "json_object":
        written["format"] = {"type": "json_object"}
    elif output.kind == "json_schema":
        schema = {"type": "json_schema", "name": output.name, "schema": output.schema or {}}
        if output.description:
            schema["description"] = output.description
        written["format"] = schema if output.is_strict is None else {**schema, "strict": output.is_strict}
    if call.dialect == "openai_chat" and isinstance(call.body.get("verbosity"), str):
        written["verbosity"] = call.body["verbosity"]
    return written or None
