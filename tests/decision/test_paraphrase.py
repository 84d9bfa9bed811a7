import re

import numpy as np
import pytest

from routewright.decision.paraphrase import paraphrase

MCQ = "Which of the following is not a metal?\n\nA. iron\nB. sulphur\nC. copper"


def ways(prompt: str, number: int = 60) -> set[str]:
    """What some seeds make of a prompt."""
    return {paraphrase(prompt, np.random.default_rng(seed)) for seed in range(number)}


@pytest.mark.parametrize("prompt", [MCQ, "Why?", "x", "Explain whether it is so, because I do not know."])
def test_paraphrase_is_another_text_and_the_same_for_the_same_seed(prompt: str) -> None:
    assert prompt not in ways(prompt)
    assert paraphrase(prompt, np.random.default_rng(4)) == paraphrase(prompt, np.random.default_rng(4))


def test_options_keep_their_order_and_their_words() -> None:
    for way in ways(MCQ):
        assert re.search(r"A[.)]\s+iron\s+B[.)]\s+sulphur\s+C[.)]\s+copper", way)
    assert any("A) iron" in way for way in ways(MCQ))


def test_negation_is_kept() -> None:
    for way in ways("What is true if it does not rain and you are not at home?"):
        assert re.search(r"does not rain|doesn't rain", way)
        assert re.search(r"are not at home|aren't at home|you're not at home", way)


def test_code_and_capitals_stay_as_they_are() -> None:
    code = "Explain this:\n```\ndef f(x):\n    return x.  \n```"
    assert all(code.rstrip() in way for way in ways(code))
    query = "Say what SELECT does"
    assert all("SELECT" in way for way in ways(query))


def test_leading_instruction_may_go_to_the_end() -> None:
    found = ways("Answer with one word:\n\nWhat covers most of the earth?")
    assert any(way.find("one word") > way.find("covers most") for way in found)


def test_numbers_are_never_touched() -> None:
    for way in ways("Compute 3.50 * 12. Therefore, what is 17 - 4?"):
        assert re.findall(r"\d+(?:\.\d+)?", way) == ["3.50", "12", "17", "4"]
