from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import message
from routewright.call import Message, Text, ToolCall, ToolResult
from routewright.catalog.pricing import Rates
from routewright.decision.context import (
    ContextPolicy,
    ContextStep,
    OldTurns,
    Shortened,
    old_turns,
    shorten,
    summary_deal,
    summary_prompt,
)
from routewright.decision.tokens import message_tokens

ALL = tuple(ContextStep)
LONG = " ".join(["The parties agree on what follows."] * 12)
POLICY = ContextPolicy(threshold_tokens=0, steps=ALL, tool_result_tokens=50, keep_turns=2)


def turn(number: int) -> tuple[Message, ...]:
    """A turn with a tool call; its id is the same in every turn, as some clients have it."""
    return (
        message(f"Question {number}: what about it? " * 5),
        Message("assistant", (ToolCall("call_0", "look", "{}"),)),
        Message("tool", (ToolResult("call_0", f"Result {number}"),)),
        message(f"Answer {number}", "assistant"),
    )


def conversation(turns: int) -> tuple[Message, ...]:
    return (message("You are terse.", "system"), *(each for number in range(turns) for each in turn(number)))


def tokens(messages: Sequence[Message]) -> int:
    return sum(map(message_tokens, messages))


def only(*steps: ContextStep, **changes: int) -> ContextPolicy:
    return ContextPolicy(**{"threshold_tokens": 0, "keep_turns": 2, **changes}, steps=steps)


# ---- properties -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [LONG, LONG + "\n\n\n\n" + LONG, "Well?  \n\n\n\nYes.", '{\n  "a": 1.10\n}', "x " * 400, "Hi", "", "```\n a  \n```"]
)
IDS = st.sampled_from(["a", "b", "c"])
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda text: message(text), WORDS),
        st.builds(lambda text: message(text, "assistant"), WORDS),
        st.builds(lambda text: message(text, "system"), WORDS),
        st.builds(lambda key: Message("assistant", (ToolCall(key, "look", "{}"),)), IDS),
        st.builds(lambda key, text: Message("tool", (ToolResult(key, text),)), IDS, WORDS),
        st.builds(lambda key, text: Message("user", (ToolResult(key, text),)), IDS, WORDS),
    ),
    min_size=1,
    max_size=24,
).map(tuple)
POLICIES = st.builds(
    ContextPolicy,
    threshold_tokens=st.integers(0, 1500),
    steps=st.permutations(ALL).flatmap(lambda steps: st.integers(0, 4).map(lambda count: tuple(steps[:count]))),
    tool_result_tokens=st.integers(1, 200),
    keep_turns=st.integers(1, 4),
)
PREFIXES = st.integers(0, 6)


def shortened(messages: tuple[Message, ...], policy: ContextPolicy, prefix: int) -> Shortened:
    return shorten(messages, policy, keep_prefix=prefix, summary="They talked about the contract.")


def partners(messages: Sequence[Message]) -> set[tuple[int, int]]:
    """The place of each tool result with the place of its call, the last one of that id before it."""
    calls: dict[str, int] = {}
    found = set()
    for index, each in enumerate(messages):
        for part in each.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = index
            elif isinstance(part, ToolResult) and part.call_id in calls:
                found.add((calls[part.call_id], index))
    return found


@given(MESSAGES, POLICIES, PREFIXES)
def test_nothing_is_touched_up_to_the_threshold(
    messages: tuple[Message, ...], policy: ContextPolicy, prefix: int
) -> None:
    result = shortened(messages, policy, prefix)
    if tokens(messages) <= policy.threshold_tokens:
        assert (result.messages, result.steps) == (messages, ())


@given(MESSAGES, POLICIES, PREFIXES)
@settings(max_examples=300)
def test_whatever_is_done_respects_what_must_not_change(
    messages: tuple[Message, ...], policy: ContextPolicy, prefix: int
) -> None:
    result = shortened(messages, policy, prefix)
    assert result.tokens == tokens(result.messages) <= tokens(messages)
    assert result.messages[:prefix] == messages[:prefix]
    own = [source for source in result.sources if source is not None]
    assert own == sorted(own)
    for role in ("system", "assistant"):
        left = [
            (source, each)
            for source, each in zip(result.sources, result.messages, strict=True)
            if source is not None and each.role == role
        ]
        assert all(messages[source] == each for source, each in left)
    assert {index for index, each in enumerate(messages) if each.role == "system"} <= set(own)
    last = max((i for i, m in enumerate(messages) if m.role == "user" and isinstance(m.parts[0], Text)), default=None)
    if last is not None:
        assert result.messages[result.sources.index(last)] == messages[last]
    for call, answer in partners(messages):
        assert (call in own) == (answer in own)
    assert bool(result.steps) == (result.messages != messages)


@given(MESSAGES, PREFIXES)
@settings(max_examples=200)
def test_tidying_twice_does_no_more_than_once(messages: tuple[Message, ...], prefix: int) -> None:
    once = shorten(messages, only(ContextStep.TIDY), keep_prefix=prefix)
    twice = shorten(once.messages, only(ContextStep.TIDY), keep_prefix=prefix)
    assert twice.messages == once.messages
    assert twice.steps == ()


@given(MESSAGES, POLICIES, PREFIXES)
def test_the_steps_account_for_every_token(messages: tuple[Message, ...], policy: ContextPolicy, prefix: int) -> None:
    result = shortened(messages, policy, prefix)
    told = sum(int(step.split(": ")[1].removesuffix(" tokens").replace(",", "")) for step in result.steps)
    assert told == result.tokens - tokens(messages)


# ---- step by step -----------------------------------------------------------------------------------------------


def test_a_later_step_is_taken_only_when_the_earlier_ones_do_not_suffice() -> None:
    messages = (message(LONG), message("Fine.", "assistant"), message(LONG), message("So?"))
    tidied = shorten(messages, only(ContextStep.TIDY, ContextStep.TRIM_HISTORY, threshold_tokens=tokens(messages) - 1))
    assert len(tidied.messages) == 4
    assert tidied.steps == (f"tidied 1 message: {tidied.tokens - tokens(messages):+,} tokens",)
    trimmed = shorten(messages, only(ContextStep.TIDY, ContextStep.TRIM_HISTORY, threshold_tokens=10, keep_turns=1))
    assert trimmed.messages == (message("So?"),)


def test_a_reference_never_points_at_what_was_left_out() -> None:
    messages = (message(LONG), message("Fine.", "assistant"), message(LONG), message("Yes.", "assistant"), message("?"))
    result = shorten(messages, only(ContextStep.TIDY, ContextStep.TRIM_HISTORY, threshold_tokens=120))
    assert result.messages[0] == message(LONG)
    assert len(result.messages) == 3


def test_what_is_in_the_input_besides_messages_brings_the_threshold_nearer() -> None:
    messages = (message("a  \n\n\n\n\nb " * 20), message("?"))
    policy = only(ContextStep.TIDY, threshold_tokens=tokens(messages))
    assert shorten(messages, policy).steps == ()
    assert shorten(messages, policy, other_tokens=1).steps != ()


def test_a_tool_result_is_capped_and_laid_out_json_is_not_lost_for_it() -> None:
    asked = (message("Look"), Message("assistant", (ToolCall("1", "look", "{}"),)))
    json = Message("tool", (ToolResult("1", '{\n    "a":   [\n        1,\n        2\n    ]\n}'),))
    assert shorten((*asked, json), only(ContextStep.TIDY)).messages[2].parts == (ToolResult("1", '{"a":[1,2]}'),)
    log = Message("tool", (ToolResult("1", "line of a log\n" * 1000, is_error=True),))
    result = shorten((*asked, log), only(ContextStep.CAP_TOOLS, tool_result_tokens=100))
    assert result.steps[0].startswith("capped 1 tool result: -")
    (capped,) = result.messages[2].parts
    assert isinstance(capped, ToolResult)
    assert "characters cut by routewright" in capped.text
    assert message_tokens(result.messages[2]) < 150
    assert capped.is_error


def test_old_turns_go_whole_and_the_last_ones_stay() -> None:
    result = shorten(conversation(9), only(ContextStep.TRIM_HISTORY, keep_turns=4))
    assert result.messages == (conversation(9)[0], *(each for number in range(4, 9) for each in turn(number)))
    assert result.steps[0].startswith("left out 4 old turns: -")


def test_no_more_turns_go_than_need_to() -> None:
    whole = tokens(conversation(9))
    result = shorten(conversation(9), only(ContextStep.TRIM_HISTORY, keep_turns=4, threshold_tokens=whole - 1))
    assert result.steps[0].startswith("left out 2 old turns")


def test_a_conversation_that_grows_keeps_its_beginning_for_a_while() -> None:
    policy = only(ContextStep.SUMMARISE, keep_turns=4)
    assert old_turns(conversation(8), policy) == old_turns(conversation(9), policy)
    assert old_turns(conversation(9), policy) != old_turns(conversation(10), policy)


def test_a_summary_takes_the_place_of_the_old_turns() -> None:
    result = shorten(conversation(8), only(ContextStep.SUMMARISE, keep_turns=4), summary="They agreed.")
    system, summary, noted, *rest = result.messages
    assert system.role == "system"
    assert summary.text.endswith("They agreed.")
    assert (summary.role, noted.role, rest[0]) == ("user", "assistant", turn(4)[0])
    assert result.sources[:4] == (0, None, None, 17)


def test_what_is_warm_is_neither_changed_nor_summarised() -> None:
    policy = only(ContextStep.SUMMARISE, keep_turns=2)
    assert old_turns(conversation(5), policy, keep_prefix=len(conversation(5)) - 1) is None
    half = shorten(conversation(6), policy, keep_prefix=6, summary="They agreed.")
    assert half.messages[:9] == conversation(6)[:9], "the turn that the prefix ends in stays whole"


def test_a_summary_pays_only_if_it_saves_more_than_it_costs() -> None:
    old = OldTurns((), 10_000)
    policy = only(ContextStep.SUMMARISE, summary_tokens=400)
    dear, cheap = Rates(input=5_000_000, output=25_000_000), Rates(input=100_000, output=400_000)
    deal = summary_deal(old, policy, answering=dear, summarising=cheap, prompt_tokens=10_200)
    assert (deal.saving_nanousd, deal.cost_nanousd) == (9_560 * 5_000, 10_200 * 100 + 400 * 400)
    assert deal.pays
    assert not summary_deal(old, policy, answering=cheap, summarising=cheap, prompt_tokens=10_200).pays
    often = only(ContextStep.SUMMARISE, summary_tokens=400, expected_turns=3)
    assert summary_deal(old, often, answering=cheap, summarising=cheap, prompt_tokens=10_200).pays


@pytest.mark.parametrize("word", ["user: Question 0", "assistant calls look: {}", "result: Result 0"])
def test_the_old_turns_are_written_down_for_the_summary(word: str) -> None:
    old = old_turns(conversation(8), POLICY)
    assert old is not None
    assert word in summary_prompt(old)
