"""An instance of a JSON Schema: what a model held to a schema would answer, without the sense.

Honoured: `type`, `const`, `enum`, `properties`, `required`, `items`, `prefixItems`, lengths and bounds, `multipleOf`,
`uniqueItems`, common formats, `allOf`, the first of `anyOf` and `oneOf`, and `$ref` inside the schema (nothing is ever
fetched). Not honoured: `pattern`, `not`, `if`, and what counts or names unlisted properties.
"""

import math
from collections.abc import Callable
from random import Random
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, field

from routewright.call import JsonObject

EASY_DEPTH = 8
EASY_VALUES = 200
"""Below this depth, or after so many values, what is optional is left out and the plainest alternative is taken: so
recursion ends."""
MAX_DEPTH = 64
MAX_VALUES = 10_000
UNIQUE_TRIES = 20

# Beyond these a schema means mischief, or floats lose count; it is refused.
_Length: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_VALUES)]
_Bound: TypeAlias = Annotated[int, Meta(ge=-(10**15), le=10**15)] | Annotated[float, Meta(ge=-1e15, le=1e15)]
_Step: TypeAlias = Annotated[int, Meta(ge=1, le=10**15)] | Annotated[float, Meta(ge=1e-6, le=1e15)]

_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/simulated",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_ORDER_OF_EASE = ("null", "boolean", "integer", "number", "string", "array", "object")


class SchemaError(ValueError):
    """No instance can be made; the message says why."""


class _Node(Struct, frozen=True, rename="camel"):
    """One schema, its parts still unread."""

    ref: str | None = field(name="$ref", default=None)
    type: str | list[str] | None = None
    const: Any = UNSET
    enum: list[Any] | None = None
    all_of: list[JsonObject] = []
    any_of: list[JsonObject] = []
    one_of: list[JsonObject] = []
    properties: dict[str, JsonObject | bool] = {}
    required: list[str] = []
    items: JsonObject | bool = {}
    prefix_items: list[JsonObject | bool] = []
    min_items: _Length = 0
    max_items: int | None = None
    unique_items: bool = False
    minimum: _Bound | None = None
    maximum: _Bound | None = None
    exclusive_minimum: _Bound | None = None
    exclusive_maximum: _Bound | None = None
    multiple_of: _Step | None = None
    min_length: _Length = 0
    max_length: int | None = None
    format: str | None = None

    @property
    def kinds(self) -> list[str]:
        """The types allowed; where none is named, the one that the other keywords speak of."""
        if self.type is not None:
            return [self.type] if isinstance(self.type, str) else self.type
        if self.properties or self.required:
            return ["object"]
        if self.prefix_items or self.items or self.min_items:
            return ["array"]
        bounds = (self.minimum, self.maximum, self.exclusive_minimum, self.exclusive_maximum, self.multiple_of)
        return ["string"] if all(bound is None for bound in bounds) else ["number"]


def instance(schema: JsonObject, chance: Random) -> Any:
    """A value that satisfies `schema`, drawn from `chance`. Raises SchemaError."""
    return _Instance(schema, chance).value(schema, 0)


class _Instance:
    """One instance in the making."""

    def __init__(self, root: JsonObject, chance: Random) -> None:
        self._root = root
        self._chance = chance
        self._values = 0
        self._writers: dict[str, Callable[[_Node, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _node, _depth: chance.random() < 0.5,
            "null": lambda _node, _depth: None,
        }

    def value(self, schema: JsonObject | bool, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise SchemaError("the schema asks for a value that is too deep or too large")
        if isinstance(schema, bool):
            return self._anything(schema)
        node = _read(schema)
        simpler = self._resolved(schema, node, depth)
        if simpler is not None:
            return self.value(simpler, depth + 1)
        if node.const is not UNSET:
            return node.const
        if node.enum is not None:
            return self._one_of(node.enum)
        kind = self._kind(node, depth)
        if kind not in self._writers:
            raise SchemaError(f"{kind!r} is not a JSON Schema type")
        return self._writers[kind](node, depth)

    def _is_easy(self, depth: int) -> bool:
        return depth >= EASY_DEPTH or self._values >= EASY_VALUES

    def _anything(self, allowed: bool) -> str:
        if not allowed:
            raise SchemaError("a required value has the schema false, which nothing satisfies")
        return "simulated"

    def _one_of(self, values: list[Any]) -> Any:
        if not values:
            raise SchemaError("an enum has no values")
        return self._chance.choice(values)

    def _kind(self, node: _Node, depth: int) -> str:
        kinds = [kind for kind in node.kinds if kind != "null" or self._is_easy(depth)] or ["null"]
        return min(kinds, key=_ease) if self._is_easy(depth) else kinds[0]

    def _resolved(self, schema: JsonObject, node: _Node, depth: int) -> JsonObject | None:
        """The schema with its outermost reference or choice replaced by what it stands for; None when it has none."""
        if node.ref is not None:
            return _merged(_without(schema, "$ref"), self._target(node.ref))
        if node.all_of:
            merged = _without(schema, "allOf")
            for part in node.all_of:
                merged = _merged(merged, part)
            return merged
        for keyword, alternatives in (("anyOf", node.any_of), ("oneOf", node.one_of)):
            if alternatives:
                chosen = min(alternatives, key=self._alternative_ease) if self._is_easy(depth) else alternatives[0]
                return _merged(_without(schema, keyword), chosen)
        return None

    def _alternative_ease(self, schema: JsonObject) -> int:
        node = _read(schema)
        if node.ref is not None:
            return len(_ORDER_OF_EASE)
        return -1 if node.const is not UNSET else min(map(_ease, node.kinds), default=0)

    def _target(self, ref: str) -> JsonObject:
        if ref != "#" and not ref.startswith("#/"):
            raise SchemaError(f"$ref {ref!r} leads out of the schema, and nothing is fetched")
        target: Any = self._root
        for step in ref[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SchemaError(f"$ref {ref!r} leads to no schema")
        return target

    def _object(self, node: _Node, depth: int) -> JsonObject:
        names = {} if self._is_easy(depth) else dict.fromkeys(n for n, s in node.properties.items() if s is not False)
        names |= dict.fromkeys(node.required)
        return {name: self.value(node.properties.get(name, True), depth + 1) for name in names}

    def _array(self, node: _Node, depth: int) -> list[Any]:
        usual = 0 if self._is_easy(depth) else self._chance.randint(1, 2)
        most = math.inf if node.max_items is None else node.max_items
        if node.items is False:
            most = min(most, len(node.prefix_items))
        wanted = max(node.min_items, min(max(usual, len(node.prefix_items)), most))
        values: list[Any] = []
        for index in range(int(wanted)):
            is_prefix = index < len(node.prefix_items)
            values.append(self._item(node.prefix_items[index] if is_prefix else node.items, node, values, depth))
            if node.unique_items and values[-1] in values[:-1]:
                values.pop()
        if len(values) < node.min_items:
            raise SchemaError(f"no {node.min_items} different items could be made")
        return values

    def _item(self, schema: JsonObject | bool, node: _Node, others: list[Any], depth: int) -> Any:
        value = self.value(schema, depth + 1)
        for _ in range(UNIQUE_TRIES if node.unique_items else 0):
            if value not in others:
                break
            value = self.value(schema, depth + 1)
        return value

    def _string(self, node: _Node, _depth: int) -> str:
        if node.format == "uuid":
            return str(UUID(int=self._chance.getrandbits(128), version=4))
        if node.format in _FORMATS:
            return _FORMATS[node.format]
        number = self._chance.randrange(10_000)
        text = f"simulated {number}"
        if node.max_length is not None and node.max_length < len(text):
            text = f"{number:04}"[: node.max_length]
        return text.ljust(node.min_length, "x")

    def _integer(self, node: _Node, _depth: int) -> int:
        step = node.multiple_of or 1
        if step % 1:
            raise SchemaError(f"an integer that is a multiple of {step}: give it a whole multipleOf")
        return int(self._multiple(node, step))

    def _number(self, node: _Node, _depth: int) -> int | float:
        if node.multiple_of is not None:
            return self._multiple(node, node.multiple_of)
        low, high = _bounds(node)
        middle = (low + high) / 2
        drawn = round(self._chance.uniform(low, high), 2)
        return drawn if low < drawn < high else middle

    def _multiple(self, node: _Node, step: int | float) -> int | float:
        low, high = _bounds(node)
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step == node.exclusive_minimum
        last -= last * step == node.exclusive_maximum
        if first > last:
            raise SchemaError(f"no multiple of {step} lies between {low} and {high}")
        return self._chance.randint(first, last) * step


def _read(schema: JsonObject) -> _Node:
    try:
        return msgspec.convert(schema, _Node)
    except msgspec.ValidationError as error:
        raise SchemaError(f"not a JSON Schema: {error}") from None


def _ease(kind: str) -> int:
    return _ORDER_OF_EASE.index(kind) if kind in _ORDER_OF_EASE else 0


def _without(schema: JsonObject, keyword: str) -> JsonObject:
    return {name: value for name, value in schema.items() if name != keyword}


def _merged(first: JsonObject, second: JsonObject) -> JsonObject:
    """Both schemas in one; where they speak of the same keyword, `second` holds, but properties add up."""
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**_read(first).properties, **_read(second).properties}
    if "required" in first and "required" in second:
        merged["required"] = [*_read(first).required, *_read(second).required]
    return merged


def _bounds(node: _Node) -> tuple[float, float]:
    """The range to draw from, a hundred wide where it is open; raises SchemaError when it is empty."""
    lows = [bound for bound in (node.minimum, node.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (node.maximum, node.exclusive_maximum) if bound is not None]
    width = 100 * math.ceil(node.multiple_of or 1)
    low = max(lows) if lows else min(highs) - width if highs else 0
    high = min(highs) if highs else low + width
    if low > high or (low == high and high in (node.exclusive_minimum, node.exclusive_maximum)):
        raise SchemaError(f"nothing lies between {low} and {high}")
    return low, high
