"""Which version runs, as the installation says."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def running_version() -> str:
    """`0.1.0`; `unknown` for sources that are not installed."""
    try:
        return version("routewright")
    except PackageNotFoundError:
        return "unknown"
