"""Pages that are made from the code: `python tests/pages.py` writes them, `tests/test_site.py` compares.

docs/errors.md, docs/http.md, docs/decisions/README.md, docs/llms.txt; and the schema of a new ledger.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import yaml

from lobby import lobby
from routewright.cli.explain import FAULTS, HELP, REMEDIES, errors, meaning
from routewright.gateway.openapi import document
from routewright.ledger.database import MIGRATIONS, migrations
from routewright.ledger.sqlite import migrate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_PARTS = {
    "E0": "Bugs",
    "E1": "Requests",
    "E2": "Providers, one attempt each",
    "E3": "Requests as a whole",
    "E4": "The installation",
    "E5": "The command line",
}
_APART = re.compile(r"^```.*?^```|^<!--.*?-->|^#.*?$|^\|.*?$", re.MULTILINE | re.DOTALL)
"""What of a page is no sentence."""
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def made() -> Mapping[Path, str]:
    """Every such page with its text."""
    fresh = {
        DOCS / "errors.md": errors_page(),
        DOCS / "http.md": http_page(asyncio.run(served())),
        DOCS / "decisions" / "README.md": decisions_page(),
        MIGRATIONS / "sqlite.sql": new_sqlite_ledger(),
    }
    return {**fresh, DOCS / "llms.txt": for_models(fresh)}


def new_sqlite_ledger() -> str:
    """What all steps of the schema make of an empty file: its tables, and the rows that are in them from the start."""
    steps = migrations("sqlite")
    lines = [f"-- {steps[-1].number}: all steps in one, for a new ledger; made of them by `python3 dev.py docs`."]
    with closing(apsw.Connection(":memory:")) as connection:
        migrate(connection, steps)
        made = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
        kept = [(kind, name, sql) for kind, name, sql in made if not name.startswith("sqlite_")]
        lines += [f"{sql};" for _, _, sql in kept]
        for name in (name for kind, name, _ in kept if kind == "table"):
            for row in connection.execute(f"SELECT * FROM {name}"):  # noqa: S608 a name of our own
                values = ", ".join(map(apsw.format_sql_value, row))
                lines.append(f"INSERT INTO {name} VALUES ({values});")  # noqa: S608 our own as well
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every error with its meaning, and what `routewright explain` says helps."""
    lines = [
        "# Errors",
        "",
        "Every error has a number, for people and `routewright explain`, and a code, which stands in the body of the",
        "answer and in the ledger. This page is made of what `routewright explain` prints.",
    ]
    for start, title in _PARTS.items():
        found = [error for error in errors() if error.number.startswith(start)]
        lines += ["", f"## {title}"]
        for error in found:
            lines += [
                "",
                f"### {error.number} {error.code}",
                "",
                f"{meaning(error)} HTTP {error.status}; it lies with {FAULTS[error.fault]}. {REMEDIES[error.remedy]}",
                "",
                f"**What helps:** {HELP[error.number]}",
            ]
    return "\n".join(lines) + "\n"


async def served() -> dict[str, Any]:
    """The OpenAPI document of a gateway."""
    with TemporaryDirectory() as folder:
        async with lobby(Path(folder)) as house:
            return document(house.gateway.endpoints)


def http_page(told: Mapping[str, Any]) -> str:
    """Every address with who may call it, what it takes and what it answers."""
    groups: dict[str, list[str]] = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {})
            cells = (
                f"`{method.upper()} {path}`",
                operation["summary"],
                operation["description"].removeprefix("Access: ").removesuffix("."),
                ", ".join(map(_schema, body.values())) or "–",
                ", ".join(dict.fromkeys(map(_schema, next(iter(operation["responses"].values()))["content"].values()))),
            )
            groups.setdefault(operation["tags"][0], []).append(f"| {' | '.join(cells)} |")
    lines = [
        "# Every address",
        "",
        "Made from the gateway's table of endpoints. A gateway serves the same as an OpenAPI 3.1 document with all",
        "schemas at `/openapi.json`, and as a page at `/docs`. What requests may ask of the router, and what answers",
        "say, is in [the API](api.md).",
    ]
    for group, rows in groups.items():
        lines += ["", f"## {group}", "", "| address | what | who | body | answer |", "|---|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _schema(content: Mapping[str, Any]) -> str:
    return f"`{content['schema']['$ref'].rpartition('/')[2]}`"


def decisions_page() -> str:
    """The records in order, by their titles."""
    lines = [
        "# Decision records",
        "",
        "Why the house is as it is: half a page each, with the figures where it is about speed. A record is not",
        "changed when a later one goes another way; the later one says so.",
        "",
    ]
    for path in sorted((DOCS / "decisions").glob("0*.md")):
        title = re.sub(r"^# +\d+ *[.—–-]+ *", "", path.read_text(encoding="utf-8").partition("\n")[0])
        lines.append(f"* {path.name[:4]}: [{title}]({path.name})")
    return "\n".join(lines) + "\n"


def nav() -> Mapping[str, list[tuple[str, str]]]:
    """The parts of the site, each with titles and pages, as mkdocs.yml has them."""
    told = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    return {part: [next(iter(page.items())) for page in pages] for section in told for part, pages in section.items()}


def source_of(page: str) -> Path:
    """The file in the repository behind a page of the site."""
    if page == "index.md":
        return ROOT / "README.md"
    return ROOT / page if (ROOT / page).exists() else DOCS / page


def for_models(fresh: Mapping[Path, str]) -> str:
    """`llms.txt`: what there is to read, for programs that read Markdown; `fresh` pages are not on the disk yet."""
    return "\n".join(_for_models(fresh)) + "\n"


def _for_models(fresh: Mapping[Path, str]) -> Iterator[str]:
    yield "# routewright"
    yield ""
    yield "> An LLM router and gateway in Python: send `model: auto`, and each request goes to the cheapest model that"
    yield "> will do it well, survives that model's provider, and leaves a ledger entry exact to the nano-dollar."
    for part, pages in nav().items():
        yield f"\n## {part}\n"
        for title, page in pages:
            path = source_of(page)
            yield f"- [{title}]({page}){_beginning(fresh.get(path) or path.read_text(encoding='utf-8'))}"


def _beginning(page: str) -> str:
    """The first sentence of a page's first paragraph."""
    paragraphs = _APART.sub("", page).split("\n\n")
    first = next((each.strip() for each in paragraphs if each.strip()), "")
    sentence = re.match(r"(.+?[.:!?])(?:\s|$)", _LINK.sub(r"\1", " ".join(first.split())))
    return "" if sentence is None else f": {sentence[1].rstrip(':')}"


if __name__ == "__main__":
    for place, text in made().items():
        place.write_text(text, encoding="utf-8")
