"""Charts as SVG text: drawn here, so that a page with them needs no script and asks nobody for anything.

A chart is told to those who cannot see it by a title and a description; who wants the figures finds them in the table
beside it. Colours are classes (`s0` to `s7` for series, `axis`, `grid`, `line`), so a page's own style sheet sets them,
for light and dark. Whatever is written is escaped.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from routewright.reports.markup import text_of

WIDE, HALF, HEIGHT = 1200, 560, 260
"""About the pixels that a chart across the page, and one of two side by side, are shown at: so text has one size."""
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 12, 28
SERIES = 8
"""Colours there are."""

_LABEL_WIDTH = 64
_GRID_LINES = 4
_ROW = 30
_LABEL_CHARS = 21
_STEPS = (1, 2, 5, 10)

Words = Callable[[int], str]
"""A value as text."""


class Point(Struct, frozen=True):
    """What a bar chart shows at one place of its axis."""

    label: str
    values: tuple[int, ...]
    """Stacked, in the order of the series."""
    line: int | None = None
    """The height of a line over the bars, which passes by a place without one."""


class Share(Struct, frozen=True):
    """One row of a chart of shares."""

    label: str
    value: int
    told: str
    """What is written behind its bar."""


def columns(
    points: Sequence[Point],
    *,
    title: str,
    description: str,
    words: Words,
    names: Sequence[str],
    line_name: str = "",
    full: int = HALF,
) -> str:
    """Columns along a time axis, one for each point, stacked if it has several values; a line over them."""
    greatest = max((max(sum(point.values), point.line or 0) for point in points), default=0)
    scale = _Scale(greatest)
    parts = [*_grid(scale, words, full), *_time_labels(points, full)]
    slot = (full - LEFT - RIGHT) / max(1, len(points))
    width = max(1.0, slot * (0.72 if len(points) > 6 else 0.5)) if slot > 1 else slot
    width = min(width, 56.0)
    for at, point in enumerate(points):
        left, base = LEFT + slot * at + (slot - width) / 2, 0
        for series, value in enumerate(point.values):
            if value <= 0:
                continue
            top, bottom = scale.y(base + value), scale.y(base)
            name = f"{names[series]}: " if names else ""
            tip = text_of(f"{point.label} · {name}{words(value)}")
            parts.append(
                f'<rect class="s{series % SERIES}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{max(0.5, bottom - top):.1f}" rx="{1.5 if width > 5 else 0}"><title>{tip}</title></rect>'
            )
            base += value
    places = [
        (LEFT + slot * (at + 0.5), scale.y(point.line), f"{point.label} · {line_name}: {words(point.line)}")
        for at, point in enumerate(points)
        if point.line is not None
    ]
    parts += _line(places)
    return _svg(parts, title, description, full)


def curve(points: Sequence[Point], *, title: str, description: str, words: Words) -> str:
    """The course of `Point.line` over time, with the area below it."""
    scale = _Scale(max((point.line or 0 for point in points), default=0))
    slot = (HALF - LEFT - RIGHT) / max(1, len(points))
    places = [
        (LEFT + slot * (at + 0.5), scale.y(point.line), f"{point.label} · {words(point.line)}")
        for at, point in enumerate(points)
        if point.line is not None
    ]
    area = ""
    if len(places) > 1:
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        floor = scale.y(0)
        area = f'<polygon class="area" points="{places[0][0]:.1f},{floor:.1f} {way} {places[-1][0]:.1f},{floor:.1f}"/>'
    return _svg(
        [*_grid(scale, words, HALF), area, *_time_labels(points, HALF), *_line(places, "curve")],
        title,
        description,
        HALF,
    )


def shares(rows: Sequence[Share], *, title: str, description: str) -> str:
    """Horizontal bars, one below the other, with what they are and how much."""
    height = _ROW * max(1, len(rows)) + 8
    greatest = max((row.value for row in rows), default=0)
    left, right = 150, 140
    parts = []
    for at, row in enumerate(rows):
        middle = _ROW * at + _ROW / 2 + 4
        long = (HALF - left - right) * max(0, row.value) / greatest if greatest > 0 else 0.0
        parts.append(
            f'<text class="name" x="{left - 12}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{text_of(_shortened(row.label))}</text>"
            f'<rect class="track" x="{left}" y="{middle - 8:.1f}" width="{HALF - left - right}" height="16" rx="4"/>'
            f'<rect class="s{at % SERIES}" x="{left}" y="{middle - 8:.1f}" width="{max(2.0, long):.1f}" height="16" '
            f'rx="4"><title>{text_of(f"{row.label} · {row.told}")}</title></rect>'
            f'<text class="told" x="{HALF - right + 12}" y="{middle + 4:.1f}">{text_of(row.told)}</text>'
        )
    return _svg(parts, title, description, HALF, height)


def legend(names: Sequence[str], line_name: str = "") -> str:
    """Which colour is what."""
    if len(names) < 2 and not line_name:
        return ""
    items = [f'<li><i class="key s{at % SERIES}"></i>{text_of(name)}</li>' for at, name in enumerate(names)]
    if line_name:
        items.append(f'<li><i class="key dash"></i>{text_of(line_name)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


# ---- how it is drawn ----------------------------------------------------------------------------------------------


class _Scale:
    """From a value to a height, with grid lines at round values."""

    def __init__(self, greatest: int) -> None:
        self.step = _round_step(greatest)
        self.top = max(self.step, -(-greatest // self.step) * self.step)

    def y(self, value: int) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top

    @property
    def lines(self) -> range:
        """The values with a line."""
        return range(0, self.top + 1, self.step)


def _round_step(greatest: int) -> int:
    """The least 1, 2 or 5 times a power of ten that needs no more than `_GRID_LINES` steps."""
    size = 1
    while True:
        for step in _STEPS:
            if step * size * _GRID_LINES >= greatest:
                return step * size
        size *= 10


def _grid(scale: _Scale, words: Words, full: int) -> list[str]:
    return [
        f'<line class="{"axis" if value == 0 else "grid"}" x1="{LEFT}" x2="{full - RIGHT}" '
        f'y1="{scale.y(value):.1f}" y2="{scale.y(value):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{scale.y(value) + 4:.1f}" text-anchor="end">'
        f"{text_of(words(value))}</text>"
        for value in scale.lines
    ]


def _time_labels(points: Sequence[Point], full: int) -> list[str]:
    slot = (full - LEFT - RIGHT) / max(1, len(points))
    every = max(1, -(-len(points) * _LABEL_WIDTH // (full - LEFT - RIGHT)))
    return [
        f'<text class="tick" x="{LEFT + slot * (at + 0.5):.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{text_of(points[at].label)}</text>"
        for at in range(0, len(points), every)
    ]


def _line(places: Sequence[tuple[float, float, str]], kind: str = "line") -> list[str]:
    if not places:
        return []
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    radius = 3 if len(places) <= 62 else 1.2
    dots = [
        f'<circle class="{kind}-dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{text_of(tip)}</title></circle>'
        for x, y, tip in places
    ]
    return [f'<polyline class="{kind}" points="{way}"/>', *dots]


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1] + "…"


def _svg(parts: Sequence[str], title: str, description: str, full: int, height: int = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {full} {height}" role="img" aria-label="{text_of(title)}">'
        f"<title>{text_of(title)}</title><desc>{text_of(description)}</desc>{''.join(parts)}</svg>"
    )
