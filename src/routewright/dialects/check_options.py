"""What a request wants its answer checked for: `routewright: {checks: […]}`, of names and of checks of its own."""

from typing import Any

import msgspec

from routewright.call import JsonObject
from routewright.catalog.registry import LONGEST_NAME
from routewright.check import AGREEMENT, Check, CheckKind
from routewright.dialects.fields import boolean, required_text, text, whole_number, wrong
from routewright.errors import InvalidCheck

MOST_CHECKS = 16
"""Of a request."""
_FIELDS = ("name", "kind", "schema", "pattern", "forbidden", "min_chars", "max_chars", "language", "tool")
_KINDS = tuple(kind for kind in CheckKind if kind is not CheckKind.PLUG_IN)
_MOST_CHARS = 100_000_000


def read_checks(wanted: list[Any] | None, param: str) -> tuple[Check | str, ...]:
    """Raises InvalidRequest, InvalidCheck."""
    if wanted is None:
        return ()
    if len(wanted) > MOST_CHECKS:
        raise wrong(param, f"a list of at most {MOST_CHECKS} checks", wanted)
    return tuple(_read(each, f"{param}[{at}]") for at, each in enumerate(wanted))


def _read(wanted: object, param: str) -> Check | str:
    if type(wanted) is str and 0 < len(wanted) <= LONGEST_NAME:
        return wanted
    if type(wanted) is not dict:
        raise wrong(param, 'the name of a check, or an object like {"kind": "json_schema", "schema": {…}}', wanted)
    return _read_check(wanted, f"{param}.")


def _read_check(fields: JsonObject, at: str) -> Check:
    for name in fields:
        if name not in _FIELDS:
            shown = at + name[:LONGEST_NAME]
            raise InvalidCheck(f"{shown} is not known", param=shown, hint=f"there are {', '.join(_FIELDS)}")
    kind = fields.get("kind")
    if kind not in _KINDS:
        raise wrong(f"{at}kind", f"one of {', '.join(_KINDS)}", kind)
    name = text(fields, "name", at) or kind
    if len(name) > LONGEST_NAME or not name.isprintable() or name == AGREEMENT:
        raise wrong(f"{at}name", f'1 to {LONGEST_NAME} printable characters, and not "{AGREEMENT}"', name)
    return Check(
        name=name,
        kind=CheckKind(kind),
        schema=_schema(fields, at) if kind == CheckKind.JSON_SCHEMA else "",
        pattern=required_text(fields, "pattern", at) if kind == CheckKind.REGEX else "",
        forbidden=boolean(fields, "forbidden", at) or False,
        least_chars=whole_number(fields, "min_chars", 0, _MOST_CHARS, at) or 0,
        most_chars=whole_number(fields, "max_chars", 1, _MOST_CHARS, at),
        language=required_text(fields, "language", at) if kind == CheckKind.LANGUAGE else "",
        tool=text(fields, "tool", at) or "",
    )


def _schema(fields: JsonObject, at: str) -> str:
    schema = fields.get("schema")
    if type(schema) is not dict:
        raise wrong(f"{at}schema", "a JSON Schema, which is an object", schema)
    return msgspec.json.encode(schema).decode()
