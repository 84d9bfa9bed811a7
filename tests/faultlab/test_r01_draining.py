"""R01, R02, F12: the end of a process, asked for once, twice, more often, or by the end of its parent."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import draining
import pytest
from clients import PATIENCE_S, House, Wire, chat, house
from draining import READY, count, live

from served import Served

STREAMS = 200
PR_SET_CHILD_SUBREAPER = 36
LAUNCHER = """
import subprocess, sys
with subprocess.Popen(sys.argv[1:]) as child, open("pid", "w") as file:
    print(child.pid, file=file, flush=True)
    child.wait()
"""


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


def test_r01_f12_streams_of_a_real_gateway_finish_after_its_signal(tmp_path: Path) -> None:
    drained = draining.measure(tmp_path, streams=20)
    assert (drained.finished, drained.rows_lost, drained.open_holds, drained.exit_code) == (20, 0, 0, 0)
    assert drained.unready_after_s < 0.1


async def test_r02_signals_without_end_interrupt_neither_settling_nor_flushing(tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with live(served, 5) as (_, wires):
        while served.process.poll() is None:
            served.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.005)
        assert await asyncio.to_thread(served.wait) == 0
        await cut_and_settled(served, wires)


@pytest.mark.skipif(sys.platform != "linux", reason="to adopt an orphan takes Linux")
async def test_r02_a_gateway_whose_parent_dies_settles_and_ends(tmp_path: Path) -> None:
    served = Served(tmp_path, "--exit-with-parent", launcher=(sys.executable, "-c", LAUNCHER))
    async with live(served, 5) as (_, wires):
        with adopting_orphans():
            gateway = int((tmp_path / "pid").read_text())
            served.process.kill()
            await asyncio.to_thread(served.process.wait)  # only then has the gateway lost it
            async with asyncio.timeout(PATIENCE_S):
                _, status = await asyncio.to_thread(os.waitpid, gateway, 0)
        served.wait()
        assert os.waitstatus_to_exitcode(status) == 0
        await cut_and_settled(served, wires)


async def cut_and_settled(served: Served, wires: list[Wire]) -> None:
    for wire in wires:
        data = (await wire.rest()).data
        assert b'"code":"shutting_down"' in data
        assert b"[DONE]" not in data
    assert count(served.ledger, "SELECT count(*) FROM requests WHERE outcome = 'abandoned'") == len(wires)
    assert count(served.ledger, "SELECT count(*) FROM open_holds") == 0


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Processes that lose their parent become children of this one, so that it sees how they end."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
