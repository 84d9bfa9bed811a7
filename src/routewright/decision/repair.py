"""JSON that a model meant, from what it wrote: without asking anybody, and without guessing what it did not say.

What is mended is what models are known for: a fence around it, words before and after it, a comma too many, Python's
words for true, false and null, and an end that is missing. Values are never changed. An answer that was cut off in the
middle of a member loses that member; whether what is left will do is for the checks to say.
"""

from collections.abc import Iterator

import msgspec

MOST_CHARS = 256 * 1024
"""A longer answer is not repaired."""
_MOST_CUTS = 4
"""Tokens that may be lost at the end: a mark, a name, a colon, a value's beginning."""
_FENCE = "```"
_PAIRS = {"{": "}", "[": "]"}
_WORDS = {"True": "true", "False": "false", "None": "null"}
_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


def is_json(text: str) -> bool:
    """Whether it is JSON as it stands."""
    try:
        msgspec.json.decode(text)
    except _NOT_JSON:
        return False
    return True


def repaired_json(text: str) -> str | None:
    """The object or array that is meant; None if there is none that can be had."""
    if len(text) > MOST_CHARS:
        return None
    return next(filter(is_json, _candidates(text)), None)


def _candidates(text: str) -> Iterator[str]:
    """What it may be, the least changed first."""
    unfenced = _unfenced(text.strip())
    start = min((at for at in map(unfenced.find, _PAIRS) if at >= 0), default=-1)
    if start < 0:
        return
    yield unfenced
    yield from _closed(unfenced[start:])


def _unfenced(text: str) -> str:
    """What stands in the first fence; all of it without one."""
    _, fence, rest = text.partition(_FENCE)
    if not fence or text.startswith(tuple(_PAIRS)):
        return text
    first, _, more = rest.partition("\n")
    inside = more if first.strip().isalpha() or not first.strip() else rest
    return inside.partition(_FENCE)[0].strip()


def _closed(text: str) -> Iterator[str]:
    """The first value, up to its own end; or, where that is missing, cut back to what can be closed."""
    written: list[str] = []
    open_: list[str] = []
    cuts: list[tuple[int, tuple[str, ...]]] = []
    """After how many tokens it could be closed, and by what."""
    for token in _tokens(text):
        if token in ("}", "]") and written and written[-1] == ",":
            written.pop()
        written.append(_WORDS.get(token, token))
        if token in _PAIRS:
            open_.append(_PAIRS[token])
        elif token in ("}", "]"):
            if not open_ or open_.pop() != token:
                return
            if not open_:
                yield "".join(written)
                return
        if token != ":":
            cuts.append((len(written), tuple(reversed(open_))))
    for length, closing in reversed(cuts[-_MOST_CUTS:]):
        head = written[:length]
        if head[-1] == ",":
            head.pop()
        yield "".join((*head, *closing))


def _tokens(text: str) -> Iterator[str]:
    """Strings, marks, and what stands between them, without blanks; a string without an end is left out."""
    at = 0
    while at < len(text):
        character = text[at]
        if character == '"':
            end = _end_of_string(text, at)
            if end is None:
                return
            yield text[at:end]
            at = end
        elif character in "{}[]:,":
            yield character
            at += 1
        elif character.isspace():
            at += 1
        else:
            begin = at
            while at < len(text) and text[at] not in '{}[]:,"' and not text[at].isspace():
                at += 1
            if at < len(text):  # else a number may go on
                yield text[begin:at]


def _end_of_string(text: str, at: int) -> int | None:
    at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == '"':
            return at + 1
        else:
            at += 1
    return None
