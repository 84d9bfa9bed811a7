"""The examples in the documentation run, and print what the pages say."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routewright.call import Options
from routewright.settings import load_settings
from served import serving

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
            if match[1] == language:
                line = content.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def sessions() -> list[object]:
    """The pages with interactive examples; the blocks of one page are one session."""
    pages: list[object] = []
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        text = "".join(match[2] for match in _BLOCK.finditer(content) if match[1] == "pycon")
        if text:
            pages.append(pytest.param(text, id=str(page.relative_to(ROOT))))
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
    [yaml] = [match[2] for match in _BLOCK.finditer(migration) if match[1] == "yaml"]
    (tmp_path / "config.yaml").write_text(yaml, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("home"), "--simulate") as served:
        yield served.url


@pytest.mark.parametrize("source", blocks("python"))
def test_python_examples_run(source: str, url: str, tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(source.replace("http://127.0.0.1:8484", url), encoding="utf-8")
    ran = subprocess.run([sys.executable, "-W", "error", str(example)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


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
    if arguments[0] != "routewright":
        pytest.skip("sets up an environment; what it then runs is tested everywhere else")
    ran = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    if said.strip():
        assert Checker().check_output(said, ran.stdout, _FLAGS), f"it printed:\n{ran.stdout}"


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_examples_are_valid(text: str, desk: Path) -> None:
    (desk / "routewright.toml").write_text(text, encoding="utf-8")
    settings = load_settings(environ={"HOME": str(desk)}, cwd=desk)
    assert any(origin.source == "routewright.toml" for origin in settings.origins.values())


def test_every_page_that_is_linked_is_there() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_room_is_in_the_plan_of_the_house() -> None:
    plan = re.findall(r"^[├└]── (.*?)  ", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name.rstrip("/") for line in plan for name in line.split()}
    rooms = {path.name for path in (ROOT / "src/routewright").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {room for room in rooms if not room.startswith("__")} - named == set()


def test_the_page_of_the_api_has_every_header_and_option() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    code = (ROOT / "src/routewright/gateway/headers.py").read_text(encoding="utf-8")
    told = set(re.findall(r'"(x-(?:routewright|request)-[a-z-]+)"', code))
    options = {f"x-routewright-{name.replace('_', '-')}" for name in Options.__struct_fields__}
    options -= {"x-routewright-max-cost-nanousd", "x-routewright-deadline-s"}  # as `max_cost_usd`, `deadline_ms`
    assert told
    assert {header for header in told | options if f"`{header}`" not in page} == set()
