"""What MkDocs is told beside mkdocs.yml: pages of the repository's root, headings' ids as on GitHub, Markdown twins.

Links work in a checkout, where README.md is beside docs/; on the site it is index.md. What a page links to that is not
on the site (sources, folders) becomes plain text there.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
"""Pages beside docs/, and what they are called on the site."""
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_NOT_A_WORD = re.compile(r"[^\w\- ]")


def slug(text: str, separator: str = "-") -> str:
    """The id of a heading, as GitHub makes it."""
    return _NOT_A_WORD.sub("", text.strip().lower()).replace(" ", separator)


def on_config(config: Any) -> Any:
    """Set what YAML has no words for."""
    config["mdx_configs"]["toc"]["slugify"] = slug
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    for name, place in ROOT_PAGES.items():
        content = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=with_site_links(content, ROOT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have the links of a page of docs/ lead to where things are on the site."""
    path = page.file.abs_src_path
    return markdown if path is None else with_site_links(markdown, Path(path).parent)


def on_post_build(config: Any) -> None:
    """Every page is there as Markdown too, under its own name."""
    for path in (ROOT / "docs").rglob("*.md"):
        shutil.copyfile(path, Path(config["site_dir"]) / path.relative_to(ROOT / "docs"))
    for name, place in ROOT_PAGES.items():
        content = (ROOT / name).read_text(encoding="utf-8")
        (Path(config["site_dir"]) / place).write_text(with_site_links(content, ROOT), encoding="utf-8")


def with_site_links(markdown: str, folder: Path) -> str:
    """A page's text with links as the site has them; `folder` is where the page is in the repository."""

    def linked(match: re.Match[str]) -> str:
        text, target, anchor = match[1], (folder / match[2]).resolve(), match[3] or ""
        if target.parent == ROOT and target.name in ROOT_PAGES:
            place = Path(ROOT_PAGES[target.name])
        elif target.is_relative_to(ROOT / "docs") and target.suffix in (".md", ".txt", ".png"):
            place = target.relative_to(ROOT / "docs")
        else:
            return text
        here = Path() if folder == ROOT else folder.relative_to(ROOT / "docs")
        return f"[{text}]({'../' * len(here.parts)}{place.as_posix()}{anchor})"

    return _LINK.sub(linked, markdown)
