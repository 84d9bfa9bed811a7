"""OpenAI's response request: read from clients, written for providers."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from builders import call
from routewright.call import (
    Call,
    Message,
    Options,
    OutputFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.dialects.openai_request import read_call as read_chat
from routewright.dialects.responses_request import read_call, with_input, with_messages, write_body
from routewright.errors import InvalidJson, InvalidRequest

SCHEMA = {"type": "object", "properties": {}}
SEARCH = {"type": "web_search"}
LOOK = {"type": "function", "name": "look", "description": "Look.", "parameters": SCHEMA, "strict": True}
THEIRS = {"type": "reasoning", "summary": [], "encrypted_content": "rw1.anthropic_messages.x"}
OURS = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s3al"}


def read(**fields: Any) -> Call:
    body = msgspec.json.encode({"model": "auto", "input": "Hi", **fields})
    return read_call(body, "request-1", Options())


def body_of(asked: Call) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(write_body(asked, "gpt-5.5"))
    return body


def test_all_fields_are_read() -> None:
    read_fields = read(
        tools=[LOOK],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}},
        max_output_tokens=99,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "low", "summary": "auto"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=3,
        stream=True,
        metadata={"a": "b"},
        store=False,
        truncation="disabled",
        service_tier="flex",
        prompt_cache_key="my-conversation",
        safety_identifier="somebody",
    )
    assert read_fields.tools == (Tool("look", "Look.", SCHEMA, is_strict=True),)
    assert read_fields.tool_choice == ToolChoice("required", "look")
    assert read_fields.parallel_tool_calls is False
    assert read_fields.output_format == OutputFormat("json_schema", "person", SCHEMA, is_strict=True)
    assert (read_fields.max_output_tokens, read_fields.temperature, read_fields.top_p) == (99, 0.5, 0.9)
    assert (read_fields.reasoning_effort, read_fields.logprobs, read_fields.stream) == ("low", 3, True)
    assert (read_fields.service_tier, len(read_fields.session)) == ("flex", 32)
    assert read_fields.extra_fields == ("include", "service_tier", "prompt_cache_key", "safety_identifier")


def test_wishes_at_the_router_are_taken_out_of_the_body() -> None:
    asked = read(routewright={"tier": "bulk"})
    assert asked.options.tier == "bulk"
    assert "routewright" not in asked.body


@pytest.mark.parametrize(
    ("fields", "foreign"),
    [
        ({"tools": [SEARCH, LOOK]}, ("tools",)),
        ({"tools": [{"type": "custom", "name": "x"}]}, ("tools",)),
        ({"tool_choice": SEARCH}, ("tool_choice",)),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, ("tool_choice",)),
        ({"text": {"verbosity": "low"}}, ("verbosity",)),
        ({"truncation": "auto"}, ("truncation",)),
        ({"conversation": "conv_1"}, ("conversation",)),
        ({"max_tool_calls": 3}, ("max_tool_calls",)),
        ({"text": {"verbosity": "medium", "format": {"type": "text"}}, "background": False, "user": None}, ()),
    ],
)
def test_what_our_form_does_not_hold_is_named(fields: dict[str, Any], foreign: tuple[str, ...]) -> None:
    assert read(**fields).extra_fields == foreign


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"background": True}, "background"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"store": "no"}, "store"),
        ({"temperature": 9}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"include": "all"}, "include"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 7}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"tools": ["look"]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
    ],
)
def test_a_mistake_names_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        read(**fields)
    assert wrong.value.param == param


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidJson):
        read_call(b"[]", "request-1", Options())


# ---- for a provider -------------------------------------------------------------------------------------------------


def test_a_clients_own_body_goes_on_with_fields_we_do_not_know() -> None:
    asked = read(tools=[SEARCH], some_new_field={"a": 1}, stream=True, max_output_tokens=99)
    body = body_of(replace(asked, max_output_tokens=50))
    assert body == {
        "model": "gpt-5.5",
        "input": "Hi",
        "tools": [SEARCH],
        "some_new_field": {"a": 1},
        "stream": True,
        "max_output_tokens": 50,
    }
    assert "stream" not in body_of(replace(asked, stream=False))


def test_what_was_before_is_sent_whole_and_not_by_its_name() -> None:
    asked = read(previous_response_id="resp_1")
    body = body_of(with_input(asked, [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]))
    assert [item["content"] for item in body["input"]] == ["One.", "Two."]
    assert "previous_response_id" not in body


def test_nothing_before_and_nothing_now_is_no_question() -> None:
    with pytest.raises(InvalidRequest) as wrong:
        with_input(read(input=[], previous_response_id="resp_1"), [])
    assert wrong.value.param == "input"


def test_another_dialects_thoughts_are_sent_to_nobody_here() -> None:
    assert body_of(read(input=[THEIRS, OURS, {"role": "user", "content": "Hi"}]))["input"] == [
        OURS,
        {"role": "user", "content": "Hi"},
    ]


def test_a_call_of_another_dialect_is_written_anew() -> None:
    asked = call(
        "Hi",
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Hi"),)),
            Message("assistant", (Thinking("Hm.", "s3al", "openai_responses"), ToolCall("c1", "look", "{}"))),
            Message("tool", (ToolResult("c1", "a wall"),)),
        ),
        tools=(Tool("look", "Look.", {}),),
        tool_choice=ToolChoice("required", "look"),
        output_format=OutputFormat("json_schema", "person", SCHEMA, is_strict=True),
        reasoning_effort="low",
        logprobs=2,
        max_output_tokens=99,
        temperature=0.5,
        stream=True,
    )
    assert body_of(asked) == {
        "model": "gpt-5.5",
        "input": [
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "s3al"},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a wall"},
        ],
        "tools": [{"type": "function", "name": "look", "strict": False, "description": "Look.", "parameters": SCHEMA}],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2,
        "temperature": 0.5,
        "store": False,
        "max_output_tokens": 99,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("effort", "can_reason", "written"),
    [
        (None, True, None),
        ("none", True, {"effort": "none"}),
        ("low", True, {"effort": "low", "summary": "auto"}),
        ("max", True, {"effort": "high", "summary": "auto"}),
        ("low", False, None),
    ],
)
def test_effort_is_asked_of_those_that_can_reason(effort: str | None, can_reason: bool, written: object) -> None:
    body = msgspec.json.decode(write_body(call(reasoning_effort=effort), "gpt-5.5", can_reason=can_reason))
    assert body.get("reasoning") == written
    assert ("include" in body) == (written is not None and effort != "none")


def test_what_a_chat_completion_calls_the_same_goes_on_by_its_name() -> None:
    fields = {"prompt_cache_key": "k", "safety_identifier": "s", "metadata": {"a": "b"}, "verbosity": "low", "seed": 7}
    chat = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    body = body_of(read_chat(msgspec.json.encode(chat), "request-1", Options()))
    assert body["text"] == {"verbosity": "low"}
    assert {name: body.get(name) for name in fields} == {
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "metadata": {"a": "b"},
        "verbosity": None,
        "seed": None,
    }


# ---- rewriting ------------------------------------------------------------------------------------------------------

ITEMS = [
    {"role": "user", "content": "A long story."},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "a wall"},
    {"role": "user", "content": "And now?"},
]


def test_messages_that_stay_keep_their_items_and_others_are_written_anew() -> None:
    asked = read(input=ITEMS, instructions="Be brief.")
    system, _, called, result, last = asked.messages
    shorter = replace(result, parts=(ToolResult("c1", "wall"),))
    summary = Message("user", (Text("Before: a story."),))
    changed = with_messages(asked, (system, summary, called, shorter, last), (0, None, 2, 3, 4))
    assert changed.body["instructions"] == "Be brief."
    assert changed.body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Before: a story."}]},
        ITEMS[1],
        ITEMS[2],
        {"type": "function_call_output", "call_id": "c1", "output": "wall"},
        ITEMS[4],
    ]
    assert changed.messages == (system, summary, called, shorter, last)
    assert with_messages(asked, asked.messages, range(5)).body["input"] == ITEMS


def test_words_beside_what_only_this_dialect_knows_stay_as_they_are() -> None:
    asked = read(input=[{"role": "user", "content": [{"type": "input_text", "text": "x  "}, {"type": "input_audio"}]}])
    [message] = asked.messages
    changed = with_messages(asked, (replace(message, parts=(Text("x"), message.parts[1])),), (0,))
    assert (changed.messages, changed.body["input"]) == (asked.messages, asked.body["input"])


def test_instructions_can_be_shortened_or_left_out() -> None:
    asked = read(instructions="Be brief.  ")
    shorter = Message("system", (Text("Be brief."),))
    assert with_messages(asked, (shorter, asked.messages[1]), (0, 1)).body["instructions"] == "Be brief."
    assert with_messages(asked, asked.messages[1:], (1,)).body["instructions"] is None
