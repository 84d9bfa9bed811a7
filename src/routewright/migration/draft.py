"""A settings file in the making: every value checked as it comes, and an account of everything that was read."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import count
from typing import Any

from msgspec import Struct

from routewright.migration.yaml_reading import Node, Path
from routewright.settings.given import read_value
from routewright.settings.places import KeyPath
from routewright.settings.schema import allowed, type_at

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_REFERENCE = re.compile(r"os\.environ/(\w{1,100})", re.ASCII)
_SECRET = re.compile(r"(?i)(?:key|key_id|secret|(?<!_per_)token|password|credentials?|authorization)$")
_WITH_PASSWORD = re.compile(r"://[^/\s]*@")


class Fate(StrEnum):
    """What became of something."""

    KEPT = "kept"
    CHANGED = "changed"
    """It is there, but means something else to some degree."""
    DROPPED = "dropped"
    """It has no counterpart, or needs none."""
    ADDED = "added"
    """Nobody wrote it; it was needed, or assumed."""


class Finding(Struct, frozen=True):
    """A line of the account. It never holds a value that was read: that may be a secret."""

    line: int
    path: str
    """`model_list[0].litellm_params.rpm`."""
    fate: Fate
    to: str = ""
    """The setting that it is now: `models."gpt-4o".price.input`."""
    why: str = ""
    is_secret: bool = False
    """A key stood there in clear, and has to be moved by hand."""


class Setting(Struct, frozen=True):
    """A value of the new file, and where it comes from."""

    value: object
    remark: str


class Draft:
    """What is put together: `settings` by key, the `models` among them, and the account of it."""

    def __init__(self, root: Node, shown_as: str) -> None:
        self.models: list[str] = []
        self.settings: dict[KeyPath, Setting] = {}
        self.variables: dict[str, KeyPath] = {}
        """Environment variable → the setting that refers to it, or that it is."""
        self.reserved = {name for leaf in root.leaves() if (name := _referred(leaf))}
        """Environment variables that have a meaning already, and are none to move another secret into."""
        self._root = root
        self._shown_as = shown_as
        self._told: dict[Path, Finding] = {}
        self._added: list[Finding] = []

    def put(self, key: KeyPath, value: object, node: Node, *, fate: Fate = Fate.KEPT, why: str = "") -> bool:
        """Set what a value of the old file says, and tell so; if it cannot be set, tell that, and return False."""
        if not self.set(key, value, node):
            self.tell(node, Fate.DROPPED, why=f"{toml_key(key)} is {allowed(type_at(key))}")
            return False
        self.tell(node, fate, to=toml_key(key), why=why)
        return True

    def put_once(self, key: KeyPath, value: object, node: Node, *, fate: Fate = Fate.KEPT, why: str = "") -> None:
        """The same, unless another value was put there before."""
        if key in self.settings:
            self.tell(node, Fate.DROPPED, why=f"{toml_key(key)} was said before")
        else:
            self.put(key, value, node, fate=fate, why=why)

    def add(self, key: KeyPath, value: object, node: Node, why: str) -> None:
        """Set what nobody wrote, because of what stands at `node`."""
        assert admits(key, value), toml_key(key)
        self.settings[key] = Setting(value, why)
        self._added.append(Finding(node.line, shown(node.path), Fate.ADDED, to=toml_key(key), why=why))

    def set(self, key: KeyPath, value: object, node: Node) -> bool:
        """Set what stands at `node` and tell nothing; False, and nothing set, if it may not be."""
        is_admitted = admits(key, value)
        if is_admitted:
            self.settings[key] = Setting(value, f"{self._shown_as}:{node.line}")
        return is_admitted

    def put_reference(self, key: KeyPath, node: Node, variable: str, *, why: str = "") -> None:
        """Set a reference to a secret: the one that stands there, or for one that stands there in clear to `variable`,
        or one that is named like it."""
        named = _referred(node)
        name = named or next(free for free in _like(variable) if free not in self.reserved)
        self.reserved.add(name)
        self.refer(key, name, node)
        if named:
            self.tell(node, Fate.KEPT, to=toml_key(key), why=why)
        else:
            moved = f"a secret stands there in clear: set the environment variable {name} to it"
            self.tell(node, Fate.CHANGED, to=toml_key(key), why=f"{moved}; {why}" if why else moved, is_secret=True)

    def refer(self, key: KeyPath, variable: str, node: Node) -> None:
        """Set a reference to an environment variable, and tell nothing."""
        self.settings[key] = Setting(f"env:{variable}", f"{self._shown_as}:{node.line}")
        self.variables[variable] = key

    def tell(self, node: Node, fate: Fate, *, to: str = "", why: str = "", is_secret: bool = False) -> None:
        """Tell what became of everything at `node` that was not told of yet."""
        for leaf in node.leaves():
            is_shown = (is_secret or _looks_secret(leaf)) and _is_in_clear(leaf)
            finding = Finding(leaf.line, shown(leaf.path), fate, to, why, is_shown)
            self._told.setdefault(leaf.path, finding)

    def findings(self) -> list[Finding]:
        """The whole account, in the order of the lines; what nobody told of is unknown."""
        self.tell(self._root, Fate.DROPPED, why="routewright does not know this key")
        return sorted([*self._told.values(), *self._added], key=lambda finding: finding.line)


def admits(key: KeyPath, value: object) -> bool:
    """Whether a setting may have that value."""
    try:
        read_value(value, type_at(key), toml_key(key), is_text=False)
    except ValueError:
        return False
    return True


def _referred(leaf: Node) -> str | None:
    """The environment variable that a value refers to."""
    match = _REFERENCE.fullmatch(leaf.text or "")
    return match[1] if match else None


def _like(variable: str) -> Iterator[str]:
    yield variable
    yield from (f"{variable}_{number}" for number in count(2))


def _is_in_clear(leaf: Node) -> bool:
    """Whether something stands there that could be a secret, and no reference to one."""
    if leaf.value in (None, "") or isinstance(leaf.value, bool):
        return False
    return _referred(leaf) is None


def _looks_secret(leaf: Node) -> bool:
    name = leaf.path[-1] if leaf.path else ""
    is_named_so = isinstance(name, str) and bool(_SECRET.search(name))
    return is_named_so or bool(_WITH_PASSWORD.search(leaf.text or ""))


def shown(path: Path) -> str:
    """A path as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def toml_key(key: KeyPath) -> str:
    """A dotted key of TOML."""
    return ".".join(part if _BARE.fullmatch(part) else _quoted(part) for part in key)


def as_toml(settings: Mapping[KeyPath, Setting]) -> str:
    """A settings file: one table for all keys that have it in common, and at each line where it comes from."""
    lines: list[str] = []
    table: KeyPath = ()
    for key, setting in _by_table(settings):
        if key[:-1] != table:
            table = key[:-1]
            lines += ["", f"[{toml_key(table)}]"]
        remark = f"  # {one_comment(setting.remark)}" if setting.remark else ""
        lines.append(f"{toml_key(key[-1:])} = {_value(setting.value)}{remark}")
    return "\n".join(lines) + "\n"


def one_comment(text: str) -> str:
    """A text as a comment may have it: in one line, without what TOML does not take."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _by_table(settings: Mapping[KeyPath, Setting]) -> Iterator[tuple[KeyPath, Setting]]:
    """Tables in the order in which they were begun, each whole."""
    tables: dict[KeyPath, list[tuple[KeyPath, Setting]]] = {}
    for key, setting in settings.items():
        tables.setdefault(key[:-1], []).append((key, setting))
    for section in sorted(tables, key=lambda table: _ORDER.index(table[0])):
        yield from tables[section]


_ORDER = (
    "server",
    "policy",
    "cache",
    "ledger",
    "redis",
    "alerts",
    "spending",
    "budgets",
    "providers",
    "models",
    "aliases",
)
"""Sections as people look for them; those of one section stay in the order in which they were begun."""


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return _quoted(f"{value.normalize():f}")
        case int():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's, but for the one character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
