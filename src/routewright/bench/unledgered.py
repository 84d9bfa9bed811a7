"""The gateway with its journal taken out, which no user can have: `python -m routewright.bench.unledgered serve …`.

What it costs less than the gateway is what the ledger costs: writing down, syncing and draining.
"""

import runpy

from routewright import runtime
from routewright.ledger.journal import Journal
from routewright.ledger.tape import Position


class NoJournal(Journal):
    """Takes everything and keeps nothing."""

    def append(self, *payloads: bytes, closing: bool = False) -> Position:
        """Nothing is written."""
        return self.position

    async def durable(self, position: Position) -> None:
        """It never will be."""


if __name__ == "__main__":
    vars(runtime)["Journal"] = NoJournal
    runpy.run_module("routewright", run_name="__main__", alter_sys=True)
