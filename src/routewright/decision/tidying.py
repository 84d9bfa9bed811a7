"""Texts made shorter without losing anything that they say.

What looks idle may matter. Blanks at the start of a line are code, in fences they may be anything, and a model that
edits a file quotes its lines exactly as a tool showed them. So blanks are taken only from the prose of a user, from a
tool's result only where it is JSON as a whole, and numbers are never written anew.
"""

import re
from collections.abc import Iterator

import msgspec

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCES = ("```", "~~~")
_INDENTED = ("    ", "\t")
_BLANKS = " \t"
_IDLE = (" \n", "\t\n", "\n\n\n")
_JSON_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+', re.DOTALL)
_NOT_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
_QUOTED_CHARS = 48

SHORTEST_DUPLICATE = 240
"""Characters; anything shorter is hardly longer than the reference that would stand for it."""


def compact_json(text: str) -> str:
    """A JSON object or array without the blanks between its tokens; any other text as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        value = msgspec.json.decode(text)  # first: on quotes that do not pair, the pattern would take quadratic time
        compact = _JSON_BLANKS.sub(r"\1", text)
        return compact if msgspec.json.decode(compact) == value else text
    except _NOT_JSON:
        return text


def tidy_blanks(text: str) -> str:
    """Prose without blanks at the ends of lines and with single blank lines; code in it stays as it is."""
    if not (any(idle in text for idle in _IDLE) or text.endswith((" ", "\t"))):
        return text
    kept: list[str] = []
    for line, is_code in _lines(text):
        end = "\n" if line.endswith("\n") else ""
        tidied = line if is_code else line.removesuffix("\n").rstrip(_BLANKS) + end
        if not (tidied == "\n" and kept and kept[-1] == "\n" and not is_code):
            kept.append(tidied)
    return "".join(kept) or text


def blocks(text: str) -> Iterator[str]:
    """The paragraphs of a text, each with the blank lines after it; joined, they are the text.

    A piece of code in fences is never divided.
    """
    block: list[str] = []
    has_ended = False
    for line, is_code in _lines(text):
        is_blank = not is_code and not line.strip()
        if has_ended and not is_blank:
            yield "".join(block)
            block = []
        has_ended = is_blank
        block.append(line)
    if block:
        yield "".join(block)


class Duplicates:
    """Long texts met so far in a conversation, and what stands for one that comes again."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    def note(self, text: str) -> None:
        """A text stands in the conversation, as a whole and by its paragraphs."""
        if len(text) >= SHORTEST_DUPLICATE:
            self._add(text)
            for block in blocks(text):
                self._add(block)

    def without(self, text: str, *, by_paragraph: bool) -> str:
        """A whole text that was met before, or every paragraph of it that was, replaced by a reference."""
        if self._was_met(text):
            return _reference(text)
        if not by_paragraph:
            return text
        written = []
        for block in blocks(text):
            after = block[len(block.rstrip("\n")) :]
            written.append(_reference(block) + after if self._was_met(block) else block)
            self._add(block)
        return "".join(written)

    def _add(self, text: str) -> None:
        if len(text) >= SHORTEST_DUPLICATE:
            self._met.add(text.strip("\n"))

    def _was_met(self, text: str) -> bool:
        return len(text) >= SHORTEST_DUPLICATE and text.strip("\n") in self._met


def head_and_tail(text: str, chars: int) -> str:
    """The first two thirds and the last third of `chars` characters of a text, and between them how much was cut."""
    tail = chars // 3
    cut = len(text) - chars
    if cut <= 0:
        return text
    return f"{text[: chars - tail]}\n[… {cut:,} characters cut by routewright …]\n{text[len(text) - tail :]}"


def _reference(text: str) -> str:
    beginning = " ".join(text[: 4 * _QUOTED_CHARS].split())[:_QUOTED_CHARS]
    return f"[Left out here: the same text stands further up, beginning “{beginning}…”]"


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines of a text, and whether each is code: fenced, with the fences themselves, or indented like it."""
    fence = ""
    for line in _LINE.findall(text):
        mark = line.lstrip()[:3]
        is_indented = line.startswith(_INDENTED) and not line.isspace()
        yield line, bool(fence) or mark in _FENCES or is_indented
        if mark in _FENCES and not fence:
            fence = mark
        elif mark == fence:
            fence = ""
