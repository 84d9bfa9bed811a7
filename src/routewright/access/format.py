"""How a virtual key is written: `rw-<id>-<secret><check>`.

The id is public and stays the same when the key is rotated; the secret is 256 random bits; the check is the CRC-32 of
all that stands before it. So a key with a typo, or half of one, is told apart from a wrong one without a look-up, and
tools that search for leaked keys can tell one from a random word.
"""

import re
from zlib import crc32

PREFIX = "rw-"
ID_CHARS = 10
SECRET_BYTES = 32
_SECRET_CHARS = 43  # 62 ** 43 > 2 ** 256
_CHECK_CHARS = 6  # 62 ** 6 > 2 ** 32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID = re.compile(rf"[0-9A-Za-z]{{{ID_CHARS}}}")
_KEY = re.compile(rf"rw-([0-9A-Za-z]{{{ID_CHARS}}})-[0-9A-Za-z]{{{_SECRET_CHARS}}}([0-9A-Za-z]{{{_CHECK_CHARS}}})")

KEY_CHARS = len(PREFIX) + ID_CHARS + 1 + _SECRET_CHARS + _CHECK_CHARS


def new_id(random_bytes: bytes) -> str:
    """The id of a key from at least 8 random bytes: 59 bits of them."""
    return _base62(int.from_bytes(random_bytes) % 62**ID_CHARS, ID_CHARS)


def write_key(key_id: str, secret: bytes) -> str:
    """The whole text of a key; `secret` has 32 bytes."""
    assert len(secret) == SECRET_BYTES
    start = f"{PREFIX}{key_id}-{_base62(int.from_bytes(secret), _SECRET_CHARS)}"
    return start + _check(start)


def read_id(text: str) -> str | None:
    """The id in the text of a key; None when the text is not one, or was not copied whole."""
    found = _KEY.fullmatch(text)
    if found is None or found[2] != _check(text[:-_CHECK_CHARS]):
        return None
    return found[1]


def is_id(text: str) -> bool:
    """Whether a text could be the id of a key."""
    return _ID.fullmatch(text) is not None


def _check(start: str) -> str:
    return _base62(crc32(start.encode("ascii")), _CHECK_CHARS)


def _base62(number: int, chars: int) -> str:
    digits = []
    for _ in range(chars):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
