import pytest

from routewright.trace import MOST_STATE, SpanContext, read_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_parent_is_read_and_written_as_it_came() -> None:
    context = read_parent(f"00-{TRACE}-{SPAN}-01", "vendor=1,other=2")
    assert context == SpanContext(TRACE, SPAN, is_sampled=True, state="vendor=1,other=2")
    assert context.headers == {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1,other=2"}


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_of_the_flags_only_the_one_that_says_sampled_counts(flags: str, is_sampled: bool) -> None:
    context = read_parent(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.is_sampled is is_sampled
    assert context.headers == {"traceparent": f"00-{TRACE}-{SPAN}-0{int(is_sampled)}"}


def test_a_later_version_may_say_more() -> None:
    assert read_parent(f"01-{TRACE}-{SPAN}-01-what-is-new") == SpanContext(TRACE, SPAN, is_sampled=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hostile",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}{TRACE}-{SPAN}-01",
    ],
)
def test_what_names_no_span_begins_a_new_trace(text: str) -> None:
    assert read_parent(text) is None


@pytest.mark.parametrize("state", ["a=1\r\nx: y", "ä=1", "a" * (MOST_STATE + 1)])
def test_a_state_that_could_not_be_sent_on_is_left_out(state: str) -> None:
    context = read_parent(f"00-{TRACE}-{SPAN}-01", state)
    assert context is not None
    assert context.state == ""
