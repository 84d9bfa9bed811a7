"""What the generations of Gemini know and refuse, by their names. A name that says no generation is a new one's."""

import re

from routewright.call import JsonObject

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_MINIMAL = re.compile(r"gemini-3(?:\.[0-5])?-flash")
"""Models that can be told to think next to nothing; later ones refuse the word."""
_WITHOUT_MEDIUM = re.compile(r"gemini-3-pro")
_NEWEST = (99, 0)

_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
"""In tokens, as Google's own translation of OpenAI's efforts has them."""
_LEAST_OF_PRO = 128
"""The larger model of that generation cannot be kept from thinking."""

EFFORTS = frozenset(_LEVELS)
_HARDLY = frozenset({"none", "minimal"})


def _generation(model: str) -> tuple[int, int]:
    match = _VERSION.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else _NEWEST


def is_since_3(model: str) -> bool:
    """A call that comes back without its signature is refused, and what a tool shows stands within its result."""
    return _generation(model) >= (3, 0)


def thinking_config(model: str, effort: str) -> JsonObject | None:
    """How much to think: a level since 3, a budget in 2.5, and nothing that could be said before."""
    if _generation(model) < (2, 5):
        return None
    shows = {} if effort in _HARDLY else {"includeThoughts": True}
    if not is_since_3(model):
        return {"thinkingBudget": max(_BUDGETS[effort], _LEAST_OF_PRO if "-pro" in model else 0), **shows}
    level = _LEVELS[effort]
    if level == "minimal" and not (_MINIMAL.search(model) or "flash-lite" in model):
        level = "low"
    elif level == "medium" and _WITHOUT_MEDIUM.search(model):
        level = "high"
    return {"thinkingLevel": level, **shows}
