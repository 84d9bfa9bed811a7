"""Schemas of callers: what is taken, what is refused, and that none of them takes for ever."""

import time
from typing import Any

import msgspec
import pytest

from routewright.decision.schemas import MOST_BYTES, SchemaRefused, read_schema


def read(schema: Any, *, is_trusted: bool = False) -> Any:
    return read_schema(msgspec.json.encode(schema).decode(), "place", is_trusted=is_trusted)


def doubling(levels: int) -> dict[str, Any]:
    """A kilobyte that asks for two to the power of `levels` steps."""
    parts: dict[str, Any] = {"a0": {"type": "integer"}}
    for level in range(1, levels + 1):
        parts[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": parts, "$ref": f"#/$defs/a{levels}"}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ([], "a JSON Schema is an object"),
        ({"type": "nope"}, "at /type"),
        ({"pattern": "("}, "at /pattern"),
        ({"pattern": "(?=a)"}, "at /pattern"),
        ({"$ref": "#/$defs/none"}, "nothing at"),
        ({"$ref": "https://example.com/schema.json"}, "does not stay within it"),
        ({"$ref": "file:///etc/passwd"}, "does not stay within it"),
        ({"properties": {"a": {"$id": "http://x/y", "$ref": "z"}}}, r"\$id is not understood"),
        ({"$dynamicRef": "#x"}, "is not understood"),
        ({"description": "x" * MOST_BYTES}, "over 131,072 bytes"),
        (doubling(30), "unfolds to more than"),
    ],
)
def test_x02_what_cannot_be_taken_is_refused_with_its_place(schema: Any, told: str) -> None:
    with pytest.raises(SchemaRefused, match=told) as refused:
        read(schema)
    assert str(refused.value).startswith("place: ")


def test_x02_an_operators_reference_is_not_fetched_either() -> None:
    with pytest.raises(SchemaRefused, match="nothing is fetched"):
        read({"$ref": "http://127.0.0.1:9/x"}, is_trusted=True)


def test_x13_a_schema_that_comes_back_to_itself_twice_is_used_only_as_deep_as_it_can_be() -> None:
    fits = read({"type": "object", "properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}})
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    began = time.process_time()
    assert "nested deeper" in fits(deep)
    assert time.process_time() - began < 0.5
    assert fits({"a": {"a": {}}}) == ""


def test_x13_patterns_run_in_linear_time() -> None:
    fits = read({"pattern": "^(a+)+$"})
    began = time.process_time()
    assert fits("a" * 50_000 + "!")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "schema", [{"allOf": [{"$ref": "#"}]}, {"$ref": "#"}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}]
)
def test_a_schema_that_is_only_itself_ends(schema: Any) -> None:
    assert read(schema)({"a": 1}) == ""


def test_trees_are_checked_as_deep_as_anybody_writes_them() -> None:
    node = {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}
    fits = read({"$defs": {"node": node}, "$ref": "#/$defs/node"})
    deep: Any = 1
    for _ in range(10):
        deep = {"left": deep, "right": {}}
    assert fits(deep) == f'at {"/left" * 10}: the value is not of type "object"'
