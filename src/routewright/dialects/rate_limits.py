"""What a provider says about how much more it takes: one reading of all the headers in use.

OpenAI and those like it: `x-ratelimit-remaining-requests: 12`, `x-ratelimit-reset-requests: 6m0.5s`. Anthropic:
`anthropic-ratelimit-requests-remaining: 12`, `anthropic-ratelimit-requests-reset: 2026-11-27T10:00:00Z`. Tokens are
told in the same way; of these only that none are left says something about the number of calls.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from routewright.dialects.provider_errors import LONGEST_PAUSE_S
from routewright.reply import Allowance

_REQUESTS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-limit-requests"),
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-requests-limit",
    ),
)
_TOKENS = (
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
)
_TOLD = frozenset(names[0] for names in (*_REQUESTS, *_TOKENS))
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|us|µs|ns|h|m|s)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def allowance(headers: Mapping[str, str], now_s: float) -> Allowance | None:
    """The tightest of what the headers say; None if they say nothing that can be understood.

    Names are in lower case; `now_s` is UTC in seconds since 1970.
    """
    if _TOLD.isdisjoint(headers):
        return None
    told = [each for names in _REQUESTS if (each := _read(headers, *names, now_s=now_s)) is not None]
    for remaining, reset in _TOKENS:
        if headers.get(remaining) == "0":
            tokens = _read(headers, remaining, reset, "", now_s=now_s)
            if tokens is not None:
                told.append(tokens)
    return min(told, key=lambda each: (each.calls, -each.next_in_s), default=None)


def _read(headers: Mapping[str, str], remaining: str, reset: str, limit: str, *, now_s: float) -> Allowance | None:
    calls = _count(headers.get(remaining))
    if calls is None:
        return None
    resets_in_s = _resets_in_s(headers.get(reset, ""), now_s)
    if resets_in_s is None:
        return None
    resets_in_s = min(max(resets_in_s, 0.0), LONGEST_PAUSE_S)
    used = max(1, (_count(headers.get(limit)) or 0) - calls)
    return Allowance(calls, resets_in_s / used, resets_in_s)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _COUNT.fullmatch(text) else None


def _resets_in_s(text: str, now_s: float) -> float | None:
    """From a duration as Go prints it (`6m0.5s`), plain seconds, or a date (ISO 8601)."""
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date.timestamp() - now_s if date.tzinfo else None
