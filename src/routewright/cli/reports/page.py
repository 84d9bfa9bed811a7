"""The frame of a page: one HTML file without script, that asks nobody for anything, light or dark as its reader likes.

All text from outside is escaped, and a policy in the page's head forbids whatever it would have needed to do harm.
"""

from collections.abc import Iterable, Sequence
from importlib.resources import files

from routewright.reports.markup import text_of

MOST_ROWS = 1_000
"""Lines of a table in a page; what is beyond them is said, or one more line."""

_LONG_CHARS = 48


def heading(text: str, scope: str, *, is_text: bool = True) -> str:
    """The heading of a column (`col`) or a row (`row`)."""
    return f'<th scope="{scope}"{_kind(text) if is_text else ""}>{text_of(text)}</th>'


def _kind(text: str) -> str:
    return ' class="text long"' if len(text) > _LONG_CHARS else ' class="text"'


def page(title: str, subtitle: str, body: str) -> str:
    """A whole page around a body that is HTML already."""
    style = (files("routewright.reports") / "style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text_of(title)} · routewright</title><style>{style}</style></head>"
        f'<body><main><header><h1>{text_of(title)}</h1><p class="when">{text_of(subtitle)}</p></header>'
        f"{body}<footer>Made by routewright from its ledger. Times are UTC, money is US dollars.</footer>"
        "</main></body></html>\n"
    )


def figure(title: str, subtitle: str, chart: str, table: str, *, is_wide: bool = False) -> str:
    """A chart under its title, with the table of its figures folded below it."""
    return (
        f'<figure class="{"wide" if is_wide else "half"}"><h2>{text_of(title)}</h2>'
        f'<p class="sub">{text_of(subtitle)}</p>'
        f'<div class="scroll">{chart}</div><details><summary>The same as a table</summary>{table}</details></figure>'
    )


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table; the first column names its rows, the first `texts` are words and the others figures."""
    head = "".join(heading(name, "col", is_text=at < texts) for at, name in enumerate(header))
    body = "".join(
        f"<tr>{heading(row[0], 'row')}"
        + "".join(
            f"<td{_kind(cell) if at < texts else ''}>{text_of(cell)}</td>" for at, cell in enumerate(row[1:], start=1)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cards(items: Iterable[tuple[str, str, str, str]]) -> str:
    """Figures to begin with: what, how much, what else to say of it, and the class of its colour."""
    return (
        '<dl class="cards">'
        + "".join(
            f'<div class="card"><dt>{text_of(name)}</dt><dd class="{kind}">{text_of(value)}</dd>'
            f"<dd>{text_of(more)}</dd></div>"
            for name, value, more, kind in items
        )
        + "</dl>"
    )


def section(title: str, subtitle: str, table: str) -> str:
    """A table under its title."""
    return f'<section><h2>{text_of(title)}</h2><p class="sub">{text_of(subtitle)}</p>{table}</section>'
