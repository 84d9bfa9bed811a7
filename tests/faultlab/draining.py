"""F12: SIGTERM to a real gateway amid live streams: all of them finish, no row is lost, and readiness ends at once.

The provider has sent a word of every stream when the signal comes, and sends the rest only after the gateway has said
that it is not ready any more: so every stream is live at the signal, and none can have been done before it.
"""

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

from clients import PATIENCE_S, SETTINGS, Provider, Wire, chat
from msgspec import Struct

from served import Served

READY = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Drained(Struct, frozen=True, kw_only=True):
    """What was found."""

    streams: int
    finished: int
    """Streams that came to their proper end after the signal."""
    rows_lost: int
    """Streams without a complete row of exact cost in the ledger."""
    open_holds: int
    unready_after_s: float
    """From the signal until readiness was first refused, by an answer or as nobody listened any more."""
    exit_code: int


def measure(folder: Path, *, streams: int = 200) -> Drained:
    """The whole of it, in an empty folder."""
    return asyncio.run(_drain(folder, streams))


async def _drain(folder: Path, streams: int) -> Drained:
    served = Served(folder)
    async with live(served, streams) as (provider, wires):
        assert await _is_ready(served)
        served.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while await _is_ready(served):  # noqa: ASYNC110 it is another process that changes
            await asyncio.sleep(0.002)
        unready_after_s = time.monotonic() - began
        provider.let_go.set()
        heard = [await wire.rest() for wire in wires]
        exit_code = await asyncio.to_thread(served.wait)
    whole = "SELECT count(*) FROM requests WHERE outcome = 'complete' AND NOT is_estimated AND cost_nanousd > 0"
    return Drained(
        streams=streams,
        finished=sum(b"data: [DONE]" in each.data for each in heard),
        rows_lost=streams - count(served.ledger, whole),
        open_holds=count(served.ledger, "SELECT count(*) FROM open_holds"),
        unready_after_s=unready_after_s,
        exit_code=exit_code,
    )


@asynccontextmanager
async def live(served: Served, streams: int) -> AsyncIterator[tuple[Provider, list[Wire]]]:
    """The gateway started, before a provider that has sent the first word of so many streams to as many clients."""
    provider = Provider()
    upstream = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    (served.home / "routewright.toml").write_text(SETTINGS.format(port=upstream.sockets[0].getsockname()[1]))
    await asyncio.to_thread(served.start)
    async with AsyncExitStack() as stack:
        stack.callback(upstream.close)
        stack.callback(provider.let_go.set)
        wires = [await stack.enter_async_context(wire_to(served)) for _ in range(streams)]
        for wire in wires:
            wire.write(chat("held", stream=True))
        for wire in wires:
            await wire.until(b"hello")
        try:
            yield provider, wires
        finally:
            if served.process.poll() is None:
                await asyncio.to_thread(served.kill)


def count(ledger: Path, sql: str) -> int:
    """A number out of a gateway's ledger."""
    with closing(sqlite3.connect(ledger)) as connection:
        return int(connection.execute(sql).fetchone()[0])


@asynccontextmanager
async def wire_to(served: Served) -> AsyncIterator[Wire]:
    """A connection for the length of a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rsplit(":", 1)[1]))
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def _is_ready(served: Served) -> bool:
    """As a load balancer asks: by a connection of its own."""
    try:
        async with wire_to(served) as wire, asyncio.timeout(PATIENCE_S):
            wire.write(READY)
            return (await wire.one()).statuses == [200]
    except (OSError, EOFError):
        return False
