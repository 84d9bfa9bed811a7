"""The site: pages that are made from the code are as the code is, every page has its place, and no link is dead."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from pages import DOCS, ROOT, nav, source_of

LINKED = [ROOT / "README.md", *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"))]
LINKED += [*sorted(DOCS.rglob("*.md")), DOCS / "llms.txt", ROOT / "training/README.md"]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The ids of a page's headings, as GitHub and the site make them."""
    found: dict[str, int] = {}
    told = set()
    for heading in _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()).replace(
            " ", "-"
        )
        told.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return told


def links(path: Path) -> Iterator[str]:
    """What a page links to, outside of code."""
    text = _CODE.sub("", _FENCE.sub("", path.read_text(encoding="utf-8")))
    return (target for target in _LINK.findall(text) if not target.startswith(("http://", "https://", "mailto:")))


def dead(path: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for target in links(path):
        place, _, anchor = target.partition("#")
        leads_to = path.parent / place if place else path
        if path.name == "llms.txt":
            leads_to = source_of(place)
        if not leads_to.exists() or (anchor and leads_to.suffix == ".md" and anchor not in anchors(leads_to)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(path: Path) -> None:
    assert dead(path) == []


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` c\n[x](page.md#a-b-c) [y](page.md#gone) [z](gone.md) ![picture](gone.png) `[code](none.md)`\n"
    )
    assert dead(page) == ["page.md#gone", "gone.md", "gone.png"]


def test_every_file_of_the_repository_that_a_page_names_is_there() -> None:
    named = {
        (page.name, path)
        for page in LINKED
        if page.name != "CHANGELOG.md" and page.parent.name != "decisions"  # these tell of their day
        for path in re.findall(r"\b(?:tests|benchmarks|src|release)/[\w/.-]+\.py\b", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert {each for each in named if not (ROOT / each[1]).exists()} == set()


EACH_ALONE = """
import os, runpy, sys
for path in sys.argv[1:]:
    if not (child := os.fork()):
        sys.path[0] = os.path.dirname(path)
        runpy.run_path(path)
        os._exit(0)
    assert not os.waitpid(child, 0)[1], path
"""


def test_every_script_that_says_how_to_run_it_finds_its_parts(tmp_path: Path) -> None:
    scripts = (ROOT / "benchmarks").glob("*.py")
    named = [path for path in scripts if f"python benchmarks/{path.name}" in path.read_text(encoding="utf-8")]
    assert len(named) > 15
    command = [sys.executable, "-c", EACH_ALONE, *map(str, sorted(named))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_report_that_is_timed_can_be_asked(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "reports.py"), "--entries", "30", "--only", "sqlite"]
    done = subprocess.run([*script, "--directory", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3 + 43, "43 questions, 41 of them with a bar, as docs/reliability.md says"


def test_what_is_said_of_other_gateways_has_a_thread_and_something_to_run() -> None:
    rows = re.findall(r"^\| [A-Z].*$", (DOCS / "comparison.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 5
    for row in rows:
        said, thread, _, see = row.strip("| ").split(" | ")
        assert re.search(r"\(https://github\.com/\S+/issues/\d+\)", thread), said
        assert re.search(r"`(python benchmarks/|tests/|routewright )", see), said


def test_pages_that_are_made_from_the_code_are_as_the_code_is() -> None:
    differing = [place.name for place, text in pages.made().items() if place.read_text(encoding="utf-8") != text]
    assert differing == [], "run: python3 dev.py docs"


def test_the_site_has_four_parts_and_every_page_once() -> None:
    placed = [page for listed in nav().values() for _, page in listed]
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.md")}
    beside = {"index.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "decisions/README.md"}
    assert list(nav()) == ["First five minutes", "How it decides", "Guides", "Reference"]
    assert sorted(placed) == sorted(there | beside)


def test_links_of_the_root_lead_to_the_same_pages_on_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(ROOT)
    from mkdocs_hooks import slug, with_site_links

    monkeypatch.delitem(sys.modules, "mkdocs_hooks")
    assert (
        with_site_links("[a](docs/cli.md#x) [b](README.md) [c](src/routewright)", ROOT)
        == "[a](cli.md#x) [b](index.md) c"
    )
    assert with_site_links("[a](../quality.md) [b](../../README.md#how)", DOCS / "decisions") == (
        "[a](../quality.md) [b](../index.md#how)"
    )
    assert with_site_links("![a picture](docs/images/a.png)", ROOT) == "![a picture](images/a.png)"
    assert slug("`routewright launch [PROGRAM] [--]`") == "routewright-launch-program---"
