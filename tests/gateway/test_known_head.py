"""A head that a connection has brought before is not read again, and means what it means to who reads it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from routewright.gateway import connection as module
from routewright.gateway.connection import Connection
from routewright.gateway.entrance import Entrance, Limits
from routewright.gateway.http import ClientLeft, RawHeaders, Request, Send, respond
from routewright.gateway.known_head import KnownHead, parts

LIMITS = Limits(max_connections=9, max_connections_per_address=9, max_header_bytes=4096, header_timeout_s=9)
HEAD = b"POST /v1/x?y=%%20 HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\nauthorization: Bearer k\r\n\r\n"


def post(body: bytes) -> bytes:
    return HEAD % len(body) + body


class Wire(asyncio.Transport):
    """A client's connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Talk:
    """A connection, and what came of all that it was sent."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.requests: list[tuple[object, ...]] = []
        self.keeps_alive = True
        config: Any = SimpleNamespace(loaded_app=self._answer, timeout_keep_alive=60)
        common: RawHeaders = []
        state: Any = SimpleNamespace(default_headers=common, tasks=set(), connections=set())
        self.entrance = Entrance(LIMITS, lambda error: error.code.encode())
        self.connection = Connection(config, state, {}, asyncio.get_running_loop(), entrance=self.entrance)
        self.connection.connection_made(self.wire)

    async def _answer(self, request: Request, send: Send) -> None:
        try:
            body = await request.body(1000)
        except ClientLeft:
            return
        self.requests.append((request.method, request.path, request.query, request.headers, request.repeated, body))
        await respond(send, 200, [], b"ok")

    async def say(self, *pieces: bytes) -> "Talk":
        for piece in pieces:
            if not self.wire.is_closed:
                self.connection.data_received(piece)
            await asyncio.sleep(0)
        return self

    def hang_up(self) -> "Talk":
        self.connection.connection_lost(None)
        return self


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of targets that a parser has found."""
    found: list[bytes] = []
    on_url = Connection.on_url

    def note(connection: Connection, url: bytes) -> None:
        found.append(url)
        on_url(connection, url)

    monkeypatch.setattr(Connection, "on_url", note)
    return found


async def test_of_requests_that_differ_in_their_bodies_only_the_first_head_is_read(parsed: list[bytes]) -> None:
    talk = (await Talk().say(*(post(body) for body in (b"{}", b"[1, 2, 3]" * 20, b"", b"{}")))).hang_up()
    assert parsed == [b"/v1/x?y=%20"]
    headers = {b"host": b"here", b"authorization": b"Bearer k"}
    assert talk.requests == [
        ("POST", "/v1/x", b"y=%20", {**headers, b"content-length": length}, frozenset(), body)
        for length, body in ((b"2", b"{}"), (b"180", b"[1, 2, 3]" * 20), (b"0", b""), (b"2", b"{}"))
    ]
    assert talk.wire.written.count(b"200 OK") == 4


async def test_a_known_head_in_pieces_pipelined_or_with_half_a_body_is_read(parsed: list[bytes]) -> None:
    two = post(b"{}")
    talk = (await Talk().say(two, two[:20], two[20:], two + two, two[:-1], two[-1:], two)).hang_up()
    assert len(talk.requests) == 6
    assert len(parsed) >= 5


async def test_who_never_says_the_same_twice_is_looked_at_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    monkeypatch.setattr(module, "parts", lambda data, length: looks.append(data))
    talk = await Talk().say(*(post(b"{}").replace(b" k", b" %d" % number) for number in range(10)))
    assert (len(talk.hang_up().requests), len(looks)) == (10, module.MOST_LESSONS)


async def test_a_gateway_about_to_end_says_so_below_a_known_head_too() -> None:
    talk = await Talk().say(post(b"{}"))
    talk.entrance.keeps_alive = False
    await talk.say(post(b"{}"))
    assert talk.wire.written.endswith(b"connection: close\r\n\r\nok")
    assert talk.wire.is_closed
    talk.hang_up()


def otherwise() -> list[bytes]:
    """A request in which any byte of the head is another, missing, or twice; and with other lengths and bodies."""
    good = post(b"{}  ")
    head = len(good) - 4
    changed = [good[:at] + new + good[at + 1 :] for at in range(head) for new in (b"", good[at : at + 1] * 2)]
    changed += [good[:at] + new + good[at + 1 :] for at in range(head) for new in (b"\0", b"\n", b" ", b"7", b":")]
    for length in (b"+4", b"-4", b"04", b"0000000004", b"4 ", b"4,4", b"\xb2", b"", b"0x4", b"4\r\nx: y", b"9" * 30):
        changed.append(good.replace(b": 4", b": " + length))
    return [*changed, good + b"x", good[:-1], good + good, good.replace(b"\r\n", b"\n")]


async def test_whatever_follows_a_known_head_means_what_it_means_to_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    async def said(data: bytes) -> tuple[object, ...]:
        talk = (await Talk().say(post(b"{}"), data, post(b"[]"))).hang_up()
        return talk.requests, talk.wire.written, talk.wire.is_closed

    known = [await said(data) for data in otherwise()]
    monkeypatch.setattr(module, "MOST_LESSONS", 0)
    assert known == [await said(data) for data in otherwise()]


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (HEAD % 4 + b"{}", b"4"),
        (HEAD % 2 + b"{}", b"3"),
        (b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\n\r\n{}", b"2"),
        (b"POST / HTTP/1.1\r\nhost: x\r\n\r\n", b"0"),
        (b"POST / HTTP/1.1\r\nx: " + b"a" * 5000 + b"\r\ncontent-length: 2\r\n\r\n{}", b"2"),
    ],
)
def test_what_is_not_a_plain_request_has_no_parts(data: bytes, length: bytes) -> None:
    assert parts(data, length) is None


def test_again_is_only_what_is_whole() -> None:
    told = parts(HEAD % 2 + b"{}", b"2")
    assert told is not None
    head = KnownHead("POST", "/v1/x", b"", {}, *told)
    assert head.again(HEAD % 3 + b"{ }") == (b"3", b"{ }")
    for data in (HEAD % 3 + b"{}", HEAD % 1 + b"{}", (HEAD % 2)[:-1], b"", HEAD % 12345678901 + b"{}"):
        assert head.again(data) is None
