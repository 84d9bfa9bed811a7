"""The compiled counts are the plain ones, on any bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routewright.decision import census

compiled = pytest.importorskip("routewright.decision._census", reason="the census was not compiled here")

LINES = st.lists(
    st.sampled_from([*census.PASTED_STARTS, b"\n", b"[", b"12", b"1", b"INFO", b"INF", b",", b", ", b"a "])
)
BYTES = st.one_of(
    st.binary(max_size=300),
    st.text("aB1_ ,\n.é", max_size=300).map(str.encode),
    LINES.map(b"".join),
)


def test_what_was_compiled_is_what_counts() -> None:
    assert census.count_classes is compiled.count_classes
    assert census.count_words is compiled.count_words
    assert census.may_hold_pasted is compiled.may_hold_pasted


@given(BYTES)
@example(b"")
@example(b"\x00\x7f\x80\xff")
@example(b" " * 9_001)
@example(b"aA1 ." * 2_000)
@example(b"\n" + b"1")
@example(b"\n[ABC")
@example(b",,,")
@example(b"\n    ")
@example(b"\n#includ")
def test_compiled_counts_are_the_plain_ones(data: bytes) -> None:
    assert compiled.count_classes(data) == census.plain_classes(data)
    assert compiled.count_words(data) == census.plain_words(data)
    assert compiled.may_hold_pasted(data) is census.plain_may_hold_pasted(data)


@pytest.mark.parametrize("start", census.PASTED_STARTS)
def test_each_start_of_a_pasted_line_is_found_by_both(start: bytes) -> None:
    assert compiled.may_hold_pasted(b"x\n" + start)
    assert census.plain_may_hold_pasted(b"x\n" + start)
