"""Several gateways of one installation: one ledger, one virtual key, and a way to Redis for each that can be made bad.

async with fleet(tmp_path, redis.port, requests_per_minute=60) as them:
    first, second = them.gateways
    await them.until(lambda: first.redis == "ok")
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from faulty_upstream import Fault
from lab import DEADLINE_S, Lab, lab
from oracles import Seen, check_all
from proxy import Proxy, Toxics, proxy

from routewright.access.description import read_wish

PATIENCE_S = 5.0


class Replica:
    """One gateway."""

    def __init__(self, opened: Lab, link: Proxy, key: str) -> None:
        self.lab = opened
        self.link = link
        """Its way to Redis."""
        self._headers = {"authorization": f"Bearer {key}"}

    async def ask(self, name: str = "ok") -> Seen:
        """Ask a model, as the holder of the key."""
        return await self.lab.ask(name, headers=self._headers)

    async def ask_all(self, name: str = "ok", *, most: int = 1000) -> int:
        """Ask until it is refused; how many were answered."""
        for answered in range(most):
            if (await self.ask(name)).status != 200:
                return answered
        raise AssertionError(f"{most} requests were answered, and there should be a limit")

    @property
    def redis(self) -> str:
        """What `/healthz` says of it."""
        return self.lab.runtime.engine.health()["redis"]

    @property
    def gateways(self) -> int:
        """How many it knows of."""
        rounds = self.lab.runtime.engine.rounds
        assert rounds is not None
        return rounds.gateways

    async def lose(self, toxics: Toxics) -> None:
        """Make the way to Redis bad, for connections that are open too."""
        self.link.toxics = toxics
        await self.link.close()


class Fleet:
    """All of them."""

    def __init__(self, gateways: list[Replica]) -> None:
        self.gateways = gateways

    @property
    def are_together(self) -> bool:
        """Whether each is connected and knows of all."""
        return all(each.redis == "ok" and each.gateways == len(self.gateways) for each in self.gateways)

    async def until(self, holds: Callable[[], bool]) -> float:
        """Wait for something, and say how many seconds it took. Raises TimeoutError."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def audit(self, *, most_attempts: int | None = None) -> None:
        """Judge everything that all were asked by the oracles."""
        for each in self.gateways:
            await each.lab.runtime.flush()
        books = await self.gateways[0].lab.books()
        seen = [answer for each in self.gateways for answer in each.lab.asked]
        check_all(books, seen, deadline_s=DEADLINE_S, most_attempts=most_attempts)


@asynccontextmanager
async def fleet(
    home: Path,
    redis: int,
    *models: str,
    count: int = 2,
    faults: Mapping[str, Fault] | None = None,
    settings: str = "",
    **limits: Any,
) -> AsyncIterator[Fleet]:
    """So many gateways in one home before a Redis at this port, all knowing of each other; `limits` are the key's."""
    async with AsyncExitStack() as stack:
        replicas: list[Replica] = []
        key = ""
        for _ in range(count):
            link = await stack.enter_async_context(proxy(redis, Toxics()))
            address = f'[redis]\nurl = "redis://127.0.0.1:{link.port}/0"\n{settings}'
            opened = await stack.enter_async_context(lab(home, *models, faults=faults, settings=address))
            if not replicas:
                key = opened.runtime.keyring.create(read_wish({"name": "k", **limits})).text.reveal()
            opened.runtime.directory.refresh()
            following = asyncio.ensure_future(opened.runtime.follow_redis())
            stack.push_async_callback(_stop, following)
            replicas.append(Replica(opened, link, key))
        them = Fleet(replicas)
        await them.until(lambda: them.are_together)
        yield them


async def _stop(following: asyncio.Future[None]) -> None:
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
