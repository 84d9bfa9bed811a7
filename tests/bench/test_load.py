import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import pytest

from routewright.bench.load import Clients, Load
from routewright.bench.processes import BenchFailed, Child
from routewright.bench.proxies import streamed, whole

PATIENCE_S = 5.0
ONE = Load((b"{}",), b"}")


@asynccontextmanager
async def clients_of(answer: bytes | None, *, patience_s: float = PATIENCE_S) -> AsyncIterator[Clients]:
    """Clients of a server that reads a request, sends these bytes and hangs up; None: that is silent for ever."""

    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    place = Child(name="server", pid=0, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    async with server, Clients(place, patience_s=patience_s) as clients:
        yield clients
    await asyncio.gather(*served)


async def test_closed_loop_has_every_request_answered(floor: Child) -> None:
    async with Clients(floor, patience_s=PATIENCE_S) as clients:
        run = await clients.closed_loop(whole(1_024), 30, concurrency=4)
        again = await clients.closed_loop(whole(1_024), 3, concurrency=4)
    assert (len(run.latencies_s), len(again.latencies_s)) == (30, 3)
    assert min(run.latencies_s) > 0


async def test_open_loop_has_every_request_answered(upstream: Child) -> None:
    async with Clients(upstream, patience_s=PATIENCE_S) as clients:
        run = await clients.open_loop(whole(1_024), 20, per_s=1_000)
    assert len(run.latencies_s) == 20


async def test_the_floor_passes_every_chunk_on_alone(floor: Child) -> None:
    async with Clients(floor, patience_s=PATIENCE_S) as clients:
        run = await clients.closed_loop(streamed(5), 4, concurrency=2)
    assert 4 * 2 <= run.pieces <= 4 * (5 + 1)


async def test_an_error_answer_ends_the_run_and_is_told() -> None:
    async with clients_of(b"HTTP/1.1 503 X\r\ncontent-length: 9\r\n\r\noverload}") as clients:
        with pytest.raises(BenchFailed, match="server answered with status 503: overload}"):
            await clients.closed_loop(ONE, 5, concurrency=1)


async def test_a_stream_without_its_end_mark_is_no_answer() -> None:
    async with clients_of(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ndata: {") as clients:
        with pytest.raises(BenchFailed, match=r"without its end: data: \{"):
            await clients.closed_loop(Load((b"{}",), b"[DONE]"), 5, concurrency=1)


async def test_a_server_that_hangs_up_after_each_answer_is_told() -> None:
    async with clients_of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as clients:
        with pytest.raises(BenchFailed, match=r"dropped a connection|does not keep its connections alive"):
            await clients.closed_loop(ONE, 2, concurrency=1)


async def test_an_answer_that_breaks_off_is_told() -> None:
    async with clients_of(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf") as clients:
        with pytest.raises(BenchFailed, match="dropped a connection before its answer was complete"):
            await clients.open_loop(ONE, 1, per_s=1_000)


async def test_bytes_that_are_not_http_are_told() -> None:
    async with clients_of(b"220 mail.example ESMTP\r\n") as clients:
        with pytest.raises(BenchFailed, match="not HTTP"):
            await clients.closed_loop(ONE, 1, concurrency=1)


async def test_a_silent_server_is_waited_for_only_so_long() -> None:
    async with clients_of(None, patience_s=0.05) as clients:
        with pytest.raises(BenchFailed, match=r"server answered 0 of 2 requests within 0\.05 s"):
            await clients.closed_loop(ONE, 2, concurrency=2)


async def test_nobody_at_the_address_is_told() -> None:
    async with clients_of(None) as gone:
        pass
    with pytest.raises(BenchFailed, match="the server takes no connections"):
        await gone.closed_loop(ONE, 1, concurrency=1)
