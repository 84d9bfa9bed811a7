"""M06: one tenant asks for ten times as much as all others; they hardly notice."""

from pathlib import Path
from statistics import median

import flooding


def test_m06_others_are_served_before_the_flood_that_was_there_first(tmp_path: Path) -> None:
    flooded = flooding.measure(tmp_path, rounds=10)
    assert flooded.failed == 0
    assert flooded.flood > 2 * flooding.PLACES, "there was a flood"
    waiting = flooding.FLOOD - flooding.PLACES
    assert median(flooded.let_past) < waiting / 2, "in order of arrival all that wait would be answered before"
