"""F5: the measurement of what memory grows by is one; the figure itself takes minutes."""

from pathlib import Path

import memory_growth
import pytest


def test_f5_the_growth_is_that_of_a_line_through_all_readings() -> None:
    assert memory_growth.slope([5, 5, 5]) == 0
    assert memory_growth.slope([1, 3, 5, 7]) == pytest.approx(2)
    assert memory_growth.slope([0, 0, 9, 0, 0]) == pytest.approx(0), "one reading that is off means little"


def test_f5_faults_and_departures_are_among_what_is_measured(tmp_path: Path) -> None:
    growth = memory_growth.measure(tmp_path, requests=400, warm_up=100, each_round=200, keys=20, quiet_s=0.05)
    assert growth.answered + growth.failed + growth.left >= growth.requests == 400
    assert growth.left > 20
    assert growth.faults > 5
    assert len(growth.readings) == 3
    assert min(growth.readings) > 10_000_000
