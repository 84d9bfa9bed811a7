"""When two answers say the same, and which questions have answers that can be compared."""

from typing import Any

import pytest

from builders import call, message
from routewright.call import Image, Message, OutputFormat, Text, Tool
from routewright.decision.agreement import Task, agree, canonical, task_of


@pytest.mark.parametrize(
    ("task", "said", "form"),
    [
        (Task.CHOICE, "B", "B"),
        (Task.CHOICE, "b", "B"),
        (Task.CHOICE, "(B) green", "B"),
        (Task.CHOICE, "A is wrong, since …\nThe correct answer is: **C**", "C"),
        (Task.CHOICE, "Answer: option D", "D"),
        (Task.CHOICE, "The answer is a good one", None),
        (Task.CHOICE, "A lot of people think so", None),
        (Task.NUMBER, "It costs $1,234.50.", "2469/2"),
        (Task.NUMBER, r"First 3, then \boxed{\frac{3}{6}}", "1/2"),
        (Task.NUMBER, "0.50", "1/2"),
        (Task.NUMBER, "−13", "-13"),
        (Task.NUMBER, "1/0", None),
        (Task.NUMBER, "none", None),
        (Task.TEXT, " Paris. ", "paris"),
        (Task.TEXT, "The answer is Paris", "paris"),
        (Task.TEXT, "['A']", "['A']"),
        (Task.TEXT, "x" * 201, None),
        (Task.TEXT, "", None),
        (Task.JSON, '```json\n{"b": 2.0, "a": [1]}\n```', '{"a":[1],"b":2}'),
        (Task.JSON, "not JSON", None),
    ],
)
def test_an_answer_in_its_form(task: Task, said: str, form: str | None) -> None:
    assert canonical(said, task) == form


def test_what_cannot_be_read_agrees_with_nothing() -> None:
    assert agree("B", "I choose (B).", Task.CHOICE) is False
    assert agree("none", "none", Task.NUMBER) is False
    assert agree('{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', Task.JSON)
    assert not agree("'A'", "'a'", Task.TEXT)


@pytest.mark.parametrize(
    ("asked", "task"),
    [
        ("Which one?\nA. red\nB. green", Task.CHOICE),
        ("Which one?\n(A) red\n(B) green", Task.CHOICE),
        ("Reply with a single letter.", Task.CHOICE),
        ("How many lamps are needed?", Task.NUMBER),
        ("Is this true or false?", Task.TEXT),
        ("assert f(1) == ??", Task.TEXT),
        ("Write a poem.", None),
        ("A. Smith wrote this. Translate it.", None),
    ],
)
def test_the_form_is_seen_in_the_question(asked: str, task: Task | None) -> None:
    assert task_of(call(asked)) is task


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": (Tool("t", "", {}),)},
        {"choices": 2},
        {"messages": (message("Hi"), Message("user", (Image("https://x/y.png"), Text("How many?"))))},
    ],
)
def test_what_has_more_than_words_is_not_compared(changes: dict[str, Any]) -> None:
    assert task_of(call("How many?", **changes)) is None


def test_json_that_is_asked_for_is_compared_as_json() -> None:
    assert task_of(call("Extract it", output_format=OutputFormat(kind="json_object"))) is Task.JSON
