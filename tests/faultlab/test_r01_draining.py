"""R01, R02, R04: the end of a process, asked for once, twice, or too late; and no more files to open."""

import asyncio
import json
import resource
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from clients import PATIENCE_S, House, Wire, chat, house

from routewright.gateway.server import SPARE_FILES, limits_of
from routewright.settings.schema import ServerSettings
from served import serving

READY = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
STREAMS = 200


async def streams(opened: House, stack: AsyncExitStack, count: int) -> list[Wire]:
    """So many clients amid a stream."""
    wires = [await stack.enter_async_context(opened.wire()) for _ in range(count)]
    for wire in wires:
        wire.write(chat("held", stream=True))
    for wire in wires:
        await wire.until(b"hello")
    return wires


async def test_r01_readiness_ends_at_once_and_two_hundred_streams_finish(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, AsyncExitStack() as stack:
        wires = await streams(opened, stack, STREAMS)
        probe = await stack.enter_async_context(opened.wire())
        probe.write(READY)
        assert (await probe.one()).statuses == [200]
        opened.signal()
        probe.write(READY)
        heard = await probe.one()
        assert (heard.statuses, json.loads(heard.body)) == ([503], {"status": "draining"})
        await opened.until(lambda: not any(server.is_serving() for server in opened.server.servers))
        opened.provider.let_go.set()
        for wire in wires:
            assert b"data: [DONE]" in (await wire.rest()).data
        async with asyncio.timeout(PATIENCE_S):
            await opened.serving
        rows = await opened.rows(STREAMS)
        assert [row["outcome"] for row in rows] == ["complete"] * STREAMS


async def test_r01_what_is_not_over_in_time_ends_in_an_error_and_is_settled(tmp_path: Path) -> None:
    async with house(tmp_path, "[server]\ndrain_seconds = 0\n") as opened, AsyncExitStack() as stack:
        await cut_off(opened, stack, signals=1)


async def test_r02_a_second_signal_ends_what_runs_and_settles_it(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, AsyncExitStack() as stack:
        await cut_off(opened, stack, signals=2)


async def cut_off(opened: House, stack: AsyncExitStack, *, signals: int) -> None:
    wires = await streams(opened, stack, 5)
    unanswered = await stack.enter_async_context(opened.wire())
    unanswered.write(chat("mute"))
    await opened.asked(6)
    for _ in range(signals):
        opened.signal()
    async with asyncio.timeout(PATIENCE_S):
        await opened.serving
    for wire in wires:
        data = (await wire.rest()).data
        assert b"[DONE]" not in data
        assert b'"code":"shutting_down"' in data
    heard = await unanswered.rest()
    heard.refused(503, "shutting_down")
    assert heard.headers["x-should-retry"] == "true"
    rows = await opened.rows(6)
    assert {row["outcome"] for row in rows} == {"abandoned"}


def test_r04_a_gateway_without_files_to_open_serves_again_when_there_are_some(tmp_path: Path) -> None:
    with serving(tmp_path, "--simulate") as gateway:
        port = int(gateway.url.rpartition(":")[2])
        assert probe(port).startswith(b"HTTP/1.1 200")
        before = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
        open_files = len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (open_files + 5, before[1]))
        flood = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        flood[0].sendall(READY)
        assert flood[0].recv(1000).startswith(b"HTTP/1.1 200")
        for one in flood:
            one.close()
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, before)
        assert probe(port).startswith(b"HTTP/1.1 200")
        assert gateway.stop() == 0


def probe(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(READY)
        return client.recv(1000)


def test_r04_no_more_connections_are_taken_than_there_are_files_for() -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, files[1]))
        assert limits_of(ServerSettings(max_connections=400)).max_connections == 400
        most = limits_of(ServerSettings(max_connections=1_000_000)).max_connections
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert raised > 1000 or files[1] <= 1000
        assert most == min(1_000_000, (raised - SPARE_FILES) // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
