"""Counts over the bytes of a text that every request pays for: classes of characters, words, what may be pasted.

Each has a plain form here, by passes that `bytes` and `re` make themselves, and a compiled one in `_census`, which
gives the same and is taken wherever there was a compiler.
"""

import re
import string
from itertools import islice

__all__ = ["MOST_PLAIN_COMMAS", "PASTED_START", "WORD_MARKS", "count_classes", "count_words", "may_hold_pasted"]

SMALL = string.ascii_lowercase.encode()
CAPITALS = string.ascii_uppercase.encode()
DIGITS = string.digits.encode()
BLANKS = b" \t\r\n"
_BLANK_PAIR = re.compile(b"  ")
"""Whether there is one is found twice as fast as how many."""
_NON_ASCII = bytes(range(0x80, 0x100))

_IN_WORDS = (string.ascii_letters + string.digits + "_").encode()
WORD_MARKS = bytes(ord("w") if byte >= 0x80 or byte in _IN_WORDS else ord(" ") for byte in range(256))
"""For `bytes.translate`: one letter for all that is in a word, and blanks for the punctuation of ASCII."""

MOST_PLAIN_COMMAS = 2
"""More than so many commas without a blank after them are not in prose."""
_TIGHT_COMMA = re.compile(rb",(?! )")
PASTED_STARTS = (
    *(b">", b"}", b"]", b"|", b"    "),
    *(b"Traceback", b"Caused", b"  File"),
    *(b"def ", b"class ", b"import ", b"from ", b"const ", b"let ", b"var ", b"return", b"func", b"fn ", b"public"),
    *(b"private", b"static", b"async", b"if", b"for", b"while", b"@", b"#include"),
)
"""How lines may begin that were pasted: quoted mail, tables, code, traces. Those of logs begin with a time, or a level
in capitals, which `PASTED_START` has beside them."""
_PASTED = b"|".join(map(re.escape, PASTED_STARTS))
PASTED_START = re.compile(rb"\n(?:" + _PASTED + rb"|\[?\d\d|\[?[A-Z]{4})")


def plain_classes(data: bytes) -> tuple[int, int, int, int, int]:
    """How many bytes are small letters, capitals, digits, blanks, and other ASCII; what is not ASCII is not counted.

    Two blanks one after the other count as none.
    """
    plain = data if data.isascii() else data.translate(None, _NON_ASCII)
    # Class by class is taken out, so that each pass is over a shorter rest.
    without_small = plain.translate(None, SMALL)
    without_letters = without_small.translate(None, CAPITALS)
    without_blanks = without_letters.translate(None, BLANKS)
    marks = len(without_blanks.translate(None, DIGITS))
    blanks = len(without_letters) - len(without_blanks)
    if blanks > 1 and _BLANK_PAIR.search(data):
        blanks -= 2 * data.count(b"  ")
    small, capitals = len(plain) - len(without_small), len(without_small) - len(without_letters)
    return small, capitals, len(without_blanks) - marks, blanks, marks


def plain_words(data: bytes) -> int:
    """How many words there are, by where they begin: without making them."""
    return (b" " + data.translate(WORD_MARKS)).count(b" w")


def plain_may_hold_pasted(data: bytes) -> bool:
    """A quick look over the whole of a text: most have no line that needs a closer one."""
    return (
        b"{" in data
        or b";" in data
        or b"\t" in data
        or _has_tight_commas(data)
        or PASTED_START.search(data) is not None
    )


def _has_tight_commas(data: bytes) -> bool:
    """More than a few without a blank after them: no longer looked at than until they are found."""
    return next(islice(_TIGHT_COMMA.finditer(data), MOST_PLAIN_COMMAS, None), None) is not None


try:  # last, as it reads what stands above
    from routewright.decision._census import count_classes, count_words, may_hold_pasted
except ImportError:  # installed without a compiler
    count_classes, count_words, may_hold_pasted = plain_classes, plain_words, plain_may_hold_pasted
