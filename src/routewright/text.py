"""Values as words for a terminal. Whatever came from outside goes through `plain` before it is shown."""

import re
from decimal import ROUND_HALF_EVEN, Decimal

from routewright.money import NANO

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # an operating system command: titles, links, the clipboard
    r"|[\x1b\x9b]\[?[0-9;:<=>?]*[ -/]*[@-~]"  # a control sequence: colours, cursor
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""All but tab and line feed; and what turns the direction of the text around it."""

_MICRO = 1000


def plain(text: str) -> str:
    """A text without anything that a terminal would obey."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """The same, in one line."""
    return " ".join(plain(text).split())


def usd(nanousd: int) -> str:
    """An amount for people: cents from a dollar on, below it as many digits as show something."""
    amount = abs(nanousd)
    places = 2 if amount >= NANO or not amount else 6 if amount >= _MICRO else 9
    sign = "-" if nanousd < 0 else ""
    return f"{sign}${Decimal(amount).scaleb(-9).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):,f}"


def percent(part: int, whole: int) -> str:
    """A share with one digit after the point; a dash when there is nothing to have a share of."""
    if whole == 0:
        return "–"
    return f"{Decimal(part * 100) / Decimal(whole):.1f} %"


def counted(number: int, noun: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
