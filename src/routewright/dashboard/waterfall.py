"""The attempts of a request as bars over its time: when each was sent, when it began to answer, when it ended."""

from collections.abc import Sequence

from msgspec import Struct

from routewright.dashboard.listing import duration
from routewright.reports.markup import text_of

WIDTH, ROW, LEFT, RIGHT = 1200, 30, 300, 110


class Bar(Struct, frozen=True, kw_only=True):
    """One attempt; milliseconds from when the first one was sent."""

    name: str
    starts_ms: int
    lasts_ms: int | None
    """None while it is open."""
    first_ms: int | None
    """From its own begin to its first event."""
    outcome: str
    remark: str = ""
    """What else there is to say of it, behind its length."""


def waterfall(bars: Sequence[Bar]) -> str:
    """An SVG."""
    end = max((bar.starts_ms + (bar.lasts_ms or 0) for bar in bars), default=0) or 1
    scale = (WIDTH - LEFT - RIGHT) / end
    rows = "".join(_row(bar, at, scale) for at, bar in enumerate(bars))
    told = "; ".join(f"{bar.name}: {bar.outcome}{bar.remark and f', {bar.remark}'}" for bar in bars)
    return (
        f'<svg viewBox="0 0 {WIDTH} {ROW * max(1, len(bars)) + 8}" role="img" aria-label="Attempts over time">'
        f"<title>Attempts over time</title><desc>{text_of(told)}</desc>{rows}</svg>"
    )


def _row(bar: Bar, at: int, scale: float) -> str:
    middle, left = ROW * at + ROW / 2 + 4, LEFT + bar.starts_ms * scale
    width = max(2.0, (bar.lasts_ms or 0) * scale)
    waits = width if bar.first_ms is None else min(width, bar.first_ms * scale)
    lasts = "open" if bar.lasts_ms is None else duration(bar.lasts_ms)
    if bar.remark:
        lasts = f"{lasts}, {bar.remark}"
    tip = text_of(f"{bar.name} · {bar.outcome} · after {duration(bar.starts_ms)}, {lasts}")
    kind = "s1" if bar.outcome == "complete" else "s3"
    return (
        f'<text class="name" x="{LEFT - 12}" y="{middle + 4:.1f}" text-anchor="end">{text_of(bar.name[:44])}</text>'
        f'<rect class="track" x="{left:.1f}" y="{middle - 8:.1f}" width="{waits:.1f}" height="16" rx="3"/>'
        f'<rect class="{kind}" x="{left + waits:.1f}" y="{middle - 8:.1f}" width="{max(2.0, width - waits):.1f}" '
        f'height="16" rx="3"><title>{tip}</title></rect>'
        f'<text class="told" x="{left + max(width, waits + 2) + 8:.1f}" y="{middle + 4:.1f}">{text_of(lasts)}</text>'
    )
