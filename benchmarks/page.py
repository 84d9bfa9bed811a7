"""Figures go into a page between two marks, so that the page can be written and the figures made."""

from collections.abc import Sequence
from pathlib import Path


def put(page: Path, block: str, lines: Sequence[str]) -> None:
    """Replace what stands between `<!-- BLOCK: begin -->` and `<!-- BLOCK: end -->`. Raises ValueError without them."""
    begin, end = f"<!-- {block}: begin -->", f"<!-- {block}: end -->"
    before, mark, rest = page.read_text().partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"{page} has no marks of {block}")
    page.write_text("\n".join([before + begin, *lines, end + after]))
