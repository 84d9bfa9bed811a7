"""A TCP proxy that makes a network bad, with Toxiproxy's words for how: in front of a provider, or of a database.

Toxics change what flows back to the client, unless they say otherwise; several can hold at once.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

BLOCK = 65_536


class Toxics(Struct, frozen=True, kw_only=True):
    """What is bad about a connection."""

    latency_s: float = 0.0
    """Every piece comes so much later."""
    bandwidth: int | None = None
    """Bytes per second."""
    slicer: int | None = None
    """Pieces of at most so many bytes, each in a packet of its own."""
    limit_data: int | None = None
    """The connection is closed (FIN) after so many bytes."""
    reset_peer: int | None = None
    """The connection is reset (RST) after so many bytes."""
    timeout: bool = False
    """Connections are taken, and nothing is passed on in either direction."""
    slow_close_s: float = 0.0
    """The end of the connection is passed on so much later."""
    refuse: bool = False
    """Nobody listens."""

    @property
    def most(self) -> int | None:
        """How many bytes get through."""
        return self.limit_data if self.reset_peer is None else self.reset_peer

    @property
    def piece(self) -> int:
        """How large a piece may be; with a bandwidth, a tenth of a second's worth."""
        return self.slicer or (max(1, self.bandwidth // 10) if self.bandwidth else BLOCK)


class Proxy:
    """Stands before `target` on the loopback; both it and `toxics` may be changed, for connections from then on."""

    def __init__(self, target: int, toxics: Toxics) -> None:
        self.toxics = toxics
        self.port = 0
        self.connections = 0
        self.target = target
        self._links: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            await self._link(reader, writer)
        except ConnectionError:
            pass
        finally:
            self._links.discard(link)
            writer.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.toxics.timeout:
            await reader.read()  # until the client has had enough
            return
        there, away = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            there_and_back = [
                asyncio.ensure_future(self._pass(reader, away)),
                asyncio.ensure_future(self._poison(there, writer)),
            ]
            _, open_ways = await asyncio.wait(there_and_back, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
            await asyncio.gather(*there_and_back, return_exceptions=True)
        finally:
            away.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()

    async def _poison(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        toxics, passed = self.toxics, 0
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await reader.read(toxics.piece):
            if toxics.most is not None and passed + len(data) >= toxics.most:
                writer.write(data[: toxics.most - passed])
                await writer.drain()
                _hang_up(writer, resets=toxics.reset_peer is not None)
                return
            passed += len(data)
            pause_s = toxics.latency_s + (len(data) / toxics.bandwidth if toxics.bandwidth else 0.0)
            await asyncio.sleep(pause_s)
            writer.write(data)
            await writer.drain()
        await asyncio.sleep(toxics.slow_close_s)

    async def close(self) -> None:
        """Cut every connection."""
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


def _hang_up(writer: asyncio.StreamWriter, *, resets: bool) -> None:
    if not resets:
        writer.close()
        return
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxy(target: int, toxics: Toxics) -> AsyncIterator[Proxy]:
    """A proxy for the length of a block."""
    opened = Proxy(target, toxics)
    server = await asyncio.start_server(opened.serve, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    if toxics.refuse:
        server.close()
        await server.wait_closed()
    try:
        yield opened
    finally:
        server.close()
        await opened.close()
        with contextlib.suppress(ConnectionError):
            await server.wait_closed()
