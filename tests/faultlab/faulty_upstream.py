"""The lab's provider: every dialect on real sockets, with a bill of its own; the fault is chosen by the model's name.

A request's last message is `NONCE [ARGUMENT]`: the nonce comes back in the answer, the argument is the fault's own (at
which byte to cut). The bill is a file that is only appended to, one JSON line per attempt: `{"attempt_id", "model",
"input", "output", "status"}`, the tokens as the answer's usage reports them, or would have.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from speech import ANTHROPIC, GEMINI, OPENAI, RESPONSES, Speech, error

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
TO_THE_END = b"connection: close\r\n\r\n"
"""The body ends where the connection does: nothing but the answer itself tells whether it is whole."""


class Arrival(NamedTuple):
    """A request that has reached the provider."""

    attempt_id: str
    model: str
    at: float
    """Monotonic seconds."""


_DIALECTS = {"messages": ANTHROPIC, "responses": RESPONSES}


class Exchange:
    """One request, and what a fault does about it."""

    def __init__(
        self, upstream: "FaultyUpstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str
    ) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        self.headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.end = head.split()[1].rpartition("/")[2]
        """Of the address."""
        self.dialect = GEMINI if ":" in self.end else _DIALECTS.get(self.end, OPENAI)
        self.body: dict[str, Any] = {}
        self.argument = ""
        self.has_paid = False

    def read(self, body: bytes) -> None:
        """Take in the request's body."""
        self.body = json.loads(body)
        if self.dialect == GEMINI:  # the address says what others say in the body
            name, _, verb = self.end.partition(":")
            turns = [{"content": turn["parts"]} for turn in self.body["contents"]]
            self.body |= {"model": name, "stream": verb.startswith("stream"), "messages": turns}
        said = self.body["input" if self.dialect == RESPONSES else "messages"]
        content = said if isinstance(said, str) else said[-1]["content"]
        words: str = content if isinstance(content, str) else content[0]["text"]
        nonce, _, self.argument = words.partition(" ")
        self.speech = Speech(dialect=self.dialect, model=self.body["model"], nonce=nonce, sent=max(1, len(words) // 4))

    @property
    def model(self) -> str:
        """The fault's name."""
        return str(self.body["model"])

    @property
    def is_stream(self) -> bool:
        """A stream is asked for."""
        return bool(self.body.get("stream"))

    def charge(self, output: int | None = None, *, status: int = 200, sent: int | None = None) -> None:
        """Put this attempt on the bill; without `output`, for the whole answer. Before anything of it goes out."""
        assert not self.has_paid
        self.has_paid = True
        line = {
            "attempt_id": self.headers["x-attempt-id"],
            "model": self.model,
            "input": (self.speech.sent if sent is None else sent) if status < 300 else 0,
            "output": (len(self.speech.words) if output is None else output) if status < 300 else 0,
            "status": status,
        }
        self.upstream.bill.write(json.dumps(line) + "\n")
        self.upstream.bill.flush()

    async def send(self, *pieces: bytes) -> None:
        """These bytes, each by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, *pieces: bytes) -> None:
        """A proper stream of these pieces, or a proper body."""
        if self.is_stream:
            await self.send(STREAM + CHUNKED, *map(chunk, pieces), chunk(b""))
        else:
            await self.send(body_of(b"".join(pieces)))

    async def answer_well(self) -> None:
        """As every provider should."""
        self.charge()
        await self.answer(*(self.speech.frames() if self.is_stream else [self.speech.whole()]))

    async def refuse(self, status: int, *headers: str, message: str = "as asked", kind: str = "server_error") -> None:
        """An error, with these header lines."""
        self.charge(status=status)
        await self.send(body_of(encoded_error(self.dialect, message, kind), *headers, status=status))

    async def silence(self) -> None:
        """Nothing more, until the other side hangs up."""
        await self.reader.read()
        self.writer.close()

    def reset(self) -> None:
        """RST instead of FIN."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]


def chunk(piece: bytes) -> bytes:
    """One chunk of a chunked body; the empty one is its end."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def body_of(data: bytes, *headers: str, status: int = 200, kind: str = "application/json") -> bytes:
    """A whole response with a content-length."""
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(data)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + data


def encoded_error(dialect: str, message: str, kind: str) -> bytes:
    """An error body."""
    return json.dumps(error(dialect, message, kind)).encode()


class FaultyUpstream:
    """The server. A model without a fault of its name is answered well."""

    def __init__(self, bill: TextIO, faults: Mapping[str, Fault]) -> None:
        self.bill = bill
        self.arrivals: list[Arrival] = []
        self.requests: list[Exchange] = []
        self.connections = 0
        self.addresses: list[str] = []
        """That were asked for, whatever came of it."""
        self.open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._faults = faults

    def reached(self, model: str) -> int:
        """How often a fault was."""
        return sum(arrival.model == model for arrival in self.arrivals)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self.connections += 1
        self.open.add(writer)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.addresses.append(head.split()[1])
                exchange = Exchange(self, reader, writer, head)
                exchange.read(await reader.readexactly(int(exchange.headers["content-length"])))
                arrival = Arrival(exchange.headers["x-attempt-id"], exchange.model, time.monotonic())
                self.arrivals.append(arrival)
                self.requests.append(exchange)
                await self._faults.get(exchange.model, Exchange.answer_well)(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def faulty_upstream(
    bill: Path, faults: Mapping[str, Fault], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FaultyUpstream]:
    """A provider for the length of a block; afterwards every connection to it is closed."""
    file = bill.open("a", encoding="utf-8")
    upstream = FaultyUpstream(file, faults)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for writer in list(upstream.open):
            writer.transport.abort()
        while upstream.open:  # noqa: ASYNC110 each ends by itself, in a step or two
            await asyncio.sleep(0)
        file.close()
