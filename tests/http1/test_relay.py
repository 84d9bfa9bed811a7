"""A body that is relayed: taken as part of being read, without anybody being woken."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from routewright.errors import InvalidResponse, StreamCut
from routewright.http1.response import BUFFERED_BYTES_MAX, READ_BYTES, Connection, Response

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Socket(asyncio.Transport):
    """Of the provider: what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.doings: list[str] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return SimpleNamespace(setsockopt=lambda *_: None, fileno=lambda: 0)

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.doings.append("paused")

    def resume_reading(self) -> None:
        self.doings.append("resumed")

    def abort(self) -> None:
        self.doings.append("aborted")


class Provider:
    """A connection whose reads are made by hand, and its home."""

    def __init__(self) -> None:
        self.buffer = bytearray(READ_BYTES)
        self.max_header_bytes = 65_536
        self.loop = asyncio.get_running_loop()
        self.socket = Socket()
        self.kept = 0
        self._connection = Connection(self, "provider")
        self._connection.connection_made(self.socket)
        self.response: Response = self._connection.ask(b"", b"")
        self.says(HEAD)

    def says(self, data: bytes) -> None:
        self.buffer[: len(data)] = data
        self._connection.buffer_updated(len(data))

    def take_back(self, connection: Connection) -> None:
        self.kept += 1

    def forget(self, connection: Connection) -> None: ...


class Client:
    """Takes pieces until it has as many as it wants."""

    def __init__(self, most: int = 1000) -> None:
        self.taken: list[bytes] = []
        self.most = most

    def take(self, data: bytes) -> bool:
        self.taken.append(data)
        return len(self.taken) < self.most


async def relaying(provider: Provider, take: Callable[[bytes], bool]) -> "asyncio.Task[bool]":
    task = asyncio.ensure_future(provider.response.relay(take))
    await asyncio.sleep(0)
    return task


async def soon(task: Awaitable[bool]) -> bool:
    async with asyncio.timeout(1):
        return await task


async def test_what_a_read_brings_is_taken_within_it_and_as_one() -> None:
    provider, client = Provider(), Client()
    task = await relaying(provider, client.take)
    provider.says(chunk(b"one"))
    assert client.taken == [b"one"]
    provider.says(chunk(b"two ") + chunk(b"three ") + b"4\r\nfo")
    assert client.taken == [b"one", b"two three fo"]
    provider.says(b"ur\r\n" + END)
    assert await soon(task)
    assert client.taken == [b"one", b"two three fo", b"ur"]
    assert provider.kept == 1


async def test_what_had_come_before_is_taken_first() -> None:
    provider, client = Provider(), Client()
    provider.says(chunk(b"one "))
    provider.says(chunk(b"two"))
    task = await relaying(provider, client.take)
    provider.says(chunk(b"three") + END)
    assert await soon(task)
    assert client.taken == [b"one two", b"three"]


async def test_who_has_enough_is_given_the_rest_when_it_asks_again() -> None:
    provider, client = Provider(), Client(most=1)
    task = await relaying(provider, client.take)
    provider.says(chunk(b"one"))
    provider.says(chunk(b"two"))  # before the one who waits has run
    assert not await soon(task)
    assert client.taken == [b"one"]
    assert await provider.response.next() == b"two"


async def test_for_who_has_enough_no_more_is_read_than_the_bound() -> None:
    provider, client = Provider(), Client(most=1)
    task = await relaying(provider, client.take)
    for _ in range(1 + BUFFERED_BYTES_MAX // 32_768):
        provider.says(chunk(bytes(32_768)))
    assert not await soon(task)
    assert provider.socket.doings == ["paused"]
    client.most = 1000
    task = await relaying(provider, client.take)
    assert provider.socket.doings == ["paused", "resumed"]
    assert len(b"".join(client.taken)) == 32_768 + BUFFERED_BYTES_MAX
    provider.says(END)
    assert await soon(task)


async def test_what_goes_wrong_with_whoever_takes_is_raised_where_the_relay_is_awaited() -> None:
    def refuse(_: bytes) -> bool:
        raise StreamCut("not this")

    provider = Provider()
    task = await relaying(provider, refuse)
    provider.says(chunk(b"one"))
    with pytest.raises(StreamCut, match="not this"):
        await soon(task)


async def test_after_a_cancellation_nothing_is_taken_and_the_connection_is_dropped() -> None:
    provider, client = Provider(), Client()
    task = await relaying(provider, client.take)
    task.cancel()
    provider.says(chunk(b"one"))  # before the cancelled one has run
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.taken == []
    assert provider.socket.doings == ["aborted"]


async def test_a_body_that_breaks_off_is_not_taken_for_one_that_ended() -> None:
    provider, client = Provider(), Client()
    task = await relaying(provider, client.take)
    provider.says(chunk(b"one") + b"this is no chunk")
    with pytest.raises(InvalidResponse, match="not valid HTTP"):
        await soon(task)
    assert client.taken == [b"one"]
