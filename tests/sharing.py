"""Processes that share a budget through an escrow, as the ones that admit attempts do: from their grant and no more."""

from collections.abc import Iterable

from entries import reserved, settled
from routewright.ledger.budgets import ALL_TIME, Budget, Escrow, Grant, Period, Scope
from routewright.ledger.ledger import Charge, LedgerEvent, encode_event
from routewright.ledger.store import Store

SHARED = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=1000, period=Period.FOREVER)
CHARGE = Charge(SHARED.name, ALL_TIME.starts_ns)


class Sharer:
    """One process: what it counts itself, and the events that its journal has and the store has not."""

    def __init__(self, boot: str, escrow: Escrow, store: Store) -> None:
        self.boot = boot
        self.granted = 0
        self.spent = 0
        self.holds: dict[str, int] = {}
        """Attempt → what is held for it."""
        self.undelivered: list[bytes] = []
        self._escrow = escrow
        self._store = store
        self._attempts = 0

    @property
    def in_use(self) -> int:
        """What it cannot give back."""
        return self.spent + sum(self.holds.values())

    def claim(self, amount: int, budget: Budget = SHARED, *, keeps: bool = False, hears: bool = True) -> Grant:
        """Ask for enough to hold `amount` more, giving back what is idle unless it `keeps` that.

        The answer may be lost, so what is offered is not its own any more from the beginning.
        """
        told = max(self.granted, self.in_use) if keeps else self.in_use
        needed = self.in_use + amount
        self.granted = told
        grant = self._escrow.claim(budget, ALL_TIME, boot=self.boot, granted_nanousd=told, needed_nanousd=needed)
        if hears:
            self.granted = grant.granted_nanousd
        return grant

    def admit(self, amount: int) -> bool:
        """Hold so much if that fits into the grant."""
        if self.in_use + amount > self.granted:
            return False
        self._attempts += 1
        attempt = f"{self.boot}-{self._attempts}"
        self.holds[attempt] = amount
        self._write(reserved(attempt, boot=self.boot, amount_nanousd=amount, charges=(CHARGE,)))
        return True

    def settle(self, attempt: str, cost: int) -> None:
        """Close a hold at a cost."""
        held = self.holds.pop(attempt)
        self.spent += cost
        end = settled(attempt, boot=self.boot, cost_nanousd=cost, held_nanousd=held, charges=(CHARGE,))
        self._write(end)

    def deliver(self) -> None:
        """Bring its events into the store."""
        self._store.absorb(self.undelivered)
        self.undelivered.clear()

    def _write(self, event: LedgerEvent) -> None:
        self.undelivered.append(encode_event(event))


def in_use(sharers: Iterable[Sharer]) -> int:
    """What processes have spent and hold, all together."""
    return sum(sharer.in_use for sharer in sharers)
