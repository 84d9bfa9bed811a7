"""Where each key of a TOML text stands: `tomllib` forgets lines, and a mistake is quoted with its own."""

import re
from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

KeyPath: TypeAlias = tuple[str, ...]
"""Where a setting stands among the others: `("policy", "confidence_threshold")`."""


class Place(Struct, frozen=True):
    """A line and a column, both counted from 1."""

    line: int
    column: int


_SPACE = re.compile(r"[ \t]*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL)
_BETWEEN = re.compile(r"""[^\s"'\[\]{}#]+""")
_NUMBER_OR_DATE = re.compile(r"[^\s,\]}#]+")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def places_of(text: str) -> Mapping[KeyPath, Place]:
    """The place of every key and table, the first one where a table is continued later.

    `text` must be TOML that tomllib has accepted: here it is measured, not checked. Keys inside arrays are left out.
    """
    return _Scan(text).run()


class _Scan:
    """One pass over a text; `at` is the offset of the next character to look at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, Place] = {}
        self._line = 1
        self._counted_to = 0

    def run(self) -> Mapping[KeyPath, Place]:
        table: KeyPath = ()
        while self._skip(_SPACE_AND_LINES) < len(self.text):
            if self.text[self.at] == "[":
                brackets = 2 if self.text.startswith("[[", self.at) else 1
                self.at += brackets
                table = self._key(())
                self.at += brackets
            else:
                self._pair(table)
        return self.found

    def _pair(self, table: KeyPath) -> None:
        path = self._key(table)
        self.at += 1  # the equals sign
        self._value(path)

    def _key(self, table: KeyPath) -> KeyPath:
        """A key, dotted or not, with all space around it; each of its parts is found here, if not before."""
        path = table
        while True:
            self._skip(_SPACE)
            start = self.at
            self._skip(_KEY_PART)
            path = (*path, _plain(self.text[start : self.at]))
            self.found.setdefault(path, self._place(start))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return path
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        match self.text[self.at]:
            case "{":
                self._inline_table(path)
            case "[":
                self._array()
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_NUMBER_OR_DATE)
                if self.text[self.at : self.at + 2].strip(" ").isdigit():
                    self._skip(_SPACE)
                    self._skip(_NUMBER_OR_DATE)  # the time after a date and a space

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self.text[self._skip(_SPACE_AND_LINES)] != "}":
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self._pair(path)
        self.at += 1

    def _array(self) -> None:
        """Leave an array behind, whatever is in it."""
        depth = 0
        while True:
            match self.text[self._skip(_SPACE_AND_LINES)]:
                case "[" | "{":
                    depth += 1
                    self.at += 1
                case "]" | "}":
                    depth -= 1
                    self.at += 1
                case '"' | "'":
                    self._skip(_STRING)
                case _:
                    self._skip(_BETWEEN)
            if depth == 0:
                return

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _place(self, offset: int) -> Place:
        self._line += self.text.count("\n", self._counted_to, offset)
        self._counted_to = offset
        return Place(self._line, offset - self.text.rfind("\n", 0, offset))


def _plain(part: str) -> str:
    """A part of a key without its quotes."""
    if part.startswith('"'):
        return _ESCAPE.sub(_unescaped, part[1:-1])
    return part[1:-1] if part.startswith("'") else part


def _unescaped(match: re.Match[str]) -> str:
    short, long, letter = match.groups()
    return chr(int(short or long, 16)) if letter is None else _ESCAPES.get(letter, letter)
