"""Points in a plane as SVG text, each with the interval of its height: a calibration curve, a cost-quality curve."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from routewright.reports.charts import BOTTOM, HALF, HEIGHT, LEFT, RIGHT, SERIES, TOP
from routewright.reports.markup import text_of

_TICKS = 5


class Axis(Struct, frozen=True):
    """From `least` to `most`, which is more; `words` writes a value."""

    least: float
    most: float
    words: Callable[[float], str]

    def part(self, value: float) -> float:
        """How far along it a value is, 0 to 1; what lies beyond its ends is at its ends."""
        return min(1.0, max(0.0, (value - self.least) / (self.most - self.least)))

    @property
    def ticks(self) -> list[float]:
        """Evenly from end to end."""
        return [self.least + (self.most - self.least) * step / (_TICKS - 1) for step in range(_TICKS)]


class Dot(Struct, frozen=True, kw_only=True):
    """One point."""

    x: float
    y: float
    low: float
    high: float
    """Ends of the interval of `y`."""
    told: str
    """What it is, for who stays on it."""
    series: int = 0
    """Which colour it has."""


def plane(
    dots: Sequence[Dot],
    *,
    title: str,
    description: str,
    across: Axis,
    up: Axis,
    is_curve: bool = False,
    has_diagonal: bool = False,
) -> str:
    """The points, from left to right; as a curve with a band around it, or each for itself with its interval."""

    def x(value: float) -> float:
        return LEFT + (HALF - LEFT - RIGHT) * across.part(value)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up.part(value)

    ordered = sorted(dots, key=lambda dot: dot.x)
    parts = [*_grid(across, up, x, y)]
    if has_diagonal:
        low, high = max(across.least, up.least), min(across.most, up.most)
        parts.append(_way("ideal", [(x(low), y(low)), (x(high), y(high))]))
    if is_curve and len(ordered) > 1:
        edge = [(x(dot.x), y(dot.high)) for dot in ordered] + [(x(dot.x), y(dot.low)) for dot in reversed(ordered)]
        parts.append(f'<polygon class="area" points="{_places(edge)}"/>')
        parts.append(_way("curve", [(x(dot.x), y(dot.y)) for dot in ordered]))
    for dot in ordered:
        at = x(dot.x)
        kind = "curve-dot" if is_curve else f"s{dot.series % SERIES}"
        parts.append(f'<line class="reach" x1="{at:.1f}" x2="{at:.1f}" y1="{y(dot.low):.1f}" y2="{y(dot.high):.1f}"/>')
        tip = f"<title>{text_of(dot.told)}</title>"
        parts.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{y(dot.y):.1f}" r="5">{tip}</circle>')
    return (
        f'<svg viewBox="0 0 {HALF} {HEIGHT}" role="img" aria-label="{text_of(title)}">'
        f"<title>{text_of(title)}</title><desc>{text_of(description)}</desc>{''.join(parts)}</svg>"
    )


def around(values: Sequence[float], words: Callable[[float], str]) -> Axis:
    """An axis with all these values, of which there is one at least, and some room."""
    least, most = min(values), max(values)
    room = (most - least) * 0.1 or abs(most) * 0.1 or 1.0
    return Axis(max(0.0, least - room), most + room, words)


def _grid(across: Axis, up: Axis, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    rows = [
        f'<line class="grid" x1="{LEFT}" x2="{HALF - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{text_of(up.words(tick))}</text>'
        for tick in up.ticks
    ]
    last = len(across.ticks) - 1
    columns = [
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="{"end" if at == last else "middle"}">'
        f"{text_of(across.words(tick))}</text>"
        for at, tick in enumerate(across.ticks)
    ]
    return [*rows, *columns]


def _way(kind: str, places: Sequence[tuple[float, float]]) -> str:
    return f'<polyline class="{kind}" points="{_places(places)}"/>'


def _places(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
