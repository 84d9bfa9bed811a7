"""YAML that is plain is read as PyYAML reads it; whatever could be a trap is refused, and quickly."""

import sys
import time
from decimal import Decimal

import pytest
import yaml

from routewright.errors import SettingsError
from routewright.migration.yaml_reading import DEEPEST, MOST_NODES, Node, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join([f'*{chr(97 + level)}'] * 9)}]\n" for level in range(9)
)


def read(text: str) -> Node:
    return read_yaml(text.encode(), "config.yaml")


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {name: plain(below) for name, below in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(below) for below in node.value]
    return float(node.value) if isinstance(node.value, Decimal) else node.value


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc: {d: ~, e: yes, f: No, g: off}\n",
        "a: 0.5\nb: 1.5e-07\nc: '1'\nd: 1e-6\ne: |\n  two\n  lines\n",
        "a: []\nb: {}\nc:\nd: -3\ne: 1_000.5\n",
        "# comment\n---\na: https://host:80/x#y\n...\n",
    ],
)
def test_plain_yaml_is_read_as_its_own_loader_reads_it(text: str) -> None:
    read_as = plain(read(text))
    loaded = yaml.safe_load(text)
    assert read_as == {**loaded, **({"d": -3} if loaded.get("d") == -3 else {})}


def test_every_value_knows_its_line_and_path() -> None:
    root = read("a: 1\nb:\n  - c: 2\n  - 3\n\nd: {}\n")
    assert [(leaf.line, leaf.path) for leaf in root.leaves()] == [
        (1, ("a",)),
        (3, ("b", 0, "c")),
        (4, ("b", 1)),
        (6, ("d",)),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), ("0.5", "0.5"), ("1e-6", "0.000001"), ("'2'", 2), ("-1", -1), ("yes", None), ("~", None), ("1:30", None),
     (".inf", None), (".nan", None), ("1" * 41, None), ("1e999999999", None), ("0x10", None), ("[1]", None)],
)  # fmt: skip
def test_a_number_is_exact_and_of_a_bounded_length(text: str, number: int | str | None) -> None:
    assert read(f"a: {text}").table["a"].number == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB.encode(), "config.yaml:1: anchors and aliases are not taken"),
        (b"a: 1\nb: *a", "config.yaml:2: anchors and aliases are not taken"),
        (b"a: &x {<<: *x}", "anchors and aliases"),
        (b"a: 1\nb:\n  c: 1\n  c: 2", "config.yaml:4: this key stands twice, first in line 3"),
        (b"a: !!python/object/apply:os.system ['true']", "config.yaml:1: tags are not taken"),
        (b"a: !include other.yaml", "tags are not taken"),
        (b"? [a]\n: b", "a key must be a plain text"),
        (b"a: 1\n---\nb: 2", "config.yaml:2: a second document begins here"),
        (b"- a", "is not a table at its top"),
        (b"", "is not a table at its top"),
        (b"a: [", "is not YAML"),
        (b"a: \x00", "is not YAML"),
        (b"a: 1\nb: \xff", "config.yaml:2: is not UTF-8"),
        (b"a:\n\t- b", "config.yaml:2: is not YAML"),
        (b'a: "\\ud800"', "is not YAML|half a character"),
        (b"a: " + b"[" * 100_000, "is not YAML|is nested more than"),
        (b"a: " + b"{a: " * (DEEPEST + 2), f"is nested more than {DEEPEST} deep"),
        (b"a: [" + b"x," * (1 << 19), f"has more than {MOST_NODES:,} keys and values"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else None,
)  # fmt: skip
def test_k02_what_could_be_a_trap_is_refused_at_once(content: bytes, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(SettingsError, match=problem):
        read_yaml(content, "config.yaml")
    assert time.process_time() - began < 1  # the bar is 0.1 s; a busy machine must not decide a test


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(SettingsError) as refused:
        read("a: 1")
    assert refused.value.hint == "pip install 'routewright[migrate]'"
