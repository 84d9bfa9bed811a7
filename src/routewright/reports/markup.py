"""Any text as HTML."""

from html import escape

from routewright.text import plain


def text_of(text: str) -> str:
    """Escaped, without what a terminal would obey, a percent sign in one line with its number."""
    return escape(plain(text)).replace(" %", "\N{NO-BREAK SPACE}%")
