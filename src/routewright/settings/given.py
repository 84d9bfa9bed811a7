"""What the sources say together: each value checked against its type as it comes, later sources above earlier ones."""

import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Struct

from routewright.errors import SettingsError
from routewright.settings.places import KeyPath
from routewright.settings.schema import (
    NotATable,
    Read,
    Sections,
    UnknownKey,
    allowed,
    dotted,
    is_section,
    keys_of,
    notes_of,
    type_at,
    without_none,
)
from routewright.settings.sources import DEFAULT, Origin, Source

LONGEST_QUOTE = 60
MOST_TOLD = 50
"""Mistakes in one message: nobody reads more, and a file has room for tens of thousands."""
MOST_COMPARED = 1_000
"""Names among which a similar one is looked for."""

Section = TypeVar("Section", bound=Struct)


class Given:
    """Values, their origins, and the mistakes met so far, which are raised together at the end."""

    def __init__(self) -> None:
        self.values: dict[KeyPath, object] = {}
        self.origins: dict[KeyPath, Origin] = {}
        self.mistakes: list[str] = []

    def copy(self) -> "Given":
        """The same, to go on from."""
        copied = Given()
        copied.values, copied.origins, copied.mistakes = dict(self.values), dict(self.origins), list(self.mistakes)
        return copied

    def add(self, source: Source) -> None:
        """Take over what a source says, above all that was said before."""
        self._forget_prices_given_anew(source)
        taken = (self._take(path, value, source) for path, value in source.values.items())
        mistakes = dict.fromkeys(islice((mistake for mistake in taken if mistake), MOST_TOLD + 1))
        self.mistakes += mistakes  # an unknown table is told once

    def sections(self) -> Sections:
        """All of it. Raises SettingsError that tells all mistakes, one in a line."""
        raise_if(self.mistakes)
        sections = self._assemble(Sections, (), self._tree())
        raise_if(self.mistakes)
        return cast(Sections, sections)

    def section(self, kind: type[Section], path: KeyPath) -> Section:
        """One section alone, whose keys all have defaults. Raises SettingsError as `sections` does."""
        raise_if(self.mistakes)
        table: Any = self._tree()
        for name in path:
            table = table.get(name, {})
        section = self._assemble(kind, path, table)
        raise_if(self.mistakes)
        return cast(Section, section)

    def _tree(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for path, value in self.values.items():
            table = tree
            for name in path[:-1]:
                table = table.setdefault(name, {})
            table[path[-1]] = value
        return tree

    def _assemble(self, kind: type[Section], path: KeyPath, table: Mapping[str, Any]) -> Section | None:
        """The section at a path, and all below it; None, and a mistake, if a key that it needs is missing."""
        values: dict[str, object] = {}
        for name, field in keys_of(kind).items():
            below = (*path, name)
            inner = without_none(field.type)
            if get_origin(inner) is dict:
                values[name] = self._assemble_named(get_args(inner)[1], below, table.get(name, {}))
            elif is_section(inner) and (name in table or field.required):
                values[name] = self._assemble(inner, below, table.get(name, {}))
            elif name in table:
                values[name] = table[name]
            elif field.required:
                self.mistakes.append(f"{dotted(below)} is missing; it is {allowed(inner)}{self._first_place(path)}")
        complete = all(name in values or not field.required for name, field in keys_of(kind).items())
        return kind(**values) if complete else None

    def _assemble_named(self, kind: Any, path: KeyPath, tables: Mapping[str, Any]) -> Mapping[str, object]:
        if not is_section(kind):
            return tables
        return {name: self._assemble(kind, (*path, name), table) for name, table in tables.items()}

    def _forget_prices_given_anew(self, source: Source) -> None:
        """A price is one thing: its input must not be of one source and its output of another."""
        anew = {path[:3] for path in source.values if len(path) == 4 and path[2] == "price"}
        for path in [path for path in self.values if path[:3] in anew]:
            del self.values[path]
            self.origins.pop(path, None)

    def _take(self, path: KeyPath, value: object, source: Source) -> str | None:
        """Keep the value if it may be; else say what is wrong with it."""
        kind = type_at(path)
        origin = source.origin(path)
        if isinstance(kind, UnknownKey):
            return _unknown(kind, source.origin((*kind.section, kind.name)))
        if isinstance(kind, NotATable):
            return f"{dotted(kind.path)}: a table is not {allowed(type_at(kind.path))} ({origin.exact})"
        if is_section(kind) or get_origin(kind) is dict:
            is_table = isinstance(value, dict)  # an empty one, as others come apart into their values
            return None if is_table else f"{dotted(path)}: {_quoted(value)} is not a table ({origin.exact})"
        try:
            self.values[path] = read_value(value, kind, dotted(path), is_text=source.is_text)
        except ValueError as error:
            return f"{error} ({origin.exact})"
        if origin != DEFAULT:
            self.origins[path] = origin
        return None

    def _first_place(self, path: KeyPath) -> str:
        places = [origin.exact for other, origin in self.origins.items() if other[: len(path)] == path]
        return f" ({places[0]})" if places else ""


def read_value(value: object, kind: Any, path: str, *, is_text: bool) -> object:
    """A value of the annotated type `kind`; raises ValueError that begins with the path and says what is allowed."""
    plain, notes = notes_of(kind)
    for note in notes:
        if isinstance(note, Read):
            return note.parse(value, path)
    is_list = get_origin(plain) in (tuple, frozenset)
    if is_text and is_list and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=not is_text)
    except msgspec.ValidationError:
        raise ValueError(f"{path}: {_quoted(value)} is not {allowed(kind)}") from None


def did_you_mean(name: str, known: Collection[str]) -> str:
    """` — did you mean "…"?` with the nearest name, or two that are less near; nothing if none is."""
    from difflib import get_close_matches

    if len(known) > MOST_COMPARED:
        return ""
    near = get_close_matches(name, known, n=1) or get_close_matches(name, known, n=2, cutoff=0.5)
    return f" — did you mean {' or '.join(json.dumps(other) for other in near)}?" if near else ""


def raise_if(mistakes: Iterable[str]) -> None:
    """Raise SettingsError if there are any, one in a line; they are looked for as far as they are told."""
    told = list(islice(mistakes, MOST_TOLD + 1))
    if len(told) == 1:
        raise SettingsError(told[0])
    if told:
        count = len(told) if len(told) <= MOST_TOLD else f"more than {MOST_TOLD}"
        raise SettingsError("\n".join([f"{count} mistakes in the settings:", *told[:MOST_TOLD]]))


def _unknown(unknown: UnknownKey, origin: Origin) -> str:
    where = f"in [{dotted(unknown.section)}]" if unknown.section else "at the top"
    return f"unknown key {_quoted(unknown.name)} {where} ({origin.exact}){did_you_mean(unknown.name, unknown.known)}"


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"
