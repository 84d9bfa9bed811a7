"""What pages are made from, and what they are: values, before anything of HTML or HTTP."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from routewright.access.directory import Directory
from routewright.access.keys import Role
from routewright.clock import Clock
from routewright.dashboard.listing import Listing
from routewright.engine import Engine
from routewright.ledger.budgets import BudgetStanding
from routewright.ledger.drift import Key
from routewright.ledger.store import Store


class Desk(Struct, frozen=True, kw_only=True):
    """What there is to look at, as of one moment. A page is made in a thread, where it may wait for the ledger."""

    engine: Engine
    ledger: Store
    """Through a connection of its own, which only reads and has a time limit."""
    clock: Clock
    now_ns: int
    """UTC nanoseconds since 1970, as all times."""
    started_ns: int
    """When this gateway began."""
    directory: Directory
    """The keys, as this gateway knows them."""
    budgets: Sequence[BudgetStanding]
    breakers: Mapping[str, str]
    drift: Mapping[Key, bool]
    prices_date: str
    """The day of the price table; empty without one."""
    address: str
    """By which the reader reaches the gateway: `http://127.0.0.1:8484`."""
    roles: frozenset[Role]
    """What the reader may do."""


class Figure(Struct, frozen=True, kw_only=True):
    """A chart: drawn already, over the table that it shows."""

    listing: Listing
    subtitle: str
    svg: str
    """HTML, made of escaped text."""
    legend: str = ""
    """The same."""
    series: tuple[str, ...] = ()
    """The columns that are stacked, for what makes the chart move; none for a chart that stands still."""
    line: str = ""
    """The column of a line over them."""
    unit: str = ""
    """`usd`, `share` or `count`: of what is stacked."""
    is_wide: bool = False


class View(Struct, frozen=True, kw_only=True):
    """A page."""

    title: str
    template: str
    values: Mapping[str, object]
    listings: tuple[Listing, ...] = ()
    """What its JSON and CSV have; of CSV the first, or the one that `table` names."""
