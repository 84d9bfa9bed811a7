"""M06: one tenant asks for ten times as much as all others together; how many of its answers do the others wait for?

A deployment has a limited number of places, and the flood's answers hold one for up to 0.3 s. Each of the others has
one request at a time, which is answered at once when it has a place. Nobody's key has a limit of its own: what protects
the others is the order in which places are given. What is counted is answers and not seconds, so that a busy machine
counts the same.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from keyed import keyed, make_keys
from msgspec import Struct

from served import mock_upstream, serving

OTHERS = 4
FLOOD = 10 * OTHERS
PLACES = 20
LONG_TOKENS, SHORT_TOKENS = 750, 1
BEGINS_WITHIN_S = 30
"""A flood that is refused would never begin."""
SETTINGS = """
[policy]
classifier = "heuristic"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"
concurrency = {places}

[models.spender]
tier = "bulk"
deployments = ["mock/spender"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""


class Flooded(Struct, frozen=True, kw_only=True):
    """What the others met while one tenant flooded."""

    let_past: list[int]
    """How many answers the flooding tenant got while a request of theirs waited for its own, for each of these."""
    failed: int
    """Of their requests."""
    flood: int
    """Answers that the flooding tenant got in all."""


def measure(folder: Path, *, rounds: int) -> Flooded:
    """So many requests of each of the others amid the flood; in an empty folder."""
    with mock_upstream(Path("/dev/null")) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port, places=PLACES))
        flooding, *others = make_keys(folder, 1 + OTHERS)
        with serving(folder) as served:
            return asyncio.run(_Flood(int(served.url.rsplit(":", 1)[1])).amid(flooding, others, rounds))


class _Flood:
    def __init__(self, port: int) -> None:
        self._port = port
        self._answered = 0
        self._is_on = asyncio.Event()
        """Each has been answered or waits behind those that were: the places are taken."""

    async def amid(self, flooding: str, others: list[str], rounds: int) -> Flooded:
        flood = [asyncio.create_task(self._pour(flooding)) for _ in range(FLOOD)]
        async with asyncio.timeout(BEGINS_WITHIN_S):
            await self._is_on.wait()
        let_past = await asyncio.gather(*(self._wait_amid(key, rounds) for key in others))
        for one in flood:
            one.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        counted = [past for one in let_past for past in one]
        return Flooded(let_past=counted, failed=rounds * len(others) - len(counted), flood=self._answered)

    async def _pour(self, key: str) -> None:
        async with _connection(self._port) as ask:
            while True:
                if await ask(keyed(key, "spender", "Hello", max_tokens=LONG_TOKENS)) == 200:
                    self._answered += 1
                    if self._answered == FLOOD:
                        self._is_on.set()

    async def _wait_amid(self, key: str, rounds: int) -> list[int]:
        """Of each request that was answered well."""
        let_past = []
        async with _connection(self._port) as ask:
            for _ in range(rounds):
                before = self._answered
                if await ask(keyed(key, "spender", "Hello", max_tokens=SHORT_TOKENS)) == 200:
                    let_past.append(self._answered - before)
        return let_past


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[Callable[[bytes], Awaitable[int]]]:
    """A way to send one request after the other, that tells the status of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(request: bytes) -> int:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
        return int(head.split(b" ", 2)[1])

    try:
        yield ask
    finally:
        writer.transport.abort()
