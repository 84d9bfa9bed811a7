"""Everything is measured, and only what the user asks for is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, message
from routewright.call import (
    Call,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.decision.features import Features, Script, extract


def of(text: str) -> Features:
    return extract(call(text))


def said(*turns: tuple[Role, str]) -> Features:
    return extract(call(messages=tuple(message(text, role) for role, text in turns)))


def words(text: str) -> str:
    return " ".join(of(text).words)


def test_words_are_lower_case_and_without_punctuation() -> None:
    assert words("Rename `getCwd`, please -- it's TOO short (really)!") == "rename please it s too short really"


def test_identifiers_stay_whole_so_that_their_parts_are_not_read_as_words() -> None:
    assert words("What is sort_by_label for?") == "what is sort_by_label for"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("¿Qué es esto? «Nada»", "qué es esto nada"),
        ("„Übersetze“ das …", "übersetze das"),
        ("İngilizceye çevir", "ingilizceye çevir"),
        ("解释一下，谢谢。", "解释一下 谢谢"),
        ("U\u0308bersetze", "übersetze"),
    ],
)
def test_typographic_marks_and_composed_letters_do_not_hide_words(text: str, read: str) -> None:
    assert words(text) == read


@pytest.mark.parametrize(
    "pasted",
    [
        "```python\ndesign = prove(debug)\n```",
        "```\nsecret design\n```",
        "<context>secret design</context>",
        "<file path='a/b'>\nsecret\n<inner>design</inner></file>",
        "> secret design\n> of theirs",
        "2024-05-01 12:00:03 secret design\n2024-05-01 12:00:04 more",
        "[12:00:03] secret design",
        "ERROR secret design failed",
        'Traceback (most recent call last):\n  File "secret.py", line 3, in design',
        "    secret = design(1)\n    return secret",
        "def secret(design):\n    return design",
        "let secret = design;",
        "secret,design,30,x",
        "secret\tdesign\t30",
        "| secret | design |",
        '{"secret": "design", "more": [1, 2, 3], "and": {"more": true}}',
        '"this is a secret design in a long quotation"',
        "„dies ist ein secret design in einem langen Zitat“",
    ],
)
def test_what_was_pasted_is_not_read(pasted: str) -> None:
    found = of(f"Look at this:\n{pasted}\nand shorten it")
    assert found.words == ("look", "at", "this", "and", "shorten", "it")
    assert found.user_chars == len(pasted) + len("Look at this:\n\nand shorten it")


@pytest.mark.parametrize(
    "text",
    [
        "Please do this:\n- prove it\n- design it\n* debug it\n1. write it up\n2) check it",
        "Two parts:\n    - nested item\n      1. deeper item",
        'Answer with "yes" or "no"',
        "<task>Prove it</task>",
        "Compare a < b and b > c",
        "Is x > 3, y, z and so on?",
        "Warning: do not design it\nInfo about it follows",
    ],
)
def test_what_was_written_by_hand_is_read(text: str) -> None:
    letters = "".join(char if char.isalnum() else " " for char in text.lower())
    assert set(letters.split()) - {"task"} <= set(of(text).words)


def test_code_and_data_are_told_apart() -> None:
    assert (of("Fix\n```python\nx = 1\n```").has_code, of("Fix\n```python\nx = 1\n```").has_data) == (True, False)
    assert (of('Fix\n```json\n{"a": 1}\n```').has_code, of('Fix\n```json\n{"a": 1}\n```').has_data) == (False, True)
    assert (of("Fix it").has_code, of("Fix it").has_data) == (False, False)


def test_turn_that_is_all_pasted_belongs_to_the_request_before_it() -> None:
    found = said(("user", "Debug this function"), ("assistant", "Show me."), ("user", "```python\nx = 1\n```"))
    assert found.words == ("debug", "this", "function")
    assert found.has_code


def test_text_that_looks_all_pasted_is_read_rather_than_nothing() -> None:
    assert of("> prove that it holds").words == ("prove", "that", "it", "holds")


def test_very_short_turn_brings_the_turn_before_it() -> None:
    found = said(("user", "Design a cache"), ("assistant", "Shall I?"), ("user", "Yes, go on"))
    assert (found.words, found.earlier_words) == (("yes", "go", "on"), ("design", "a", "cache"))


def test_turn_that_stands_alone_brings_no_other() -> None:
    found = said(
        ("user", "Design a cache"), ("assistant", "Done."), ("user", "Translate the summary into French please")
    )
    assert found.earlier_words == ()


def test_system_prompts_and_tool_results_are_counted_and_never_read() -> None:
    asked = call(
        messages=(
            message("Prove theorems.", "system"),
            message("Rename it"),
            Message("assistant", (ToolCall("call-1", "read", '{"design": 1}'),)),
            Message("tool", (ToolResult("call-1", "debug the architecture"),)),
        ),
        tools=(Tool("read", "Designs nothing.", {}),),
    )
    found = extract(asked)
    assert found.words == ("rename", "it")
    assert (found.system_chars, found.user_chars, found.history_chars) == (15, 9, 13)
    assert found.tool_result_chars == len("debug the architecture")
    assert found.tool_definition_chars > len("Designs nothing.")
    assert found.is_agent_step


def test_user_turn_after_a_tool_result_is_no_agent_step() -> None:
    found = extract(
        call(
            messages=(
                message("Rename it"),
                Message("tool", (ToolResult("call-1", "done"),)),
                message("Thank you, and now the other"),
            )
        )
    )
    assert not found.is_agent_step
    assert found.words[:2] == ("thank", "you")


def test_tool_result_in_a_user_turn_with_reminders_around_it_is_an_agent_step() -> None:
    reminder = Text("<system-reminder>design the architecture</system-reminder>")
    found = extract(
        call(messages=(message("Rename it"), Message("user", (ToolResult("call-1", "done"), reminder)))),
    )
    assert found.is_agent_step
    assert found.words == ("rename", "it")


def test_shape_is_taken_down() -> None:
    parts: tuple[Part, ...] = (Text("What is this?? And this?"), Image("https://a.example/b.png"), Opaque("file"))
    found = extract(
        call(
            messages=(Message("user", parts),),
            tools=(Tool("record_answer", "", {}),),
            tool_choice=ToolChoice("required"),
            output_format=OutputFormat("json_schema", "answer", {"type": "object"}),
            max_output_tokens=5,
            reasoning_effort="high",
            choices=2,
            stream=True,
        )
    )
    assert (found.question_marks, found.images, found.opaque_parts, found.turns) == (3, 1, 1, 1)
    assert (found.tools, found.only_tool, found.forced_tool) == (1, "record_answer", "*")
    assert (found.max_output_tokens, found.reasoning_effort, found.choices, found.is_streamed) == (5, "high", 2, True)
    assert found.output_format.kind == "json_schema"


def test_list_items_and_formulas_are_counted() -> None:
    assert of("Do:\n- a\n* b\n1. c\n 2) d\nand e").list_items == 4
    assert of(r"Let $f(x)$ be \frac{1}{x^2}, so that ∫ f exists").formulas == 4
    assert of("It costs $5 and not $10").formulas == 0


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Translate 你好 into English, please, as you would for a child", Script.LATIN),
        ("Größenänderung", Script.LATIN),
        ("请用 Python 写一个函数", Script.HAN),
        ("次の文章を要約して", Script.HAN),
        ("이 코드를 설명해 줘", Script.HANGUL),
        ("Переведи этот текст", Script.CYRILLIC),
        ("ترجم هذا النص", Script.ARABIC),
        ("इसका अनुवाद करें", Script.DEVANAGARI),
    ],
)
def test_script_is_that_of_most_of_the_text(text: str, script: Script) -> None:
    assert of(text).script is script


@pytest.mark.parametrize("length", [20_000, 500_000])
def test_of_long_text_only_the_start_and_the_end_are_read(length: int) -> None:
    found = of("Translate this." + " filler" * (length // 7) + " secret" + " filler" * (length // 7) + " Thank you")
    assert found.words[:2] == ("translate", "this")
    assert found.words[-2:] == ("thank", "you")
    assert "secret" not in found.words
    assert len(found.words) < 1_000
    assert found.task_chars > 2 * length * 0.9


def test_long_document_between_tags_is_skipped_to_what_follows_it() -> None:
    found = of("<document>" + "prove the theorem. " * 50_000 + "</document>\nSummarize the document above.")
    assert found.words == ("summarize", "the", "document", "above")


def test_no_messages_give_no_words() -> None:
    found = extract(call(messages=()))
    assert (found.words, found.turns, found.user_chars, found.history_chars) == ((), 0, 0, 0)


PIECES = st.sampled_from(
    [
        "```",
        "`",
        "<a>",
        "</a>",
        '{"',
        "}",
        "[{",
        "]",
        "\n",
        "> ",
        "    ",
        "\t",
        "“",
        '"',
        ";",
        "word ",
        "文",
        "\ud800",
        "1. ",
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_mixture_of_marks_is_read_within_bounds(text: str) -> None:
    found = of(text)
    assert found.user_chars == len(text)
    assert sum(map(len, found.words)) <= len(text)
    assert 0 <= found.task_chars <= len(text) + 1
    assert found.input_tokens > 0


@given(st.text(max_size=200) | st.text(alphabet="aİ1=_ “。\u0338\u2003\u3000\u037e", max_size=40))
def test_words_are_as_many_as_there_are(text: str) -> None:
    found = of(text)
    assert found.word_count == len(found.words)


@given(st.text(max_size=200), st.text(max_size=200))
def test_other_sections_do_not_change_what_is_read(task: str, other: str) -> None:
    alone: Call = call(task)
    beside = call(messages=(message(other, "system"), message(other, "assistant"), message(task)))
    assert extract(alone).words == extract(beside).words


def test_what_a_program_adds_to_a_turn_is_not_the_users() -> None:
    reminder = Text("<system-reminder>\nThe date is known. Prove nothing.\n</system-reminder>\n")
    turn = Message("user", (reminder, Text("Rename the file")))
    step = Message("user", (ToolResult("call_1", "done"), reminder))
    features = extract(call(messages=(turn, Message("assistant", (ToolCall("call_1", "mv", "{}"),)), step)))
    assert (features.text, features.words, features.turns) == ("Rename the file", ("rename", "the", "file"), 1)
    assert features.is_agent_step
    assert extract(call(messages=(Message("user", (reminder, reminder)),))).turns == 0
