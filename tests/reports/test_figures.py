from hypothesis import given
from hypothesis import strategies as st

from routewright.reports.figures import bar, short, short_usd, sparkline


def test_counts_are_as_short_as_tells_their_size() -> None:
    assert [short(count) for count in (0, 950, 1_000, 12_500, 3_000_000, 2_100_000_000)] == [
        "0",
        "950",
        "1k",
        "12.5k",
        "3M",
        "2.1G",
    ]


def test_amounts_on_an_axis_have_no_more_digits_than_they_need() -> None:
    amounts = (0, 2_000_000_000, 500_000_000, 5_000_000, 1_234_000_000_000, 20_000_000_000_000)
    assert [short_usd(amount) for amount in amounts] == ["$0", "$2", "$0.50", "$0.005", "$1,234", "$20k"]


@given(st.integers(0, 10**18), st.integers(1, 10**18), st.integers(1, 40))
def test_bar_is_no_longer_than_its_width_and_shows_what_is_not_nothing(value: int, more: int, width: int) -> None:
    drawn = bar(value, value + more, width)
    assert len(drawn) <= width
    assert bool(drawn) == (value > 0)


@given(st.lists(st.integers(0, 10**18), max_size=400), st.integers(1, 80))
def test_sparkline_is_no_longer_than_its_width(values: list[int], width: int) -> None:
    assert len(sparkline(values, width)) <= width


def test_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 5, 10], 10) == "▁▄█"
