"""JSON Schemas that are not ours: compiled by `jsonschema-rs`, with nothing fetched and nothing that takes for ever.

A schema costs time when it is used, and that of a caller is used in the gateway's own loop. Its patterns are run in
linear time (Rust's `regex`). Its references stay within it. And since they can say the same thing twice, and what they
say twice again, a schema of a kilobyte could ask for more steps than anybody can wait for: so it is counted what it
unfolds to, and how often it comes back to itself, which with the depth of the answer bounds the steps.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

MOST_BYTES = 128 * 1024
"""Of a schema, as JSON; OpenAI takes 120,000 characters."""
MOST_UNFOLDED = 20_000
"""Parts of a caller's schema, with every reference written out once."""
MOST_STEPS = 1_000_000
"""What a caller's recursive schema may come to, at the depth of the answer; about 50 ms."""
_DEEPEST = 100
_PATTERN_BYTES = 256 * 1024

Fits: TypeAlias = Callable[[object], str]
"""Why a value does not fit a schema, in words without the value itself; empty if it fits."""


class SchemaRefused(ValueError):
    """A schema that cannot be taken; the message starts with the place where it stands."""


def read_schema(text: str, place: str, *, is_trusted: bool) -> Fits:
    """What a schema, as JSON, asks for. An operator's is trusted to take no longer than its answers are worth.

    Raises SchemaRefused, whose message starts with `place`.
    """
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise SchemaRefused(f"{place}: the schema is over {MOST_BYTES:,} bytes")
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SchemaRefused(f"{place}: the schema is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise SchemaRefused(f"{place}: a JSON Schema is an object")
    deepest = _DEEPEST
    if not is_trusted:
        try:
            deepest = _deepest(schema)
        except ValueError as error:
            raise SchemaRefused(f"{place}: the schema cannot be taken: {error}") from error
    return _compiled(schema, place, deepest)


def library(place: str) -> Any:
    """`jsonschema_rs`: an extra, of 15 MB, which takes 12 ms to import, so only where there is a schema.

    Raises SchemaRefused where it is not installed.
    """
    try:
        import jsonschema_rs
    except ImportError as error:
        missing = "JSON Schemas need the jsonschema-rs package, which is missing: pip install 'routewright[schemas]'"
        raise SchemaRefused(f"{place}: {missing}") from error
    return jsonschema_rs


def _compiled(schema: dict[str, Any], place: str, deepest: int) -> Fits:
    jsonschema_rs = library(place)
    try:
        validator = jsonschema_rs.validator_for(
            schema,
            mask="the value",
            retriever=_fetch_nothing,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        told = getattr(error, "message", None) or str(error)
        path = "/".join(map(str, getattr(error, "instance_path", ())))
        raise SchemaRefused(f"{place}: the schema cannot be taken: {told}{f' (at /{path})' if path else ''}") from error

    def fits(value: object) -> str:
        if _depth(value) > deepest:
            return f"it is nested deeper than {deepest} levels, and cannot be checked"
        error = next(validator.iter_errors(value), None)
        if error is None:
            return ""
        return f"at /{'/'.join(map(str, error.instance_path))}: {error.message}"

    return fits


def _fetch_nothing(uri: str) -> Any:
    raise ValueError("nothing is fetched: references must stay within the schema")


def _depth(value: object) -> int:
    """How many levels of objects and arrays; what JSON can hold is read by a parser with a bound of its own."""
    level, depth = [value], -1
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


# ---- what a caller's schema may cost ------------------------------------------------------------------------------


def _deepest(schema: dict[str, Any]) -> int:
    """How deep an answer may be nested, so that this schema takes no more steps than are granted. Raises ValueError."""
    unfolded, returns = 0, 0
    for is_return in _parts(schema):
        unfolded, returns = unfolded + 1, returns + is_return
        if unfolded > MOST_UNFOLDED:
            raise ValueError(f"it unfolds to more than {MOST_UNFOLDED:,} parts")
    if returns < 2:
        return _DEEPEST
    return max(1, min(_DEEPEST, int(math.log(MOST_STEPS / unfolded) / math.log(returns))))


def _parts(schema: dict[str, Any]) -> Iterator[bool]:
    """Each part of the schema, references written out; True for one that leads back to what it stands in."""
    waiting: list[tuple[Any, frozenset[str]]] = [(schema, frozenset(("#",)))]
    while waiting:
        part, within = waiting.pop()
        if isinstance(part, list):
            waiting += ((each, within) for each in part)
        if not isinstance(part, dict):
            continue
        is_return = False
        for key, value in part.items():
            if key in ("$dynamicRef", "$recursiveRef") or (key == "$id" and part is not schema):
                raise ValueError(f"{key} is not understood in a request")
            if key == "$ref" and isinstance(value, str):
                target = _target(schema, value)
                is_return |= value in within
                if value not in within:
                    waiting.append((target, within | {value}))
            elif key not in ("$defs", "definitions"):
                waiting.append((value, within))
        yield is_return


def _target(schema: dict[str, Any], reference: str) -> Any:
    """What `#/…` points at. Raises ValueError."""
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"the reference {reference[:80]!r} does not stay within it; write it like #/$defs/name")
    here: Any = schema
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            here = here[int(name)] if isinstance(here, list) else here[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ValueError(f"there is nothing at {reference[:80]!r}") from None
    return here
