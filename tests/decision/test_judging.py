import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, message
from routewright.catalog.registry import Tier
from routewright.decision.excerpt import SHOWN_CHARS
from routewright.decision.judging import JUDGE_ORDER, Judgement, judge_prompt, read_judgement, weigh
from routewright.route import KindShare, Verdict

TIERS = st.sampled_from(list(Tier))
CONFIDENCES = st.floats(0, 1)


def verdict(tier: Tier = Tier.STANDARD, confidence: float = 0.6) -> Verdict:
    return Verdict(
        tier=tier,
        confidence=confidence,
        reason="asks for ordinary help",
        signals=("word:help",),
        classifier="heuristic@1",
        kinds=(KindShare("chat", 0.6),),
        sketch=b"sketch",
    )


def test_the_last_words_of_the_user_are_judged() -> None:
    asked = call(messages=(message("old"), message("Prove it"), message("Sure.", "assistant")))
    assert judge_prompt(asked) == "<request>\nProve it\n</request>"


def test_of_a_long_turn_the_judge_sees_start_and_end() -> None:
    prompt = judge_prompt(call("a" * 5_000 + "b" * 5_000))
    assert prompt is not None
    assert prompt.startswith("<request>\na")
    assert prompt.endswith("b\n</request>")
    assert "[…]" in prompt
    assert len(prompt) < SHOWN_CHARS + 50


def test_there_is_nothing_to_judge_without_a_users_words() -> None:
    assert judge_prompt(call(messages=(message("Be kind", "system"), message(" ")))) is None


@given(st.text(alphabet="<>/ request‹\n", max_size=60))
def test_nothing_in_a_request_can_close_its_fence(text: str) -> None:
    prompt = judge_prompt(call(f"x {text}"))
    assert prompt is not None
    inside = prompt.removeprefix("<request>").removesuffix("</request>")
    assert "<request>" not in inside
    assert "</request>" not in inside.replace(" ", "")


@pytest.mark.parametrize(
    ("answer", "tier", "sureness"),
    [("complex 8", Tier.COMPLEX, 8), (" Bulk: 0.\n", Tier.BULK, 0), ("STRUCTURED,9", Tier.STRUCTURED, 9)],
)
def test_an_answer_in_the_form_asked_for_is_read(answer: str, tier: Tier, sureness: int) -> None:
    assert read_judgement(answer) == Judgement(tier, sureness)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "complex",
        "8",
        "complex 10",
        "complex8",
        "I think complex 8",
        "hard 8",
        "complex 8 bulk 9",
        "complex -1",
        "bulk ９",
    ],
)
def test_anything_else_is_no_opinion(answer: str) -> None:
    assert read_judgement(answer) is None


def test_the_order_has_an_example_that_can_be_read() -> None:
    [example] = [line.partition("Example: ")[2] for line in JUDGE_ORDER.splitlines() if "Example: " in line]
    assert read_judgement(example) is not None


def test_a_sure_judge_overrules_an_unsure_classifier() -> None:
    weighed = weigh(verdict(Tier.STANDARD, 0.55), Judgement(Tier.COMPLEX, 9), "swift")
    assert weighed.tier is Tier.COMPLEX
    assert weighed.confidence > 0.7
    assert weighed.reason == "asks for ordinary help; the judge says complex"
    assert weighed.signals == ("word:help", "judge:swift complex 9")
    assert weighed.classifier == "heuristic@1+judge"
    assert (weighed.kinds, weighed.sketch) == ((KindShare("chat", 0.6),), b"sketch")


def test_an_unsure_judge_does_not() -> None:
    assert weigh(verdict(Tier.STANDARD, 0.65), Judgement(Tier.COMPLEX, 4), "swift").tier is Tier.STANDARD


def test_a_judge_who_agrees_makes_it_surer() -> None:
    weighed = weigh(verdict(Tier.BULK, 0.6), Judgement(Tier.BULK, 8), "swift")
    assert weighed.tier is Tier.BULK
    assert weighed.confidence > 0.9
    assert weighed.reason.endswith("the judge agrees")


@given(TIERS, CONFIDENCES, TIERS, st.integers(0, 9))
def test_the_verdict_of_both_names_a_tier_that_one_of_them_named(
    first: Tier, confidence: float, judged: Tier, sureness: int
) -> None:
    weighed = weigh(verdict(first, confidence), Judgement(judged, sureness), "swift")
    assert weighed.tier in (first, judged)
    assert 0.25 <= weighed.confidence <= 1


@given(TIERS, CONFIDENCES, st.integers(0, 8))
def test_a_surer_judge_never_makes_his_own_tier_less_probable(judged: Tier, confidence: float, sureness: int) -> None:
    first = verdict(Tier.STANDARD, confidence)
    less, more = (weigh(first, Judgement(judged, digit), "swift") for digit in (sureness, sureness + 1))
    if less.tier is judged:
        assert more.tier is judged
        assert more.confidence >= less.confidence
