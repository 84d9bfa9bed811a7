"""R04: more than there is room for: requests, memory, files, threads."""

import asyncio
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from clients import PATIENCE_S, chat, house
from draining import READY, count, live, wire_to

from routewright.errors import LedgerUnavailable
from routewright.gateway.overload import Workload
from routewright.gateway.server import SPARE_FILES, limits_of
from routewright.runtime import Runtime
from routewright.settings.schema import ServerSettings
from routewright.settings_source import SettingsSource
from served import Served, serving

MIB = 1024 * 1024
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


async def test_r04_beyond_the_bound_the_newest_are_told_to_come_back_and_operators_still_get_in(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, AsyncExitStack() as stack:
        opened.server.gateway.workload = Workload(4)
        wires = [await stack.enter_async_context(opened.wire()) for _ in range(4)]
        for number, wire in enumerate(wires, 1):
            wire.write(chat("held", stream=True))
            await opened.asked(number)
        refused = await opened.send(chat("ok"))
        refused.refused(503, "overloaded")
        assert refused.headers["retry-after-ms"] == "1000"
        assert (await opened.send(HEALTH)).statuses == [200]
        assert len(opened.provider.bodies) == 4, "nothing was sent for it"
        opened.provider.let_go.set()
        for wire in wires:
            await wire.until(b"[DONE]")
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_r04_short_of_memory_new_work_is_refused_and_out_of_it_the_largest_stream_ends(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as small, opened.wire() as large:
        workload = opened.server.gateway.workload
        small.write(chat("held", stream=True))
        await small.until(b"hello")
        large.write(chat("held", stream=True, messages=[{"role": "user", "content": "x" * 100_000}]))
        await large.until(b"hello")
        assert workload.weigh(90 * MIB, 100 * MIB) == 0
        (await opened.send(chat("ok"))).refused(503, "overloaded")
        assert workload.weigh(95 * MIB, 100 * MIB) == 1
        ended = await large.until(b"0\r\n\r\n")
        assert b'"code":"overloaded"' in ended
        assert b"[DONE]" not in ended
        assert workload.weigh(89 * MIB, 100 * MIB) == 0
        assert (await opened.send(chat("ok"))).statuses == [200]
        opened.provider.let_go.set()
        await small.until(b"[DONE]")
        rows = await opened.rows(3)
    assert sorted(row["outcome"] for row in rows) == ["abandoned", "complete", "complete"]


async def test_r04_a_real_gateway_over_its_memory_ends_streams_and_serves_one_request_at_a_time(tmp_path: Path) -> None:
    served = Served(tmp_path, environ={"ROUTEWRIGHT_SERVER__MAX_MEMORY_MB": "16"})
    async with live(served, 1) as (provider, (wire,)):
        assert b'"code":"overloaded"' in await wire.until(b"0\r\n\r\n")
        provider.let_go.set()
        wire.write(chat("ok"))
        assert (await wire.one()).statuses == [200], "nothing else is in flight"
        assert await asyncio.to_thread(served.stop) == 0
    assert count(served.ledger, "SELECT count(*) FROM requests") == 2
    assert count(served.ledger, "SELECT count(*) FROM open_holds") == 0


@pytest.mark.parametrize("refused", ["journal-syncer", "journal-drainer"])
def test_r04_a_ledger_that_gets_no_thread_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    start, source = threading.Thread.start, SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)

    def scarce(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", scarce)
        with pytest.raises(LedgerUnavailable, match=f"thread {refused} cannot start") as caught:
            Runtime.open(source)
    assert "ulimit -u" in (caught.value.hint or "")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("journal")]
    runtime = Runtime.open(source)
    asyncio.run(runtime.close())


@pytest.mark.skipif(sys.platform != "linux", reason="to take files away from another process takes Linux")
async def test_r04_where_no_socket_can_be_opened_a_request_fails_and_the_next_one_is_served(tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with live(served, 1) as (provider, (first,)), wire_to(served) as second:
        provider.let_go.set()
        await first.until(b"0\r\n\r\n")
        second.write(READY)
        assert (await second.one()).statuses == [200]
        with no_more_files(served.process.pid):
            first.write(chat("mute"))  # which takes the only connection to the provider that there is
            async with asyncio.timeout(PATIENCE_S):
                while len(provider.bodies) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            second.write(chat("ok"))
            refused = await second.one()
            if b"ledger_unavailable" in refused.body:  # the journal may want a file first
                refused.refused(503, "ledger_unavailable")
            else:
                refused.refused(502, "all_attempts_failed")
                assert b"upstream_connect_failed" in refused.body
        async with asyncio.timeout(PATIENCE_S):
            second.write(chat("ok"))
            while (await second.one()).statuses != [200]:
                await asyncio.sleep(0.05)
                second.write(chat("ok"))
        first.leave()
        assert await asyncio.to_thread(served.stop) == 0
    assert count(served.ledger, "SELECT count(*) FROM requests WHERE outcome = 'complete'") == 2
    assert count(served.ledger, "SELECT count(*) FROM open_holds") == 0


@contextmanager
def no_more_files(pid: int) -> Iterator[None]:
    """A process can open none, as if it had all that it may have."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


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
