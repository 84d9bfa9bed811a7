"""Overload: what is worked on, for whom, and what is refused or given up when there is more than there is room for.

The newest work goes first: whoever comes when there is no room is refused, before anything is read or spent. A tenant
may take at most nine times what is left for the others, so one that floods leaves room for all the rest, and the more
tenants flood, the more is left. Only when memory runs out is something ended that has begun, the largest first.
"""

import asyncio
from heapq import nlargest

from routewright.errors import Overloaded, RoutewrightError
from routewright.reply import Reply

MAX_IN_FLIGHT = 10_000
"""Requests worked on at once."""
SHARE = 9
"""A tenant's next request is refused when it has so many times what is free: one alone has nine tenths, two have
nine nineteenths each."""
PAUSE_S = 1.0
"""After which whoever was refused may come back."""
REFUSE_AT, END_AT = 0.90, 0.95
"""Of the memory: beyond these shares nothing new is begun, and the largest of what runs is ended."""


class Work:
    """A request, from when it is let in: what it holds, and how it is ended from outside. In the event loop only."""

    def __init__(self) -> None:
        self.body_bytes = 0
        self.reply: Reply | None = None
        self.error: RoutewrightError | None = None
        """Why it was ended from outside."""
        self.task: asyncio.Task[object] | None = None
        """That works on it; whoever makes a task for it says so."""

    def begin(self) -> "asyncio.Task[object]":
        """The task that works on it, which is the current one."""
        if self.task is None:
            self.task = asyncio.current_task()
            assert self.task is not None
        return self.task

    @property
    def size(self) -> int:
        """Bytes that have come for it, from its client and its provider."""
        return self.body_bytes + (0 if self.reply is None else self.reply.text_bytes)

    def end(self, error: RoutewrightError) -> None:
        """Cancel its task, which tells the client this error."""
        self.error = error
        if self.task is not None:
            self.task.cancel()


class Workload:
    """All that is in flight, by tenant."""

    def __init__(self, most: int = MAX_IN_FLIGHT) -> None:
        self._most = most
        self._works: set[Work] = set()
        self._by_tenant: dict[str, int] = {}
        self._is_short = False

    def admit(self, tenant: str, work: Work) -> None:
        """Count one more, which `leave` must follow. Raises Overloaded."""
        if self._is_short and self._works:  # one at a time goes on: memory that is not given back must not end it all
            raise Overloaded("the gateway is short of memory", retry_after_s=PAUSE_S)
        free = self._most - len(self._works)
        if not free:
            raise Overloaded(f"{self._most} requests are in flight already", retry_after_s=PAUSE_S)
        its = self._by_tenant.get(tenant, 0)
        if its >= SHARE * free:
            raise Overloaded(f"{its} requests of this key are in flight", retry_after_s=PAUSE_S)
        self._by_tenant[tenant] = its + 1
        self._works.add(work)
        work.begin()

    def leave(self, tenant: str, work: Work) -> None:
        """One that was admitted is over."""
        self._works.remove(work)
        its = self._by_tenant[tenant] - 1
        if its:
            self._by_tenant[tenant] = its
        else:
            del self._by_tenant[tenant]

    def weigh(self, used: int, limit: int) -> int:
        """So many bytes of memory are used, of so many; returns how many requests were ended for that.

        A tenth of them at a time, as nobody knows before how much memory comes back.
        """
        self._is_short = used >= REFUSE_AT * limit
        if used < END_AT * limit:
            return 0
        running = [work for work in self._works if work.error is None]
        largest = nlargest(-(-len(running) // 10), running, key=lambda work: work.size)
        for work in largest:
            work.end(Overloaded("the gateway is out of memory, and this was among the largest", retry_after_s=PAUSE_S))
        return len(largest)
