"""The connection to Redis: nobody waits for it for longer than 50 ms, and whoever it failed leaves it alone.

The first failure shuts the door for all; from then on an operation is refused at once, and a task aside finds out,
by a connection of its own and a PING, when Redis answers in time again. The `redis` package is imported only here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from routewright.errors import RedisUnavailable, SettingsError
from routewright.secret import Secret, without_password

log = logging.getLogger(__name__)

T = TypeVar("T")
Client: TypeAlias = "Redis"

OPERATION_S = 0.05
"""What any operation may take, waiting for a connection included."""
CONNECT_S = 1.0
"""What connecting may take, aside: over TLS, from afar."""
AGAIN_AFTER_S = 0.5
"""The pause between two looks at a Redis that failed; twice as long if it fails soon after it was seen to answer."""
LONGEST_PAUSE_S = 8.0
STEADY_S = 2.0
"""One that fails after so long may be looked at soon again."""
MOST_CONNECTIONS = 16


class Connection:
    """Redis, with a door that is shut while it does not answer. Await `follow` for as long as it is used."""

    def __init__(self, url: Secret) -> None:
        """Connects nowhere yet, so the door is shut until `follow` has looked. Raises SettingsError for a bad url."""
        self.trouble: str | None = "not reached yet"
        """Why the door is shut; None while it is open."""
        self.failures = 0
        """How often it has been shut since the start."""
        self._address = without_password(url.reveal())
        try:
            pool = BlockingConnectionPool.from_url(
                url.reveal(),
                max_connections=MOST_CONNECTIONS,
                timeout=OPERATION_S,
                socket_connect_timeout=CONNECT_S,
                socket_timeout=None,  # `run` has the one bound there is
                retry=Retry(NoBackoff(), 0),
            )
            # connects nowhere, and refuses options that it does not know
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError) as error:
            raise SettingsError(f"redis.url: {self._address} is not an address of Redis ({error})") from error
        self._client: Client = Redis.from_pool(pool)
        self._failed = asyncio.Event()

    async def run(self, operation: Callable[[Client], Awaitable[T]]) -> T:
        """What an operation answers, or RedisUnavailable: at once while the door is shut, else within 50 ms."""
        if self.trouble is not None:
            raise RedisUnavailable(f"Redis at {self._address} is left alone: {self.trouble}")
        try:
            return await self._within(OPERATION_S, operation)
        except RedisUnavailable as error:
            if self.trouble is None:
                log.warning("%s; each gateway counts by itself until it answers again", error.message)
                self.failures += 1
                self.trouble = error.message
                self._failed.set()
            raise

    async def follow(self) -> None:
        """Open the door whenever Redis answers in time, for as long as it is awaited."""
        pause_s, time = AGAIN_AFTER_S, asyncio.get_running_loop().time
        while True:
            await self.look()
            if self.trouble is None:
                opened_at = time()
                self._failed.clear()
                await self._failed.wait()
                was_steady = time() - opened_at >= STEADY_S
                pause_s = AGAIN_AFTER_S if was_steady else min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()

    async def look(self) -> None:
        """Open the door if Redis answers in time, else say why not."""
        try:
            await self._within(CONNECT_S, _reconnect)
            await self._within(OPERATION_S, _ping)
        except RedisUnavailable as error:
            self.trouble = error.message
        else:
            log.info("Redis at %s answers", self._address)
            self.trouble = None

    async def _within(self, limit_s: float, operation: Callable[[Client], Awaitable[T]]) -> T:
        """An operation cut off after so long; its connection is closed then, so no late answer is taken for another."""
        try:
            async with asyncio.timeout(limit_s):
                return await operation(self._client)
        except TimeoutError as error:
            raise RedisUnavailable(f"Redis at {self._address} did not answer within {limit_s * 1000:.0f} ms") from error
        except (RedisError, OSError) as error:
            raise RedisUnavailable(f"Redis at {self._address}: {error}") from error


async def _reconnect(client: Client) -> None:
    """Connections that idled while Redis was away are as dead as the one that told."""
    await client.connection_pool.disconnect(inuse_connections=False)
    await client.ping()


async def _ping(client: Client) -> None:
    await client.ping()
