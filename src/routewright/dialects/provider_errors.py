"""What a provider's refusal means to us: one table for all dialects, read by retry, breaker and budget alike."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import (
    CredentialRefused,
    InvalidResponse,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
)

LONGEST_PAUSE_S = 120.0
"""No provider may put a deployment to sleep for longer."""

_SHOWN_CHARS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SECRET = re.compile(
    r"\bbearer\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|nvapi|hf|r8)[-_][\w*.…-]{4,}"  # the key prefixes of providers, partly starred out or not
    r"|\bAIza[\w*-]{10,}"
    r"|\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{32,}",  # anything else that is as long and mixed as a key
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")

# The account is used up: no pause mends it, and it is the operator's to mend, as a refused key is.
_EXHAUSTED = re.compile(r"insufficient_(?:quota|balance)|billing|spend_limit|credit_balance", re.IGNORECASE)

_TRANSIENT = frozenset({408, 409, 425})
_UNSUPPORTED = frozenset({501, 505})


class Said(Struct, frozen=True):
    """The provider's own words for an error: `code` and `kind` are for machines, `message` is for people."""

    message: str = ""
    kind: str = ""
    code: str = ""


def said_in(body: bytes) -> Said:
    """What an error body says, in any of the shapes in use: `{"error": {…}}`, `{"error": "…"}`, `{"message": "…"}`."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return Said()
    if not isinstance(answer, dict):
        return Said()
    error = answer.get("error") or answer
    if not isinstance(error, dict):
        return Said(message=_words(error))
    details = error.get("details")
    code = error.get("code") or (details.get("error_code") if isinstance(details, dict) else None)
    return Said(message=_words(error.get("message")), kind=_words(error.get("type")), code=_words(code))


def _words(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def provider_error(status: int, headers: Mapping[str, str], said: Said, *, now_s: float) -> ProviderError:
    """Our error for an answer with this status; `now_s` is UTC in seconds since 1970.

    A 429 that speaks of quota, billing or a spend limit is a CredentialRefused, as a 402 is: no pause fills an account.
    """
    told = sanitised(said.message)
    if status < 400:
        return InvalidResponse(
            f"the provider answered {status}; redirects are not followed",
            provider_status=status,
            hint="set base_url to where it points, if you trust that place",
        )
    if status in (401, 402, 403) or (status == 429 and _EXHAUSTED.search(f"{said.kind} {said.code}")):
        return _credential_refused(status)
    message = f"the provider answered {status}" + (f": {told}" if told else "")
    pause_s = retry_after_s(headers, now_s)
    if status == 429:
        return ProviderOverloaded(message, provider_status=status, retry_after_s=pause_s)
    if status in _UNSUPPORTED:
        return ProviderError(message, provider_status=status)
    if status >= 500 or status in _TRANSIENT:
        return ProviderFailed(message, provider_status=status, retry_after_s=pause_s)
    return ProviderRejected(message, provider_status=status)


def _credential_refused(status: int) -> CredentialRefused:
    """Without the provider's text: it often repeats part of the key."""
    if status in (401, 403):
        return CredentialRefused(
            f"the provider refused our key ({status})",
            provider_status=status,
            hint="check the key in the settings and what it is allowed to use",
        )
    return CredentialRefused(
        f"our account at the provider is used up ({status})",
        provider_status=status,
        hint="add credit or raise the limit at the provider",
    )


def sanitised(text: str) -> str:
    """A provider's text, fit to be shown: one line, no keys, at most 500 characters, cut between words if it has any:
    half a key would not be known as one."""
    line = _SECRET.sub("***", _CONTROL.sub(" ", text[: 4 * _SHOWN_CHARS]).strip())
    if len(line) <= _SHOWN_CHARS:
        return line
    shown = line[:_SHOWN_CHARS]
    return shown.rpartition(" ")[0] or shown


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """The pause a provider asks for, in seconds, 0 to 120; None if it asks for none that can be understood.

    `retry-after-ms` goes before `retry-after`: seconds, or an HTTP date (RFC 9110, 10.2.3) after `now_s`, which is UTC.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = lowered.get("retry-after-ms", "")
    if _DECIMAL.fullmatch(milliseconds):
        return min(float(milliseconds) / 1000, LONGEST_PAUSE_S)
    value = lowered.get("retry-after", "")
    if _DECIMAL.fullmatch(value):
        return min(float(value), LONGEST_PAUSE_S)
    until = _http_date(value)
    if until is None:
        return None
    return min(max((until - datetime.fromtimestamp(now_s, UTC)).total_seconds(), 0.0), LONGEST_PAUSE_S)


def _http_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # most of `email`, and hardly a provider writes dates

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
