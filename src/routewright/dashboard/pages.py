"""All pages, in the order of the navigation. What makes a page is loaded when somebody looks at it."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from routewright.dashboard.parameters import Parameters
    from routewright.dashboard.view import Desk, View

FILTERS = (
    "model", "tier", "key", "team", "tag", "outcome", "session",
    "min_cost", "max_cost", "min_ms", "max_ms", "since", "until",
)  # fmt: skip
"""By what requests are looked for."""


class Page(Struct, frozen=True, kw_only=True):
    """An address below `/ui`, and how what is there is made."""

    name: str
    """Its address below `/ui`; `*` at the end stands for the name of the one that is shown."""
    reader: str
    """Which function makes it: of which module of `routewright.dashboard`."""
    title: str = ""
    """In the navigation; empty for a page that is not there."""
    within: str = ""
    """The page in the navigation that this one belongs to."""
    known: tuple[str, ...] = ()
    """The parameters that it takes, beside `table`."""

    def read(self, desk: "Desk", asked: "Parameters") -> "View":
        """Raises CallerError, StoreUnavailable."""
        module, _, function = self.reader.partition(".")
        read: Callable[[Desk, Parameters], View] = getattr(import_module(f"routewright.dashboard.{module}"), function)
        return read(desk, asked)


PAGES = (
    Page(name="overview", reader="overview.read", title="Overview", known=("days",)),
    Page(name="requests", reader="requests.read", title="Requests", known=(*FILTERS, "before")),
    Page(name="requests/*", reader="request.read", within="requests", known=("policy",)),
    Page(name="sessions", reader="sessions.read", title="Sessions"),
    Page(name="sessions/*", reader="sessions.read_one", within="sessions"),
    Page(name="quality", reader="quality.read", title="Quality", known=("by", "model")),
    Page(name="drift", reader="drift.read", within="quality", known=("state", "model")),
    Page(name="shadows", reader="shadows.read", within="quality", known=("show", "shadow")),
    Page(name="backtests", reader="backtests.read", within="quality"),
    Page(name="policies", reader="policies.read", within="quality", known=("policy", "from", "to")),
    Page(name="models", reader="models.read", title="Models", known=("tier", "provider", "name")),
    Page(name="budgets", reader="budgets.read", title="Budgets", known=("scope", "period", "only")),
    Page(name="keys", reader="keys.read", title="Keys", known=("state", "name", "team")),
    Page(name="keys/*", reader="keys.read_one", within="keys"),
    Page(name="batches", reader="batches.read", title="Batches", known=("before",)),
    Page(name="batches/*", reader="batches.read_one", within="batches"),
    Page(name="playground", reader="playground.read", title="Playground"),
)
