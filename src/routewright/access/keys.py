"""What a virtual key is: who holds it, what it allows, and until when. Plain values."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from routewright.ledger.budgets import KEY_BUDGETS, Budget, Period, Scope
from routewright.tenant import NOBODY, Tenant, WhenLeft


class Role(StrEnum):
    """What the holder of a key may do at the gateway."""

    USE = "use"
    """Ask models."""
    READ = "read"
    """See keys, budgets and figures; never a secret."""
    ADMIN = "admin"
    """Make, change and revoke keys; and all that `read` may."""


ALL_ROLES = frozenset(Role)


class KeyBudget(Struct, frozen=True, kw_only=True):
    """How much a key may spend in each period; a key has at most one for a period."""

    limit_nanousd: int
    period: Period
    is_hard: bool = True
    """Nothing is admitted beyond it; a soft one only raises alerts."""


class VirtualKey(Struct, frozen=True, kw_only=True):
    """One key, as it is kept: all but its secret, of which nobody knows more than the HMAC. Times are UTC nanoseconds
    since 1970."""

    id: str
    name: str
    team: str = ""
    tags: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset({Role.USE})
    models: tuple[str, ...] = ()
    """What may be asked for; empty for all."""
    tiers: tuple[str, ...] = ()
    """Who may answer; empty for all."""
    budgets: tuple[KeyBudget, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    when_left: WhenLeft | None = None
    created_at_ns: int
    not_before_ns: int | None = None
    expires_at_ns: int | None = None
    revoked_at_ns: int | None = None
    hmac: str
    """HMAC-SHA-256 of the whole key text, in hex, by the installation's secret."""
    previous_hmac: str | None = None
    """That of the text before the last rotation, which is still taken until `previous_until_ns`."""
    previous_until_ns: int | None = None

    def state(self, now_ns: int) -> str:
        """`active`, or why the key is not taken: `revoked`, `expired` or `not yet valid`."""
        if self.revoked_at_ns is not None:
            return "revoked"
        if self.expires_at_ns is not None and now_ns >= self.expires_at_ns:
            return "expired"
        if self.not_before_ns is not None and now_ns < self.not_before_ns:
            return "not yet valid"
        return "active"

    @property
    def is_metered(self) -> bool:
        """Whether there is an amount that its holder must not exceed."""
        return any(budget.is_hard for budget in self.budgets)

    def caller(self) -> "Caller":
        """Its holder, as the gateway sees one."""
        roles = self.roles | {Role.READ} if Role.ADMIN in self.roles else self.roles
        return Caller(self.tenant(), roles)

    def tenant(self) -> Tenant:
        """Its holder, as the engine sees one."""
        return Tenant(
            key=self.id,
            team=self.team,
            tags=self.tags,
            models=self.models,
            tiers=self.tiers,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            concurrency=self.concurrency,
            when_left=self.when_left,
        )

    def charged(self) -> Iterator[Budget]:
        """Its budgets, as those who keep count know them."""
        for budget in self.budgets:
            yield Budget(
                name=f"{KEY_BUDGETS}/{self.id}/{budget.period}",
                scope=Scope.KEY,
                subject=self.id,
                limit_nanousd=budget.limit_nanousd,
                period=budget.period,
                is_hard=budget.is_hard,
            )


class Caller(Struct, frozen=True):
    """Whoever sends a request: who pays, and what they may do."""

    tenant: Tenant = NOBODY
    roles: frozenset[Role] = frozenset()


OPERATOR = Caller(NOBODY, ALL_ROLES)
"""The holder of `server.api_key`."""
