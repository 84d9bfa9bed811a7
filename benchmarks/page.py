"""Figures go into a page between two marks, so that the page can be written and the figures made."""

from collections.abc import Sequence
from pathlib import Path

from routewright.proofs.figure import HEAD, Figure, machine

BEGIN, END = "<!-- {name}: written by {command} -->", "<!-- {name}: end -->"


def put(page: Path, block: str, lines: Sequence[str]) -> None:
    """Replace what stands between `<!-- BLOCK: begin -->` and `<!-- BLOCK: end -->`. Raises ValueError without them."""
    begin, end = f"<!-- {block}: begin -->", f"<!-- {block}: end -->"
    before, mark, rest = page.read_text().partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"{page} has no marks of {block}")
    page.write_text("\n".join([before + begin, *lines, end + after]))


def write(page: Path, name: str, command: str, figures: list[Figure]) -> None:
    """Put figures into their block of the page; rows of a run that did not make them stay as they are."""
    text = page.read_text(encoding="utf-8")
    begin, end = BEGIN.format(name=name, command=command), END.format(name=name)
    before, _, rest = text.partition(begin)
    block, _, after = rest.partition(end)
    if not rest:
        raise ValueError(f"{page} has no place for these figures: it lacks the line {begin}")
    rows = {row.split("|")[1].strip(): row for row in block.splitlines() if row.startswith("| ")}
    rows.pop("figure", None)
    rows |= {figure.name: figure.row() for figure in figures}
    table = "\n".join([HEAD, *(rows[key] for key in sorted(rows))])
    page.write_text(f"{before}{begin}\n\n{table}\n\n{machine()}\n\n{end}{after}", encoding="utf-8")
