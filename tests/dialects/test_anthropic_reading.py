"""Anthropic's message requests as calls: what is held, what is named as not held, and what is a mistake."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, deployment, model
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
from routewright.dialects.anthropic_reading import read_call
from routewright.dialects.anthropic_rewriting import with_messages
from routewright.dialects.anthropic_writing import write_body
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_request import read_call as read_openai
from routewright.dialects.openai_writing import write_body as write_openai
from routewright.dialects.session import hashed_session
from routewright.errors import InvalidJson, InvalidRequest

EPHEMERAL = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}


def read(**fields: Any) -> Call:
    body = {"model": "auto", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return read_call(msgspec.json.encode(body), "request-1", Options())


def parts(*blocks: JsonObject, role: str = "user") -> tuple[object, ...]:
    return (
        read(messages=[{"role": role, "content": list(blocks)}, {"role": "user", "content": "go on"}]).messages[0].parts
    )


# ---- fields -----------------------------------------------------------------------------------------------------


def test_a_plain_request_is_a_call() -> None:
    asked = read(
        system="Be brief.",
        stream=True,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END"],
        metadata={"user_id": "somebody"},
    )
    assert asked.dialect == "anthropic_messages"
    assert asked.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),)))
    assert (asked.max_output_tokens, asked.stream, asked.temperature, asked.top_p) == (100, True, 0.5, 0.9)
    assert asked.stop == ("END",)
    assert asked.session == hashed_session("somebody")
    assert asked.extra_fields == ("metadata",)


def test_our_own_options_are_taken_out_of_the_body() -> None:
    asked = read(routewright={"tier": "bulk"})
    assert asked.options.tier == "bulk"
    assert "routewright" not in asked.body


def test_what_is_only_counted_needs_no_limit() -> None:
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]})
    assert read_call(body, "request-1", Options(), is_counted_only=True).max_output_tokens is None
    with pytest.raises(InvalidRequest, match="max_tokens is required"):
        read_call(body, "request-1", Options())


@pytest.mark.parametrize(
    ("thinking", "output_config", "effort"),
    [
        (None, None, None),
        ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
        ({"type": "enabled", "budget_tokens": 16_384}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 31_999}, None, "high"),
        ({"type": "enabled", "budget_tokens": 31_999}, {"effort": "low"}, "low"),
        ({"type": "adaptive"}, {"effort": "max"}, "max"),
        ({"type": "adaptive"}, None, None),
        ({"type": "disabled"}, None, None),
    ],
)
def test_a_budget_for_thinking_is_an_effort(
    thinking: JsonObject | None, output_config: JsonObject | None, effort: str | None
) -> None:
    asked = read(thinking=thinking, output_config=output_config)
    assert (asked.reasoning_effort, asked.extra_fields) == (effort, ())


def test_a_schema_is_an_output_format_by_either_name() -> None:
    described = {"type": "json_schema", "schema": SCHEMA}
    for asked in (read(output_config={"format": described}), read(output_format=described)):
        assert asked.output_format == OutputFormat("json_schema", schema=SCHEMA)
        assert asked.extra_fields == ()


@pytest.mark.parametrize(
    ("choice", "read_as", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "now"}, ToolChoice("required", "now"), None),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_tool_choices_are_read(choice: JsonObject, read_as: ToolChoice, parallel: bool | None) -> None:
    asked = read(tool_choice=choice)
    assert (asked.tool_choice, asked.parallel_tool_calls) == (read_as, parallel)


def test_tools_are_read_and_those_of_anthropic_are_its_own() -> None:
    now = {"name": "now", "description": "The time.", "input_schema": SCHEMA, "strict": True}
    asked = read(tools=[now, {"type": "custom", "name": "halt", "input_schema": {}, "cache_control": EPHEMERAL}])
    assert asked.tools == (
        Tool("now", "The time.", SCHEMA, is_strict=True),
        Tool("halt", "", {}, cache_mark=CacheMark()),
    )
    assert asked.extra_fields == ()
    for foreign in ("web_search_20250305", "bash_20250124", "text_editor_20250728", "mcp_toolset"):
        asked = read(tools=[now, {"type": foreign, "name": "x"}])
        assert ([tool.name for tool in asked.tools], asked.extra_fields) == (["now"], ("tools",))


def test_examples_of_a_tools_input_go_into_its_schema() -> None:
    [tool] = read(tools=[{"name": "now", "input_schema": SCHEMA, "input_examples": [{"zone": "UTC"}]}]).tools
    assert tool.parameters == {**SCHEMA, "examples": [{"zone": "UTC"}]}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"top_k": 5}, "top_k"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"thinking": {"type": "between_tools"}}, "thinking"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display"),
        ({"output_config": {"task_budget": {"total": 5}}}, "output_config.task_budget"),
        ({"tools": [{"name": "x", "input_schema": {}, "defer_loading": True}]}, "tools.defer_loading"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "It is"}]},
            "messages[1] (the beginning of the answer)",
        ),
    ],
)
def test_what_is_not_held_is_named(fields: JsonObject, named: str) -> None:
    assert read(**fields).extra_fields == (named,)


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"service_tier": "auto"}, "auto"),
        ({"service_tier": "standard_only"}, ""),
        ({"speed": "fast"}, "fast"),
        ({"speed": "standard", "service_tier": "auto"}, "auto"),
    ],
)
def test_speed_is_a_service_tier(fields: JsonObject, tier: str) -> None:
    assert read(**fields).service_tier == tier


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": "{}"}]}]},
            "messages[0].content[0].input",
        ),
        ({"system": 5}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [5]}, "stop_sequences[0]"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"thinking": {}}, "thinking.type"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"cache_control": {"ttl": "1d"}}, "cache_control.ttl"),
    ],
)
def test_a_mistake_is_named(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        read(**fields)
    assert wrong.value.param == param


def test_a_body_that_is_no_object_is_not_read() -> None:
    with pytest.raises(InvalidJson):
        read_call(b"[]", "request-1", Options())


# ---- blocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "held"),
    [
        ({"type": "text", "text": ""}, (Text(""),)),
        ({"type": "text", "text": "a", "cache_control": {**EPHEMERAL, "ttl": "1h"}}, (Text("a"), CacheMark("1h"))),
        ({"type": "image", "source": {"type": "url", "url": "https://x/a"}}, (Image("https://x/a"),)),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
            (Image("data:image/png;base64,AA"),),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, (Opaque("image"),)),
        ({"type": "document", "source": PDF, "title": "t"}, (Document("data:application/pdf;base64,JVBERi0=", "t"),)),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/a"}, "context": "old"},
            (Text("old"), Document("https://x/a")),
        ),
        ({"type": "document", "source": {"type": "text", "data": "words"}, "title": "t"}, (Text("t"), Text("words"))),
        ({"type": "document", "source": {"type": "content", "content": "words"}}, (Text("words"),)),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}}, (Text("a"),)),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, (Opaque("document"),)),
        ({"type": "thinking", "thinking": "hm", "signature": "s"}, (Thinking("hm", "s", "anthropic_messages"),)),
        ({"type": "redacted_thinking", "data": "d"}, (Thinking("", "redacted:d", "anthropic_messages"),)),
        (
            {"type": "thinking", "thinking": "hm", "signature": "rw1.openai_responses.xyz"},
            (Thinking("hm", "xyz", "openai_responses"),),
        ),
        ({"type": "redacted_thinking", "data": "rw1.openai_responses.xyz"}, (Thinking("", "xyz", "openai_responses"),)),
        ({"type": "tool_use", "id": "a", "name": "f", "input": {"b": [1]}}, (ToolCall("a", "f", '{"b":[1]}'),)),
        ({"type": "tool_result", "tool_use_id": "a"}, (ToolResult("a", ""),)),
        (
            {"type": "tool_result", "tool_use_id": "a", "content": "no", "is_error": True},
            (ToolResult("a", "no", is_error=True),),
        ),
        ({"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}}, (Opaque("server_tool_use"),)),
        ({"type": "search_result", "source": "s", "title": "t", "content": []}, (Opaque("search_result"),)),
        ({"type": "of_next_year"}, (Opaque("of_next_year"),)),
    ],
)
def test_blocks_are_read(block: JsonObject, held: tuple[object, ...]) -> None:
    assert parts(block) == held


def test_a_tools_pictures_and_files_are_kept() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://x/a"}}
    content = [
        {"type": "text", "text": "a"},
        picture,
        {"type": "text", "text": "b"},
        {"type": "document", "source": PDF},
    ]
    assert parts({"type": "tool_result", "tool_use_id": "c", "content": content, "cache_control": EPHEMERAL}) == (
        ToolResult("c", "a\nb", images=(Image("https://x/a"),)),
        Document("data:application/pdf;base64,JVBERi0="),
        CacheMark(),
    )


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}, "text.citations"),
        ({"type": "document", "source": PDF, "citations": {"enabled": True}}, "document.citations"),
        (
            {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "code_execution_20260120"}},
            "tool_use.caller",
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/a"}, "transformations": {}},
            "image.transformations",
        ),
    ],
)
def test_what_is_not_held_of_a_block_is_named(block: JsonObject, named: str) -> None:
    assert read(messages=[{"role": "user", "content": [block]}]).extra_fields == (named,)


def test_what_answers_repeat_without_meaning_is_held() -> None:
    answered = [
        {"type": "text", "text": "a", "citations": None},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ]
    messages = [{"role": "assistant", "content": answered}, {"role": "user", "content": "go on"}]
    assert read(messages=messages).extra_fields == ()


def test_a_mark_on_the_whole_stands_at_its_end() -> None:
    asked = read(cache_control=EPHEMERAL, system=[{"type": "text", "text": "s", "cache_control": EPHEMERAL}])
    assert [message.parts for message in asked.messages] == [(Text("s"), CacheMark()), (Text("Hi"), CacheMark())]
    assert asked.extra_fields == ()


# ---- the same dialect upstream ----------------------------------------------------------------------------------


def sent(asked: Call, name: str = "claude-sonnet-5") -> JsonObject:
    place = deployment(f"anthropic/{name}", dialect="anthropic_messages")
    body: JsonObject = msgspec.json.decode(write_body(attempt(asked, model(name, place))))
    return body


def test_a_body_of_this_dialect_goes_on_as_it_came() -> None:
    fields: JsonObject = {
        "messages": [{"role": "user", "content": [{"type": "of_next_year", "x": 1.5}]}],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "scope": "global"}}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": []},
        "inference_geo": None,
        "stream": True,
    }
    assert sent(read(**fields)) == {"model": "claude-sonnet-5", "max_tokens": 100, **fields}


def test_the_budget_may_lower_the_limit_and_a_layer_may_want_the_answer_whole() -> None:
    asked = msgspec.structs.replace(read(stream=True), max_output_tokens=7, stream=False)
    body = sent(asked)
    assert body["max_tokens"] == 7
    assert "stream" not in body


def test_thoughts_of_others_are_kept_from_a_provider() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    other = {"type": "thinking", "thinking": "oh", "signature": "rw1.openai_chat."}
    hidden = {"type": "redacted_thinking", "data": "rw1.openai_responses.xyz"}
    text = {"type": "text", "text": "a"}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [own, text]},
        {"role": "assistant", "content": [other, hidden, text]},
        {"role": "assistant", "content": [other]},
        {"role": "user", "content": "And?"},
    ]
    assert [turn["content"] for turn in sent(read(messages=turns))["messages"]] == ["Hi", [own, text], [text], "And?"]
    assert sent(read(messages=turns[:2]))["messages"] == turns[:2]


# ---- other messages in the body ---------------------------------------------------------------------------------


def test_of_a_changed_message_only_the_words_are_written_anew() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://x/a"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "c",
        "is_error": True,
        "content": [
            {"type": "text", "text": "long", "cache_control": EPHEMERAL},
            picture,
            {"type": "text", "text": "er"},
        ],
    }
    document = {
        "type": "document",
        "title": "t",
        "source": {"type": "text", "media_type": "text/plain", "data": "long"},
    }
    chapters = {
        "type": "document",
        "title": "t",
        "source": {"type": "content", "content": [{"type": "text", "text": "long"}, picture]},
        "cache_control": EPHEMERAL,
    }
    asked = read(
        system="s",
        cache_control=EPHEMERAL,
        messages=[
            {"role": "user", "content": "long"},
            {
                "role": "user",
                "content": [result, {"type": "text", "text": "long", "cache_control": EPHEMERAL}, picture],
            },
            {"role": "user", "content": [document, chapters]},
            {"role": "user", "content": "last"},
        ],
    )

    def shorter(part: object) -> object:
        return (
            msgspec.structs.replace(part, text="x")
            if isinstance(part, Text | ToolResult) and "long" in part.text
            else part
        )

    changed = [
        msgspec.structs.replace(message, parts=tuple(shorter(part) for part in message.parts))
        for message in asked.messages
    ]
    summary = Message("user", (Text("so far"),))
    again = with_messages(asked, [changed[0], summary, *changed[1:]], [0, None, 1, 2, 3, 4])
    assert again.messages == (changed[0], summary, *changed[1:])
    assert again.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "so far"}]},
        {"role": "user", "content": "x"},
        {
            "role": "user",
            "content": [
                {**result, "content": [{"type": "text", "text": "x", "cache_control": EPHEMERAL}, picture]},
                {"type": "text", "text": "x", "cache_control": EPHEMERAL},
                picture,
            ],
        },
        {
            "role": "user",
            "content": [
                {**document, "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                {**chapters, "source": {"type": "content", "content": [{"type": "text", "text": "x"}, picture]}},
            ],
        },
        {"role": "user", "content": "last"},
    ]
    assert read_call(msgspec.json.encode(again.body), asked.id, Options()).messages[2:] == again.messages[2:]


# ---- there and back, by way of every dialect --------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.text("abc_", min_size=1, max_size=8)
marks = st.none() | st.sampled_from([EPHEMERAL, {**EPHEMERAL, "ttl": "1h"}])
schemas = st.dictionaries(names, words | st.integers(-9, 9), max_size=3)


def marked(block: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    return st.builds(lambda block, mark: {**block, "cache_control": mark} if mark else block, block, marks)


texts = marked(words.map(lambda text: {"type": "text", "text": text}))
pictures = marked(st.just({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}))
files = marked(st.builds(lambda title: {"type": "document", "source": PDF, "title": title}, names))
uses = st.builds(
    lambda called, name, given: {"type": "tool_use", "id": called, "name": name, "input": given}, names, names, schemas
)
results = st.builds(
    lambda called, text, shown: {
        "type": "tool_result",
        "tool_use_id": called,
        "content": [{"type": "text", "text": text}, *shown],
    },
    names,
    words,
    st.lists(pictures.map(lambda block: {key: block[key] for key in ("type", "source")}), max_size=1),
)
turns = st.one_of(
    st.builds(
        lambda content: {"role": "user", "content": content}, st.lists(texts | pictures | files, min_size=1, max_size=3)
    ),
    st.builds(
        lambda said, used: {"role": "assistant", "content": [*said, *used]},
        st.lists(texts, min_size=1, max_size=1),
        st.lists(uses, max_size=2),
    ),
    st.builds(lambda results: {"role": "user", "content": results}, st.lists(results, min_size=1, max_size=2)),
)
bodies = st.fixed_dictionaries(
    {
        "messages": st.builds(
            lambda turns: [*turns, {"role": "user", "content": "go on"}], st.lists(turns, max_size=4)
        ),
        "system": st.lists(texts, max_size=2),
        "tools": st.lists(
            st.builds(
                lambda name, schema: {"name": name, "input_schema": {"type": "object", **schema}}, names, schemas
            ),
            max_size=2,
        ),
        "stop_sequences": st.lists(words.filter(str.strip), max_size=4),
        "temperature": st.none() | st.floats(0, 1),
    }
)


def spoken(call: Call) -> list[tuple[str, object]]:
    """Who says what, whatever the messages it comes in; marks are compared on their own."""
    said: list[tuple[str, object]] = []
    for message in call.messages:
        role = "user" if message.role == "tool" else message.role
        if role == "system":
            said.append((role, message.text))
            continue
        for part in message.parts:
            match part:
                case ToolResult(images=images):
                    said += [(role, msgspec.structs.replace(part, images=())), *((role, image) for image in images)]
                case CacheMark():
                    pass
                case _:
                    said.append((role, part))
    return sorted(said, key=repr)


@given(bodies)
def test_by_way_of_chat_the_same_is_said(body: JsonObject) -> None:
    asked = read(**body)
    assert OpenAIChat().cannot_carry(asked) is None
    again = read_openai(write_openai(asked, "auto", "openai"), asked.id, asked.options)
    assert spoken(again) == spoken(asked)
    assert again.tools == asked.tools
    assert (again.max_output_tokens, again.stop, again.temperature) == (100, asked.stop, asked.temperature)


@given(bodies)
def test_written_anew_for_anthropic_the_same_is_said_with_the_same_marks(body: JsonObject) -> None:
    asked = read(**body)
    rewritten = sent(msgspec.structs.replace(asked, dialect="library", body={}))
    again = read_call(msgspec.json.encode(rewritten), asked.id, asked.options)
    assert spoken(again) == spoken(asked)
    assert again.tools == asked.tools
    assert again.stop == asked.stop

    def marks_of(call: Call) -> int:
        return sum(type(part) is CacheMark for message in call.messages for part in message.parts)

    assert marks_of(again) == marks_of(asked)
