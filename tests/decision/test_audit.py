from hypothesis import given
from hypothesis import strategies as st

from builders import call, message
from routewright.call import Image, Message, OutputFormat, Role, Text, Tool, ToolCall, ToolResult
from routewright.decision.audit import HASH_DIGITS, scaled, share_nanousd, system_text, text_hash, without_history
from routewright.decision.features import extract
from routewright.decision.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, REPLY_TOKENS, estimate_tokens
from routewright.usage import InputParts

counts = st.integers(0, 10**7)
parts = st.builds(InputParts, counts, counts, counts, counts)
TOOL = Tool("search", "Find what was asked for", {"type": "object"})


@given(parts, counts)
def test_scaled_parts_add_up_to_what_was_counted(estimated: InputParts, counted: int) -> None:
    assert scaled(estimated, counted).total == counted


@given(parts, counts)
def test_scaling_moves_no_part_by_more_than_rounding(estimated: InputParts, counted: int) -> None:
    if not estimated.total:
        return
    for name in InputParts.__struct_fields__:
        exact = getattr(estimated, name) * counted
        assert abs(getattr(scaled(estimated, counted), name) * estimated.total - exact) < estimated.total


def test_parts_of_which_nothing_was_estimated_are_the_users() -> None:
    assert scaled(InputParts(), 7) == InputParts(user=7)


def test_history_that_is_left_out_is_not_below_nothing() -> None:
    assert without_history(InputParts(1, 5, 2, 3), 4) == InputParts(1, 1, 2, 3)
    assert without_history(InputParts(1, 5, 2, 3), 9) == InputParts(1, 0, 2, 3)


@given(st.integers(0, 10**15), st.integers(0, 10**6), st.integers(0, 10**6))
def test_shares_of_a_cost_stay_within_it(cost: int, part: int, rest: int) -> None:
    assert 0 <= share_nanousd(cost, part, part + rest) <= cost
    assert abs(share_nanousd(cost, part, part + rest) + share_nanousd(cost, rest, part + rest) - cost) <= 1 or not (
        part + rest
    )


def test_a_prompt_is_known_by_its_hash_and_no_prompt_by_none() -> None:
    assert text_hash("You are kind.") == text_hash("You are kind.") != text_hash("You are kind. ")
    assert len(text_hash("You are kind.")) == HASH_DIGITS
    assert text_hash("") == ""
    assert text_hash("\ud800")


def test_the_system_prompt_is_all_that_system_messages_say() -> None:
    told = (message("Be kind.", "system"), message("Hello"), message("Be brief.", "system"))
    assert system_text(told) == "Be kind.\nBe brief."


# ---- the estimate that is scaled, in `features`


def test_parts_of_a_request_are_told_apart() -> None:
    system, earlier, answer, last = "Be kind. " * 20, "One? " * 30, "Two. " * 40, "Three? " * 50
    asked = call(
        messages=(message(system, "system"), message(earlier), message(answer, "assistant"), message(last)),
        tools=(TOOL,),
    )
    found = extract(asked).input_parts
    assert found.system == MESSAGE_TOKENS + estimate_tokens(system)
    assert found.history == 2 * MESSAGE_TOKENS + estimate_tokens(earlier) + estimate_tokens(answer)
    assert found.user == MESSAGE_TOKENS + estimate_tokens(last) + REPLY_TOKENS
    assert found.tools > 0
    assert found.total == extract(asked).input_tokens


def test_what_tools_gave_back_is_history_whoever_hands_it_over() -> None:
    result = ToolResult("1", "found it " * 50)
    for role in ("user", "tool"):
        asked = call(
            messages=(
                message("Search it"),
                Message("assistant", (ToolCall("1", "search", "{}"),)),
                Message(role, (result,)),
            )
        )
        found = extract(asked).input_parts
        assert found.user == MESSAGE_TOKENS + estimate_tokens("Search it") + REPLY_TOKENS
        assert found.history > estimate_tokens(result.text)


def test_a_turn_beside_a_result_is_still_the_users() -> None:
    both = Message("user", (ToolResult("1", "found it " * 50), Text("And now?"), Image("https://a.example/b.png")))
    found = extract(call(messages=(message("Search it"), both))).input_parts
    assert found.user == MESSAGE_TOKENS + estimate_tokens("And now?") + IMAGE_TOKENS + REPLY_TOKENS


def test_a_turn_too_short_to_be_a_token_is_still_the_users() -> None:
    assert estimate_tokens("ok") == 0
    found = extract(call(messages=(message("Search it"), message("Done.", "assistant"), message("ok")))).input_parts
    assert found.user == MESSAGE_TOKENS + REPLY_TOKENS
    assert extract(call(messages=(message("ok"),))).input_parts.history == 0


def test_the_form_of_the_answer_counts_as_a_tool() -> None:
    plain = extract(call()).input_parts
    formed = extract(call(output_format=OutputFormat("json_schema", schema={"type": "object"}))).input_parts
    assert (plain.tools, formed.tools > 0) == (0, True)


ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@given(st.lists(st.builds(message, st.text(max_size=40), st.sampled_from(ROLES))))
def test_parts_add_up_to_the_whole_estimate(turns: list[Message]) -> None:
    features = extract(call(messages=tuple(turns)))
    assert features.input_parts.total == features.input_tokens
    assert min(features.input_parts.history, features.input_parts.system, features.input_parts.user) >= 0
