"""E13: how long the event loop stood still, told from how long the machine did."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVERY_S = 0.005
MOST_S = 0.1
"""E13's bound."""


class Beats:
    """Beats of the loop and, beside it, of a thread: both are late when the machine is busy with something else."""

    def __init__(self) -> None:
        self.loop_s = 0.0
        self.machine_s = 0.0

    @property
    def lag_s(self) -> float:
        """By how much the loop's latest beat was later than the machine's."""
        return max(0.0, self.loop_s - self.machine_s)

    async def of_loop(self) -> None:
        """Until it is cancelled."""
        while True:
            due = time.monotonic() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.loop_s = max(self.loop_s, time.monotonic() - due)

    def of_machine(self, is_over: threading.Event) -> None:
        """Until it is over."""
        while not is_over.is_set():
            due = time.monotonic() + EVERY_S
            time.sleep(EVERY_S)
            self.machine_s = max(self.machine_s, time.monotonic() - due)


@asynccontextmanager
async def beats() -> AsyncIterator[Beats]:
    """Beats for the length of a block."""
    found, is_over = Beats(), threading.Event()
    thread = threading.Thread(target=found.of_machine, args=(is_over,))
    thread.start()
    loop = asyncio.create_task(found.of_loop())
    try:
        yield found
    finally:
        loop.cancel()
        is_over.set()
        await asyncio.to_thread(thread.join)
