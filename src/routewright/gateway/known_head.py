"""A head that a connection has brought before: what it says is known, and need not be read again.

A client says nearly the same before each of its requests: only the length of the body changes. Whatever differs in one
byte more than that is read anew, with all the strictness there is.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"
_MOST_DIGITS = 9
MOST_BYTES = 4096
"""Of a head that is kept, as long as its connection."""


class KnownHead(Struct, frozen=True):
    """Of a request in HTTP/1.1 that came in one piece, has a length, and leaves its connection open."""

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    """None of them came more than once."""
    before: bytes
    """All up to the digits of the length."""
    after: bytes
    """All from there to the end of the head."""

    def again(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The length, as it is written, and the body of another such request; None for whatever else it is."""
        start = len(self.before)
        if not data.startswith(self.before):
            return None
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        length = data[start:end]
        if end < 0 or not length.isdigit() or not data.startswith(self.after, end):
            return None
        size = end + len(self.after)
        return (length, data[size:]) if len(data) - size == int(length) else None


def parts(data: bytes, length: bytes) -> tuple[bytes, bytes] | None:
    """What of a whole request stands before and behind its length, to the end of its head; None where that is unclear.

    The request must have been read, and its head have said this length once.
    """
    size = data.find(_END, 0, MOST_BYTES) + len(_END)
    told = _LENGTH.search(data, 0, size)
    if told is None or told[1] != length or size + int(length) != len(data):
        return None
    return data[: told.start(1)], data[told.end(1) : size]
