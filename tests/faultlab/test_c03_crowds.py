"""C01, C03 and C04 in numbers: how soon a departure is noticed, and what crowds of bad clients cost the others."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from clients import House, chat, house

KIB, MIB = 1024, 1024 * 1024
READERS = int(os.environ.get("ROUTEWRIGHT_READERS", "60"))
SOCKETS = int(os.environ.get("ROUTEWRIGHT_SOCKETS", "1000"))
"""1,000 and 9,000 in the proof run: both ends of each are files of this one process."""
MOST_A_READER = 768 * KIB
"""Of memory, for the gateway's end and the provider's, which is in this process too."""
QUESTIONS, ROUNDS = 30, 10


@pytest.mark.parametrize("stream", [False, True])
async def test_c01_a_departure_before_headers_is_noticed_within_a_second(tmp_path: Path, stream: bool) -> None:
    async with house(tmp_path) as opened, opened.wire() as wire:
        wire.write(chat("mute", stream=stream))
        await opened.asked()
        await asyncio.sleep(0.1)
        left_at = time.monotonic()
        wire.leave()
        await asyncio.wait_for(opened.provider.left.wait(), 20)
        assert time.monotonic() - left_at < 1
        (row,) = await opened.rows()
        assert row["outcome"] == "abandoned"


async def test_c03_a_crowd_that_does_not_read_takes_little_memory_and_no_more_of_it(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        assert (await opened.send(chat("ok"))).statuses == [200]
        before = _resident()
        async with _crowd(opened, READERS, chat("endless", stream=True), buffer=4 * KIB):
            await opened.asked(1 + READERS)
            await _stalled(opened)
            taken = _resident() - before
            assert opened.provider.sent > READERS * MIB, "all buffers are full"
            assert taken < READERS * MOST_A_READER
            await asyncio.sleep(0.3)
            assert _resident() - before < taken + MIB, "flat"
            assert (await opened.send(chat("ok"))).statuses == [200]
        rows = await opened.rows(2 + READERS)
        assert sorted(row["outcome"] for row in rows) == ["abandoned"] * READERS + ["complete"] * 2


async def _stalled(opened: House) -> None:
    """Wait until no provider can send any more."""
    sent = -1
    while sent != opened.provider.sent:
        sent = opened.provider.sent
        await asyncio.sleep(0.2)


def _resident() -> int:
    """Bytes of memory of this process."""
    listing = Path("/proc/self/statm")
    if not listing.exists():
        pytest.skip("needs /proc")
    return int(listing.read_text().split()[1]) * resource.getpagesize()


async def test_c04_a_crowd_that_is_idle_or_amid_a_head_slows_nobody_down(tmp_path: Path) -> None:
    async with house(tmp_path, limits={"max_connections_per_address": SOCKETS + 100}) as opened:
        assert (await opened.send(chat("ok"))).statuses == [200]
        alone = max([await _p99(opened) for _ in range(2)])
        async with (
            _crowd(opened, SOCKETS // 2, b"") as idle,
            _crowd(opened, SOCKETS // 2, b"GET /readyz HTTP/1.1\r\nx-slow: ") as slow,
        ):
            await opened.until(lambda: len(opened.server.server_state.connections) >= SOCKETS)
            dripping = asyncio.create_task(_drip(slow))
            for _ in range(ROUNDS):  # what the machine does beside is over in one of them; what the crowd does is not
                beside = await _p99(opened)
                if beside <= 1.2 * alone:
                    break
            dripping.cancel()
            assert len(opened.server.server_state.connections) >= len(idle) + len(slow), "all are there still"
        assert beside <= 1.2 * alone, "E14"


async def _drip(slow: list[socket.socket]) -> None:
    """A byte a second from each."""
    while True:
        for sender in slow:
            sender.send(b"x")
            await asyncio.sleep(1 / len(slow))


async def _p99(opened: House) -> float:
    """What all but a hundredth of some questions took at most, in seconds."""
    took = []
    for _ in range(QUESTIONS):
        began = time.monotonic()
        assert (await opened.send(chat("ok"))).statuses == [200]
        took.append(time.monotonic() - began)
    return sorted(took)[int(QUESTIONS * 0.99)]


@asynccontextmanager
async def _crowd(
    opened: House, count: int, data: bytes, *, buffer: int | None = None
) -> AsyncIterator[list[socket.socket]]:
    """So many plain sockets that have sent this much, and read nothing: with an asyncio stream each would."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setblocking(False)
            if buffer is not None:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await loop.sock_connect(each, ("127.0.0.1", opened.port))
            await loop.sock_sendall(each, data)
        yield sockets
