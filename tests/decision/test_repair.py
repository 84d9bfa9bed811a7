"""JSON as models write it, and as they meant it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision import repair
from routewright.decision.repair import repaired_json


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("```\n[1]\n```", "[1]"),
        ('```{"a": 1}```', '{"a": 1}'),
        ('Sure! Here it is: {"a": [1, 2,],} Anything else?', '{"a":[1,2]}'),
        ('{"a": True, "b": None, "c": False}', '{"a":true,"b":null,"c":false}'),
        ('{"a": "it is ```code```",}', '{"a":"it is ```code```"}'),
        ('{"a": 1, "b": {"c": [1, 2', '{"a":1,"b":{"c":[1]}}'),
        ('{"a": 1, "b": "cut off in the mid', '{"a":1}'),
        ('{"a": 1, "b":', '{"a":1}'),
        ('{"a": "x\\"y"', '{"a":"x\\"y"}'),
        ('{"a": 12', "{}"),
    ],
)
def test_what_is_meant_is_found(written: str, meant: str) -> None:
    assert repaired_json(written) == meant


@pytest.mark.parametrize("written", ["", "no JSON at all", "42", '{"a": oops}', "{'a': 1}", '{"a" 1}', "[1}"])
def test_what_is_not_known_is_not_guessed(written: str) -> None:
    assert repaired_json(written) is None


def test_what_is_too_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "MOST_CHARS", 10)
    assert repaired_json('{"a": [1, 2, 3,]}') is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=3), st.integers(1, 400))
def test_what_is_cut_off_keeps_only_what_was_said(value: dict[str, object], end: int) -> None:
    written = msgspec.json.encode(value).decode()[:end]
    mended = repaired_json(written)
    assert mended is not None
    assert _is_within(msgspec.json.decode(mended), value)


def _is_within(part: object, whole: object) -> bool:
    """Whether nothing in `part` is not in `whole`, in its place."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _is_within(each, whole[name]) for name, each in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return all(_is_within(one, other) for one, other in zip(part, whole, strict=False)) and len(part) <= len(whole)
    return part == whole
