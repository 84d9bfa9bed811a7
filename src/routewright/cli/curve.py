"""The cost-quality curve as a picture that stands by itself: SVG by hand, light and dark, labels at the lines."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from routewright.cli.evaluating import (
    CHEAPEST,
    FIXED,
    HEURISTIC,
    LEARNED,
    LENGTH,
    ORACLE,
    RANDOM,
    SCORE,
    STRONGEST,
    Result,
    Router,
)

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 160, 64, 56
"""Margins; the right one has the labels of the lines."""
LINE_HEIGHT = 15
SWATCH = 22
MOST_TICKS = 7
TICK_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)

LABELS = {
    LEARNED: "routewright",
    SCORE: "score alone",
    HEURISTIC: "heuristic",
    LENGTH: "prompt length",
    FIXED: "fixed mixture",
    RANDOM: "cheapest–best mix",
    ORACLE: "oracle",
}
_CLASSES = {LEARNED: "learned", SCORE: "score", FIXED: "fixed", RANDOM: "random", ORACLE: "oracle"}

STYLE = """
.picture { color-scheme: light dark; --ground: #ffffff; --ink: #1c2126; --soft: #66707a; --grid: #e4e7ea;
  --learned: #0b63ce; --score: #b4560a; --other: #8a949e; --oracle: #2d8a55;
  background: var(--ground); font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) { .picture { --ground: #14181c; --ink: #e8ebee; --soft: #9aa5b0; --grid: #2a3138;
  --learned: #6aa9ff; --score: #f0a052; --other: #78828c; --oracle: #6cc793; } }
.picture text { fill: var(--ink); } .picture .soft { fill: var(--soft); font-size: 12px; }
.picture .title { font-size: 16px; font-weight: 600; } .picture .grid { stroke: var(--grid); }
.picture .curve { fill: none; stroke-width: 1.5; stroke: var(--other); stroke-linejoin: round; }
.picture .curve.learned { stroke: var(--learned); stroke-width: 2.75; }
.picture .curve.fixed { stroke: var(--ink); stroke-dasharray: 7 4; } .picture .label.fixed { fill: var(--ink); }
.picture .curve.score { stroke: var(--score); } .picture .curve.random { stroke-dasharray: 4 4; }
.picture .curve.oracle { stroke: var(--oracle); stroke-dasharray: 1 4; stroke-linecap: round; stroke-width: 2; }
.picture .point { fill: var(--ground); stroke: var(--ink); stroke-width: 1.75; }
.picture .label { font-size: 12px; fill: var(--soft); stroke: var(--ground); stroke-width: 4px;
  paint-order: stroke; } .picture .label.learned { fill: var(--learned);
  font-weight: 600; } .picture .label.score { fill: var(--score); } .picture .label.oracle { fill: var(--oracle); }
"""


class _Frame(NamedTuple):
    """From costs (shares of the best model's) and scores to places in the picture."""

    most_cost: float
    least: float
    most: float

    def x(self, cost: float) -> float:
        return LEFT + min(cost, self.most_cost) / self.most_cost * (WIDTH - LEFT - RIGHT)

    def y(self, quality: float) -> float:
        return HEIGHT - BOTTOM - (quality - self.least) / (self.most - self.least) * (HEIGHT - TOP - BOTTOM)


def svg(result: Result) -> str:
    """The curves of one table, with the two constant choices as points. The table must have curves."""
    curves = {router.name: router for router in result.routers if router.curve is not None}
    frame = _frame(list(curves.values()))
    lines = [name for name in LABELS if name in curves]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="Cost and quality on {escape(result.table)}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" style="fill: var(--ground)"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(result.table)}: quality by cost</text>',
        f'<text class="soft" x="{LEFT}" y="45">{result.curve_prompts:,} prompts, {len(result.models)} models; '
        f"cost as a share of always {escape(result.best or '')}</text>",
        *_grid(frame),
        *(_line(name, curves[name], frame) for name in reversed(lines)),
        *_labels(lines, curves, frame),
        *(_point(name, curves[name], frame) for name in (CHEAPEST, STRONGEST) if name in curves),
        "</svg>",
    ]
    return "\n".join(parts)


def html(results: Sequence[Result]) -> str:
    """A page with the picture of each table that has one."""
    pictures = "\n".join(f"<figure>{svg(result)}</figure>" for result in results if result.best is not None)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Routing: quality by cost</title>\n'
        '<meta name="viewport" content="width=device-width"><style>:root { color-scheme: light dark; }\n'
        "body { margin: 2rem auto; max-width: 48rem; font: 16px system-ui, sans-serif; } figure { margin: 0 0 2rem; }\n"
        "svg { max-width: 100%; height: auto; }</style></head><body>\n"
        f"{pictures}\n</body></html>\n"
    )


def _frame(curves: Sequence[Router]) -> _Frame:
    costs = [cost for each in curves if each.curve and each.name != ORACLE for cost in each.curve.cost_shares]
    qualities = [quality for each in curves if each.curve for quality in each.curve.qualities]
    room = 0.06 * (max(qualities) - min(qualities) or 0.1)
    return _Frame(min(max(*costs, 1.0), 1.5) * 1.02, max(min(qualities) - room, 0), min(max(qualities) + room, 1))


def _grid(frame: _Frame) -> list[str]:
    parts = []
    for quality in _ticks(frame):
        y = frame.y(quality)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="soft" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{quality:.2f}</text>')
    for cost in (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5):
        if cost <= frame.most_cost:
            x = frame.x(cost)
            parts.append(
                f'<text class="soft" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{cost:.0%}</text>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="soft" x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle">mean cost a prompt</text>'
    )
    parts.append(
        f'<text class="soft" transform="translate(18 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "mean score</text>"
    )
    return parts


def _ticks(frame: _Frame) -> list[float]:
    """Round scores within the frame, `MOST_TICKS` at most."""
    step = next(step for step in TICK_STEPS if (frame.most - frame.least) / step <= MOST_TICKS)
    return [number * step for number in range(math.ceil(frame.least / step), math.floor(frame.most / step) + 1)]


def _line(name: str, router: Router, frame: _Frame) -> str:
    """A frontier, level from its last point on: no more has to be paid than what that costs."""
    assert router.curve is not None
    places = [
        f"{frame.x(cost):.1f},{frame.y(quality):.1f}"
        for cost, quality in zip(router.curve.cost_shares, router.curve.qualities, strict=True)
        if cost <= frame.most_cost
    ]
    if places:
        places.append(f"{WIDTH - RIGHT},{places[-1].rpartition(',')[2]}")
    return f'<polyline class="curve {_CLASSES.get(name, "other")}" points="{" ".join(places)}"/>'


def _labels(lines: Sequence[str], curves: dict[str, Router], frame: _Frame) -> list[str]:
    """Right of the lines' ends, each with a piece of its line, in the order of the lines at half the cost.

    Pushed apart where they would cover one another: most lines end where everything goes to the best model.
    """
    middle = (LEFT + WIDTH - RIGHT) / 2
    order = sorted(lines, key=lambda name: _height(curves[name], frame, middle))
    parts, lowest = [], float(TOP - LINE_HEIGHT)
    for name in order:
        lowest = max(_height(curves[name], frame, WIDTH - RIGHT), lowest + LINE_HEIGHT)
        kind, x = _CLASSES.get(name, "other"), WIDTH - RIGHT + 8
        parts.append(f'<line class="curve {kind}" x1="{x}" x2="{x + SWATCH}" y1="{lowest:.1f}" y2="{lowest:.1f}"/>')
        parts.append(
            f'<text class="label {kind}" x="{x + SWATCH + 6}" y="{lowest + 4:.1f}">{escape(LABELS[name])}</text>'
        )
    return parts


def _height(router: Router, frame: _Frame, x: float) -> float:
    """Where a line is at this place across; left of its start, where it starts."""
    assert router.curve is not None
    cost = (x - LEFT) / (WIDTH - LEFT - RIGHT) * frame.most_cost
    return frame.y(float(np.interp(cost, router.curve.cost_shares, router.curve.qualities)))


def _point(name: str, router: Router, frame: _Frame) -> str:
    assert router.curve is not None
    x, y = frame.x(router.curve.cost_shares[0]), frame.y(router.curve.qualities[0])
    anchor, shift, drop = ("start", 9, 17) if name == CHEAPEST else ("end", 4, 26)
    return (
        f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        f'<text class="label" x="{x + shift:.1f}" y="{y + drop:.1f}" text-anchor="{anchor}">{escape(name)}</text>'
    )
