"""Quota: how many calls may be in flight at a deployment, and how many may wait for their turn.

Beyond both bounds a call is refused at once, so that another model can take it; waiting ends with the deadline.
"""

import asyncio

from routewright.call import Attempt
from routewright.errors import DeploymentBusy
from routewright.layers.service import Service
from routewright.reply import Reply

WAITING_ROOM = 1000
"""How many calls may wait for one deployment."""

UNSENT = "given up while it waited for its turn: nothing was sent"
"""A note on the cancellation of such a call, for the layer that would else have to take it for a costly one."""


class Slots:
    """The places of one deployment, given out in order of arrival."""

    def __init__(self, limit: int) -> None:
        self._places = asyncio.Semaphore(limit)
        self._waiting = 0

    async def take(self, deployment_id: str) -> None:
        """Wait for a place. Raises DeploymentBusy when the waiting room is full."""
        if self._waiting >= WAITING_ROOM:
            raise DeploymentBusy(f"{deployment_id}: {self._waiting} calls wait for their turn already")
        self._waiting += 1
        try:
            await self._places.acquire()
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            raise
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        """A call has left."""
        self._places.release()


class DeploymentQuota:
    """Below the budget's hold, directly above what is sent: a place is held for as long as the answer lasts."""

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        deployment = attempt.deployment
        if deployment.concurrency is None:
            return await forward(attempt)
        slots = self._slots.setdefault(deployment.id, Slots(deployment.concurrency))
        await slots.take(deployment.id)
        try:
            reply = await forward(attempt)
        except BaseException:
            slots.give_back()
            raise
        return reply.on_close(lambda _: slots.give_back())
