"""What was claimed of answers, beside what came."""

import pytest

from routewright.decision.claimed_success import FEWEST_IN_BAND, MOST_BANDS, Claim, bands, calibration_gap


def test_bands_hold_about_equally_many_and_the_lowest_claims_come_first() -> None:
    found = bands([Claim(number / 100, float(number % 2)) for number in range(100)])
    assert len(found) == MOST_BANDS
    assert {band.answers for band in found} == {10}
    assert [band.claimed for band in found] == sorted(band.claimed for band in found)
    assert sum(band.answers for band in bands([Claim(0.5, 1.0)] * 57)) == 57


@pytest.mark.parametrize(("claims", "expected"), [(0, 0), (1, 1), (FEWEST_IN_BAND * 2 - 1, 1), (FEWEST_IN_BAND * 2, 2)])
def test_few_claims_make_few_bands(claims: int, expected: int) -> None:
    assert len(bands([Claim(0.5, 1.0)] * claims)) == expected


def test_a_claim_is_right_where_it_may_be_what_is() -> None:
    [right] = bands([Claim(0.8, float(number > 3)) for number in range(19)])
    [wrong] = bands([Claim(0.99, float(number > 9)) for number in range(19)])
    assert (right.is_right, wrong.is_right) == (True, False)
    assert wrong.low < wrong.came < wrong.high < wrong.claimed


def test_the_gap_is_weighted_by_answers() -> None:
    found = bands([Claim(0.5, 1.0)] * 10 + [Claim(1.0, 1.0)] * 10)
    assert calibration_gap(found) == pytest.approx(0.25)
    assert calibration_gap(()) == 0
