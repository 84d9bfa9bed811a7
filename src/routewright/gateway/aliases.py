"""Headers and model names of LiteLLM, Helicone and RouteLLM that mean something here: clients of these need no change.

Only wishes have aliases. None names a destination, a provider's key or who somebody is: `Helicone-Target-URL`,
`Helicone-Auth` and the like mean nothing here. What is said in our own words goes before them.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from routewright.call import Call, JsonObject
from routewright.catalog.registry import Registry
from routewright.errors import InvalidRequest
from routewright.gateway.http import header_text

SESSIONS = (b"helicone-session-id", b"x-litellm-session-id")
"""Headers that name a conversation."""

PREFIXES = (b"helicone-", b"x-litellm-")
"""What all of them begin with, but for a conversation's."""
_PROPERTY = "helicone-property-"
_YES = ("true", "1")
_NO = ("false", "0")
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_ROUTELLM = re.compile(r"router-[a-z_]{1,20}-(0|1|[01]?\.\d{1,20})", re.ASCII)


def read_aliases(headers: Mapping[bytes, bytes]) -> JsonObject:
    """Options by the names that bodies have for them. Raises InvalidRequest for a value that cannot be read."""
    fields: JsonObject = {}
    for raw, value in headers.items():
        if raw.startswith(PREFIXES):
            name, text = raw.decode("latin-1"), header_text(value).strip()
            if name.startswith(_PROPERTY):
                _tag(fields, f"{name.removeprefix(_PROPERTY)}:{text}")
            elif name in _MEANINGS:
                _MEANINGS[name](fields, text, name)
    return fields


def _tag(fields: JsonObject, *tags: str) -> None:
    fields["tags"] = [*fields.get("tags", ()), *tags]


def _read_user(fields: JsonObject, text: str, name: str) -> None:
    fields.setdefault("user", text)


def _read_tags(fields: JsonObject, text: str, name: str) -> None:
    _tag(fields, *(tag.strip() for tag in text.split(",") if tag.strip()))


def _read_metadata(fields: JsonObject, text: str, name: str) -> None:
    """A JSON object, as tags: `{"project": "a"}` is `project:a`, like a property of Helicone's."""
    try:
        found = msgspec.json.decode(text, type=dict[str, str | int | float | bool | None])
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{name} must be a JSON object of plain values", param=name) from None
    _tag(fields, *(f"{key}:{value}" for key, value in found.items()))


def _read_timeout(fields: JsonObject, text: str, name: str) -> None:
    if not _SECONDS.fullmatch(text) or not Decimal(text):
        raise InvalidRequest(f"{name} must be a number of seconds such as 30", param=name)
    fields["deadline_ms"] = max(1, int(Decimal(text) * 1000))


def _read_secrecy(fields: JsonObject, text: str, name: str) -> None:
    if text.lower() in _YES:
        fields["no_log"] = True
    elif text.lower() not in _NO:
        raise InvalidRequest(f"{name} must be true or false", param=name)


def _read_cache(fields: JsonObject, text: str, name: str) -> None:
    if text.lower() not in (*_YES, *_NO):
        raise InvalidRequest(f"{name} must be true or false", param=name)
    fields["cache"] = "on" if text.lower() in _YES else "off"


_MEANINGS: Mapping[str, Callable[[JsonObject, str, str], None]] = {
    "helicone-user-id": _read_user,
    "helicone-omit-request": _read_secrecy,
    "helicone-omit-response": _read_secrecy,
    "helicone-cache-enabled": _read_cache,
    "x-litellm-customer-id": _read_user,
    "x-litellm-end-user-id": _read_user,
    "x-litellm-tags": _read_tags,
    "x-litellm-spend-logs-metadata": _read_metadata,
    "x-litellm-timeout": _read_timeout,
    "x-litellm-enable-message-redaction": _read_secrecy,
}


def with_own_model(call: Call, registry: Registry) -> Call:
    """A call for a model of RouteLLM's, `router-mf-0.116`, as one for `auto` with the quality that its threshold means.

    There, the weak model answers where the strong one is expected to win with a probability below the threshold. So
    the weak one's answer is good with a probability of at least 1 - threshold, which is what `min_quality` asks for.
    """
    match = _ROUTELLM.fullmatch(call.model) if call.model.startswith("router-") else None
    if match is None or registry.find(call.model) is not None or not 0 <= Decimal(match[1]) <= 1:
        return call
    options = call.options
    if options.min_quality is None and options.tier is None:
        options = replace(options, min_quality=float(1 - Decimal(match[1])))
    return replace(call, model="auto", options=options)
