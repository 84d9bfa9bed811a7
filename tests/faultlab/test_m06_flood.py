"""M06: one tenant asks for ten times as much as all others; they hardly notice."""

from pathlib import Path
from statistics import median

import flooding

from routewright.proofs.flood import measure_one

SEED = 20261127


def test_m06_others_are_served_before_the_flood_that_was_there_first(tmp_path: Path) -> None:
    flooded = flooding.measure(tmp_path, rounds=10)
    assert flooded.failed == 0
    assert flooded.flood > 2 * flooding.PLACES, "there was a flood"
    waiting = flooding.FLOOD - flooding.PLACES
    assert median(flooded.let_past) < waiting / 2, "in order of arrival all that wait would be answered before"


def test_m06_the_p99_of_others_is_hardly_longer(tmp_path: Path) -> None:
    found = measure_one(tmp_path, SEED, is_told=True, lasts_s=120.0)
    assert found.flood_success < 0.6, "there was a flood"
    assert found.success == 1
    assert found.total_ratio <= 1.2, "E14"
