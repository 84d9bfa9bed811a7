"""What is asked in the playground, and what comes of it: values, which need none of what draws the page."""

from msgspec import Struct

from routewright.catalog.registry import VIRTUAL_MODELS
from routewright.reply import Answer
from routewright.route import Route

USUAL_TOKENS = 512
MOST_TOKENS = 4_096
"""Of an answer."""


class Wish(Struct, frozen=True, kw_only=True):
    """What stands in the form."""

    prompt: str = ""
    system: str = ""
    left: str = VIRTUAL_MODELS[0]
    right: str = ""
    max_tokens: int = USUAL_TOKENS


class Side(Struct, frozen=True, kw_only=True):
    """One of the two, beside the other."""

    asked: str
    route: Route | None = None
    """Who would answer; None where that cannot be said, and `trouble` says why."""
    answer: Answer | None = None
    """None when nobody was asked, or there was none."""
    total_ms: int | None = None
    trouble: str = ""
