"""JSON Schemas for Gemini, which keeps to a part of the keywords and reads the others as mere description."""

from collections.abc import Iterator
from typing import Any

from routewright.call import JsonObject

_KEPT_TO = frozenset(
    {
        "$anchor", "$defs", "$id", "$ref", "additionalProperties", "anyOf", "enum", "format", "items", "maxItems",
        "maximum", "minItems", "minimum", "oneOf", "prefixItems", "properties", "propertyOrdering", "required", "type",
    }
)  # fmt: skip
_SAYS_NOTHING = frozenset(
    {"$comment", "$schema", "default", "deprecated", "description", "example", "examples", "readOnly", "title"}
)
_CONST = "const"
"""Not known, but the same as an `enum` of one value."""
_NAMED = frozenset({"$defs", "properties"})
"""Keywords whose members have names of the author's, and schemas."""
_LISTS = frozenset({"anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset({"additionalProperties", "items"})


def unenforced(schema: JsonObject) -> str | None:
    """The first keyword of a schema that asks for something the model is not held to; None when there is none."""
    for each in _schemas(schema):
        for keyword in each:
            if keyword not in _KEPT_TO and keyword not in _SAYS_NOTHING and keyword != _CONST:
                return keyword
    return None


def _schemas(schema: Any) -> Iterator[JsonObject]:
    """A schema and all in it; their depth is bounded where requests are read."""
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword, value in schema.items():
        for inner in _within(keyword, value):
            yield from _schemas(inner)


def _within(keyword: str, value: Any) -> list[Any]:
    if keyword in _NAMED and isinstance(value, dict):
        return list(value.values())
    if keyword in _LISTS and isinstance(value, list):
        return value
    return [value] if keyword in _SINGLE else []


def written_schema(schema: Any) -> Any:
    """The schema with each `const` said as an `enum`."""
    if not isinstance(schema, dict):
        return schema
    written: JsonObject = {}
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            written[keyword] = {name: written_schema(inner) for name, inner in value.items()}
        elif keyword in _LISTS and isinstance(value, list):
            written[keyword] = [written_schema(inner) for inner in value]
        elif keyword == _CONST:
            written["enum"] = [value]
        else:
            written[keyword] = written_schema(value) if keyword in _SINGLE else value
    return written
