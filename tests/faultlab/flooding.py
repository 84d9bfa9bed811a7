"""M06: one tenant asks for ten times as much as all others together; how much later are the others answered?

A deployment has a limited number of places, and answers take from nothing to 0.3 s. Each of the others has one request
at a time. Nobody's key has a limit of its own: what protects the others is the order in which places are given.
"""

import asyncio
import time
from pathlib import Path

from keyed import keyed, make_keys
from msgspec import Struct

from served import mock_upstream, serving

OTHERS = 4
FLOOD = 10 * OTHERS
PLACES = 20
MOST_TOKENS = 750
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
    """What the others waited for their answers, in seconds at the 99th percentile."""

    alone_s: float
    flooded_s: float
    failed: int
    """Of their requests."""
    flood: int
    """Answers that the flooding tenant got meanwhile."""

    @property
    def ratio(self) -> float:
        """By how much more they wait (E14)."""
        return self.flooded_s / self.alone_s


def measure(folder: Path, *, rounds: int) -> Flooded:
    """So many requests of each of the others alone, and again amid the flood; in an empty folder."""
    with mock_upstream(Path("/dev/null")) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port, places=PLACES))
        flooding, *others = make_keys(folder, 1 + OTHERS)
        with serving(folder) as served:
            return asyncio.run(_compare(int(served.url.rsplit(":", 1)[1]), flooding, others, rounds))


async def _compare(port: int, flooding: str, others: list[str], rounds: int) -> Flooded:
    await _all_of(port, others, 1)  # connections and circuits are there now
    alone, failed_alone = await _all_of(port, others, rounds)
    flood = [asyncio.create_task(_ask(port, flooding, None)) for _ in range(FLOOD)]
    await asyncio.sleep(0.5)
    flooded, failed = await _all_of(port, others, rounds)
    for one in flood:
        one.cancel()
    answers = await asyncio.gather(*flood)
    return Flooded(
        alone_s=_p99(alone),
        flooded_s=_p99(flooded),
        failed=failed_alone + failed,
        flood=sum(len(took) for took, _ in answers),
    )


async def _all_of(port: int, keys: list[str], rounds: int) -> tuple[list[float], int]:
    told = await asyncio.gather(*(_ask(port, key, rounds) for key in keys))
    return [seconds for took, _ in told for seconds in took], sum(failed for _, failed in told)


async def _ask(port: int, key: str, rounds: int | None) -> tuple[list[float], int]:
    """One request after the other, until it is cancelled without `rounds`; how long each good answer took."""
    took, failed = list[float](), 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while rounds is None or len(took) + failed < rounds:
            began = time.monotonic()
            writer.write(keyed(key, "spender", "Hello", max_tokens=MOST_TOKENS))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
            if head.startswith(b"http/1.1 200"):
                took.append(time.monotonic() - began)
            else:
                failed += 1
    except asyncio.CancelledError:
        pass
    finally:
        writer.transport.abort()
    return took, failed


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[(99 * len(seconds) - 1) // 100]
