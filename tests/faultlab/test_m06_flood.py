"""M06: one tenant asks for ten times as much as all others; they hardly notice."""

from pathlib import Path

import flooding


def test_m06_others_hardly_wait_longer_while_one_tenant_floods(tmp_path: Path) -> None:
    flooded = flooding.measure(tmp_path, rounds=5)
    assert flooded.failed == 0
    assert flooded.flood > 2 * flooding.PLACES, "there was a flood"
    assert flooded.ratio < 1.45, "in order of arrival it is 1.7; the goal of 1.2 is for quiet machines and more rounds"
