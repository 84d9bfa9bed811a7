"""Items into turns, and turns into items."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.call import Document, Image, Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from routewright.dialects.responses_items import LONGEST_CALL_ID, read_messages, write_items
from routewright.errors import InvalidRequest

PICTURE = "data:image/png;base64,AAAA"
PAPER = "data:application/pdf;base64,AAAA"
OURS, THEIRS = "openai_responses", "anthropic_messages"


def read(*items: Any, **fields: Any) -> tuple[Message, ...]:
    return read_messages({"input": list(items), **fields})


def written(*parts: Part, role: Any = "user") -> list[dict[str, Any]]:
    return list(write_items(Message(role, parts)))


def test_words_alone_are_a_user_turn_and_instructions_a_system_turn() -> None:
    assert read_messages({"input": "Hi", "instructions": "Be brief."}) == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
    )


def test_messages_need_no_type_and_have_words_or_parts() -> None:
    messages = read(
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                {"type": "input_file", "file_data": PAPER, "filename": "paper.pdf"},
                {"type": "input_file", "file_url": "https://example.org/paper.pdf"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    )
    assert messages == (
        Message("system", (Text("Be brief."),)),
        Message(
            "user",
            (
                Text("What is this?"),
                Image(PICTURE, "low"),
                Document(PAPER, "paper.pdf"),
                Document("https://example.org/paper.pdf"),
            ),
        ),
        Message("assistant", (Text("No."),)),
    )


def test_what_a_model_thought_said_and_asked_for_is_one_turn() -> None:
    messages = read(
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "s3al"},
        {"role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": '{"far":true}'},
        {"type": "function_call_output", "call_id": "c1", "output": "a wall"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "this"}, {"type": "input_image", "image_url": PICTURE}],
        },
    )
    assert messages == (
        Message(
            "assistant",
            (
                Thinking("Hm.", "s3al", OURS),
                Text("Let me look."),
                ToolCall("c1", "look", "{}"),
                ToolCall("c2", "look", '{"far":true}'),
            ),
        ),
        Message("tool", (ToolResult("c1", "a wall"),)),
        Message("tool", (ToolResult("c2", "this", images=(Image(PICTURE),)),)),
    )


def test_a_file_that_a_tool_gave_back_stands_beside_its_result() -> None:
    [message] = read(
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_file", "file_data": PAPER, "filename": "a.pdf"}],
        }
    )
    assert message.parts == (ToolResult("c", ""), Document(PAPER, "a.pdf"))


def test_a_seal_of_another_dialect_is_known_again() -> None:
    [message] = read({"type": "reasoning", "summary": [], "encrypted_content": f"rw1.{THEIRS}.x.y"})
    assert message.parts == (Thinking("", "x.y", THEIRS),)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "item_reference"),
        ({"id": "msg_1"}, "item_reference"),
        ({"type": "web_search_call", "id": "ws_1"}, "web_search_call"),
        ({"type": "computer_call_output", "call_id": "c"}, "computer_call_output"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}, "input_image"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}, "input_file"),
    ],
)
def test_what_only_this_dialect_knows_is_opaque(item: dict[str, Any], kind: str) -> None:
    [message] = read(item)
    assert message.parts == (Opaque(kind),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 7}, "input"),
        ({"input": []}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": 7}]}, "input[0].type"),
        ({"input": "x", "instructions": 7}, "instructions"),
    ],
)
def test_a_mistake_is_told_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        read_messages(fields)
    assert wrong.value.param == param


def test_a_prompt_of_the_provider_may_stand_alone_and_is_opaque() -> None:
    assert read_messages({"prompt": {"id": "pmpt_1"}}) == (Message("user", (Opaque("prompt"),)),)


# ---- back ---------------------------------------------------------------------------------------------------------


def test_only_its_own_thoughts_are_given_back() -> None:
    assert written(
        Thinking("Hm.", "s3al", OURS), Thinking("Ah.", "x", THEIRS), Thinking("unsealed"), Text("Hi"), role="assistant"
    ) == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "s3al"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        },
    ]


def test_a_call_id_that_is_too_long_is_the_same_shorter_one_for_call_and_result() -> None:
    name = "x" * (LONGEST_CALL_ID + 1)
    [call] = written(ToolCall(name, "look", "{}"), role="assistant")
    [result] = written(ToolResult(name, "a wall"), role="tool")
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= LONGEST_CALL_ID
    [short] = written(ToolCall(name[1:], "look", "{}"), role="assistant")
    assert short["call_id"] == name[1:]


def test_a_tool_that_failed_says_so_in_its_words() -> None:
    [result] = written(ToolResult("c", "no such file", is_error=True), role="tool")
    assert result["output"] == "Error: no such file"


WORDS = st.text(max_size=20)
PICTURES = st.builds(Image, st.just(PICTURE), st.sampled_from(["low", "auto"]))
SAID = st.lists(st.builds(Text, WORDS) | PICTURES | st.builds(Document, st.just(PAPER), st.just("a.pdf")), min_size=1)
THOUGHT = st.lists(
    st.builds(Thinking, WORDS, st.text(min_size=1, max_size=9).map("s".__add__), st.just(OURS))
    | st.builds(Text, WORDS)
    | st.builds(ToolCall, st.text(min_size=1, max_size=64), st.just("look"), st.just("{}")),
    min_size=1,
    max_size=4,
)
RESULTS = st.builds(
    ToolResult, st.text(min_size=1, max_size=64), WORDS, images=st.lists(PICTURES, max_size=2).map(tuple)
)


@given(
    st.one_of(
        SAID.map(lambda parts: Message("user", tuple(parts))),
        THOUGHT.map(lambda parts: Message("assistant", tuple(parts))),
        RESULTS.map(lambda result: Message("tool", (result,))),
    )
)
def test_a_message_written_and_read_again_means_the_same(message: Message) -> None:
    assert read(*write_items(message)) == (message,)
