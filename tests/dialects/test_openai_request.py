"""The client's chat body into a call, and a call into a provider's body."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call as library_call
from routewright.call import (
    CacheMark,
    Call,
    Image,
    JsonObject,
    Message,
    Opaque,
    Options,
    OutputFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.catalog.registry import Tier
from routewright.dialects.openai_request import read_call, with_messages
from routewright.dialects.openai_writing import write_body
from routewright.errors import InvalidJson, InvalidRequest

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER: JsonObject = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Now.", "parameters": {"type": "object", "properties": {}}},
}


def read(options: Options = Options(), **fields: Any) -> Call:  # noqa: B008 - frozen
    return read_call(msgspec.json.encode({"model": "auto", "messages": HELLO, **fields}), "request-1", options)


def written(asked: Call, provider: str = "openai") -> JsonObject:
    body: JsonObject = msgspec.json.decode(write_body(asked, "gpt-5", provider))
    return body


# ---- reading ----------------------------------------------------------------------------------------------------


def test_a_plain_request_is_read() -> None:
    asked = read(temperature=0.5, top_p=1, stop="END", n=2, reasoning_effort="low", max_completion_tokens=7)
    assert (asked.id, asked.dialect, asked.model) == ("request-1", "openai_chat", "auto")
    assert asked.messages == (Message("user", (Text("Hello"),)),)
    assert (asked.temperature, asked.top_p, asked.stop, asked.choices) == (0.5, 1, ("END",), 2)
    assert (asked.reasoning_effort, asked.max_output_tokens) == ("low", 7)
    assert (asked.stream, asked.wants_usage, asked.extra_fields) == (False, False, ())


def test_every_kind_of_message_is_read() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}
    function = {"name": "get_weather", "arguments": '{"city":"Bern"}'}
    asked = read(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "And kind."}]},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "What is this?"}, image]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": "", "refusal": "I will not."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "assistant", "content": None},
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
            {"role": "assistant", "audio": {"id": "a1"}},
            {"role": "assistant", "content": "x", "tool_calls": [{"id": "c3", "type": "custom", "custom": {}}]},
            {"role": "function", "name": "f", "content": "1"},
        ]
    )
    assert asked.messages == (
        Message("system", (Text("Be brief."),)),
        Message("system", (Text("And kind."),)),
        Message("user", (Text("What is this?"), Image("https://x.example/a.png", "low"))),
        Message("assistant", (ToolCall("c1", "get_weather", '{"city":"Bern"}'),)),
        Message("tool", (ToolResult("c1", "rain"),)),
        Message("tool", (ToolResult("c2", "a\nb"),)),
        Message("assistant", (Text("I will not."),)),
        Message("assistant", (Text("No."),)),
        Message("assistant", ()),
        Message("user", (Opaque("input_audio"),)),
        Message("assistant", (Opaque("audio"),)),
        Message("assistant", (Text("x"), Opaque("custom"))),
        Message("tool", (Opaque("function"),)),
    )


def test_tools_and_formats_are_read() -> None:
    asked = read(
        tools=[WEATHER, {"type": "function", "function": {"name": "now"}}],
        tool_choice={"type": "function", "function": {"name": "now"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}},
    )
    assert asked.tools == (Tool("get_weather", "Now.", {"type": "object", "properties": {}}), Tool("now", "", {}))
    assert asked.tool_choice == ToolChoice("required", "now")
    assert asked.parallel_tool_calls is False
    assert asked.output_format == OutputFormat("json_schema", "city", {"type": "object"})
    assert read(tool_choice="none").tool_choice == ToolChoice("none")
    assert read(response_format={"type": "json_object"}).output_format == OutputFormat("json_object")
    assert read(response_format={"type": "text"}).output_format == OutputFormat()


def test_null_is_as_good_as_absent() -> None:
    optional = ["tools", "tool_choice", "response_format", "max_tokens", "temperature", "top_p", "stop", "n", "stream"]
    optional += ["stream_options", "seed"]
    fields: JsonObject = dict.fromkeys(optional)
    assert msgspec.structs.replace(read(**fields), body={}) == msgspec.structs.replace(read(), body={})


def test_unknown_fields_are_named_and_kept() -> None:
    asked = read(seed=7, user="u", top_k=3, web_search_options={}, logprobs=None)
    assert asked.extra_fields == ("seed", "user", "top_k", "web_search_options")
    assert asked.body["top_k"] == 3


def test_what_only_this_dialect_knows_of_tools_is_named_too() -> None:
    asked = read(tools=[{"type": "custom", "custom": {"name": "x"}}, WEATHER], tool_choice={"type": "allowed_tools"})
    assert asked.extra_fields == ("tools", "tool_choice")
    assert len(asked.tools) == 1


def test_usage_is_wanted_only_of_a_stream() -> None:
    assert read(stream=True, stream_options={"include_usage": True}).wants_usage
    assert not read(stream=True, stream_options={"include_usage": False}).wants_usage
    assert not read(stream=True).wants_usage
    assert not read(stream_options={"include_usage": True}).wants_usage


def test_router_options_are_read_and_taken_out() -> None:
    asked = read(Options(user="by-header"), routewright={"tier": "bulk", "max_cost_usd": 0.01, "user": "by-body"})
    assert asked.options == Options(tier=Tier.BULK, max_cost_nanousd=10_000_000, user="by-header")
    assert "routewright" not in asked.body
    assert asked.extra_fields == ()


def user(content: object) -> JsonObject:
    return {"messages": [*HELLO, {"role": "user", "content": content}]}


def assistant(**fields: Any) -> JsonObject:
    return {"messages": [*HELLO, {"role": "assistant", **fields}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [*HELLO, "Hello"]}, "messages[1]"),
        ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": None}]}, "messages[0].content"),
        (user(None), "messages[1].content"),
        (user([]), "messages[1].content"),
        (user(5), "messages[1].content"),
        (user(["Hello"]), "messages[1].content[0]"),
        (user([{"text": "Hello"}]), "messages[1].content[0].type"),
        (user([{"type": "text"}]), "messages[1].content[0].text"),
        (user([{"type": "text", "text": 5}]), "messages[1].content[0].text"),
        (user([{"type": "image_url", "image_url": "https://x"}]), "messages[1].content[0].image_url"),
        (user([{"type": "image_url", "image_url": {}}]), "messages[1].content[0].image_url.url"),
        (assistant(content=5), "messages[1].content"),
        (assistant(content="x", refusal=5), "messages[1].refusal"),
        (assistant(tool_calls={}), "messages[1].tool_calls"),
        (assistant(tool_calls=["x"]), "messages[1].tool_calls[0]"),
        (assistant(tool_calls=[{"function": {"name": "f"}}]), "messages[1].tool_calls[0].id"),
        (assistant(tool_calls=[{"id": "c"}]), "messages[1].tool_calls[0].function.name"),
        (
            assistant(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": {}}}]),
            "messages[1].tool_calls[0].function.arguments",
        ),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1.0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 10**10}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "0"}, "temperature"),
        ({"temperature": False}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"tools": {}}, "tools"),
        ({"tools": [WEATHER, 5]}, "tools[1]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "some"}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 1}}},
            "response_format.json_schema.schema",
        ),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"routewright": 5}, "routewright"),
        ({"routewright": {"colour": "red"}}, "routewright.colour"),
    ],
)
def test_a_wrong_field_is_named(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(param) or param == "model"


def test_a_long_wrong_value_is_not_repeated_at_length() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(temperature="x" * 10_000)
    assert len(caught.value.message) < 120


def test_a_body_that_is_not_strict_json_is_refused() -> None:
    with pytest.raises(InvalidJson):
        read_call(b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}', "request-1", Options())


# ---- writing ----------------------------------------------------------------------------------------------------


def test_the_clients_own_fields_go_on_as_they_came() -> None:
    asked = read(seed=7, top_k=3, max_tokens=5, n=None)
    assert written(asked) == {
        "model": "gpt-5",
        "messages": HELLO,
        "seed": 7,
        "top_k": 3,
        "max_tokens": 5,
        "n": None,
    }


def test_a_stream_always_asks_for_usage() -> None:
    asked = read(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    assert written(asked)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert written(read(stream=True, stream_options=None))["stream_options"] == {"include_usage": True}
    assert asked.body["stream_options"]["include_usage"] is False
    assert "stream_options" not in written(read())


def test_a_call_that_a_layer_wants_otherwise_is_not_as_the_client_sent_it() -> None:
    streamed = read(stream=True, stream_options={"include_usage": True})
    assert written(msgspec.structs.replace(streamed, stream=False)) == written(read())
    assert written(msgspec.structs.replace(read(), stream=True)) == written(read(stream=True))


@pytest.mark.parametrize(
    ("fields", "provider", "name"),
    [
        ({"max_tokens": 500}, "openai", "max_tokens"),
        ({"max_completion_tokens": 500}, "acme", "max_completion_tokens"),
        ({}, "openai", "max_completion_tokens"),
        ({}, "acme", "max_tokens"),
    ],
)
def test_a_lowered_output_limit_reaches_the_provider(fields: JsonObject, provider: str, name: str) -> None:
    lowered = msgspec.structs.replace(read(**fields), max_output_tokens=100)
    body = written(lowered, provider)
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 100}


def test_of_two_words_for_the_output_limit_none_keeps_the_old_one() -> None:
    lowered = msgspec.structs.replace(read(max_tokens=500, max_completion_tokens=500), max_output_tokens=100)
    body = written(lowered)
    assert (body["max_tokens"], body["max_completion_tokens"]) == (100, 100)


def test_a_library_call_is_written_from_its_fields() -> None:
    asked = library_call(
        tools=(Tool("now", "", {}),), tool_choice=ToolChoice("required"), stream=True, max_output_tokens=9
    )
    assert written(asked, "acme") == {
        "model": "gpt-5",
        "messages": [{"role": "user", "content": "Hello, who are you?"}],
        "tools": [{"type": "function", "function": {"name": "now"}}],
        "tool_choice": "required",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }


def test_a_call_of_another_dialect_is_written_from_its_fields() -> None:
    asked = library_call(dialect="anthropic_messages", body={"max_tokens": 5, "system": "x"}, max_output_tokens=5)
    assert written(asked)["messages"] == [{"role": "user", "content": "Hello, who are you?"}]
    assert written(asked)["max_completion_tokens"] == 5
    assert "system" not in written(asked)


def test_tool_results_within_a_turn_become_messages_before_it() -> None:
    turn = Message("user", (ToolResult("c1", "rain"), Text("And now?"), ToolResult("c2", "sun")))
    assert written(library_call(messages=(turn,)))["messages"] == [
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "user", "content": "And now?"},
    ]


def test_pictures_of_tools_are_shown_by_the_user_after_the_last_result() -> None:
    picture = Image("data:image/png;base64,AA")
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    turns = (
        Message("tool", (ToolResult("c1", "seen", images=(picture,)),)),
        Message("tool", (ToolResult("c2", "nothing there", is_error=True),)),
        Message("user", (Text("And?"),)),
        Message("user", (ToolResult("c3", "seen", images=(picture,)), Text("Well?"))),
    )
    assert written(library_call(messages=turns))["messages"] == [
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: nothing there"},
        {"role": "user", "content": [shown]},
        {"role": "user", "content": "And?"},
        {"role": "tool", "tool_call_id": "c3", "content": "seen"},
        {"role": "user", "content": [shown, {"type": "text", "text": "Well?"}]},
    ]


def test_what_other_models_or_calls_do_not_know_is_not_said() -> None:
    asked = library_call(reasoning_effort="max", tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    assert written(asked)["reasoning_effort"] == "high"
    assert not {"tool_choice", "parallel_tool_calls"} & written(asked).keys()
    assert b"reasoning_effort" not in write_body(asked, "x", "openai", can_reason=False)


def test_marks_for_the_cache_are_read_where_gateways_are_sent_them() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    asked = read(
        messages=[
            {"role": "system", "content": "a", **mark},
            {"role": "user", "content": [{"type": "text", "text": "b", **hour}, {"type": "text", "text": "c"}]},
            {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "d", **mark}]},
            {"role": "assistant", "content": "e", "cache_control": None},
        ],
        tools=[
            {"type": "function", "function": {"name": "f"}, **mark},
            {"type": "function", "function": {"name": "g", **hour}},
        ],
    )
    assert [message.parts for message in asked.messages] == [
        (Text("a"), CacheMark()),
        (Text("b"), CacheMark("1h"), Text("c")),
        (ToolResult("t", "d"), CacheMark()),
        (Text("e"),),
    ]
    assert [tool.cache_mark for tool in asked.tools] == [CacheMark(), CacheMark("1h")]
    changed = [
        Message("system", (Text("A"), CacheMark())),
        Message("user", (Text("B"), CacheMark("1h"), Text("c"))),
        Message("tool", (ToolResult("t", "D"), CacheMark())),
        asked.messages[3],
    ]
    assert with_messages(asked, changed, [0, 1, 2, 3]).body["messages"] == [
        {"role": "system", "content": "A", **mark},
        {"role": "user", "content": [{"type": "text", "text": "B", **hour}, {"type": "text", "text": "c"}]},
        {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "D", **mark}]},
        {"role": "assistant", "content": "e", "cache_control": None},
    ]
    with pytest.raises(InvalidRequest, match=r"messages\[0\].cache_control.ttl"):
        read(messages=[{"role": "user", "content": "a", "cache_control": {"ttl": "2h"}}])


# ---- there and back ---------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text("abc_", min_size=1, max_size=8)
texts = st.builds(Text, words)
images = st.builds(Image, names, st.none() | st.sampled_from(["low", "high"]))
calls = st.builds(ToolCall, names, names, words)
schemas = st.dictionaries(names, words | st.integers(-9, 9) | st.none(), max_size=3)


def turns() -> st.SearchStrategy[Message]:
    said = st.lists(texts | images, min_size=1, max_size=3).map(tuple)
    answered = st.tuples(st.lists(texts, min_size=1, max_size=2), st.lists(calls, max_size=2))
    return st.one_of(
        st.builds(Message, st.sampled_from(["system", "user"]), said),
        answered.map(lambda parts: Message("assistant", (*parts[0], *parts[1]))).filter(
            lambda turn: turn.parts[0] != Text("") or len(turn.parts) == 1  # an empty text beside a call says nothing
        ),
        st.lists(calls, min_size=1, max_size=2).map(lambda wished: Message("assistant", tuple(wished))),
        st.builds(ToolResult, names, words).map(lambda result: Message("tool", (result,))),
    )


whole_calls = st.builds(
    library_call,
    messages=st.lists(turns(), min_size=1, max_size=5).map(tuple),
    tools=st.lists(st.builds(Tool, names, words, schemas), max_size=3).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]))
    | st.builds(ToolChoice, st.just("required"), names),
    parallel_tool_calls=st.none() | st.booleans(),
    output_format=st.sampled_from([OutputFormat(), OutputFormat("json_object")])
    | st.builds(OutputFormat, st.just("json_schema"), names, st.none() | schemas),
    max_output_tokens=st.none() | st.integers(1, 10**9),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(words, max_size=4).map(tuple),
    reasoning_effort=st.none() | names,
    choices=st.integers(1, 128),
    stream=st.booleans(),
)


@given(whole_calls, st.sampled_from(["openai", "acme"]))
def test_what_is_written_is_read_back_as_the_same_call(asked: Call, provider: str) -> None:
    again = read_call(write_body(asked, asked.model, provider), asked.id, asked.options)
    expected = msgspec.structs.replace(asked, dialect="openai_chat", body=again.body, wants_usage=asked.stream)
    if not asked.tools:  # how to use them is then not said, as many would refuse it
        expected = msgspec.structs.replace(expected, tool_choice=None, parallel_tool_calls=None)
    assert again == expected
    assert again.extra_fields == ()


def test_of_a_changed_message_only_the_words_are_written_anew() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{ }"}}
    messages = [
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "long", "x": 1}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call], "annotations": []},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "long"},
    ]
    asked = read(messages=messages)
    said, calls, first, second = asked.messages
    changed = [
        Message("user", (Text("short"), said.parts[1])),
        calls,
        Message("tool", (ToolResult("c1", "ab"),)),
        Message("tool", (ToolResult("c1", "s"),)),
        Message("assistant", (Text("Understood."),)),
    ]
    rewritten = with_messages(asked, changed, [0, 1, 2, 3, None])
    assert written(rewritten)["messages"] == [
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "short", "x": 1}, image]},
        messages[1],
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "ab"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "s"},
        {"role": "assistant", "content": "Understood."},
    ]
    assert rewritten.messages == tuple(changed)
    assert asked.body["messages"] == messages
    assert written(with_messages(asked, [first, second], [2, 3]))["messages"] == messages[2:]


@pytest.mark.parametrize(
    ("said", "expected"), [(None, ""), ("default", ""), ("flex", "flex"), ("auto", "auto"), ("batch", "auto"), (7, "")]
)
def test_the_wish_for_a_service_tier_is_read_and_passed_on_as_it_came(said: object, expected: str) -> None:
    asked = read(service_tier=said)
    assert asked.service_tier == expected
    assert written(asked).get("service_tier") == said
