"""Instances are checked by a validator of our own, as small as what is honoured."""

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.simulator.schema import SchemaError, instance

Json = dict[str, Any]

KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def is_kind(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        return type(value) is int or (kind == "number" and isinstance(value, float))
    return isinstance(value, KINDS[kind])


def is_valid(value: Any, schema: Json, root: Json) -> bool:
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[step]
        return is_valid(value, target, root)
    if "anyOf" in schema:
        return any(is_valid(value, part, root) for part in schema["anyOf"])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_kind(value, kind) for kind in kinds):
        return False
    if "const" in schema or "enum" in schema:
        return bool(value == schema["const"] if "const" in schema else value in schema["enum"])
    if isinstance(value, dict):
        known = schema.get("properties", {})
        has_required = all(name in value for name in schema.get("required", []))
        return has_required and all(is_valid(value[name], known[name], root) for name in value if name in known)
    if isinstance(value, list):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        is_unique = all(item not in value[:index] for index, item in enumerate(value))
        fits = fits and (is_unique or not schema.get("uniqueItems"))
        return fits and all(is_valid(item, schema.get("items", {}), root) for item in value)
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        is_inside = is_inside and value > schema.get("exclusiveMinimum", value - 1)
        is_inside = is_inside and value < schema.get("exclusiveMaximum", value + 1)
        return bool(is_inside and value % schema.get("multipleOf", value or 1) == 0)
    return True


@st.composite
def numbers(draw: st.DrawFn) -> Json:
    kind = draw(st.sampled_from(["integer", "number"]))
    low = draw(st.integers(-1000, 1000))
    room = {"minimum": low, "maximum": low + draw(st.integers(7, 50))}
    chosen = draw(st.sets(st.sampled_from(list(room))))
    schema = {"type": kind, **{name: room[name] for name in sorted(chosen)}}
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.integers(1, 5))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> Json:
    shortest = draw(st.integers(0, 20))
    return {"type": "string", "minLength": shortest, "maxLength": shortest + draw(st.integers(0, 20))}


def objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    properties = st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    return properties.map(lambda known: {"type": "object", "properties": known, "required": sorted(known)[:2]})


def arrays(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)
    )


scalars = st.one_of(
    numbers(),
    strings(),
    st.just({"type": "boolean"}),
    st.just({"type": ["null", "boolean"]}),
    st.just({"enum": ["a", 2, None]}),
    st.just({"const": {"x": 1}}),
)
schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        objects(inner), arrays(inner), st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(schema=schemas, seed=st.integers(0, 1_000))
def test_an_instance_satisfies_its_schema(schema: Json, seed: int) -> None:
    assert is_valid(instance(schema, Random(seed)), schema, schema)


def test_the_same_draw_gives_the_same_instance() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 5}
    assert instance(schema, Random(1)) == instance(schema, Random(1)) != instance(schema, Random(2))


def test_recursion_through_optional_parts_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "required": ["name", "left", "children"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    tree = instance(schema, Random(0))
    assert is_valid(tree, schema, schema)
    assert tree["left"]["left"] is not None, "it should have recursed at least twice"


def test_all_of_adds_up_properties_and_requirements() -> None:
    made = instance(
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                {"properties": {"b": {"const": 2}}, "required": ["b"]},
            ]
        },
        Random(0),
    )
    assert made == {"a": 1, "b": 2}


def test_tuples_follow_their_prefix_items() -> None:
    schema = {"type": "array", "prefixItems": [{"const": "x"}, {"const": 1}], "items": False}
    assert instance(schema, Random(0)) == ["x", 1]


def test_unique_items_differ() -> None:
    made = instance({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3}, Random(3))
    assert sorted(made) == [1, 2, 3]


def test_exclusive_bounds_are_kept() -> None:
    assert instance({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, Random(0)) == 4
    assert 3 < instance({"exclusiveMinimum": 3, "exclusiveMaximum": 3.001}, Random(0)) < 3.001


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("date-time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("date", r"\d{4}-\d\d-\d\d"),
        ("email", r"\w+@example\.com"),
        ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_formats_are_honoured(name: str, pattern: str) -> None:
    assert re.fullmatch(pattern, instance({"type": "string", "format": name}, Random(0)))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"type": "integer", "multipleOf": 0.5},
        {"type": "number", "exclusiveMinimum": 1, "maximum": 1},
        {"type": "number", "minimum": 10**400},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12, "items": {}},
        {"type": "array", "items": {"enum": [1]}, "uniqueItems": True, "minItems": 2},
        {"type": "unheard-of"},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"enum": []},
        {"properties": [1]},
        {"$ref": "#"},
        {"$ref": "#/$defs/absent"},
        {"$ref": "https://example.com/schema.json"},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
    ],
)
def test_what_cannot_be_satisfied_is_refused(schema: Json) -> None:
    with pytest.raises(SchemaError):
        instance(schema, Random(0))
