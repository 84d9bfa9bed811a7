"""Calls as Anthropic's message requests: what is said, what cannot be, and what is left out."""

from typing import Any

import msgspec
import pytest

from builders import attempt, call, deployment, message, model
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.dialects.anthropic_writing import unsaid_fields, unsayable_field, write_body
from routewright.dialects.openai_request import read_call

NOW = Tool("now", "The time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


def written(name: str = "claude-sonnet-4-6", **fields: Any) -> JsonObject:
    place = deployment(f"anthropic/{name}", dialect="anthropic_messages")
    body: JsonObject = msgspec.json.decode(write_body(attempt(call(**fields), model(name, place))))
    return body


def from_openai(**fields: Any) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return read_call(msgspec.json.encode(body), "request-1", Options())


# ---- the body ---------------------------------------------------------------------------------------------------


def test_a_plain_call_is_written() -> None:
    assert written(stop=("END",), stream=True) == {
        "model": "claude-sonnet-4-6",
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello, who are you?"}]}],
        "stop_sequences": ["END"],
        "stream": True,
    }


@pytest.mark.parametrize(("asked", "sent"), [(None, 4_000), (100, 100), (9_000, 4_000)])
def test_the_output_limit_is_always_sent_and_never_above_the_models(asked: int | None, sent: int) -> None:
    assert written(max_output_tokens=asked)["max_tokens"] == sent


def test_system_messages_stand_apart() -> None:
    turns = (message("Be brief.", "system"), message("Hi"), message("Be kind.", "system"))
    body = written(messages=turns)
    assert body["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_a_tool_conversation_becomes_alternating_turns() -> None:
    turns = (
        message("What time is it?"),
        Message("assistant", (Text("Let me look."), ToolCall("call.1", "now", '{"zone": "UTC"}'))),
        Message("assistant", (ToolCall("", "now", ""),)),
        Message("user", (Text(""), Text("Quick!"))),
        Message("tool", (ToolResult("call.1", "12:00"),)),
        Message("tool", (ToolResult("", "no clock", is_error=True),)),
        message("And?"),
    )
    assert written(messages=turns, tools=(NOW,))["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What time is it?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "call_1", "name": "now", "input": {"zone": "UTC"}},
                {"type": "tool_use", "id": "_", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "12:00"},
                {"type": "tool_result", "tool_use_id": "_", "content": "no clock", "is_error": True},
                {"type": "text", "text": "Quick!"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ('{"a": [1]}', {"a": [1]}),
        ("[1]", {"arguments": "[1]"}),
        ("{", {"arguments": "{"}),
    ],
)
def test_broken_arguments_are_told_as_they_are(arguments: str, sent: JsonObject) -> None:
    turns = (message("Hi"), Message("assistant", (ToolCall("c", "f", arguments),)))
    assert written(messages=turns)["messages"][1]["content"][0]["input"] == sent


def test_images_are_written_by_url_or_inline() -> None:
    images = (Image("https://x.example/a.png", "low"), Image("data:image/jpg;base64,AAAA"))
    assert [block["source"] for block in written(messages=(Message("user", images),))["messages"][0]["content"]] == [
        {"type": "url", "url": "https://x.example/a.png"},
        {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
    ]


def test_tools_are_written_with_their_schemas() -> None:
    halt = Tool("halt", "", {}, is_strict=True, cache_mark=CacheMark("1h"))
    assert written(tools=(NOW, halt))["tools"] == [
        {"name": "now", "description": "The time.", "input_schema": NOW.parameters},
        {
            "name": "halt",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://x.example/a.pdf", {"type": "url", "url": "https://x.example/a.pdf"}),
        ("data:application/pdf;base64,AAAA", {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}),
        ("data:text/csv;base64,YSxi", {"type": "text", "media_type": "text/plain", "data": "a,b"}),
    ],
)
def test_documents_are_written_by_url_inline_or_in_words(url: str, source: JsonObject) -> None:
    [block] = written(messages=(Message("user", (Document(url, "a"),)),))["messages"][0]["content"]
    assert block == {"type": "document", "source": source, "title": "a"}


def test_pictures_of_a_tool_stay_in_its_result() -> None:
    result = ToolResult("c", "seen", images=(Image("https://x.example/a.png"),))
    [block] = written(messages=(Message("tool", (result,)),))["messages"][0]["content"]
    assert block["content"] == [
        {"type": "text", "text": "seen"},
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
    ]


def test_thoughts_are_given_back_to_whoever_sealed_them() -> None:
    own, hidden = Thinking("hm", "s", "anthropic_messages"), Thinking("", "redacted:d", "anthropic_messages")
    others = (Thinking("oh", "x", "openai_responses"), Thinking("ah", "", "anthropic_messages"))
    turns = (message("Hi"), Message("assistant", (own, hidden, *others, Text("a"))))
    assert written(messages=turns)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a"},
    ]
    assert unsaid_fields(call(messages=turns)) == ("thinking",)
    assert unsaid_fields(call(messages=(Message("assistant", (own, hidden)),))) == ()


def test_a_mark_is_on_the_block_before_it() -> None:
    own = Thinking("hm", "s", "anthropic_messages")
    turns = (
        Message("system", (Text("Be brief."), CacheMark("1h"))),
        message("Be kind.", "system"),
        Message("user", (CacheMark(), Text("Hi"), Image("https://x.example/a.png"), CacheMark())),
        Message("assistant", (own, CacheMark(), Text("a"))),
        Message("tool", (ToolResult("c", "12:00"), CacheMark())),
    )
    body = written(messages=turns)
    assert body["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Be kind."},
    ]
    marked = [
        (block["type"], block["cache_control"])
        for turn in body["messages"]
        for block in turn["content"]
        if "cache_control" in block
    ]
    assert marked == [("image", {"type": "ephemeral"}), ("tool_result", {"type": "ephemeral"})]


def test_marks_of_an_openai_client_reach_anthropic() -> None:
    asked = from_openai(
        messages=[
            {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            },
        ],
        tools=[{"type": "function", "function": {"name": "now"}, "cache_control": {"type": "ephemeral"}}],
    )
    body = written(messages=asked.messages, tools=asked.tools)
    assert unsayable_field(asked) is None
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), True, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required", "now"), False, {"type": "tool", "name": "now", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, parallel: bool | None, sent: JsonObject | None) -> None:
    body = written(tools=(NOW,), tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == sent
    assert "tool_choice" not in written(tool_choice=choice, parallel_tool_calls=parallel)


def test_a_schema_is_an_output_format() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    body = written(output_format=OutputFormat("json_schema", "city", schema))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


SAMPLING = ["claude-3-7-sonnet-latest", "claude-opus-4-20250514", "claude-opus-4-1", "claude-haiku-4-5-20251001"]
SAMPLING += [
    "claude-sonnet-4-6",
    "claude-opus-4.6",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-sonnet-4@20250514",
]
NO_SAMPLING = ["claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-haiku-5-5", "claude-opus-4-10", "mine"]


@pytest.mark.parametrize("name", SAMPLING)
def test_older_models_are_sent_temperature_and_top_p(name: str) -> None:
    assert written(name, temperature=0)["temperature"] == 0
    assert written(name, top_p=0.5)["top_p"] == 0.5
    assert "temperature" not in written(name, temperature=1, top_p=1)


@pytest.mark.parametrize("name", NO_SAMPLING)
def test_newer_and_unknown_models_are_not(name: str) -> None:
    assert not {"temperature", "top_p"} & set(written(name, temperature=0.5, top_p=0.5))


@pytest.mark.parametrize(
    ("name", "effort", "sent", "thinks"),
    [
        ("claude-sonnet-5", "none", "low", False),
        ("claude-sonnet-5", "minimal", "low", False),
        ("claude-sonnet-5", "medium", "medium", True),
        ("claude-sonnet-5", "xhigh", "xhigh", True),
        ("claude-sonnet-4-6", "max", "high", True),
        ("claude-opus-4-5-20251101", "high", "high", False),
        ("claude-haiku-4-5-20251001", "high", None, False),
        ("claude-opus-4-20250514", "high", None, False),
    ],
)
def test_effort_is_told_in_the_words_of_the_model(name: str, effort: str, sent: str | None, thinks: bool) -> None:
    body = written(name, reasoning_effort=effort, temperature=0)
    assert body.get("output_config", {}).get("effort") == sent
    assert body.get("thinking") == ({"type": "adaptive"} if thinks else None)
    assert not (thinks and "temperature" in body)


def test_a_forced_tool_is_not_thought_about() -> None:
    body = written("claude-sonnet-5", reasoning_effort="high", tools=(NOW,), tool_choice=ToolChoice("required"))
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "high"}


# ---- what cannot be said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": 2}, "n"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": 0.5, "top_p": 0.5}, "top_p"),
        ({"stop": ["END", "\n"]}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"top_k": 5}, "top_k"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"messages": [{"role": "system", "content": "Be brief"}]}, "messages (nothing but the system's)"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages (nothing but the system's)"),
        ({"seed": 1, "unheard_of": 0}, "unheard_of"),
    ],
)
def test_a_field_without_counterpart_is_named(fields: JsonObject, field: str) -> None:
    assert unsayable_field(from_openai(**fields)) == field


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (Message("user", (Text("a"), Opaque("input_audio"))), "messages[0] (input_audio)"),
        (Message("user", (Image("http://x.example/a.png"),)), "messages[0] (image of this kind or in this place)"),
        (Message("user", (Image("data:image/bmp;base64,AA"),)), "messages[0] (image of this kind or in this place)"),
        (Message("user", (Image("data:image/png,AA"),)), "messages[0] (image of this kind or in this place)"),
        (Message("system", (Image("https://x/a.png"),)), "messages[0] (image of this kind or in this place)"),
        (Message("user", (Document("data:x/y;base64,AA"),)), "messages[0] (document of this kind or in this place)"),
        (Message("user", (Document("data:text/x;base64,%%"),)), "messages[0] (document of this kind or in this place)"),
        (Message("tool", (ToolResult("c", "", images=(Image("http://x"),)),)), "messages[0] (image of this kind)"),
        (Message("user", (Image("https://x/a.png"), Image("data:image/png;base64,AA"))), None),
        (Message("assistant", (ToolCall("c", "f", "{}"),)), None),
    ],
)
def test_a_part_without_counterpart_is_named(turn: Message, told: str | None) -> None:
    assert unsayable_field(call(messages=(turn,))) == told


def test_values_that_ask_for_nothing_stop_nothing() -> None:
    asked = from_openai(
        n=1,
        temperature=1,
        top_p=0.5,
        logprobs=False,
        top_logprobs=0,
        logit_bias={},
        frequency_penalty=0,
        presence_penalty=0.0,
        modalities=["text"],
        functions=[],
        audio=None,
        stop=[],
        response_format={"type": "text"},
        parallel_tool_calls=True,
        stream=True,
        stream_options={"include_usage": True},
        reasoning_effort="low",
    )
    assert unsayable_field(asked) is None
    assert unsaid_fields(asked) == ("top_p",)


def test_hints_are_left_out_and_said_so() -> None:
    hints = {
        "user": "u",
        "metadata": {},
        "store": True,
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "seed": 7,
        "verbosity": "low",
        "prediction": {},
    }
    asked = from_openai(**hints, temperature=0.2)
    assert unsayable_field(asked) is None
    assert unsaid_fields(asked) == (*hints, "temperature")
    assert unsaid_fields(from_openai(temperature=1, max_tokens=5)) == ()
