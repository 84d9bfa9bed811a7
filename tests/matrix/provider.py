"""The lab's provider: every dialect on one real socket; it plays what a test has put down, and keeps the bill."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from matrix.meaning import Said, Wish
from matrix.providers.known import SPEAKERS

STRANGE = "response.hologram"


class Play(Struct, frozen=True, kw_only=True):
    """What is done about one request."""

    said: Said = Said(pieces=("Good", " morning"))
    status: int = 200
    is_cut: bool = False
    """The connection breaks in the middle of the answer."""
    is_strange: bool = False
    """A stream has an event of a kind that nobody knows, where the dialect has kinds."""
    slice_bytes: int = 0
    """So many bytes are sent at a time; 0: an event."""


class Asked(Struct, frozen=True):
    """A request as it arrived."""

    dialect: str
    target: str
    headers: Mapping[str, str]
    body: Any

    @property
    def wish(self) -> Wish:
        """What the provider understands by it."""
        return SPEAKERS[self.dialect].understood(self.body)


class Provider:
    """The server; a request without a play is answered with a good morning."""

    def __init__(self) -> None:
        self.plays: deque[Play] = deque()
        self.asked: list[Asked] = []
        self.sent: list[bytes] = []
        """The bodies of its answers."""
        self.bill: dict[str, int] = {}
        """Attempt → what it costs, in nano-USD."""
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    await self._exchange(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        target = head.split()[1]
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        dialect = target.split("/")[1].removeprefix("shaky-")
        self.asked.append(Asked(dialect, target, headers, body))
        play = self.plays.popleft() if self.plays else Play()
        is_stream = bool(body.get("stream")) or ":streamGenerateContent" in target
        speaker = SPEAKERS[dialect]
        is_good = play.status == 200
        self.bill[headers["x-attempt-id"]] = play.said.spent.cost_nanousd if is_good else 0
        if not is_good:
            pieces = [speaker.error(play.status, "the lab's provider was told to fail")]
        else:
            pieces = list(speaker.frames(play.said)) if is_stream else [speaker.whole(play.said)]
        if play.is_strange and is_stream and dialect in ("openai_responses", "anthropic_messages"):
            pieces.insert(1, f'event: {STRANGE}\ndata: {{"type":"{STRANGE}"}}\n\n'.encode())
        self.sent.append(b"".join(pieces))
        kind = "text/event-stream" if is_stream and is_good else "application/json"
        await _send(writer, f"HTTP/1.1 {play.status} X\r\ncontent-type: {kind}\r\n", pieces, play)

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._open:
            writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, head: str, pieces: list[bytes], play: Play) -> None:
    whole = b"".join(pieces)
    writer.write(f"{head}content-length: {len(whole)}\r\n\r\n".encode())
    if play.is_cut:
        writer.write(whole[: 2 * len(whole) // 3])
        await writer.drain()
        writer.close()
        return
    if play.slice_bytes:
        pieces = [whole[at : at + play.slice_bytes] for at in range(0, len(whole), play.slice_bytes)]
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    await writer.drain()


@asynccontextmanager
async def listening_provider() -> AsyncIterator[Provider]:
    """A provider for the length of a block."""
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        provider.hang_up()
