from typing import Any

import pytest

from builders import call, message
from routewright.call import ToolCall
from routewright.decision.sameness import said, says_the_same
from routewright.reply import Answer


def answer(text: str = "", *calls: tuple[str, str], refusal: str = "") -> Answer:
    names: dict[str, Any] = dict.fromkeys(Answer.__struct_fields__)
    tools = tuple(ToolCall(f"id-{number}", *each) for number, each in enumerate(calls))
    return Answer(**(names | {"text": text, "tool_calls": tools, "refusal": refusal}))


CHOICE = call(messages=(message("Which?\nA) one\nB) two"),))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (answer("It is  so."), answer("It is\nso.\n"), True),
        (answer("It is so."), answer("It is not so."), False),
        (answer("", ("look", '{"a": 1, "b": 2}')), answer("Well:", ("look", '{"b":2,"a":1}')), True),
        (answer("", ("look", '{"a": 1}')), answer("", ("look", '{"a": 2}')), False),
        (answer("", ("look", "{")), answer("", ("look", "{")), True),
        (answer("", ("look", "{}")), answer("", ("see", "{}")), False),
        (answer("words", ("look", "{}")), answer("words"), False),
        (answer("", refusal="No."), answer("No."), True),
    ],
)
def test_words_and_calls_of_tools_are_compared(one: Answer, other: Answer, same: bool) -> None:
    assert says_the_same(call(), one, other) is same
    assert says_the_same(call(), other, one) is same


def test_a_choice_is_compared_by_what_was_chosen() -> None:
    assert says_the_same(CHOICE, answer("The answer is (B)."), answer("B) two"))
    assert not says_the_same(CHOICE, answer("The answer is (B)."), answer("A) one"))


def test_all_that_was_said_is_text_and_calls() -> None:
    assert said(answer("Well:", ("look", "{}"))) == "Well:\nlook({})"
