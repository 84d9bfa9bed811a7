"""`GET /admin/budgets`: how every budget stands, and the two protocols by which the gateway asks for it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct

from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.ledger.budgets import Budget, Window
from routewright.money import exact_usd

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BudgetStanding(Protocol):
    """How a budget stands in its present window, as far as this process knows."""

    @property
    def budget(self) -> Budget:
        """Which."""
        ...

    @property
    def window(self) -> Window:
        """When."""
        ...

    @property
    def spent_nanousd(self) -> int:
        """By everybody."""
        ...

    @property
    def held_nanousd(self) -> int:
        """By this process."""
        ...

    @property
    def remaining_nanousd(self) -> int:
        """What is left of the limit."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is admitted until an operator has looked."""
        ...


ShowBudgets: TypeAlias = Callable[[], Sequence[BudgetStanding]]


def no_budgets() -> Sequence[BudgetStanding]:
    """Where nobody keeps any."""
    return ()


class BudgetTold(Struct, frozen=True, kw_only=True):
    """A budget as it is shown: exact decimal amounts in USD, times in UTC."""

    name: str
    scope: str
    subject: str
    period: str
    is_hard: bool
    limit_usd: str
    spent_usd: str
    held_usd: str
    remaining_usd: str
    starts_at: datetime
    ends_at: datetime | None
    """None for a budget for ever."""
    is_frozen: bool


class AdminBudgets:
    """The handler."""

    def __init__(self, budgets: ShowBudgets) -> None:
        self._budgets = budgets

    async def __call__(self, request: Request, send: Send) -> None:
        body = msgspec.json.encode({"object": "list", "data": [told(standing) for standing in self._budgets()]})
        await respond(send, 200, [JSON_TYPE, (b"cache-control", b"no-store")], body)


def told(standing: BudgetStanding) -> BudgetTold:
    """A budget as it is shown."""
    budget, window = standing.budget, standing.window
    return BudgetTold(
        name=budget.name,
        scope=budget.scope,
        subject=budget.subject,
        period=budget.period,
        is_hard=budget.is_hard,
        limit_usd=exact_usd(budget.limit_nanousd),
        spent_usd=exact_usd(standing.spent_nanousd),
        held_usd=exact_usd(standing.held_nanousd),
        remaining_usd=exact_usd(standing.remaining_nanousd),
        starts_at=_moment(window.starts_ns),
        ends_at=None if window.ends_ns is None else _moment(window.ends_ns),
        is_frozen=standing.is_frozen,
    )


def _moment(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)
