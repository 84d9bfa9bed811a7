"""Amounts of money as text: exact, and never by way of a float. For people who want fewer digits, see `text`."""

NANO = 1_000_000_000
"""Nano-USD in a dollar."""
MOST_USD = 1_000_000_000
"""Of an amount that somebody writes down: databases count nano-USD in 64 bits, which are full at nine times that."""


def exact_usd(nanousd: int, *, least_decimals: int = 9) -> str:
    """Nano-USD as plain decimal US dollars, with as many decimals as there are, and no fewer than `least_decimals`."""
    dollars, rest = divmod(abs(nanousd), NANO)
    decimals = f"{rest:09d}"
    if least_decimals < 9:
        decimals = decimals.rstrip("0").ljust(least_decimals, "0")
    sign = "-" if nanousd < 0 else ""
    return f"{sign}{dollars}.{decimals}" if decimals else f"{sign}{dollars}"
