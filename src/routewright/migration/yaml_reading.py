"""YAML → a tree in which everything knows its line; whatever could be a trap is refused on sight.

PyYAML does the parsing, as the programs whose files are read here do, so a `yes` means to us what it meant to them. Its
loaders take alias bombs, take the last of two equal keys and build whatever a tag says; so only its events are used,
one by one, and the tree is built here: no anchors, aliases or tags, no key twice, bounded in depth and number.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec import Struct

from routewright.errors import SettingsError

MOST_NODES = 20_000
"""Of a file: keys, values, lists and tables. The largest model lists have some thousand."""
DEEPEST = 20
LONGEST_NUMBER = 40
"""Digits; no setting of anybody needs more, and what is longer stays a text."""

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands: `("model_list", 0, "model_name")`."""
Scalar: TypeAlias = str | bool | int | Decimal | None

_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = "`routewright init --from litellm` reads plain YAML: keys, values, lists"
_INSTALL = "pip install 'routewright[migrate]'"


class Node(Struct, frozen=True):
    """A value, a list or a table, and where it stands."""

    path: Path
    line: int
    """Counted from 1."""
    value: "Scalar | tuple[Node, ...] | Mapping[str, Node]"

    @property
    def table(self) -> "Mapping[str, Node]":
        """What is in it by name; nothing if it is no table."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "tuple[Node, ...]":
        """What is in it in order; nothing if it is no list."""
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def text(self) -> str | None:
        """The text that it is; None for anything else, an empty text too."""
        return self.value if isinstance(self.value, str) and self.value else None

    @property
    def number(self) -> Decimal | None:
        """The number that it is, also one that YAML 1.1 takes for a text, such as 1e-6."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | Decimal):
            return None
        text = str(self.value)
        return Decimal(text.replace("_", "")) if len(text) <= LONGEST_NUMBER and _NUMBER.fullmatch(text) else None

    def leaves(self) -> "Iterator[Node]":
        """Every value in it, itself if it is one; an empty list or table is a value too."""
        below = self.items or tuple(self.table.values())
        if not below:
            yield self
        for node in below:
            yield from node.leaves()


def read_yaml(content: bytes, shown_as: str) -> Node:
    """The table in a YAML document. Raises SettingsError with the line for anything else, and without PyYAML."""
    try:
        import yaml
    except ImportError:
        raise SettingsError("reading YAML takes a package that is not installed", hint=_INSTALL) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{shown_as}:{line}: is not UTF-8", hint="save the file as UTF-8") from None
    try:
        return _Tree(yaml, text, shown_as).read()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{shown_as}:{mark.line + 1}" if mark else shown_as
        problem = getattr(error, "problem", None) or getattr(error, "reason", "it cannot be read")
        raise SettingsError(f"{place}: is not YAML: {problem}", hint=_HINT) from None


class _Tree:
    """One pass over the events of a document."""

    def __init__(self, yaml: Any, text: str, shown_as: str) -> None:
        self._yaml = yaml
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML was built with it, ten times faster
        self._events = yaml.parse(text, Loader=loader)
        self._resolver = yaml.resolver.Resolver()
        self._shown_as = shown_as
        self._nodes = 0

    def read(self) -> Node:
        event = self._next()
        while not isinstance(event, self._yaml.NodeEvent | self._yaml.StreamEndEvent):
            event = self._next()
        if not isinstance(event, self._yaml.MappingStartEvent):
            raise self._refused(event, "is not a table at its top")
        root = self._node(event, ())
        for event in self._events:
            if isinstance(event, self._yaml.DocumentStartEvent):
                raise self._refused(event, "a second document begins here")
        return root

    def _next(self) -> Any:
        return next(self._events)

    def _node(self, event: Any, path: Path) -> Node:
        self._check(event, path)
        line: int = event.start_mark.line + 1
        if isinstance(event, self._yaml.MappingStartEvent):
            return Node(path, line, self._table(path))
        if isinstance(event, self._yaml.SequenceStartEvent):
            return Node(path, line, self._list(path))
        return Node(path, line, self._scalar(event))

    def _table(self, path: Path) -> Mapping[str, Node]:
        table: dict[str, Node] = {}
        while not isinstance(event := self._next(), self._yaml.MappingEndEvent):
            if not isinstance(event, self._yaml.ScalarEvent):
                self._check(event, path)
                raise self._refused(event, "a key must be a plain text")
            self._check(event, path)
            if event.value in table:
                raise self._refused(event, f"this key stands twice, first in line {table[event.value].line}")
            table[event.value] = self._node(self._next(), (*path, event.value))
        return table

    def _list(self, path: Path) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := self._next(), self._yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return tuple(items)

    def _scalar(self, event: Any) -> Scalar:
        """As YAML 1.1 has it; a number in any other form than the usual one stays a text, and so does a date."""
        text: str = event.value
        if not event.implicit[0]:
            return text
        match self._resolver.resolve(self._yaml.ScalarNode, text, (True, False)).rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() in ("yes", "true", "on")
            case "int" if len(text) <= LONGEST_NUMBER and _WHOLE.fullmatch(text):
                return int(text)
            case "float" if len(text) <= LONGEST_NUMBER and _NUMBER.fullmatch(text):
                return Decimal(text.replace("_", ""))
        return text

    def _check(self, event: Any, path: Path) -> None:
        self._nodes += 1
        if isinstance(event, self._yaml.AliasEvent) or event.anchor is not None:
            raise self._refused(event, "anchors and aliases are not taken", "write out what the alias stands for")
        if event.tag is not None:
            raise self._refused(event, "tags are not taken", "take the ! and the word after it away")
        if isinstance(event, self._yaml.ScalarEvent) and _SURROGATE.search(event.value):
            raise self._refused(event, "has half a character in it")
        if self._nodes > MOST_NODES:
            raise self._refused(event, f"has more than {MOST_NODES:,} keys and values")
        if len(path) > DEEPEST:
            raise self._refused(event, f"is nested more than {DEEPEST} deep")

    def _refused(self, event: Any, problem: str, hint: str = _HINT) -> SettingsError:
        return SettingsError(f"{self._shown_as}:{event.start_mark.line + 1}: {problem}", hint=hint)
