"""What a caller asks of the router itself."""

from typing import Any

import pytest

from routewright.call import Options
from routewright.catalog.registry import Tier
from routewright.dialects.options import read_options, with_body_options
from routewright.errors import InvalidRequest


def test_all_options_are_read() -> None:
    fields = {
        "tier": "bulk",
        "max_cost_usd": "0.05",
        "min_quality": 0.9,
        "deadline_ms": 1500,
        "tags": ["team:a", "nightly"],
        "user": "ann",
        "no_log": True,
        "cache": "off",
    }
    assert read_options(fields) == Options(
        tier=Tier.BULK,
        max_cost_nanousd=50_000_000,
        min_quality=0.9,
        deadline_s=1.5,
        tags=("team:a", "nightly"),
        user="ann",
        no_log=True,
        cache=False,
    )


@pytest.mark.parametrize(
    ("usd", "nanousd"),
    [
        (0, 0),
        (1, 1_000_000_000),
        (0.1, 100_000_000),
        (1e-9, 1),
        (1e-7, 100),
        ("0.000000001", 1),
        ("123456789.987654321", 123456789_987654321),
        (0.1 + 0.2, 300_000_000),
        ("0.0000000019", 1),
    ],
)
def test_a_cost_limit_is_exact_to_the_nano_usd_and_rounded_down_below_it(usd: Any, nanousd: int) -> None:
    assert read_options({"max_cost_usd": usd}).max_cost_nanousd == nanousd


@pytest.mark.parametrize(
    ("given", "quality"), [(0, 0.0), (1, 1.0), (0.9, 0.9), ("0.95", 0.95), (".5", 0.5), ("1.0", 1.0), (None, None)]
)
def test_a_quality_is_a_probability_as_a_number_or_in_digits(given: Any, quality: float | None) -> None:
    assert read_options({"min_quality": given}).min_quality == quality


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_quality": 1.5}, "min_quality"),
        ({"min_quality": -0.1}, "min_quality"),
        ({"min_quality": "90 %"}, "min_quality"),
        ({"min_quality": "1.5"}, "min_quality"),
        ({"min_quality": True}, "min_quality"),
        ({"min_quality": float("nan")}, "min_quality"),
        ({"min_quality": [0.9]}, "min_quality"),
        ({"max_cost_usd": -1}, "max_cost_usd"),
        ({"max_cost_usd": True}, "max_cost_usd"),
        ({"max_cost_usd": "1e3"}, "max_cost_usd"),
        ({"max_cost_usd": "NaN"}, "max_cost_usd"),
        ({"max_cost_usd": 1e30}, "max_cost_usd"),
        ({"max_cost_usd": [1]}, "max_cost_usd"),
        ({"tier": "premium"}, "tier"),
        ({"tier": 1}, "tier"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"deadline_ms": 1.5}, "deadline_ms"),
        ({"tags": "a"}, "tags"),
        ({"no_log": "yes"}, "no_log"),
        ({"cache": True}, "cache"),
        ({"tags": ["a", 1]}, "tags[1]"),
        ({"tags": [""]}, "tags[0]"),
        ({"tags": ["a\0b"]}, "tags[0]"),
        ({"user": 1}, "user"),
        ({"max_cost": 1}, "max_cost"),
    ],
)
def test_a_wrong_option_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_options(fields)
    assert caught.value.param == f"routewright.{param}"


def test_headers_win_over_the_body() -> None:
    by_header = Options(tier=Tier.COMPLEX, min_quality=0.9, tags=("a",))
    merged = with_body_options(by_header, {"tier": "bulk", "min_quality": 0.5, "tags": ["b"], "user": "ann"})
    assert merged == Options(tier=Tier.COMPLEX, min_quality=0.9, tags=("a",), user="ann")


def test_options_must_be_an_object() -> None:
    with pytest.raises(InvalidRequest) as caught:
        with_body_options(Options(), "cheap")
    assert caught.value.param == "routewright"
