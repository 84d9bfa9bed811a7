import pytest

from routewright.money import exact_usd


@pytest.mark.parametrize(
    ("nanousd", "least_decimals", "text"),
    [
        (2_000_000, 9, "0.002000000"),
        (123_456_789_012, 9, "123.456789012"),
        (-1, 9, "-0.000000001"),
        (10_000_000_000, 2, "10.00"),
        (10_100_000_000, 2, "10.10"),
        (123_000, 2, "0.000123"),
        (10_000_000_000, 0, "10"),
        (500_000_000, 0, "0.5"),
        (0, 0, "0"),
        (1, 0, "0.000000001"),
        (12_345, 0, "0.000012345"),
        (1_500_000_000, 0, "1.5"),
        (20_000_000_000, 0, "20"),
        (10**18 + 1, 0, "1000000000.000000001"),
    ],
)
def test_amounts_are_exact(nanousd: int, least_decimals: int, text: str) -> None:
    assert exact_usd(nanousd, least_decimals=least_decimals) == text
