import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.bench.report import Machine, Report, Row, figure, percentile

MACHINE = Machine(processor="a processor", cores=2, system="Linux", python="CPython", decision="numpy")
FIGURES = (
    figure("fast_us", "fast", "µs CPU", [90.0, 310.4, 120.0], bar=400),
    figure("slow_ms", "slow", "ms", [251.0], bar=250),
    figure("told_mb", "told", "MB", [9.876]),
)
REPORT = Report(machine=MACHINE, figures=FIGURES, elapsed_s=1.5)


def test_a_figure_is_the_median_with_its_spread() -> None:
    fast = FIGURES[0]
    assert (fast.median, fast.low, fast.high, fast.rounds) == (120.0, 90.0, 310.4, 3)


def test_a_figure_on_its_bar_does_not_meet_it() -> None:
    assert figure("x", "x", "ms", [250.0], bar=250).is_met is False
    assert figure("x", "x", "ms", [249.9], bar=250).is_met is True
    assert figure("x", "x", "ms", [249.9]).is_met is None


def test_a_figure_may_have_to_reach_its_bar() -> None:
    assert figure("x", "x", "×", [1.8], least=1.8).is_met is True
    slow = figure("x", "x", "×", [1.7], least=1.8)
    assert slow.is_met is False
    assert Report(machine=MACHINE, figures=(slow,), elapsed_s=1).rows() == [Row("x", "1.70", "×", "≥ 1.8", False)]


def test_rows_are_ready_for_a_table() -> None:
    assert REPORT.rows() == [
        Row("fast", "120 (90.0–310)", "µs CPU", "< 400", True),
        Row("slow", "251", "ms", "< 250", False),
        Row("told", "9.88", "MB", "", None),
    ]


def test_a_figure_is_found_by_its_name() -> None:
    assert REPORT["slow_ms"] is FIGURES[1]
    with pytest.raises(KeyError, match="unknown"):
        REPORT["unknown"]


def test_json_gives_the_same_report_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(REPORT), type=Report) == REPORT


def test_percentiles_by_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1.0))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)
