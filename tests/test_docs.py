"""The examples in the documentation run, and print what the pages say."""

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
import yaml

from routewright.call import Options
from routewright.cli.program import program
from routewright.settings import load_settings
from served import serving

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_RUN = ("python", "pycon", "console", "bash", "toml", "json", "yaml")
"""Languages whose examples are executed, or read as what they are; `text` is no example."""
_END = "== end of the example ==\n"
_EACH = f"""
import runpy, sys
for path in sys.argv[1:]:
    runpy.run_path(path, run_name="__main__")
    sys.stdout.write({_END!r})
"""
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_TRAINED = (
    (re.compile(r"\$\d[\d,.]*"), "$N"),
    (re.compile(r"\b[01]\.\d+\b"), "P"),
    (re.compile(r"@[0-9a-f]{8}\b"), "@VERSION"),
    (re.compile(r"kinds: .*"), "kinds"),
)
"""What another training of the classifier changes in a decision: costs, probabilities, versions, kinds."""


class Checker(doctest.OutputChecker):
    """Holds what was printed against the page, but for the figures that depend on the training."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(steady(want), steady(got), optionflags)


def steady(text: str) -> str:
    """The text without those figures."""
    for pattern, name in _TRAINED:
        text = pattern.sub(name, text)
    return text


def blocks(language: str) -> list[object]:
    """Every block of a language, as (text) with the page and line as the test's id."""
    found: list[object] = []
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(content):
            if match["language"] == language and match["reason"] is None:
                line = content.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match["text"], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def sessions() -> list[object]:
    """The pages with interactive examples; the blocks of one page are one session."""
    pages: list[object] = []
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        text = "".join(match["text"] for match in _BLOCK.finditer(content) if match["language"] == "pycon")
        if text:
            pages.append(pytest.param(text, id=str(page.relative_to(ROOT))))
    return pages


def together(language: str) -> list[object]:
    """The blocks of a language, page by page."""
    pages: list[object] = []
    for page in PAGES:
        found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
        texts = [match["text"] for match in found if match["language"] == language and match["reason"] is None]
        if texts:
            pages.append(pytest.param(texts, id=str(page.relative_to(ROOT))))
    return pages


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a folder without settings, and an environment without keys."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("ROUTEWRIGHT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    migration = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    [settings] = [match["text"] for match in _BLOCK.finditer(migration) if match["language"] == "yaml"]
    (tmp_path / "config.yaml").write_text(settings, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("home"), "--simulate") as served:
        yield served.url


@pytest.mark.parametrize("texts", together("python"))
def test_python_examples_run(texts: Sequence[str], url: str, tmp_path: Path) -> None:
    """Those of a page one after the other in one process, as each imports what takes seconds to import."""
    paths = [tmp_path / f"example_{number}.py" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text.replace("http://127.0.0.1:8484", url), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-c", _EACH, *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    *printed, after = ran.stdout.split(_END)
    assert (len(printed), after.strip()) == (len(texts), "")
    assert all(each.strip() for each in printed)


@pytest.mark.parametrize("text", sessions())
def test_interactive_examples_print_what_the_page_says(text: str) -> None:
    test = doctest.DocTestParser().get_doctest(text, {}, "page", None, 0)
    told: list[str] = []
    doctest.DocTestRunner(Checker(), optionflags=_FLAGS).run(test, out=told.append)
    assert told == []
    assert test.examples


@pytest.mark.parametrize("text", blocks("console"))
def test_commands_print_what_the_page_says(text: str) -> None:
    command, _, said = text.partition("\n")
    arguments = shlex.split(command.removeprefix("$ "))
    ran = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    if said.strip():
        assert Checker().check_output(said, ran.stdout, _FLAGS), f"it printed:\n{ran.stdout}"


@pytest.mark.parametrize("text", blocks("bash"))
def test_shell_examples_run(text: str, url: str, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "routewright"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m routewright "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    environ = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    script = ["bash", "-euo", "pipefail", "-c", text.replace("http://127.0.0.1:8484", url)]
    ran = subprocess.run(script, env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


@pytest.mark.parametrize("text", blocks("json"))
def test_json_examples_are_json(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_examples_are_yaml(text: str) -> None:
    assert yaml.safe_load(text)


def test_every_example_is_run_or_says_why_it_is_not() -> None:
    silent = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        content = page.read_text(encoding="utf-8")
        found = list(_BLOCK.finditer(content))
        assert len(re.findall(r"^```", content, re.MULTILINE)) == 2 * len(found), f"a fence of {page} is not closed"
        silent += [
            f"{page.relative_to(ROOT)}:{content.count(chr(10), 0, match.start()) + 1}"
            for match in found
            if match["language"] not in (*_RUN, "text") and match["reason"] is None
        ]
    assert silent == [], "write <!-- not run: why --> above it, or give it a language that is run"


def commands_said() -> Iterator[str]:
    """Every `routewright …` of examples that are not run."""
    for page in PAGES:
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            lines = match["text"].replace("\\\n", " ").splitlines() if match["language"] == "sh" else []
            for part in (part.strip() for line in lines for part in re.split(r"&&|\||>|[$][(]", line)):
                if part.startswith("routewright "):
                    yield part.rstrip(")")


def test_commands_that_are_not_run_have_a_verb_and_options_that_there_are() -> None:
    said = list(commands_said())
    assert len(said) > 10
    for each in said:
        arguments = shlex.split(each, comments=True)[1:]
        command: click.Command = program
        context = click.Context(command)
        while isinstance(command, click.Group) and (below := command.get_command(context, arguments[0])):
            command, arguments = below, arguments[1:]
            context = click.Context(command, parent=context, info_name=command.name)
        assert command is not program, each
        command.make_parser(context).parse_args(arguments)  # raises for an option that there is not


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_examples_are_valid(text: str, desk: Path) -> None:
    (desk / "routewright.toml").write_text(text, encoding="utf-8")
    settings = load_settings(environ={"HOME": str(desk)}, cwd=desk)
    assert any(origin.source == "routewright.toml" for origin in settings.origins.values())


def test_every_room_is_in_the_plan_of_the_house() -> None:
    plan = re.findall(r"^[├└]── (.*?)  ", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name.rstrip("/") for line in plan for name in line.split()}
    rooms = {path.name for path in (ROOT / "src/routewright").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {room for room in rooms if not room.startswith("__")} - named == set()


def test_every_layer_is_in_the_table_of_the_stack() -> None:
    is_layer = re.compile(
        r"^class (\w+)|def __call__\(self, (?:call|routed|attempt): \w+, forward: Service", re.MULTILINE
    )
    layers, name = set(), ""
    for path in (ROOT / "src/routewright/layers").glob("*.py"):
        for match in is_layer.finditer(path.read_text(encoding="utf-8")):
            if match[1]:
                name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[1]).lower()
            else:
                layers.add(name)
    told = {"trace call": "trace", "trace attempt": "trace", "deployment quota": "quota"}
    told["first event deadline"] = "first-event deadline"
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.partition("\n## The stack, outermost first\n")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| ([a-z -]+) \| (?:Call|Routed|Attempt)", table, re.MULTILINE))
    assert rows == {told.get(layer, layer) for layer in layers} | {"upstream"}


def test_the_page_of_the_api_has_every_header_and_option() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    code = (ROOT / "src/routewright/gateway/headers.py").read_text(encoding="utf-8")
    told = set(re.findall(r'"(x-(?:routewright|request)-[a-z-]+)"', code))
    options = {f"x-routewright-{name.replace('_', '-')}" for name in Options.__struct_fields__}
    options -= {"x-routewright-max-cost-nanousd", "x-routewright-deadline-s"}  # as `max_cost_usd`, `deadline_ms`
    assert told
    assert {header for header in told | options if f"`{header}`" not in page} == set()
