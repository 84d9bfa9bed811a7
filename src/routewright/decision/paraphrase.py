"""Other ways to say the same, made mechanically: does a decision hang on the words, or on what they ask for?

These are rewritings by rule, not by understanding: please and thank you, contractions, a small table of words that can
stand for one another almost anywhere, blanks, quotes, the marks of options, and whether the task comes before or after
its text. They keep what is asked, not its style, and say nothing about how a router takes a paraphrase by a person,
which may share no word with the original. A decision that does not survive these survives nothing.
"""

import re
from collections.abc import Callable

import numpy as np

_PREFIXES = ("Please help me with this: ", "Hi! ", "Hello, I have a question. ", "Could you help me? ", "Quick one: ")
_SUFFIXES = ("\n\nThanks!", "\n\nThank you.", " Thanks in advance.", "\n\nPlease be careful.", "\n\nMany thanks")

_CONTRACTIONS = (
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("cannot", "can't"),
    ("will not", "won't"),
    ("it is", "it's"),
    ("what is", "what's"),
    ("that is", "that's"),
    ("I am", "I'm"),
    ("you are", "you're"),
    ("let us", "let's"),
)
_SYNONYMS = (
    ("explain", "describe"),
    ("summarise", "sum up"),
    ("summarize", "sum up"),
    ("however", "but"),
    ("therefore", "so"),
    ("thus", "so"),
    ("whether", "if"),
    ("in order to", "to"),
    ("because", "since"),
    ("compute", "calculate"),
    ("determine", "find"),
    ("select", "choose"),
    ("show", "demonstrate"),
    ("create", "make"),
    ("large", "big"),
    ("begin", "start"),
    ("answer the following question", "answer this question"),
    ("which of the following", "which of these"),
)
"""Read from left to right only: "find" may stand for "determine", not always the other way round."""

_OPTION = re.compile(r"(?m)^([ \t]*)([A-J])\.(?=\s)")
_BRACKETED = re.compile(r"(?m)^([ \t]*)([A-J])\)(?=\s)")
_CODE = re.compile(r"```|^\s{4}\S|[{};]\s*$|^\s*(?:def|class|import|from) ", re.MULTILINE)

Rule = Callable[[str, np.random.Generator], str]


def paraphrase(prompt: str, rng: np.random.Generator) -> str:
    """Another way to say the prompt: about half of the rules that apply to it, drawn from `rng`, at least one.

    In a prompt with code the words stay as they are; only what stands around it changes.
    """
    rules = _AROUND if _CODE.search(prompt) else _RULES
    changed = prompt
    for rule in rules:
        if rng.random() < 0.5:
            changed = rule(changed, rng)
    return changed if changed != prompt else _polite(prompt, rng)


def _contracted(text: str, rng: np.random.Generator) -> str:
    for long, short in _CONTRACTIONS:
        text = _replaced(text, long, short)
    return text


def _synonyms(text: str, rng: np.random.Generator) -> str:
    for word, other in _SYNONYMS:
        if rng.random() < 0.7:
            text = _replaced(text, word, other)
    return text


def _replaced(text: str, word: str, other: str) -> str:
    """Whole words only, keeping the case of the first letter; what is all capitals (SQL, a name) stays."""

    def put(match: re.Match[str]) -> str:
        if match[0].isupper():
            return match[0]
        return other[0].upper() + other[1:] if match[0][0].isupper() else other

    return re.sub(rf"\b{re.escape(word)}\b", put, text, flags=re.IGNORECASE)


def _option_marks(text: str, rng: np.random.Generator) -> str:
    if len(_OPTION.findall(text)) > 1:
        return _OPTION.sub(r"\1\2)", text)
    if len(_BRACKETED.findall(text)) > 1:
        return _BRACKETED.sub(r"\1\2.", text)
    return text


def _quotes(text: str, rng: np.random.Generator) -> str:
    if text.count('"') % 2:
        return text  # one of them is not a quotation mark
    sides = iter("“”" * text.count('"'))
    return re.sub('"', lambda _: next(sides), text)


def _order(text: str, rng: np.random.Generator) -> str:
    """A leading instruction, in a paragraph of its own that ends in a colon or a full stop, goes to the end."""
    lead, gap, rest = text.partition("\n\n")
    if not gap or len(lead) > 200 or "\n" in lead or lead.rstrip()[-1:] not in (":", ".") or "?" in lead:
        return text
    return f"{rest.strip()}\n\n{lead.rstrip().rstrip(':.')}."


def _blanks(text: str, rng: np.random.Generator) -> str:
    return f"{text.strip()}\n" if rng.random() < 0.5 else text.replace(". ", ".  ")


def _first_letter(text: str, rng: np.random.Generator) -> str:
    if len(text) < 2 or not text[1].islower():
        return text  # an abbreviation, or a letter by itself
    return text[0].swapcase() + text[1:]


def _polite(text: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return _PREFIXES[int(rng.integers(len(_PREFIXES)))] + text
    return text.rstrip() + _SUFFIXES[int(rng.integers(len(_SUFFIXES)))]


_RULES: tuple[Rule, ...] = (_contracted, _synonyms, _option_marks, _quotes, _order, _blanks, _first_letter, _polite)
_AROUND: tuple[Rule, ...] = (_polite,)
