"""Whether two answers say the same: for tasks whose answer can be brought into one form and compared.

A choice (the letter of an option), a number, a short text, JSON. What cannot be read in that form agrees with nothing,
so that doubt counts as disagreement.
"""

import re
import unicodedata
from enum import StrEnum

import msgspec

from routewright.call import Call, Text
from routewright.decision.repair import is_json, repaired_json

SHORT_CHARS = 200
"""A longer text is not compared: two ways to say the same are too many."""
_EDGE_CHARS = 4_000
"""Of a longer prompt only this much from its end is read, where the question stands; of an answer, its last words."""


class Task(StrEnum):
    """What form an answer has."""

    CHOICE = "choice"
    NUMBER = "number"
    TEXT = "text"
    JSON = "json"


# ---- what is asked for --------------------------------------------------------------------------------------------

_OPTION = re.compile(r"^\s*(?:\(?([A-P])[.):]|\[([A-P])\])\s*\S", re.MULTILINE)
_ASKS_LETTER = re.compile(
    r"\b(?:answer|reply|respond) with (?:only )?(?:the|a|one) (?:single )?letter\b", re.IGNORECASE
)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much)\b|\b(?:answer|reply|respond) with (?:only )?(?:a|the|one) (?:single )?(?:number|integer)\b"
    r"|\bfind the (?:sum|number|value|area|length|smallest|largest|least|greatest|product|probability)\b"
    r"|\b(?:compute|calculate|evaluate)\b|\bwas ist die summe\b|\bwie viele?\b",
    re.IGNORECASE,
)
_ASKS_WORD = re.compile(
    r"\b(?:answer|reply|respond) (?:with|in) (?:only )?(?:a|one|the) (?:single |short )?(?:word|phrase|name|label|"
    r"category)\b|\b(?:true or false|yes or no)\b|== \?\?",
    re.IGNORECASE,
)


def task_of(call: Call) -> Task | None:
    """The form that the answer to a call will have, by what is asked; None where answers cannot be compared."""
    if call.tools or call.choices > 1:
        return None
    if call.output_format.kind != "text":
        return Task.JSON
    asked = next((message.text for message in reversed(call.messages) if message.role == "user"), "")
    if not asked or any(not isinstance(part, Text) for part in call.messages[-1].parts):
        return None
    return _task_of_words(asked[-_EDGE_CHARS:])


def _task_of_words(asked: str) -> Task | None:
    options = [a or b for a, b in _OPTION.findall(asked)]
    if options[:2] == ["A", "B"] or _ASKS_LETTER.search(asked):
        return Task.CHOICE
    if _ASKS_WORD.search(asked):
        return Task.TEXT
    return Task.NUMBER if _ASKS_NUMBER.search(asked) else None


# ---- one form -----------------------------------------------------------------------------------------------------

_STATED_LETTER = re.compile(
    r"(?i:answer|choice|option|antwort|réponse|respuesta)\b[^A-Za-z\n]{0,3}(?i:is|ist|est|es)?[^A-Za-z\n]{0,6}"
    r"(?i:option )?[(\[*]*([A-P])\b"
)
_LONE_LETTER = re.compile(r"[^\w]*([A-Pa-p])[^\w]*(?:\Z|\n)|[(\[*]*([A-P])[).\]:*]")
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}")
_NUMBER = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?(?:\s?/\s?\d+)?|-?\.\d+")
_STATED = re.compile(r"(?:final answer|answer|result|antwort|ergebnis)\b\s*(?:is|ist|:|=)*\s*(.+)", re.IGNORECASE)
_EDGES = " \t\n.,;:!?\"'`*$"
_LITERAL = ("[", "{", "(", "'", '"')


def canonical(text: str, task: Task) -> str | None:
    """The answer in its form; None if it cannot be read."""
    match task:
        case Task.CHOICE:
            return _choice(text.strip())
        case Task.NUMBER:
            return _number(text)
        case Task.TEXT:
            return _short_text(text)
        case Task.JSON:
            return _json(text)


def agree(one: str, other: str, task: Task) -> bool:
    """Whether two answers can both be read, and say the same."""
    form = canonical(one, task)
    return form is not None and form == canonical(other, task)


def _choice(text: str) -> str | None:
    stated = _STATED_LETTER.findall(text[-_EDGE_CHARS:])
    if stated:
        return str(stated[-1])
    lone = _LONE_LETTER.match(text)
    return (lone[1] or lone[2]).upper() if lone else None


def _number(text: str) -> str | None:
    """The last number, or the one in the box, as a fraction in lowest terms."""
    end = text[-_EDGE_CHARS:].replace("−", "-")
    boxed = _BOXED.findall(end)
    numbers = _NUMBER.findall(_FRACTION.sub(r"\1/\2", boxed[-1] if boxed else end))
    if not numbers:
        return None
    from fractions import Fraction  # only for who compares numbers

    try:
        return str(Fraction(re.sub(r"[,\s]", "", numbers[-1])))
    except (ValueError, ZeroDivisionError):
        return None


def _short_text(text: str) -> str | None:
    """Its words in small letters, without what stands around them; what it says is the answer, where it says so.

    What is written like a value of a program is compared to the letter: there `'A'` is not `a`, nor `['a']`.
    """
    stated = _STATED.findall(text[-_EDGE_CHARS:])
    words = " ".join(unicodedata.normalize("NFKC", stated[-1] if stated else text).split())
    form = words if words.startswith(_LITERAL) else words.casefold().strip(_EDGES)
    return form if 0 < len(form) <= SHORT_CHARS else None


def _json(text: str) -> str | None:
    """JSON with its members in order and its numbers in one form; texts in it must be the same to the letter."""
    meant = text if is_json(text) else repaired_json(text)
    if meant is None:
        return None
    try:
        return msgspec.json.encode(_plain(msgspec.json.decode(meant)), order="deterministic").decode()
    except RecursionError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
