"""The checks that every client dialect makes of its fields; each error names the field as OpenAI's errors do.

A field that is absent or null is None: SDKs send null for what was not set.
"""

from collections.abc import Callable
from typing import Any

from routewright.call import JsonObject, Tool
from routewright.errors import InvalidRequest

_SHOWN_CHARS = 40


def boolean(fields: JsonObject, name: str, at: str = "") -> bool | None:
    """A `true` or `false`."""
    value = fields.get(name)
    if value is None or type(value) is bool:
        return value
    raise wrong(at + name, "true or false", value)


def whole_number(fields: JsonObject, name: str, low: int, high: int, at: str = "") -> int | None:
    """An integer between `low` and `high`."""
    value = fields.get(name)
    if value is None or (type(value) is int and low <= value <= high):
        return value
    raise wrong(at + name, f"a whole number from {low} to {high}", value)


def number(fields: JsonObject, name: str, low: float, high: float, at: str = "") -> float | None:
    """A number between `low` and `high`."""
    value = fields.get(name)
    if value is None or (type(value) in (int, float) and low <= value <= high):
        return value
    raise wrong(at + name, f"a number from {low:g} to {high:g}", value)


def text(fields: JsonObject, name: str, at: str = "") -> str | None:
    """A string."""
    value = fields.get(name)
    if value is None or type(value) is str:
        return value
    raise wrong(at + name, "a string", value)


def required_text(fields: JsonObject, name: str, at: str = "") -> str:
    """A string that must be there and not be empty."""
    value = fields.get(name)
    if type(value) is str and value:
        return value
    raise wrong(at + name, "a string that is not empty", value)


def mapping(fields: JsonObject, name: str, at: str = "") -> JsonObject | None:
    """An object."""
    value = fields.get(name)
    if value is None or type(value) is dict:
        return value
    raise wrong(at + name, "an object", value)


def array(fields: JsonObject, name: str, at: str = "") -> list[Any] | None:
    """An array."""
    value = fields.get(name)
    if value is None or type(value) is list:
        return value
    raise wrong(at + name, "an array", value)


def wrong(param: str, expected: str, value: object) -> InvalidRequest:
    """The error for a field that is not what it should be."""
    if value is None:
        return InvalidRequest(f"{param} is required: it must be {expected}", param=param)
    return InvalidRequest(f"{param} must be {expected}, not {_shown(value)}", param=param)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return f'"{value}"' if len(value) <= _SHOWN_CHARS else f'"{value[:_SHOWN_CHARS]}…"'
        case dict():
            return "an object"
        case _:
            return "an array"


def functions_in(tools: list[Any], read: Callable[[JsonObject, str], Tool]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """OpenAI's functions, each by `read`; and `("tools",)` if there are tools of a kind that only its dialect knows."""
    functions = []
    for index, tool in enumerate(tools):
        at = f"tools[{index}]"
        if type(tool) is not dict:
            raise wrong(at, "an object", tool)
        if required_text(tool, "type", at + ".") == "function":
            functions.append(read(tool, at + "."))
    return tuple(functions), () if len(functions) == len(tools) else ("tools",)
