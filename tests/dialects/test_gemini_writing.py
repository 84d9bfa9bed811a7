"""Gemini's request, from calls of every client's dialect."""

from typing import Any

import msgspec
import pytest

from builders import attempt, call, deployment, message, model
from routewright.call import (
    Attempt,
    CacheMark,
    Call,
    Document,
    Image,
    Message,
    Opaque,
    Options,
    OutputFormat,
    Part,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.catalog.registry import Capability
from routewright.dialects.gemini import Gemini
from routewright.dialects.openai_chat import OpenAIChat
from routewright.secret import Secret

DOT = "iVBORw0KGgo="
PNG = f"data:image/png;base64,{DOT}"
PDF = "data:application/pdf;base64,JVBERi0="
SCHEMA = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}
F = Tool("f", "does f", SCHEMA)


def tried(asked: Call, name: str = "gemini-3.8-flash", *, can_reason: bool = True, **place: Any) -> Attempt:
    base = "https://google.example/v1beta/"
    at = deployment(f"gemini/{name}", dialect="gemini", base_url=base, **place)
    abilities = frozenset({Capability.REASONING}) if can_reason else frozenset()
    return attempt(asked, model(name, at, capabilities=abilities))


def body(asked: Call, name: str = "gemini-3.8-flash", *, can_reason: bool = True) -> dict[str, Any]:
    assert Gemini().cannot_carry(asked) is None
    written: dict[str, Any] = msgspec.json.decode(
        Gemini().write_request(tried(asked, name, can_reason=can_reason)).body
    )
    return written


def config(name: str = "gemini-3.8-flash", **changes: Any) -> dict[str, Any]:
    written: dict[str, Any] = body(call(**changes), name).get("generationConfig", {})
    return written


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def chat(**fields: Any) -> Call:
    said = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return OpenAIChat().read(msgspec.json.encode(said), request_id="r", options=Options())


# ---- the address ------------------------------------------------------------------------------------------------


def test_the_key_is_in_a_header_and_the_model_in_the_address() -> None:
    request = Gemini().write_request(tried(call(), key=Secret("sk-1")))
    assert request.url == "https://google.example/v1beta/models/gemini-3.8-flash:generateContent"
    assert request.headers["x-goog-api-key"] == "sk-1"
    streamed = Gemini().write_request(tried(call(stream=True), "odd/../name?x"))
    assert streamed.url == "https://google.example/v1beta/models/odd%2F..%2Fname%3Fx:streamGenerateContent?alt=sse"
    assert "x-goog-api-key" not in streamed.headers


# ---- turns --------------------------------------------------------------------------------------------------------


def test_the_system_stands_apart_and_neighbours_are_one_turn() -> None:
    said = (message("Be brief.", "system"), message("a"), message("b"), message("c", "assistant"), message("", "user"))
    written = body(call(messages=(*said, message("d"))))
    assert written["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert written["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]


def test_results_name_their_function_and_come_first() -> None:
    results = Message("tool", (ToolResult("2", "no", is_error=True), ToolResult("1", "yes")))
    calls = assistant(Text("well"), ToolCall("1", "f", '{"a":1}'), ToolCall("2", "g", "broken"))
    written = body(call(messages=(message("Hi"), calls, user(Text("look")), results)))
    assert written["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "well"},
                {
                    "functionCall": {"id": "1", "name": "f", "args": {"a": 1}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"id": "2", "name": "g", "args": {"arguments": "broken"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "2", "name": "g", "response": {"error": "no"}}},
                {"functionResponse": {"id": "1", "name": "f", "response": {"output": "yes"}}},
                {"text": "look"},
            ],
        },
    ]


def test_what_a_tool_shows_is_in_its_result_or_beside_it() -> None:
    result = Message("tool", (ToolResult("1", "see", images=(Image(PNG),)),))
    asked = call(messages=(message("Hi"), assistant(ToolCall("1", "f", "{}")), result))
    shown = {"inlineData": {"mimeType": "image/png", "data": DOT}}
    new, old = body(asked)["contents"][2]["parts"], body(asked, "gemini-2.5-pro")["contents"][2]["parts"]
    assert new[0]["functionResponse"]["parts"] == [shown]
    assert "parts" not in old[0]["functionResponse"]
    assert old[1] == shown


def test_pictures_and_files_have_their_kind() -> None:
    parts = (
        Image(PNG),
        Image("https://a.example/b.JPG?x=1"),
        Document(PDF, "p.pdf"),
        Document("https://a.example/c.pdf"),
    )
    written = body(call(messages=(user(*parts),)))
    assert written["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": DOT}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/b.JPG?x=1"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.example/c.pdf"}},
    ]


# ---- signatures ---------------------------------------------------------------------------------------------------


def test_signatures_go_back_to_their_places() -> None:
    said = assistant(
        Thinking("hm", "thought:S0", "gemini"),
        Thinking("", "call1:S1", "gemini"),
        Thinking("", "text:S2", "gemini"),
        Thinking("other's", "S3", "anthropic_messages"),
        Thinking("broken", "S4", "gemini"),
        Text("a"),
        Text("b"),
        ToolCall("1", "f", "{}"),
        ToolCall("2", "g", "{}"),
    )
    results = Message("tool", (ToolResult("1", ""), ToolResult("2", "")))
    written = body(call(messages=(message("Hi"), said, results)))
    assert written["contents"][1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "S0"},
        {"text": "a"},
        {"text": "b", "thoughtSignature": "S2"},
        {"functionCall": {"id": "1", "name": "f", "args": {}}},
        {"functionCall": {"id": "2", "name": "g", "args": {}}, "thoughtSignature": "S1"},
    ]


def test_calls_of_another_provider_are_marked_as_such_where_a_signature_is_wanted() -> None:
    said = (message("Hi"), assistant(ToolCall("1", "f", "{}")), Message("tool", (ToolResult("1", "x"),)))
    new, old = (
        body(call(messages=said), name)["contents"][1]["parts"][0] for name in ("gemini-4-x", "gemini-2.5-flash")
    )
    assert new["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in old


# ---- tools and options ----------------------------------------------------------------------------------------------


def test_tools_are_declared_with_their_schema() -> None:
    written = body(call(tools=(F, Tool("g", "", {}))))
    schema = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
    assert written["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": schema},
                {"name": "g", "description": "g"},
            ]
        }
    ]
    assert "toolConfig" not in written


@pytest.mark.parametrize(
    ("choice", "strict", "written"),
    [
        (ToolChoice("auto"), None, {"mode": "AUTO"}),
        (ToolChoice("none"), None, {"mode": "NONE"}),
        (ToolChoice("required"), None, {"mode": "ANY"}),
        (ToolChoice("required", "f"), True, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("auto"), True, {"mode": "VALIDATED"}),
        (None, True, {"mode": "VALIDATED"}),
    ],
)
def test_whether_to_call(choice: ToolChoice | None, strict: bool | None, written: dict[str, Any]) -> None:
    tool = msgspec.structs.replace(F, is_strict=strict)
    asked = call(tools=(tool,), tool_choice=choice)
    assert body(asked)["toolConfig"] == {"functionCallingConfig": written}


def test_how_to_generate() -> None:
    assert config() == {}
    assert config(max_output_tokens=9_000, temperature=0.5, top_p=0.9, stop=("a",), choices=2, logprobs=3) == {
        "maxOutputTokens": 4_000,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["a"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert config(output_format=OutputFormat("json_object")) == {"responseMimeType": "application/json"}
    form = OutputFormat("json_schema", "x", {"type": "string"}, is_strict=True)
    assert config(output_format=form) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("name", "effort", "thinking"),
    [
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-flash-lite", "minimal", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-pro-latest", "max", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_how_much_to_think_is_said_in_the_words_of_the_generation(
    name: str, effort: str, thinking: dict[str, Any] | None
) -> None:
    assert config(name, reasoning_effort=effort).get("thinkingConfig") == thinking


def test_a_model_that_cannot_reason_is_not_told_to() -> None:
    assert "generationConfig" not in body(call(reasoning_effort="high"), can_reason=False)


def test_a_seed_is_carried_where_it_fits() -> None:
    assert body(chat(seed=7))["generationConfig"] == {"seed": 7}
    assert Gemini().dropped_fields(chat(seed=7)) == ()
    assert Gemini().dropped_fields(chat(seed=1 << 40)) == ("seed",)
    assert "generationConfig" not in body(chat(seed=1 << 40))


# ---- what cannot be said ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stop": tuple("abcdef")}, "stop"),
        ({"choices": 9}, "n"),
        ({"max_output_tokens": 0}, "max_tokens"),
        ({"reasoning_effort": "odd"}, "reasoning_effort"),
        ({"tools": (F,), "parallel_tool_calls": False}, "parallel_tool_calls"),
        (
            {"output_format": OutputFormat("json_schema", "x", {"pattern": "a"}, is_strict=True)},
            "response_format (pattern)",
        ),
        ({"tools": (Tool("f", "", {"properties": {"a": {"minLength": 1}}}, is_strict=True),)}, "tools (minLength)"),
        ({"messages": (message("a", "system"),)}, "messages (nothing but the system's)"),
        ({"messages": (message("a", "system"), message(""))}, "messages (nothing but the system's)"),
    ],
)
def test_what_cannot_be_said_is_named(changes: dict[str, Any], field: str) -> None:
    assert Gemini().cannot_carry(call(**changes)) == field


@pytest.mark.parametrize(
    "part",
    [
        Opaque("input_audio"),
        Image("data:image/gif;base64,R0lG"),
        Image("https://a.example/picture"),
        Image("https://[a.example/b.png"),
        Document("https://a.example]/c.pdf"),
        Image("http://a.example/b.png"),
        Image("data:image/png,plain"),
        Document("data:application/zip;base64,UEs="),
        ToolResult("unknown", "x"),
    ],
)
def test_a_part_that_cannot_be_said_is_named_with_its_place(part: Part) -> None:
    told = Gemini().cannot_carry(call(messages=(message("a"), user(part))))
    assert told is not None
    assert told.startswith("messages[1] (")


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_only_users_and_tools_show_pictures(role: Role) -> None:
    asked = call(messages=(message("a"), Message(role, (Text("b"), Image(PNG)))))
    assert Gemini().cannot_carry(asked) == f"messages[1] (picture or file of the {role}'s)"


def test_a_tool_cannot_show_what_is_elsewhere() -> None:
    result = Message("tool", (ToolResult("1", "x", images=(Image("https://a.example/b.png"),)),))
    assert Gemini().cannot_carry(call(messages=(assistant(ToolCall("1", "f", "{}")), result))) is not None


@pytest.mark.parametrize(
    ("fields", "unsaid"),
    [
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"frequency_penalty": 0, "logit_bias": {}, "user": "u", "logprobs": True}, None),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_a_clients_other_fields_are_refused_unless_they_ask_for_nothing(
    fields: dict[str, Any], unsaid: str | None
) -> None:
    assert Gemini().cannot_carry(chat(**fields)) == unsaid


def test_a_schema_that_need_not_hold_exactly_is_a_description() -> None:
    loose = {"type": "string", "pattern": "a+"}
    assert (
        body(call(tools=(Tool("f", "", loose),)))["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
        == loose
    )
    assert config(output_format=OutputFormat("json_schema", "x", loose))["responseJsonSchema"] == loose


def test_hints_are_dropped_and_said() -> None:
    parts = (Text("a"), Image(PNG, "high"), Document(PDF, "p.pdf"), CacheMark(), Thinking("hm", "x", "other"))
    asked = call(messages=(user(*parts),), extra_fields=("user", "metadata"))
    assert Gemini().dropped_fields(asked) == (
        "user", "metadata", "image_url.detail", "filename", "cache_control", "thinking",
    )  # fmt: skip
