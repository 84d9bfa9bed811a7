"""What the ledger says of policies, as a gateway has it: in memory, following the database twice a second.

When the database does not answer, what is known stays in force.
"""

import asyncio
import logging
from collections.abc import Callable
from threading import Lock

from routewright.errors import StoreUnavailable
from routewright.policies.store import InForce, PolicyStore

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 0.5


class PolicyFollower:
    """Tells `adopt` what is in force, whenever that has changed. `refresh` may wait, and is for a thread."""

    def __init__(self, store: PolicyStore, adopt: Callable[[InForce], None]) -> None:
        self.store = store
        self._adopt = adopt
        self._known = InForce()
        self._refreshing = Lock()
        self._told = ""

    @property
    def has_promises(self) -> bool:
        """Whether anything that is in force was promised to hold, and is to be watched."""
        return any("promise" in standing.version.evidence for standing in self._known.standings.values())

    def refresh(self) -> None:
        """Read what has changed; a trouble is told once in the log."""
        with self._refreshing:
            try:
                if self.store.sequence() == self._known.sequence:
                    self._told = ""
                    return
                known = self.store.in_force()
            except StoreUnavailable as error:
                if error.message != self._told:
                    log.error("policies cannot be read, those known stay in force: %s", error.message)
                self._told = error.message
                return
            self._adopt(known)
            self._known, self._told = known, ""
            log.info("policies taken over: change %d", known.sequence)

    async def follow(self) -> None:
        """Keep up for as long as it is awaited."""
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            await asyncio.to_thread(self.refresh)
