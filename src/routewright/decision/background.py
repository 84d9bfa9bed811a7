"""What an agent's program asks beside the work: a title for the session, a recap, which files a command touches.

Such requests are many, small, and easy, but their words are about whatever the session is about, so a classifier takes
them for that. They are known by their shape: no tools, nothing said by an assistant, little to read, and a system
prompt that says what is wanted of the session.
"""

import re

from routewright.call import Call

MOST_CHARS = 16_000
"""Who sends more than this wants it read."""
OPENING_CHARS = 2_000
"""Of a system prompt."""

_WANTED = (
    (
        "a title",
        ("title", "name"),
        re.compile(r"\b(?:title|name)\b.{0,120}\b(?:session|conversation)\b", re.DOTALL | re.IGNORECASE),
    ),
    (
        "a recap",
        ("summar", "recap", "label"),
        re.compile(
            r"\b(?:summar(?:y|ize|ise)|recap|label)\b.{0,80}\b(?:session|conversation|tool calls?)\b",
            re.DOTALL | re.IGNORECASE,
        ),
    ),
    ("file paths", ("extract",), re.compile(r"\bextract\b.{0,20}\bfile ?paths\b", re.IGNORECASE)),
    (
        "a command's prefix",
        ("prefix",),
        re.compile(r"\bcommand(?:'s)? prefix\b|\bprefix of the command\b", re.IGNORECASE),
    ),
    ("whether the topic is new", ("topic",), re.compile(r"\bnew (?:conversation )?topic\b", re.IGNORECASE)),
)
"""What is wanted; words of which one must be there, which are found in a tenth of the time; and the pattern."""
_BY_WORD = {word: (what, pattern) for what, words, pattern in _WANTED for word in words}


def background_work(call: Call) -> str:
    """What is wanted beside the work, e.g. `a title`; empty for a request that is not of this kind."""
    if call.tools or len(call.messages) > 4:
        return ""
    chars, system = 0, []
    for message in call.messages:
        role = message.role
        if role == "assistant" or role == "tool":
            return ""
        text = message.text
        chars += len(text)
        if role == "system":
            system.append(text)
    if chars > MOST_CHARS:
        return ""
    if call.max_output_tokens == 1:
        return "a single token"
    if not system:
        return ""
    opening = " ".join(system)[:OPENING_CHARS]
    for word in filter(opening.casefold().__contains__, _BY_WORD):
        what, pattern = _BY_WORD[word]
        if pattern.search(opening):
            return what
    return ""


def is_for_small_model(name: str) -> bool:
    """Whether a model's name stands for Anthropic's small ones, which its clients ask for by themselves."""
    return name.startswith("claude-") and "haiku" in name
