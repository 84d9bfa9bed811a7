"""Request bodies into objects, strictly: what two parsers could read in two ways is refused.

msgspec refuses bad UTF-8, BOMs, UTF-16, NaN, lone surrogates and trailing commas; a repeated key takes its last value,
and since only our own serialisation is ever sent on, no provider can see another one. Added here: a bound on depth and
size, and on whole numbers that could be read but not be written again.
"""

from typing import Any

import msgspec

from routewright.call import JsonObject
from routewright.errors import InvalidJson

DEPTH_LIMIT = 64
VALUE_LIMIT = 500_000
"""Members and elements in all; it bounds the time of the check (some 30 ns each)."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON they should be; its own C stack is safe from any depth."""

_HINT = "send one JSON object, encoded in UTF-8"


def read_object(body: bytes) -> JsonObject:
    """The object that a body is. Raises InvalidJson."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise InvalidJson("the body is not valid UTF-8", hint=_HINT) from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.MsgspecError as error:
        raise InvalidJson(f"the body cannot be read: {error}", hint=_HINT) from None
    if type(value) is not dict:
        raise InvalidJson("the body is JSON, but not an object", hint=_HINT)
    _check_bounds(value)
    return value


def _check_bounds(value: JsonObject) -> None:
    """Level by level, so that neither depth nor breadth costs more than the limits say."""
    level: list[Any] = [value]
    seen = 0
    for _ in range(DEPTH_LIMIT):
        below = []
        for container in level:
            seen += len(container)
            if seen > VALUE_LIMIT:
                raise InvalidJson(f"the body holds more than {VALUE_LIMIT:,} values", hint="send fewer")
            for member in container.values() if type(container) is dict else container:
                kind = type(member)
                if kind is dict or kind is list:
                    below.append(member)
                elif kind is int and not -(1 << 63) <= member < 1 << 64:
                    raise InvalidJson("the body holds a whole number of more than 64 bits", hint="send it as a string")
        if not below:
            return
        level = below
    raise _too_deep()


def _too_deep() -> InvalidJson:
    return InvalidJson(f"the body is nested deeper than {DEPTH_LIMIT} levels", hint="send a flatter object")
