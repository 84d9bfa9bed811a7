"""What is warm: the same leading messages, word for word, and how many tokens they are."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import call, message
from routewright.call import (
    CacheMark,
    Call,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from routewright.decision.session import (
    COLD,
    EDGE_CHARS,
    FEWEST_TOKENS,
    MARKS_KEPT,
    WHOLE_CHARS,
    Belief,
    Prefix,
    Sent,
    cached_tokens,
    session_of,
    trace_of,
    warm_prefix,
)
from routewright.usage import Usage

parts = st.one_of(
    st.builds(Text, st.text(max_size=40)),
    st.builds(ToolCall, st.text(max_size=5), st.text(max_size=5), st.text(max_size=20)),
    st.builds(ToolResult, st.text(max_size=5), st.text(max_size=40), st.booleans()),
    st.builds(Image, st.text(max_size=20)),
)
turns = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(parts, min_size=1, max_size=3).map(tuple),
)
conversations = st.lists(turns, min_size=1, max_size=12).map(tuple)


def said(*messages: Message, **changes: Any) -> Call:
    return call(messages=messages, **changes)


def sent(asked: Call, tokens: int = 1_280_000, cached: int | None = None) -> Sent:
    return Sent(
        model="swift",
        deployment="acme/swift",
        trace=trace_of(asked).tail,
        tokens=tokens,
        cached_tokens=tokens if cached is None else cached,
        at_s=0.0,
    )


def warm(now: Call, before: Call) -> Prefix:
    return warm_prefix(trace_of(now), sent(before))


# ---- which conversation -------------------------------------------------------------------------------------------


def test_the_clients_word_goes_before_what_was_said() -> None:
    assert session_of(said(message("Be brief.", "system"), message("Hi"), session="s")) == "s"


def test_a_lone_user_turn_is_in_no_session() -> None:
    assert session_of(said(message("Hi"))) == ""


def test_turns_after_the_first_do_not_change_the_session() -> None:
    opening = message("Be brief.", "system"), message("Hi")
    later = said(*opening, message("Hello!", "assistant"), message("What is TCP?"))
    assert session_of(said(*opening)) == session_of(later) != ""


@pytest.mark.parametrize(
    "other",
    [
        (message("Be brief", "system"), message("Hi")),
        (message("Be brief.", "system"), message("Ho")),
        (message("Be brief.Hi", "system"), message("")),
        (message("Be brief.", "user"), message("Hi")),
        (message("x" * 5_000, "system"), message("Hi")),
    ],
)
def test_another_opening_is_another_session(other: tuple[Message, ...]) -> None:
    assert session_of(said(*other)) != session_of(said(message("Be brief.", "system"), message("Hi")))


def test_broken_characters_have_a_session_too() -> None:
    assert session_of(said(message("\ud800", "system"), message("Hi")))


# ---- prefixes -----------------------------------------------------------------------------------------------------


@given(conversations, conversations)
def test_a_conversation_that_grew_is_warm_as_far_as_it_was_sent(before: tuple[Message, ...], more: Any) -> None:
    assert warm(said(*before, *more), said(*before)) == Prefix(len(before), 1_280_000)


@given(conversations, turns, st.data())
def test_a_change_makes_everything_from_it_on_cold(before: tuple[Message, ...], other: Message, data: Any) -> None:
    at = data.draw(st.integers(0, len(before) - 1))
    assume(other != before[at])
    changed = (*before[:at], other, *before[at + 1 :])
    assert warm(said(*changed), said(*before)).messages <= at


@given(conversations, st.data())
def test_what_was_taken_back_is_warm_up_to_there(before: tuple[Message, ...], data: Any) -> None:
    left = data.draw(st.integers(1, len(before)))
    found = warm(said(*before[:left]), said(*before))
    assert found == COLD or found.messages == left
    assert found.tokens <= 1_280_000


def test_a_tool_result_that_changed_is_cold() -> None:
    asked, used = message("Look it up: " * 50), Message("assistant", (ToolCall("1", "look", "{}"),))
    before = said(asked, used, Message("tool", (ToolResult("1", "sunny"),)))
    now = said(asked, used, Message("tool", (ToolResult("1", "rainy"),)))
    assert warm(now, before).messages == 2
    assert warm(before, before).messages == 3


@pytest.mark.parametrize(
    "change",
    [
        {"tools": (Tool("look", "", {}),)},
        {"output_format": OutputFormat("json_schema", schema={"type": "object"})},
        {"body": {"tools": [{"type": "custom"}]}},
    ],
)
def test_other_tools_or_another_schema_make_all_of_it_cold(change: Any) -> None:
    plain = said(message("Hi " * 500), message("Ho"))
    assert warm(replace(plain, **change), plain) == COLD


def test_roles_are_compared_too() -> None:
    assert warm(said(message("Hi", "assistant")), said(message("Hi", "user"))) == COLD


def test_a_cache_mark_that_wanders_on_makes_nothing_cold() -> None:
    text = Text("Look at this: " * 100)
    before = said(Message("user", (text, CacheMark())), message("Ho"))
    now = said(Message("user", (text,)), message("Ho"), Message("user", (Text("And?"), CacheMark())))
    assert warm(now, before).messages == 2


def test_what_a_model_thought_is_part_of_what_was_sent() -> None:
    asked = message("Why? " * 100)
    before = said(asked, Message("assistant", (Thinking("Hm", "seal-1"), Text("So"))))
    other = said(asked, Message("assistant", (Thinking("Hm", "seal-2"), Text("So"))))
    assert warm(before, before).messages == 2
    assert warm(other, before).messages == 1


@pytest.mark.parametrize("part", [Opaque("input_audio"), Opaque("file")])
def test_nothing_is_taken_for_the_same_from_a_part_on_that_cannot_be_read(part: Part) -> None:
    asked = said(message("Listen: " * 100), Message("user", (part,)), message("And?"))
    assert warm(asked, asked).messages == 1


def test_tokens_go_by_length_in_the_steps_of_caches() -> None:
    before = said(message("x" * 5_000), message("y" * 5_000))
    found = warm_prefix(trace_of(said(message("x" * 5_000), message("z"))), sent(before, tokens=4_000))
    assert found == Prefix(1, 1_920)


def test_less_than_caches_keep_is_cold() -> None:
    asked = said(message("x" * 5_000))
    assert warm_prefix(trace_of(asked), sent(asked, tokens=FEWEST_TOKENS - 1)) == COLD
    assert warm_prefix(trace_of(asked), sent(asked, tokens=FEWEST_TOKENS)).tokens == FEWEST_TOKENS


def test_no_more_is_warm_than_the_provider_kept() -> None:
    asked = said(*(message(f"{number}" * 1_000) for number in range(10)))
    assert warm_prefix(trace_of(asked), sent(asked, tokens=10_000, cached=5_120)) == Prefix(5, 5_120)
    assert warm_prefix(trace_of(asked), sent(asked, tokens=10_000, cached=0)) == COLD


def test_of_a_long_conversation_the_last_marks_are_kept() -> None:
    turns = tuple(message(f"turn {number}") for number in range(MARKS_KEPT + 10))
    before = said(*turns)
    assert len(trace_of(before).tail.marks) == MARKS_KEPT
    assert warm(said(*turns, message("more")), before).messages == len(turns)
    assert warm(said(*turns[:20], message("other")), before).messages == 20
    assert warm(said(*turns[:10], message("other")), before) == COLD


def test_deep_in_a_conversation_a_text_is_told_by_its_length_and_edges() -> None:
    def told(late: str) -> Call:
        return said(message("x" * WHOLE_CHARS), message(late))

    before = told("a" * 5_000)
    middle = "a" * 2_500 + "b" + "a" * 2_499
    assert warm(told(middle), before).messages == 2
    assert warm(told("b" + "a" * 4_999), before).messages == 1
    assert warm(told("a" * (5_000 - EDGE_CHARS) + "b" + "a" * (EDGE_CHARS - 1)), before).messages == 1
    assert warm(told("a" * 5_001), before).messages == 1


def test_among_the_first_characters_every_one_counts() -> None:
    before = said(message("a" * WHOLE_CHARS), message("Hi"))
    assert warm(said(message("a" * 30_000 + "b" + "a" * (WHOLE_CHARS - 30_001)), message("Hi")), before) == COLD


# ---- what is believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "usage", "cached"),
    [
        ("openai_chat", Usage(input=2_000), 2_000),
        ("openai_chat", Usage(input=500, cache_read=1_500, output=9), 2_000),
        ("anthropic_messages", Usage(input=2_000), 0),
        ("anthropic_messages", Usage(input=10, cache_read=1_000, cache_write=200, cache_write_1h=30), 1_230),
    ],
)
def test_who_caches_unasked_has_all_of_it_others_what_they_report(dialect: str, usage: Usage, cached: int) -> None:
    assert cached_tokens(dialect, usage) == cached


@given(st.lists(st.floats(-1, 3), max_size=200))
def test_a_belief_is_a_share(shares: list[float]) -> None:
    belief = Belief()
    for share in shares:
        belief = belief.after(share)
        assert 0 < belief.share < 1
        assert belief.read + belief.missed <= Belief.MOST + 1e-6


def test_who_never_reads_is_believed_less_and_who_begins_to_is_believed_again() -> None:
    belief = Belief()
    for _ in range(20):
        belief = belief.after(0.0)
    assert belief.share < 0.15
    for _ in range(100):
        belief = belief.after(1.0)
    assert belief.share > 0.85
