"""What an address asks of a page, read strictly: whatever is not understood is refused, and nothing is guessed."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import unquote_to_bytes, urlencode

from routewright.errors import InvalidRequest

MOST_PARAMETERS = 32
LONGEST_VALUE = 512
"""Characters: as long as the longest name of a session."""
LONGEST_TEXT = 16_000
"""Characters of what is written in a field with several lines."""

_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_WHOLE = re.compile(r"\d{1,12}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_CONTROLS_IN_TEXTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NANO = 10**9


class Parameters:
    """The values by name; an empty one is as good as none, as forms send all their fields."""

    def __init__(self, query: bytes, known: Sequence[str], part: str = "", texts: Sequence[str] = ()) -> None:
        """Raises InvalidRequest for names that are not known or stand twice, and for what is no text."""
        self.values: Mapping[str, str] = read_form(query, known, texts)
        self.part = part
        """What stands in the path in the place of the page's `*`."""

    @property
    def query(self) -> str:
        """The same as it stands in an address, without what is empty."""
        return urlencode(self.values)

    def changed(self, **values: str | None) -> str:
        """The query with some values put in, or left out (None)."""
        mixed = {**self.values, **values}
        return urlencode({name: value for name, value in mixed.items() if value is not None})

    def text(self, name: str) -> str | None:
        """As it was sent."""
        return self.values.get(name)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of some words."""
        value = self.values.get(name, default)
        if value not in (*choices, default):
            raise _refused(name, f"is none of {', '.join(choices)}")
        return value

    def whole(self, name: str, most: int) -> int | None:
        """A number from 0 to `most`."""
        value = self.values.get(name)
        if value is None:
            return None
        if not _WHOLE.fullmatch(value) or int(value) > most:
            raise _refused(name, f"is no whole number from 0 to {most:,}")
        return int(value)

    def nanousd(self, name: str) -> int | None:
        """An amount of USD such as `0.05`, in nano-USD."""
        value = self.values.get(name)
        if value is None:
            return None
        if not _AMOUNT.fullmatch(value):
            raise _refused(name, "is no amount in USD such as 0.05")
        return int(Decimal(value) * _NANO)

    def matching(self, name: str, pattern: re.Pattern[str], told: str) -> str | None:
        """A value of a form of its own, which `told` says."""
        value = self.values.get(name)
        if value is not None and not pattern.fullmatch(value):
            raise _refused(name, f"is not {told}")
        return value


def read_form(content: bytes, known: Sequence[str], texts: Sequence[str] = ()) -> dict[str, str]:
    """`application/x-www-form-urlencoded`, without what is empty; `texts` are the names of those that may have lines.

    Raises InvalidRequest.
    """
    pairs = [pair for pair in content.split(b"&") if pair]
    if len(pairs) > MOST_PARAMETERS:
        raise InvalidRequest(f"there are over {MOST_PARAMETERS} parameters")
    values: dict[str, str] = {}
    for pair in pairs:
        name, _, sent = pair.partition(b"=")
        key, value = _text(name), _text(sent)
        if key not in known and key not in texts:
            raise InvalidRequest(f"{key[:40]!r} is not known here", param=key[:40], hint=f"there is {', '.join(known)}")
        if key in values:
            raise _refused(key, "stands there twice")
        value = value.replace("\r\n", "\n") if key in texts else value
        longest = LONGEST_TEXT if key in texts else LONGEST_VALUE
        if len(value) > longest:
            raise _refused(key, f"is over {longest:,} characters")
        if (_CONTROLS_IN_TEXTS if key in texts else _CONTROLS).search(value):
            raise _refused(key, "has control characters")
        if value:
            values[key] = value
    return values


def _text(sent: bytes) -> str:
    try:
        return unquote_to_bytes(sent.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("the address has bytes that are no UTF-8") from error


def _refused(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {why}", param=name, hint="correct it in the address")
