"""One of two replicas behind nginx is restarted under load; `benchmarks/rolling_restart.py` does it at 200 a second."""

from pathlib import Path

import pytest
import rolling


@pytest.mark.skipif(rolling.NGINX is None, reason="nginx is not installed")
def test_no_request_fails_and_no_row_is_lost_while_a_replica_is_restarted(tmp_path: Path) -> None:
    found = rolling.measure(tmp_path, per_s=30, linger_s=3, steady_s=0.5, restarts=1)
    assert found.failed == {}, found.complaints
    assert (found.lost, found.clean_ends) == (0, 1)
    assert found.requests > 60
    assert found.passed_on > 0, "nginx met the replica while it was away"
