import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.dialects.rate_limits import allowance
from routewright.reply import Allowance

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 120.0),
        ("1m0.5s", 60.5),
        ("20ms", 0.02),
        ("7", 7.0),
        ("0.25", 0.25),
        ("2027-01-15T08:00:30Z", 30.0),
        ("2027-01-15T07:00:00Z", 0.0),
        ("1h", 120.0),
    ],
)
def test_u11_every_way_of_telling_the_time_is_understood_and_bounded(reset: str, seconds: float) -> None:
    headers = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": reset}
    told = allowance(headers, NOW_S)
    assert told is not None
    assert told.calls == 3
    assert told.next_in_s == told.resets_in_s == pytest.approx(seconds)


@pytest.mark.parametrize("reset", ["", "soon", "-5", "2027-01-15T08:00:30", "1e9", "9" * 50, "٣"])
def test_u11_what_cannot_be_understood_says_nothing(reset: str) -> None:
    assert allowance({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": reset}, NOW_S) is None


@pytest.mark.parametrize("remaining", ["-1", "many", "1.5", "9" * 50, ""])
def test_a_count_that_is_none_says_nothing(remaining: str) -> None:
    assert allowance({"x-ratelimit-remaining-requests": remaining, "x-ratelimit-reset-requests": "1s"}, NOW_S) is None


def test_anthropic_says_the_same_in_other_words() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z",
    }
    assert allowance(headers, NOW_S) == Allowance(0, 5.0, 5.0)


def test_tokens_count_when_none_are_left() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "2s",
    }
    assert allowance(headers, NOW_S) == Allowance(9, 1.0, 1.0)
    assert allowance({**headers, "x-ratelimit-remaining-tokens": "0"}, NOW_S) == Allowance(0, 2.0, 2.0)


def test_a_limit_that_refills_evenly_has_room_for_the_next_call_long_before_it_is_full() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert allowance(headers, NOW_S) == Allowance(0, 1.0, 60.0)


def test_most_answers_say_nothing() -> None:
    assert allowance({"content-type": "application/json"}, NOW_S) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_is_a_crash(remaining: str, reset: str) -> None:
    told = allowance({"x-ratelimit-remaining-requests": remaining, "x-ratelimit-reset-requests": reset}, NOW_S)
    assert told is None or 0 <= told.resets_in_s <= 120
