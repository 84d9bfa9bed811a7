"""Every server here is a real one on loopback, scripted with asyncio streams; nothing sleeps."""

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import subprocess
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from routewright.dialects.wire import WireRequest
from routewright.errors import (
    ConnectFailed,
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    ProviderError,
    StreamCut,
    TlsFailed,
)
from routewright.transport import BUFFERED_BYTES_MAX, HttpTransport, WireResponse

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n"

Answer = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True, params=["our own", "libcurl"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways must do the same; libcurl is the one where there is a proxy, which here nothing goes through."""
    if request.param == "libcurl":
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "*")


def on_both_loops(
    test: Callable[[], Coroutine[None, None, None]],
) -> Callable[[Callable[[], asyncio.AbstractEventLoop]], None]:
    """Run the test on asyncio's own loop and on uvloop."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(asyncio.wait_for(test(), 20))

    del run.__wrapped__  # pytest would look for the parameters there
    return run


class Server:
    """Reads requests and lets `answer` answer each one, on the same connection, until either side closes it."""

    def __init__(self, answer: Answer | bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.hung_up = asyncio.Event()
        """Set whenever a connection has ended and the server knows."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat?x=1"

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                length = next(
                    (line.split(":")[1] for line in head.split("\r\n") if line.startswith("Content-Length")), "0"
                )
                self.bodies.append(await reader.readexactly(int(length)))
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self.hung_up.set()


@asynccontextmanager
async def serving(answer: Answer | bytes, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def transport_of(*, max_connections: int = 1000, ca_file: str | None = None) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(max_connections=max_connections, ca_file=ca_file)
    try:
        yield transport
    finally:
        await transport.close()


async def send(
    transport: HttpTransport, url: str, body: bytes = b"{}", *, headers: dict[str, str] | None = None
) -> WireResponse:
    request = WireRequest(url=url, headers={"content-type": "application/json"} | (headers or {}), body=body)
    return await transport.send(request, connect_timeout_s=5.0)


async def send_many(transport: HttpTransport, url: str, count: int) -> list[WireResponse]:
    return await asyncio.gather(*(send(transport, url) for _ in range(count)))


async def read(response: WireResponse) -> bytes:
    body = b""
    while piece := await response.next():
        body += piece
    return body


def one_chunk_then_silence(was_sent: asyncio.Event | None = None) -> Answer:
    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(CHUNKED + HELLO)
        if was_sent:
            was_sent.set()
        await reader.read()  # until the client hangs up
        writer.close()

    return answer


def then_close(data: bytes) -> Answer:
    async def answer(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return answer


@on_both_loops
async def test_status_headers_and_body_of_a_plain_answer() -> None:
    answer = b"HTTP/1.1 429 Slow Down\r\nX-Twice: 1\r\nX-Twice: 2\r\nRetry-After:  7 \r\ncontent-length: 2\r\n\r\nno"
    async with serving(answer) as server, transport_of() as transport:
        response = await send(transport, server.url, b"x" * 300_000)
        assert response.status == 429
        assert response.headers == {"x-twice": "2", "retry-after": "7", "content-length": "2"}
        assert await read(response) == b"no"
        assert await response.next() == b""
        assert server.bodies == [b"x" * 300_000]


async def test_request_asks_for_no_compression_and_carries_no_other_surprises() -> None:
    async with serving(OK) as server, transport_of() as transport:
        await read(await send(transport, server.url, headers={"Accept-Encoding": "gzip", "x-empty": ""}))
        request_line, *headers = server.heads[0].rstrip().split("\r\n")
        assert request_line == "POST /v1/chat?x=1 HTTP/1.1"
        assert {header.rstrip().lower() for header in headers} == {
            f"host: 127.0.0.1:{server.port}",
            "user-agent: routewright",
            "accept: */*",
            "accept-encoding: identity",
            "content-type: application/json",
            "content-length: 2",
            "x-empty:",
        }


async def test_header_that_would_smuggle_in_another_is_refused() -> None:
    async with serving(OK) as server, transport_of() as transport:
        with pytest.raises(InvalidRequest, match="line break"):
            await send(transport, server.url, headers={"anthropic-beta": "a\r\nx-api-key: b"})
        assert server.connections == 0


@on_both_loops
async def test_chunks_arrive_one_by_one_before_the_answer_ends() -> None:
    was_read = asyncio.Event()

    async def answer(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(CHUNKED)
        for number in range(5):
            await was_read.wait()
            was_read.clear()
            writer.write(b"1\r\n%d\r\n" % number)
        writer.write(b"0\r\nx-trailer: ignored\r\n\r\n")

    async with serving(answer) as server, transport_of() as transport:
        response = await send(transport, server.url)
        for number in range(5):
            was_read.set()
            assert await response.next() == b"%d" % number
        assert await response.next() == b""
        assert "x-trailer" not in response.headers


async def test_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
    async with serving(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + OK) as server, transport_of() as transport:
        response = await send(transport, server.url)
        assert (response.status, "link" in response.headers, await read(response)) == (200, False, b"ok")


async def test_interim_answer_alone_is_no_answer() -> None:
    async with serving(then_close(b"HTTP/1.1 100 Continue\r\n\r\n")) as server, transport_of() as transport:
        with pytest.raises(ConnectionLost, match="before any answer"):
            await send(transport, server.url)


async def test_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving(OK) as attacker:
        moved = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {attacker.url}\r\ncontent-length: 0\r\n\r\n"
        async with serving(moved.encode()) as server, transport_of() as transport:
            response = await send(transport, server.url)
            assert (response.status, response.headers["location"]) == (307, attacker.url)
            assert await read(response) == b""
        assert attacker.connections == 0


@on_both_loops
async def test_refused_connection() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        async with transport_of() as transport:
            with pytest.raises(ConnectFailed, match=f"no connection to 127.0.0.1:{port}: "):
                await send(transport, f"http://user:secret@127.0.0.1:{port}/?key=secret")


@on_both_loops
async def test_connect_timeout_covers_the_tls_handshake() -> None:
    async def say_nothing(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with transport_of() as transport:
        with pytest.raises(ConnectFailed, match="timed out"):
            await transport.send(WireRequest(url=url, headers={}, body=b""), connect_timeout_s=0.05)
    listener.close()


@pytest.mark.parametrize("is_reused", [False, True])
async def test_request_without_an_answer_is_lost_and_never_sent_twice(is_reused: bool) -> None:
    async def answer_then_die(_: StreamReader, writer: StreamWriter) -> None:
        if is_reused and len(server.heads) == 1:
            writer.write(OK)
        else:
            writer.close()

    async with serving(answer_then_die) as server, transport_of() as transport:
        if is_reused:
            await read(await send(transport, server.url))
        with pytest.raises(ConnectionLost, match="before any answer"):
            await send(transport, server.url)
        assert (len(server.heads), server.connections) == (1 + is_reused, 1)


@pytest.mark.parametrize(
    "cut",
    [
        CHUNKED + HELLO,
        CHUNKED + HELLO + b"ff\r\nhalf",
        CHUNKED + HELLO + b"0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
    ],
)
async def test_answer_that_ends_early_is_cut(cut: bytes) -> None:
    async with serving(then_close(cut)) as server, transport_of() as transport:
        response = await send(transport, server.url)
        with pytest.raises(StreamCut, match="broke off"):
            await read(response)
        with pytest.raises(StreamCut):
            await response.next()


async def test_pieces_before_the_cut_are_delivered_first() -> None:
    async with serving(then_close(CHUNKED + HELLO)) as server, transport_of() as transport:
        response = await send(transport, server.url)
        await server.hung_up.wait()
        assert await response.next() == b"hello"
        with pytest.raises(StreamCut):
            await response.next()


@on_both_loops
async def test_reset_connection_is_a_cut() -> None:
    is_read = asyncio.Event()

    async def answer(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(CHUNKED + HELLO)
        await is_read.wait()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()  # with nothing to linger for: RST

    async with serving(answer) as server, transport_of() as transport:
        response = await send(transport, server.url)
        assert await response.next() == b"hello"
        is_read.set()
        with pytest.raises(StreamCut):
            await response.next()


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : space before the colon\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-large: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-many: 1\r\n" * 7_000 + b"\r\n",
    ],
)
async def test_garbage_is_an_invalid_response(garbage: bytes) -> None:
    async with serving(then_close(garbage)) as server, transport_of() as transport:
        with pytest.raises(InvalidResponse, match="not valid HTTP"):
            await send(transport, server.url)


async def test_garbage_instead_of_a_chunk_is_no_end() -> None:
    async with serving(then_close(CHUNKED + HELLO + b"not-a-size\r\n")) as server, transport_of() as transport:
        response = await send(transport, server.url)
        with pytest.raises(ProviderError):
            await read(response)


@on_both_loops
async def test_abort_closes_the_connection_at_once() -> None:
    async with serving(one_chunk_then_silence()) as server, transport_of() as transport:
        response = await send(transport, server.url)
        assert await response.next() == b"hello"
        response.abort()
        response.abort()
        await server.hung_up.wait()
        with pytest.raises(StreamCut, match="dropped by us"):
            await response.next()


@on_both_loops
async def test_abort_after_the_end_keeps_the_connection() -> None:
    async with serving(OK) as server, transport_of() as transport:
        for _ in range(3):
            response = await send(transport, server.url)
            assert await read(response) == b"ok"
            response.abort()
        assert (len(server.heads), server.connections) == (3, 1)


@on_both_loops
async def test_cancelled_next_closes_the_connection_and_the_pool_stays_healthy() -> None:
    async with serving(one_chunk_then_silence()) as server, transport_of() as transport:
        responses = [await send(transport, server.url) for _ in range(20)]
        assert [await response.next() for response in responses] == [b"hello"] * 20
        readers = [asyncio.ensure_future(response.next()) for response in responses]
        await asyncio.sleep(0)
        for reader in readers:
            server.hung_up.clear()
            reader.cancel()
            await server.hung_up.wait()
        server.answer = OK
        assert [await read(await send(transport, server.url)) for _ in range(50)] == [b"ok"] * 50
        assert server.connections == 21


@on_both_loops
async def test_cancelled_send_closes_the_connection_and_the_pool_stays_healthy() -> None:
    is_asked = asyncio.Event()

    async def never_answer(reader: StreamReader, writer: StreamWriter) -> None:
        is_asked.set()
        await reader.read()
        writer.close()

    async with serving(never_answer) as server, transport_of() as transport:
        for _ in range(5):
            is_asked.clear()
            server.hung_up.clear()
            sender = asyncio.ensure_future(send(transport, server.url))
            await is_asked.wait()
            sender.cancel()
            await server.hung_up.wait()
        server.answer = OK
        assert [await read(await send(transport, server.url)) for _ in range(50)] == [b"ok"] * 50
        assert server.connections == 6


async def test_send_cancelled_while_connecting_is_forgotten() -> None:
    async with serving(OK) as server, transport_of() as transport:
        sender = asyncio.ensure_future(send(transport, server.url))
        await asyncio.sleep(0)
        sender.cancel()
        assert await read(await send(transport, server.url)) == b"ok"
        assert len(server.heads) == 1


@on_both_loops
async def test_connections_are_used_again() -> None:
    async with serving(OK) as server, transport_of() as transport:
        for _ in range(2):
            assert [await read(response) for response in await send_many(transport, server.url, 8)] == [b"ok"] * 8
        assert len(server.heads) == 16
        assert server.connections <= 8


@on_both_loops
async def test_connection_closed_by_the_server_in_between_fails_nothing() -> None:
    async with serving(then_close(OK)) as server, transport_of() as transport:
        for number in range(1, 4):
            server.hung_up.clear()
            assert await read(await send(transport, server.url)) == b"ok"
            assert server.connections == number
            await server.hung_up.wait()


@on_both_loops
async def test_request_that_meets_only_closed_connections_is_sent_once_on_a_new_one() -> None:
    all_here = asyncio.Barrier(8)
    all_closed = asyncio.Barrier(9)

    async def answer_then_close(_: StreamReader, writer: StreamWriter) -> None:
        await all_here.wait()
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        await all_closed.wait()

    async with serving(answer_then_close) as server, transport_of() as transport:
        await asyncio.gather(*[read(response) for response in await send_many(transport, server.url, 8)])
        await all_closed.wait()
        server.answer = OK
        assert await read(await send(transport, server.url)) == b"ok"
        assert (len(server.heads), server.connections) == (9, 9)


async def test_failure_after_a_closed_connection_is_reported() -> None:
    async with transport_of() as transport:
        async with serving(then_close(OK)) as server:
            assert await read(await send(transport, server.url)) == b"ok"
            await server.hung_up.wait()
        with pytest.raises(ConnectFailed):
            await send(transport, server.url)


async def test_request_beyond_the_connection_bound_waits_its_turn() -> None:
    async with serving(one_chunk_then_silence()) as server, transport_of(max_connections=1) as transport:
        first = await send(transport, server.url)
        second = asyncio.ensure_future(send(transport, server.url))
        assert await first.next() == b"hello"
        assert not second.done()
        first.abort()
        assert await (await second).next() == b"hello"
        assert server.connections == 2


@on_both_loops
async def test_unread_body_is_not_buffered_without_bound() -> None:
    piece, pieces = b"x" * (1 << 16), 1024
    written = 0

    async def flood(_: StreamReader, writer: StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * pieces))
        for _number in range(pieces):
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    async with serving(flood) as server, transport_of() as transport:
        response = await send(transport, server.url)
        before = -1
        while before != written:  # until a thousand turns of the loop bring nothing more
            before = written
            for _ in range(1000):
                await asyncio.sleep(0)
        assert written < len(piece) * pieces / 2
        received = len(await response.next())
        assert BUFFERED_BYTES_MAX <= received < BUFFERED_BYTES_MAX + len(piece)
        while got := await response.next():
            received += len(got)
            assert len(got) < BUFFERED_BYTES_MAX + len(piece)
        assert received == len(piece) * pieces


async def test_closing_cuts_what_is_in_flight() -> None:
    async with serving(one_chunk_then_silence()) as server, transport_of() as transport:
        response = await send(transport, server.url)
        assert await response.next() == b"hello"
        reader = asyncio.ensure_future(response.next())
        await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(StreamCut):
            await reader
        await server.hung_up.wait()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=loopback"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    try:
        subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_self_signed_certificate_is_refused(tls: ssl.SSLContext) -> None:
    async with serving(OK, tls=tls) as server, transport_of() as transport:
        with pytest.raises(TlsFailed, match="no trusted connection"):
            await send(transport, f"https://127.0.0.1:{server.port}/")
        assert server.heads == []


async def test_certificate_for_another_name_is_refused(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(OK, tls=tls) as server, transport_of(ca_file=str(certificate)) as transport:
        with pytest.raises(TlsFailed, match="no trusted connection"):
            await send(transport, f"https://localhost:{server.port}/")
        assert server.heads == []


async def test_certificate_of_a_known_authority_is_accepted(tls: ssl.SSLContext, certificate: Path) -> None:
    async with (
        serving(one_chunk_then_silence(), tls=tls) as server,
        transport_of(ca_file=str(certificate)) as transport,
    ):
        response = await send(transport, f"https://127.0.0.1:{server.port}/")
        assert await response.next() == b"hello"
        response.abort()
        await server.hung_up.wait()


async def test_proxy_of_the_environment_is_used(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tunnel(reader: StreamReader, writer: StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nx-proxy: 1\r\n\r\n")
        async with asyncio.TaskGroup() as directions:
            directions.create_task(pump(reader, away))
            directions.create_task(pump(there, writer))

    async def pump(source: StreamReader, sink: StreamWriter) -> None:
        while data := await source.read(1 << 16):
            sink.write(data)
        sink.close()

    async with serving(OK, tls=tls) as server, serving(tunnel) as proxy:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with transport_of(ca_file=str(certificate)) as transport:
            response = await send(transport, f"https://127.0.0.1:{server.port}/")
            assert (response.status, "x-proxy" in response.headers, await read(response)) == (200, False, b"ok")
        assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with transport_of(ca_file=str(certificate)) as transport:
            await read(await send(transport, f"https://127.0.0.1:{server.port}/"))
        assert (proxy.connections, server.connections) == (1, 2)
