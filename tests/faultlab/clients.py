"""A gateway in this process on a real socket, before a provider that does as its models are called.

`ok` answers; `mute` never does; `endless` streams until nobody listens; `held` streams a word, and the rest when it is
let go. What reached the provider is in `bodies`; `left` is set when the gateway gave a request of its up.
"""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.gateway.entrance import Limits
from routewright.gateway.server import Server, limits_of, listen, make_server
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource

MODEL = """
[models.{name}]
tier = "standard"
deployments = ["mock/{name}"]
context_window = 100_000
capabilities = ["tools", "vision", "json_schema"]
price.input = "1"
price.output = "2"
"""
MODELS = ("ok", "mute", "endless", "held")
SETTINGS = """
[policy]
classifier = "heuristic"
max_retry_attempts = 0

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"
""" + "".join(MODEL.format(name=name) for name in MODELS)
PATIENCE_S = 20
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Z]")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider:
    """The other side."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        """The bodies as they came; `heads` is what came before each."""
        self.heads: list[str] = []
        self.sent = 0
        """Bytes of endless answers that went out."""
        self.left = asyncio.Event()
        self.let_go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                raw = await reader.readexactly(int(headers["content-length"]))
                body = json.loads(raw)
                self.heads.append(head)
                self.raw.append(raw)
                self.bodies.append(body)
                await self._answer(body["model"], reader, writer, streamed=body.get("stream", False))
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            self.left.set()
        finally:
            writer.close()

    async def _answer(
        self, model: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, streamed: bool
    ) -> None:
        if model == "mute":
            await reader.read(1)
            raise ConnectionResetError
        if not streamed:
            body = msgspec.json.encode(_piece("hello", "chat.completion"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)
            return
        writer.write(HEAD + _chunk(_piece("hello")))
        if model == "held":
            await self.let_go.wait()
        if model == "endless":
            data = _chunk(_piece("word " * 2000))
            while True:
                writer.write(data)
                await writer.drain()
                self.sent += len(data)
                await asyncio.sleep(0)
        writer.write(_chunk(_piece("", finish="stop")) + _chunk("[DONE]") + b"0\r\n\r\n")
        await writer.drain()


def _piece(text: str, kind: str = "chat.completion.chunk", finish: str | None = None) -> dict[str, Any]:
    part = {"role": "assistant", "content": text}
    whole = kind == "chat.completion"
    choice = {"index": 0, "message" if whole else "delta": part, "finish_reason": "stop" if whole else finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4} if whole or finish else None
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": "m", "choices": [choice], "usage": usage}


def _chunk(body: object) -> bytes:
    data = b"data: " + (body.encode() if isinstance(body, str) else msgspec.json.encode(body)) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


class Heard(Struct):
    """What a client read."""

    data: bytes
    is_closed: bool = False

    @property
    def statuses(self) -> list[int]:
        """Of every answer in it."""
        return [int(status) for status in _STATUS.findall(self.data)]

    @property
    def headers(self) -> dict[str, str]:
        """Of the last answer."""
        lines = self._last.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        return dict(line.split(": ", 1) for line in lines[1:])

    @property
    def body(self) -> bytes:
        """Of the last answer."""
        return self._last.partition(b"\r\n\r\n")[2]

    @property
    def _last(self) -> bytes:
        *_, last = _STATUS.finditer(self.data)
        return self.data[last.start() :]

    def refused(self, status: int, code: str, *, param: str | None = None) -> None:
        """It ends in an error of the documented shape."""
        assert self.statuses[-1:] == [status], self.data[:400]
        error = json.loads(self.body)["error"]
        assert (error["code"], error["param"]) == (code, param if param is not None else error["param"])
        assert error["message"]
        assert error["type"]
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"]
        assert self.headers["x-should-retry"] in ("true", "false")


class Wire:
    """A client that writes bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        """Send."""
        self.writer.write(data)

    async def until(self, mark: bytes) -> bytes:
        """All that comes, up to a mark."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(mark)

    async def one(self) -> Heard:
        """One answer that says how long it is."""
        head = await self.until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        async with asyncio.timeout(PATIENCE_S):
            return Heard(head + await self.reader.readexactly(length))

    async def rest(self) -> Heard:
        """All that comes until the gateway closes."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while more := await self.reader.read(65536):
                    data += more
            except ConnectionError:
                pass
        return Heard(data, is_closed=True)

    def leave(self) -> None:
        """Close at once."""
        self.writer.transport.abort()


class House:
    """What tests use."""

    def __init__(
        self,
        runtime: Runtime,
        server: Server,
        serving: "asyncio.Task[None]",
        provider: Provider,
        ledger: Path,
        port: int,
    ) -> None:
        self.runtime = runtime
        self.server = server
        self.serving = serving
        """Done when the server has ended."""
        self.provider = provider
        self.ledger = ledger
        self.port = port

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A connection for the length of a block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            yield Wire(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, data: bytes) -> Heard:
        """One answer to these bytes, on a connection of its own."""
        async with self.wire() as wire:
            wire.write(data)
            return await wire.one()

    async def cut(self, data: bytes) -> Heard:
        """All that comes for these bytes until the gateway ends the connection."""
        async with self.wire() as wire:
            wire.write(data)
            return await wire.rest()

    def signal(self) -> None:
        """What SIGTERM does."""
        self.server.handle_exit(signal.SIGTERM, None)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what nothing tells of."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def asked(self, count: int = 1) -> None:
        """Wait until so many requests have reached the provider."""
        await self.until(lambda: len(self.provider.bodies) >= count)

    async def rows(self, count: int = 1) -> list[dict[str, Any]]:
        """The requests in the ledger, as soon as there are so many, all settled."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.runtime.flush()
                found = self._read("SELECT 1 FROM requests")
                if len(found) >= count and not self._read("SELECT 1 FROM open_holds"):
                    columns = "request_id, outcome, is_estimated, cost_nanousd"
                    return [
                        dict(zip(columns.split(", "), row, strict=True))
                        for row in self._read(f"SELECT {columns} FROM requests ORDER BY request_id")  # noqa: S608
                    ]
                await asyncio.sleep(0.02)  # a client's departure is noticed by nothing that tests could wait for

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        """By the gateway's own SQLite: a second one in a process takes the locks of the first away."""
        connection = apsw.Connection(str(self.ledger), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()


def chat(model: str, *, stream: bool = False, head: bytes = b"", **fields: object) -> bytes:
    """A good request."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **fields}
    return post(msgspec.json.encode(body), head)


def post(body: bytes, head: bytes = b"", path: bytes = b"/v1/chat/completions") -> bytes:
    """A request with any body; `head` is more headers, each with its line end."""
    length = b"content-length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\n%b%b\r\n%b" % (path, head, length, body)


@asynccontextmanager
async def house(
    folder: Path, more: str = "", *, environ: Mapping[str, str] | None = None, limits: Mapping[str, float] | None = None
) -> AsyncIterator[House]:
    """A gateway for the length of a block, with `more` settings before the others, and other limits than usual."""
    provider = Provider()
    upstream = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    settings = SETTINGS.format(port=upstream.sockets[0].getsockname()[1])
    (folder / "routewright.toml").write_text(more + settings)
    runtime = Runtime.open(SettingsSource(environ={"HOME": str(folder), **(environ or {})}, cwd=folder))
    runtime.open_door()
    usual: Limits = limits_of(runtime.engine.settings.server)
    server = make_server(runtime, lambda _: None, replace(usual, **(limits or {})))
    ledger = folder / ".local/share/routewright/ledger.db"
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield House(runtime, server, serving, provider, ledger, port)
        finally:
            provider.let_go.set()
            server.should_exit = server.force_exit = True
            await serving
            await runtime.close()
            upstream.close()
