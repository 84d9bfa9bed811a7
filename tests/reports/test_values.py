from hypothesis import given
from hypothesis import strategies as st

from routewright.ledger.spending import Sums
from routewright.reports.values import Line, merged, saving_of, together

counts = st.integers(0, 10**15)
sums = st.builds(
    Sums,
    requests=counts,
    cost_nanousd=counts,
    compared=counts,
    baseline_cost_nanousd=counts,
    compared_cost_nanousd=counts,
    failed_cost_nanousd=counts,
    least_saved_nanousd=counts,
    most_saved_nanousd=counts,
)
keys = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None]))
lines = st.lists(st.builds(Line, keys, sums), max_size=12)


@given(lines, st.sampled_from([(), (0,), (1,), (1, 0)]))
def test_merging_lines_keeps_what_they_add_up_to(before: list[Line], places: tuple[int, ...]) -> None:
    after = merged(before, places)
    assert together(after) == together(before)
    assert len({line.keys for line in after}) == len(after)


def test_what_is_not_known_stands_last() -> None:
    found = merged([Line((None,), Sums()), Line(("b",), Sums()), Line(("",), Sums())], (0,))
    assert [line.keys for line in found] == [("",), ("b",), (None,)]


@given(sums)
def test_saving_is_net_and_has_its_interval(total: Sums) -> None:
    saving = saving_of(total, ["b", "a", "b"])
    assert saving.saved_nanousd == (
        total.baseline_cost_nanousd - total.compared_cost_nanousd - total.failed_cost_nanousd
    )
    assert (saving.low_nanousd, saving.high_nanousd) == (total.least_saved_nanousd, total.most_saved_nanousd)
    assert saving.baselines == ("a", "b")


@given(sums, sums)
def test_savings_add_up(one: Sums, other: Sums) -> None:
    whole, parts = saving_of(one + other, []), (saving_of(one, []), saving_of(other, []))
    assert whole.saved_nanousd == sum(part.saved_nanousd for part in parts)
    assert whole.low_nanousd == sum(part.low_nanousd for part in parts)
