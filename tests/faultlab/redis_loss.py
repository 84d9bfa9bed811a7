"""F13, Redis: what a gateway's clients wait for while Redis is a black hole, beside what they wait for otherwise.

A gateway in a process of its own, a real Redis, and clients with a virtual key whose requests and tokens are counted.
Redis is stopped (SIGSTOP) and goes on again by turns, so that both kinds of time see the same machine, and each stop
is met by requests under way. An error is any answer but 200, and none at all.
"""

import asyncio
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from redises import RedisServer, redis_server
from routewright.access.description import read_wish
from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.transport import HttpTransport
from served import mock_upstream, serving

CLIENTS = 8
PATIENCE_S = 10.0
MANY = 1_000_000_000
"""Requests and tokens a minute: counted, and never too few."""
SETTINGS = """
[policy]
classifier = "heuristic"

[redis]
url = "{redis}"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""


class RedisLoss(Struct, frozen=True, kw_only=True):
    """What was measured; times in milliseconds."""

    requests: int
    """In all."""
    errors: int
    with_redis_p99_ms: float
    without_redis_p99_ms: float
    was_noticed: bool
    """Each time `/healthz` said that Redis was away, and that it was back."""

    @property
    def added_p99_ms(self) -> float:
        """What the loss of Redis adds."""
        return max(0.0, self.without_redis_p99_ms - self.with_redis_p99_ms)


def measure(folder: Path, *, changes: int = 10, seconds: float = 3.0, clients: int = CLIENTS) -> RedisLoss:
    """Take Redis away so many times, for so long each, in an empty folder."""
    with redis_server() as redis, mock_upstream(folder / "bill.jsonl") as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(redis=redis.url, port=port))
        key = _make_key(folder)
        with serving(folder) as served:
            return asyncio.run(_Load(served.url, redis, key).run(changes, seconds, clients))


def _make_key(home: Path) -> str:
    runtime = Runtime.open(SettingsSource(environ={"HOME": str(home)}, cwd=home))
    try:
        limits = {"requests_per_minute": MANY, "tokens_per_minute": MANY}
        return runtime.keyring.create(read_wish({"name": "k", **limits})).text.reveal()
    finally:
        asyncio.run(runtime.close())


class _Load:
    """Clients that ask without pause."""

    def __init__(self, url: str, redis: RedisServer, key: str) -> None:
        self._url = url
        self._redis = redis
        self._transport = HttpTransport()
        self._request = WireRequest(
            url=f"{url}/v1/chat/completions",
            headers={"content-type": "application/json", "authorization": f"Bearer {key}"},
            body=msgspec.json.encode({"model": "ok", "messages": [{"role": "user", "content": "Hello"}]}),
        )
        self._took_s: dict[bool, list[float]] = {True: [], False: []}
        """By whether Redis was there."""
        self._has_redis = True
        self._errors = 0

    async def run(self, changes: int, seconds: float, clients: int) -> RedisLoss:
        """Ask while Redis comes and goes."""
        was_noticed = await self._is_told("ok")
        asking = [asyncio.ensure_future(self._ask()) for _ in range(clients)]
        for _ in range(changes):
            await asyncio.sleep(seconds)
            self._redis.freeze()
            self._has_redis = False
            was_noticed &= await self._is_told("not reached")
            await asyncio.sleep(seconds)
            self._redis.thaw()
            was_noticed &= await self._is_told("ok")
            self._has_redis = True
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._transport.close()
        there, away = self._took_s[True], self._took_s[False]
        return RedisLoss(
            requests=len(there) + len(away),
            errors=self._errors,
            with_redis_p99_ms=_p99_ms(there),
            without_redis_p99_ms=_p99_ms(away),
            was_noticed=was_noticed,
        )

    async def _ask(self) -> None:
        while True:
            began, had_redis = time.monotonic(), self._has_redis
            try:
                response = await self._transport.send(self._request, connect_timeout_s=PATIENCE_S)
                while await response.next():
                    pass
                self._errors += response.status != 200
            except ProviderError:
                self._errors += 1
            # what was under way when it went belongs to the time without it
            self._took_s[had_redis and self._has_redis].append(time.monotonic() - began)

    async def _is_told(self, what: str) -> bool:
        """Whether `/healthz` comes to say so."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if (await self._health()).startswith(what):
                return True
            await asyncio.sleep(0.01)
        return False

    async def _health(self) -> str:
        request = WireRequest(url=f"{self._url}/healthz", headers={}, body=b"", method="GET")
        response, answer = await self._transport.send(request, connect_timeout_s=PATIENCE_S), b""
        while data := await response.next():
            answer += data
        return str(msgspec.json.decode(answer)["redis"])


def _p99_ms(took_s: list[float]) -> float:
    return sorted(took_s)[len(took_s) * 99 // 100] * 1000
