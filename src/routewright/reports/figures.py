"""Figures as text: one figure reads the same in a terminal, a file and a page."""

from decimal import Decimal

from routewright.ledger.spending import Sums
from routewright.reports.values import Measure
from routewright.text import percent, usd

NOTHING_TO_TELL = "–"
NANO = Decimal(1).scaleb(-9)

OFTEN_NOTHING = frozenset({"failed_cost_usd", "errand_cost_usd", "from_cache", "cache_saved_usd"})
"""Columns that a terminal has no room for, as the summary tells them, and a page only where there is something."""

_BLOCKS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_EIGHTHS = 8
_THOUSANDS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def shown(measure: Measure, sums: Sums) -> str:
    """A figure for people."""
    value = measure.read(sums)
    if value is None:
        return NOTHING_TO_TELL
    if measure.whole is not None:
        return percent(value, measure.whole(sums))
    if measure.unit != "usd":
        return f"{value:,}"
    is_spent = measure.name == "cost_usd"
    return ("≤ " if is_spent and sums.estimated else "") + usd(value) + (" +?" if is_spent and sums.unpriced else "")


def exact(measure: Measure, sums: Sums) -> str:
    """The same for machines: USD to the nano-dollar, shares of 1 to six digits, nothing where there is none."""
    value = measure.read(sums)
    if value is None:
        return ""
    if measure.whole is not None:
        whole = measure.whole(sums)
        return f"{Decimal(value) / Decimal(whole):.6f}" if whole else ""
    return f"{exact_usd(value):f}" if measure.unit == "usd" else str(value)


def exact_usd(nanousd: int) -> Decimal:
    """An amount of USD with all nine digits."""
    return Decimal(nanousd).scaleb(-9).quantize(NANO)


def short(number: int) -> str:
    """A count in as few characters as tell its size: `950`, `12.5k`, `3M`."""
    for size, letter in _THOUSANDS:
        if abs(number) >= size:
            return f"{(Decimal(number) / size):.1f}".removesuffix(".0") + letter
    return str(number)


def short_usd(nanousd: int) -> str:
    """An amount for an axis: no more digits than it has."""
    dollars = Decimal(nanousd).scaleb(-9)
    if abs(dollars) >= 10_000:
        return "$" + short(int(dollars))
    digits = f"{dollars:f}".rstrip("0").rstrip(".") if dollars else "0"
    whole, _, rest = digits.partition(".")
    return f"${int(whole):,}" + (f".{rest.ljust(2, '0')}" if rest else "")


def bar(value: int, greatest: int, width: int) -> str:
    """A bar of blocks, as long beside `width` as the value is beside the greatest; one that is not nothing shows."""
    if value <= 0 or greatest <= 0:
        return ""
    eighths = max(1, value * width * _EIGHTHS // greatest)
    return _BLOCKS[-1] * (eighths // _EIGHTHS) + _BLOCKS[eighths % _EIGHTHS].strip()


def sparkline(values: list[int], width: int) -> str:
    """The course of some values in one line, at most `width` wide: neighbours are then added up."""
    together = -(-len(values) // width)
    sums = [sum(values[at : at + together]) for at in range(0, len(values), max(1, together))]
    greatest = max(sums, default=0)
    steps = len(_HEIGHTS) - 1
    return "".join(_HEIGHTS[max(0, value) * steps // greatest] for value in sums) if greatest > 0 else ""
