"""F5: what a gateway's memory grows by while it works, when all that it keeps on purpose is there already.

Clients with a thousand virtual keys ask a real `serve` process in a closed loop. Of their requests 10 % are left by
the client (half before the answer, half amid a stream), and in 5 % the provider fails. Between rounds everything is
quiet for a moment, and the resident memory is read. The growth is the slope of a line through the rounds after the
warm-up: one reading is as wrong as the allocator's arenas happen to be full, which is some 0.6 MiB with glibc. Over
100,000 requests that makes the slope uncertain by as much, over 200,000 by a third of it.
"""

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from keyed import keyed, make_keys
from msgspec import Struct

from routewright.proofs.kills import chunks
from served import Served, mock_upstream, serving

CONNECTIONS = 32
KEYS = 1_000
ROUND = 10_000
QUIET_S = 3.0
PER_REQUESTS = 100_000
ABORTS = 0.1

SETTINGS = """
[policy]
classifier = "heuristic"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.shaky]
tier = "standard"
deployments = ["mock/shaky"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
FAULTS = "SELECT count(*) FROM events WHERE outcome IN ('upstream_failed', 'upstream_stream_cut')"


class Growth(Struct, frozen=True, kw_only=True):
    """What was measured, after the warm-up; memory in bytes."""

    requests: int
    answered: int
    failed: int
    """Answered by an error, or cut off: what no other attempt could mend."""
    left: int
    faults: int
    """Attempts that the provider failed, the warm-up's included."""
    keys: int
    readings: tuple[int, ...]
    """Of the resident memory: at the end of the warm-up, and after each round."""

    @property
    def bytes_per_100_000(self) -> float:
        """By which the memory grows, per 100,000 requests."""
        return slope(self.readings) * PER_REQUESTS / (self.requests / (len(self.readings) - 1))


def slope(readings: Sequence[int]) -> float:
    """Of the line of least squares through readings one step apart, per step."""
    middle, mean = (len(readings) - 1) / 2, sum(readings) / len(readings)
    above = sum((at - middle) * (reading - mean) for at, reading in enumerate(readings))
    return above / sum((at - middle) ** 2 for at in range(len(readings)))


class Clients:
    """All of them, and what became of their requests."""

    def __init__(self, served: Served, keys: Sequence[str], seed: int) -> None:
        self.port = int(served.url.rsplit(":", 1)[1])
        self.pid = served.process.pid
        self.keys = keys
        self.chance = Random(seed)
        self.answered = self.failed = self.left = 0
        self._to_ask = 0

    async def ask(self, requests: int, quiet_s: float) -> int:
        """So many requests; returns the resident memory in bytes, once all is quiet."""
        self._to_ask = requests
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._work())
        await asyncio.sleep(quiet_s)
        return resident_bytes(self.pid)

    async def _work(self) -> None:
        while self._to_ask > 0:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                while self._to_ask > 0 and await self._exchange(reader, writer):
                    pass
            except (OSError, EOFError):
                self.failed += 1
            finally:
                writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False when its client has left."""
        self._to_ask -= 1
        leaves = self.chance.random() < ABORTS
        is_stream = self.chance.random() < 0.5
        words = "x" * self.chance.randrange(1, 2_000)
        writer.write(keyed(self.chance.choice(self.keys), "shaky", words, stream=is_stream))
        if leaves and not is_stream:
            await asyncio.sleep(0.002)
            self.left += 1
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if leaves:
            self.left += 1
            return False
        _, has_length, rest = head.partition(b"content-length: ")
        if has_length:
            await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
            is_whole = head.startswith(b"http/1.1 200")
        else:
            is_whole = b"[DONE]" in await chunks(reader)
        self.answered += is_whole
        self.failed += not is_whole
        return True


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def measure(
    folder: Path,
    *,
    requests: int,
    warm_up: int,
    each_round: int = ROUND,
    keys: int = KEYS,
    quiet_s: float = QUIET_S,
    seed: int = 20261127,
    told: Callable[[int], None] = lambda reading: None,
) -> Growth:
    """The whole of it, in an empty folder; `told` is given each reading."""
    with mock_upstream(Path("/dev/null")) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
        texts = make_keys(folder, keys)
        with serving(folder) as served:
            clients = Clients(served, texts, seed)
            readings = [asyncio.run(clients.ask(warm_up, quiet_s))]
            clients.answered = clients.failed = clients.left = 0
            for _ in range(requests // each_round):
                told(readings[-1])
                readings.append(asyncio.run(clients.ask(each_round, quiet_s)))
            told(readings[-1])
            assert served.stop() == 0
            with closing(sqlite3.connect(served.ledger)) as ledger:
                faults = ledger.execute(FAULTS).fetchone()[0]
    return Growth(
        requests=requests,
        answered=clients.answered,
        failed=clients.failed,
        left=clients.left,
        faults=faults,
        keys=keys,
        readings=tuple(readings),
    )
