"""Which version runs, as the installation says."""

from functools import cache


@cache
def running_version() -> str:
    """`0.1.0`; `unknown` for sources that are not installed."""
    from importlib.metadata import PackageNotFoundError, version  # half a megabyte, for who wants to know

    try:
        return version("routewright")
    except PackageNotFoundError:
        return "unknown"
