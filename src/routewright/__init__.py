"""routewright: the cheapest model that will do it well, every token accounted for.

The public names; everything else may change. They are loaded when they are first used, so that importing the package
costs nothing that is not needed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routewright.client import AnswerStream, Router, SyncRouter
    from routewright.errors import RoutewrightError
    from routewright.jobs.listing import BatchResult
    from routewright.jobs.stage import RoutewrightStage
    from routewright.reply import Answer
    from routewright.route import Route

_HOMES = {
    "Answer": "routewright.reply",
    "AnswerStream": "routewright.client",
    "BatchResult": "routewright.jobs.listing",
    "Route": "routewright.route",
    "Router": "routewright.client",
    "RoutewrightError": "routewright.errors",
    "RoutewrightStage": "routewright.jobs.stage",
    "SyncRouter": "routewright.client",
}

__all__ = [
    "Answer",
    "AnswerStream",
    "BatchResult",
    "Route",
    "Router",
    "RoutewrightError",
    "RoutewrightStage",
    "SyncRouter",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'routewright' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
