import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision.tidying import (
    SHORTEST_DUPLICATE,
    Duplicates,
    blocks,
    compact_json,
    head_and_tail,
    tidy_blanks,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.lists(
    st.sampled_from(["word ", "\n", "\n\n", " ", "\t", "```", "~~~", "    x", "a" * 300, "\r\n", "é "]), max_size=40
).map("".join)


@given(st.lists(VALUES, max_size=4) | st.dictionaries(st.text(), VALUES, max_size=4), st.integers(0, 8))
def test_compacted_json_says_the_same_and_is_never_longer(value: object, indent: int) -> None:
    text = json.dumps(value, indent=indent)
    compact = compact_json(text)
    assert json.loads(compact) == value
    assert len(compact) <= len(text)
    assert compact_json(compact) == compact


def test_numbers_and_texts_in_json_are_not_written_anew() -> None:
    text = '{\n  "price": 1.10,\n  "big": 1E+2,\n  "said": "a \\" b,  c : d",\n  "none": [ ]\n}'
    assert compact_json(text) == '{"price":1.10,"big":1E+2,"said":"a \\" b,  c : d","none":[]}'


@pytest.mark.parametrize(
    "text", ["{not json  }", "[1,  2", '{"a":  NaN}', "just  words", "[[  " * 5000, '{"a"  "b"}', ""]
)
def test_what_is_not_json_stays_as_it_is(text: str) -> None:
    assert compact_json(text) == text


def test_blanks_that_say_nothing_go() -> None:
    assert tidy_blanks("One.  \n\n\n\nTwo.\t\n  Three.   ") == "One.\n\nTwo.\n  Three."


@pytest.mark.parametrize("text", ["```py\nx = 1  \n\n\n\ny\n```", "    x = 1  \n    y", "~~~\n```  \n\n\n~~~"])
def test_code_keeps_all_its_blanks(text: str) -> None:
    assert tidy_blanks(text) == text


@given(TEXTS)
def test_tidying_blanks_twice_does_no_more_than_once(text: str) -> None:
    tidied = tidy_blanks(text)
    assert tidy_blanks(tidied) == tidied
    assert len(tidied) <= len(text)
    assert tidied.split() == text.split()


@given(TEXTS)
def test_the_blocks_of_a_text_are_the_text(text: str) -> None:
    assert "".join(blocks(text)) == text


def test_code_with_blank_lines_is_one_block() -> None:
    assert list(blocks("Look:\n\n```\na\n\nb\n```\n\nWell?")) == ["Look:\n\n", "```\na\n\nb\n```\n\n", "Well?"]


def test_what_was_met_before_becomes_a_reference() -> None:
    met, long = Duplicates(), "The terms of the contract. " * 20
    met.note(f"Here it is.\n\n{long}\n\nThanks")
    written = met.without(f"Again:\n\n{long}\n\nWhat now?", by_paragraph=True)
    assert written.startswith("Again:\n\n[Left out here: the same text stands further up, beginning “The terms")
    assert written.endswith("\n\nWhat now?")
    assert met.without(f"Again:\n\n{long}", by_paragraph=False) == f"Again:\n\n{long}"


def test_short_texts_may_be_said_twice() -> None:
    met, short = Duplicates(), "x" * (SHORTEST_DUPLICATE - 1)
    met.note(short)
    assert met.without(short, by_paragraph=True) == short


def test_of_a_long_text_beginning_and_end_are_left() -> None:
    text = "a" * 1000 + "b" * 1000
    capped = head_and_tail(text, 300)
    assert capped == "a" * 200 + "\n[… 1,700 characters cut by routewright …]\n" + "b" * 100
    assert head_and_tail(text, 2000) == text
    assert msgspec.json.decode(msgspec.json.encode(capped)) == capped
