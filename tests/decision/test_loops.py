"""The compiled loops come to what the plain ones do, and a table refuses what does not fit it."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision import loops
from routewright.decision.rows import Row, Table
from routewright.decision.sketch import Numbers

COLUMNS = 7
NUMBERS = st.floats(-1e3, 1e3, width=32)
VECTORS = st.lists(NUMBERS, min_size=COLUMNS, max_size=COLUMNS).map(lambda its: array("d", its))
SPARSE = st.dictionaries(st.integers(0, COLUMNS - 1), NUMBERS, max_size=COLUMNS)
ROWS = st.lists(SPARSE.map(lambda its: Row.of(list(its), list(its.values()))), max_size=9)
compiled = pytest.importorskip("routewright.decision._loops", reason="the loops were not compiled here")


def laid_out(rows: list[Row]) -> tuple["array[int]", "array[int]", Numbers]:
    starts, columns, values = array("q", [0]), array("H"), array("f")
    for row in rows:
        columns.extend(row.columns)
        values.extend(row.values)
        starts.append(len(columns))
    return starts, columns, values


@given(ROWS, VECTORS, st.data())
def test_products_with_a_table_are_the_same(rows: list[Row], weights: Numbers, data: st.DataObject) -> None:
    table = laid_out(rows)
    assert compiled.row_products(*table, weights) == pytest.approx(loops.row_products(*table, weights))
    shares = array("d", data.draw(st.lists(NUMBERS, min_size=len(rows), max_size=len(rows))))
    ours, theirs = (its.column_products(*table, shares, COLUMNS) for its in (compiled, loops))
    assert ours == pytest.approx(theirs)


@given(VECTORS, VECTORS, NUMBERS)
def test_vectors_are_multiplied_and_added_alike(one: Numbers, other: Numbers, times: float) -> None:
    assert compiled.dot(one, other) == pytest.approx(loops.dot(one, other), abs=1e-6)
    ours, theirs = one[:], one[:]
    compiled.add(ours, times, other)
    loops.add(theirs, times, other)
    assert ours == pytest.approx(theirs)


@given(VECTORS, st.lists(st.floats(0, 1), min_size=COLUMNS, max_size=COLUMNS))
def test_what_is_missed_is_the_same(odds: Numbers, scores: list[float]) -> None:
    (ours, above), (theirs, above_theirs) = (its.missed(odds, array("d", scores)) for its in (compiled, loops))
    assert ours == pytest.approx(theirs)
    assert above == pytest.approx(above_theirs)


def test_what_does_not_fit_is_refused() -> None:
    row = Row.of([COLUMNS], [1.0])
    with pytest.raises(ValueError, match="beyond"):
        Table([row], COLUMNS)
    table = Table([row], COLUMNS + 1)
    with pytest.raises(ValueError, match="7 weights"):
        table.times(array("d", [0.0] * COLUMNS))
    with pytest.raises(ValueError, match="2 shares"):
        table.turned_times(array("d", [0.0] * 2))
    for its in (compiled, loops):
        with pytest.raises(ValueError, match=r"different lengths|zip\(\)"):
            its.missed(array("d", [0.0]), array("d", [0.0, 1.0]))
    with pytest.raises(ValueError, match="different lengths"):
        compiled.dot(array("d", [0.0]), array("d"))
