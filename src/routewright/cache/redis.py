"""Answers in Redis: shared by all gateways of an installation, and bounded by Redis itself (`maxmemory`)."""

import asyncio
from typing import TYPE_CHECKING

from routewright.errors import RedisUnavailable

if TYPE_CHECKING:  # it needs the redis package, which is not always installed
    from routewright.shared.connection import Connection

MOST_WAITING = 64
"""Answers on their way there; further ones are not kept."""
_PREFIX = b"routewright:answer:"
_MILLISECOND_NS = 1_000_000


class RedisAnswers:
    """Implements `Answers` over the connection that gateways share, which has no patience beyond 50 ms."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._writing: set[asyncio.Task[None]] = set()

    async def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key and may still be used; nothing while Redis does not answer."""
        try:
            found = await self._connection.run(lambda client: client.get(_PREFIX + key))
        except RedisUnavailable:
            return None
        return found if isinstance(found, bytes) else None

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Hand it over; nobody waits for it."""
        lifetime_ms = (until_ns - now_ns) // _MILLISECOND_NS
        if lifetime_ms > 0 and len(self._writing) < MOST_WAITING:
            writing = asyncio.get_running_loop().create_task(self._write(key, kept, lifetime_ms))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait for what was handed over; the connection belongs to who made it."""
        await asyncio.gather(*self._writing)

    async def _write(self, key: bytes, kept: bytes, lifetime_ms: int) -> None:
        try:
            await self._connection.run(lambda client: client.set(_PREFIX + key, kept, px=lifetime_ms))
        except RedisUnavailable:
            return  # told in the log by the connection
