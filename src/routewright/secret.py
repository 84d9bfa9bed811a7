"""A secret that cannot be printed by accident."""

import re

_PASSWORD = re.compile(r"(?<=://)([^:@/?#]*):.*@")


class Secret:
    """Holds a key; `repr`, `str`, formatting and serialisation show stars, `reveal()` is the one way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the header it belongs in and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def without_password(url: str) -> str:
    """An address as messages may show it: its password as stars, and nothing after `?`, where another may be."""
    return _PASSWORD.sub(r"\1:***@", url).partition("?")[0]
