"""Estimates are near, bounds are never below, and what a model really counts is learned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, message
from routewright.call import (
    Call,
    Document,
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
from routewright.decision.tokens import IMAGE_TOKENS_BOUND, TokenEstimator, estimate_tokens, upper_bound_tokens

COUNTED = {
    "Chain reactions in a fission reactor are caused by\n"
    "A. kinetic energy\nB. energy conversion\nC. mass conversion\nD. ejected neutrons\nAnswer:": 34,
    "Which of the following sorting algorithms has average-case and worst-case running times of O(n log n)?\n"
    "A. Bubble sort\nB. Insertion sort\nC. Merge sort\nD. Quicksort\nAnswer:": 44,
    "Which of the following is not the basis for a wage differential?\nA. Higher risk job.\n"
    "B. Investment in human capital.\nC. Increase in production of SUVs.\nD. Racial discrimination.\nAnswer:": 43,
    "A gas undergoes an expansion-compression cycle. If, plotted on a P-V diagram, the cycle is counterclockwise "
    "and the work is 300 J in magnitude, what was the heat transfer during this cycle?\nA. 300 J into the system\n"
    "B. 300 J out of the system\nC. 600 J into the system\nD. 600 J out of the system\nAnswer:": 85,
}
"""Questions of MMLU (MIT licence) and their tokens in cl100k."""
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def with_parts(*parts: Part) -> Call:
    return call(messages=(Message("user", parts),))


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("def area(radius):\n    return 3.14159 * radius ** 2\n" * 20, 280, 420),
        ("请设计一个高可用的分布式缓存系统，并分析一致性和性能之间的权衡。", 25, 42),
        ("Спроектируй отказоустойчивую архитектуру для сервиса платежей.", 12, 34),
        ("Entwirf eine skalierbare Architektur für einen Chatdienst mit vielen gleichzeitigen Nutzern.", 14, 28),
        ("2024-01-02 12:03:04.567 1234567890 " * 10, 150, 330),
    ],
)
def test_estimate_lies_between_what_known_vocabularies_count(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most


@pytest.mark.parametrize(
    "unit", ["A plain sentence of some words, nothing special. ", "{'a': [1, 22, 333]}\n", "文字です。"]
)
def test_long_text_is_estimated_from_samples_and_stays_proportional(unit: str) -> None:
    small, large = estimate_tokens(unit * 100), estimate_tokens(unit * 20_000)
    assert large == pytest.approx(200 * small, rel=0.02)


@given(ANY_TEXT)
def test_no_text_breaks_the_estimate_and_none_is_estimated_above_its_bytes(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= len(text.encode(errors="surrogatepass")) + 1


@given(st.lists(ANY_TEXT, max_size=4))
def test_bound_is_at_least_one_token_for_every_byte(texts: list[str]) -> None:
    asked = call(messages=tuple(message(text) for text in texts))
    assert upper_bound_tokens(asked) > sum(len(text.encode(errors="surrogatepass")) for text in texts)


def test_bound_covers_everything_that_is_sent() -> None:
    plain = upper_bound_tokens(call("Hello"))
    description = "Looks the weather up. " * 20
    for more in (
        call("Hello", tools=(Tool("weather", description, {"type": "object"}),)),
        call("Hello", output_format=OutputFormat("json_schema", "answer", {"description": description})),
        call("Hello", output_format=OutputFormat("json_schema", "answer", {}, description=description)),
        call("Hello", body={"functions": [{"description": description}]}, extra_fields=("functions",)),
        with_parts(Text("Hello"), ToolCall("call-1", "weather", description)),
        with_parts(Text("Hello"), ToolResult("call-1", description)),
        with_parts(Text("Hello"), ToolResult("call-1", "", images=(Image(description),))),
        with_parts(Text("Hello"), Thinking(description)),
        with_parts(Text("Hello"), Thinking("", seal=description)),
        with_parts(Text("Hello"), Document(description)),
    ):
        assert upper_bound_tokens(more) >= plain + len(description)


def test_bound_of_a_picture_is_the_dearest_way_to_count_one() -> None:
    plain = upper_bound_tokens(with_parts(Text("Hello")))
    assert upper_bound_tokens(with_parts(Text("Hello"), Image("https://a.example/b.png"))) == plain + IMAGE_TOKENS_BOUND
    assert upper_bound_tokens(with_parts(Text("Hello"), Image("https://a.example/b.png", "low"))) < plain + 10_000


def test_bound_of_an_attached_file_grows_with_what_the_body_holds() -> None:
    def attached(data: str) -> Call:
        return call(messages=(Message("user", (Opaque("file"),)),), body={"messages": [{"file": {"data": data}}]})

    assert upper_bound_tokens(attached("A" * 5_000)) == upper_bound_tokens(attached("")) + 5_000


def test_unknown_model_counts_as_estimated() -> None:
    assert TokenEstimator().ratio("swift") == 1.0


def test_ratio_comes_near_to_what_a_model_counts() -> None:
    estimator = TokenEstimator()
    for _ in range(20):
        estimator.observe("swift", estimated=1_000, actual=1_300)
    assert estimator.ratio("swift") == pytest.approx(1.3, abs=0.02)
    assert estimator.ratio("other") == 1.0


def test_one_odd_report_moves_a_well_known_ratio_little() -> None:
    estimator = TokenEstimator()
    for _ in range(50):
        estimator.observe("swift", estimated=1_000, actual=1_000)
    estimator.observe("swift", estimated=1_000, actual=1_000_000)
    assert estimator.ratio("swift") <= 1.1


@pytest.mark.parametrize(("estimated", "actual"), [(10, 40), (0, 0), (1_000, 0), (1_000, -5)])
def test_reports_that_say_nothing_are_ignored(estimated: int, actual: int) -> None:
    estimator = TokenEstimator()
    estimator.observe("swift", estimated, actual)
    assert estimator.ratio("swift") == 1.0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-10, 10**9))))
def test_ratio_stays_within_its_bounds_whatever_is_reported(reports: list[tuple[int, int]]) -> None:
    estimator = TokenEstimator()
    for estimated, actual in reports:
        estimator.observe("swift", estimated, actual)
        assert TokenEstimator.LOWEST <= estimator.ratio("swift") <= TokenEstimator.HIGHEST
