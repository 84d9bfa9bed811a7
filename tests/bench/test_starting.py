from pathlib import Path

import pytest

from routewright.bench.processes import BenchFailed
from routewright.bench.starting import starts


def test_every_start_is_measured_by_itself(tmp_path: Path) -> None:
    measured = starts(["-S", "-c", "pass"], tmp_path, rounds=2)
    assert len(measured) == 2
    assert all(0 < each.cpu_ms < 5_000 and each.wall_ms > 0 for each in measured)


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="ended with status 1: no such thing"):
        starts(["-S", "-c", "import sys; sys.exit('no such thing')"], tmp_path, rounds=1)
