"""From a view to HTML. Jinja2 is imported here alone, and only once somebody looks at a page.

Templates are those of this package; text is escaped by default, and what is HTML already says so in its type.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from routewright.dashboard.assets import assets
from routewright.dashboard.charting import course
from routewright.dashboard.listing import Cell, Kind, duration, shown
from routewright.reports.markup import text_of
from routewright.text import plain, usd

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("routewright.dashboard"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=lambda cell, kind: Markup(_cell(cell, kind)),  # noqa: S704 escaped
        usd=usd,
        duration=duration,
        drawn=Markup,
    )
    environment.globals["asset"] = lambda name: assets()[name].address
    return environment


def _cell(cell: Cell, kind: Kind) -> str:
    """As HTML."""
    if kind is not Kind.COURSE:
        return text_of(shown(kind, cell))
    points = course([int(number) for number in str(cell).split()])
    box = 'viewBox="0 0 100 24" preserveAspectRatio="none"'
    return f'<svg class="course" {box} aria-hidden="true"><polyline points="{points}"/></svg>'


def _without_controls(value: object) -> object:
    return plain(value) if type(value) is str else value  # Markup is text that was looked at already


def render(template: str, values: Mapping[str, object]) -> bytes:
    """A whole page."""
    return _environment().get_template(template).render(values).encode()
