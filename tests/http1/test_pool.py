"""What the pool does with its connections, beyond what `tests/test_transport.py` shows of any transport."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed
from routewright.http1 import pool as pools
from routewright.http1.place import Place
from routewright.http1.pool import Pool
from routewright.http1.response import Connection, Response
from routewright.names import Names

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers everything with the same; counts its connections, and those that ended."""

    def __init__(self, answer: bytes, *, closes: bool = False) -> None:
        self.answer = answer
        self.closes = closes
        self.writers: list[StreamWriter] = []
        self.hung_up = asyncio.Event()
        self.port = 0

    @property
    def connections(self) -> int:
        return len(self.writers)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                writer.write(self.answer)
                if self.closes:
                    break
        writer.close()
        self.hung_up.set()


@asynccontextmanager
async def serving(answer: bytes = OK, *, closes: bool = False) -> AsyncIterator[Server]:
    server = Server(answer, closes=closes)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.close()


@asynccontextmanager
async def pool(most: int = 100) -> AsyncIterator[Pool]:
    opened = Pool(most, 64 * 1024, None)
    try:
        yield opened
    finally:
        await opened.close()


async def send(of: Pool, port: int, host: str = "127.0.0.1") -> Response:
    request = WireRequest(url=f"http://{host}:{port}/", headers={}, body=b"{}")
    return await of.send(request, connect_timeout_s=5)


async def read(response: Response) -> bytes:
    body = b""
    while piece := await response.next():
        body += piece
    return body


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with serving(b"HTTP/1.0 200 OK\r\n\r\nall of it", closes=True) as server, pool() as it:
        assert await read(await send(it, server.port)) == b"all of it"


async def test_what_is_sent_at_once_is_not_held_back_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = list[socket.socket]()
    made = Connection.connection_made

    def note(connection: Connection, transport: asyncio.BaseTransport) -> None:
        sockets.append(transport.get_extra_info("socket"))
        made(connection, transport)

    monkeypatch.setattr(Connection, "connection_made", note)
    async with serving() as server, pool() as it:
        await read(await send(it, server.port))
        assert sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_host_is_reached_at_the_first_address_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server, pool() as it:
        monkeypatch.setattr(Names, "known", lambda _, host: ("127.0.0.2", "127.0.0.1"))
        assert await read(await send(it, server.port, "there.example")) == b"ok"


async def test_an_address_that_does_not_answer_holds_up_the_next_no_longer_than_its_head_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_at, cancelled = Pool._open_at, list[str]()

    async def hang_at_the_first(of: Pool, place: Place, address: str) -> Connection:
        if address == "127.0.0.2":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(address)
                raise
        return await open_at(of, place, address)

    monkeypatch.setattr(Pool, "_open_at", hang_at_the_first)
    monkeypatch.setattr(pools, "NEXT_ADDRESS_S", 0.01)
    monkeypatch.setattr(Names, "known", lambda _, host: ("127.0.0.2", "127.0.0.1"))
    async with serving() as server, pool() as it:
        assert await read(await send(it, server.port, "there.example")) == b"ok"
    assert cancelled == ["127.0.0.2"]


async def test_when_no_address_answers_the_first_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Names, "known", lambda _, host: ("127.0.0.2", "127.0.0.1"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with pool() as it:
            with pytest.raises(ConnectFailed, match="gone"):
                await send(it, nobody.getsockname()[1], "gone.example")


async def test_a_connection_on_which_more_came_than_was_asked_for_is_not_used_again() -> None:
    async with serving(OK + OK) as server, pool() as it:
        for number in (1, 2):
            assert await read(await send(it, server.port)) == b"ok"
            assert server.connections == number


async def test_what_comes_while_a_connection_is_idle_ends_it() -> None:
    async with serving() as server, pool() as it:
        await read(await send(it, server.port))
        server.writers[0].write(OK)
        await server.hung_up.wait()
        assert await read(await send(it, server.port)) == b"ok"
        assert server.connections == 2


async def test_an_idle_connection_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_CONNECTION_MAX_S", 0.01)
    async with serving() as server, pool() as it:
        await read(await send(it, server.port))
        await server.hung_up.wait()


async def test_beyond_the_bound_an_idle_connection_to_elsewhere_makes_room() -> None:
    async with serving() as one, serving() as other, pool(most=1) as it:
        await read(await send(it, one.port))
        assert await read(await send(it, other.port)) == b"ok"
        await one.hung_up.wait()


async def test_who_gives_up_waiting_for_its_turn_takes_nobody_elses() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok") as server, pool(most=1) as it:
        first = await send(it, server.port)
        impatient, patient = (asyncio.ensure_future(send(it, server.port)) for _ in range(2))
        await asyncio.sleep(0)
        first.abort()  # it is the turn of the impatient one, which leaves before it knows
        impatient.cancel()
        async with asyncio.timeout(5):
            (await patient).abort()
