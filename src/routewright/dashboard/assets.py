"""The files that pages load: in the package, at addresses that have their content's hash, so that they never change."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_NAMES = ("boot.js", "dashboard.js", "dashboard.css", "htmx.min.js", "icon.svg", "uplot.min.js", "uplot.min.css")


class Asset(Struct, frozen=True):
    """A file."""

    content: bytes
    content_type: str
    address: str


@cache
def assets() -> Mapping[str, Asset]:
    """All of them, by their names."""
    here = Path(__file__).parent
    folder, of_reports = here / "static", here.parent / "reports" / "style.css"
    contents = {name: (folder / name).read_bytes() for name in _NAMES}
    contents["dashboard.css"] = of_reports.read_bytes() + contents["dashboard.css"]  # it changes what is for all pages
    return {name: _asset(name, content) for name, content in contents.items()}


def _asset(name: str, content: bytes) -> Asset:
    version = hashlib.sha256(content).hexdigest()[:12]
    return Asset(content, _TYPES[name.rpartition(".")[2]], f"/ui/static/{version}/{name}")
