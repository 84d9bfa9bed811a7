"""C04, C05: clients that send slowly, too much, or something else than they said."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from clients import Wire, chat, house, post

from routewright.gateway.connection import MOST_DISCARDED_BYTES

GET = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
MIB = 1024 * 1024


async def test_c04_a_head_that_comes_byte_by_byte_is_given_up(tmp_path: Path) -> None:
    async with house(tmp_path, limits={"header_timeout_s": 0.2}) as opened, opened.wire() as wire:
        dripping = asyncio.create_task(_drip(wire.write))
        heard = await wire.rest()
        dripping.cancel()
        heard.refused(408, "request_timeout")
        assert heard.headers["x-should-retry"] == "true"


async def _drip(write: Callable[[bytes], None]) -> None:
    for byte in GET[:-2]:
        write(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_c04_so_is_a_later_head_and_a_socket_that_says_nothing_is_closed(tmp_path: Path) -> None:
    async with house(tmp_path, limits={"header_timeout_s": 0.2}) as opened:
        async with opened.wire() as wire:
            wire.write(GET)
            assert (await wire.one()).statuses == [200]
            wire.write(GET[:-2])
            (await wire.rest()).refused(408, "request_timeout")
        heard = await opened.cut(b"")
        assert (heard.data, heard.is_closed) == (b"", True)
        heard = await opened.cut(b"\r\n\r\n")
        assert heard.statuses in ([], [408])


async def test_c04_a_body_that_does_not_get_on_is_given_up_and_one_that_does_is_waited_for(tmp_path: Path) -> None:
    body = b'{"model":"ok","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 4000)
    async with house(tmp_path, limits={"body_pace_s": 0.25, "body_pace_bytes": 500}) as opened:
        heard = await opened.cut(post(body)[:-10])
        heard.refused(408, "request_timeout")
        assert opened.provider.bodies == []
        async with opened.wire() as wire:
            whole = post(body)
            for start in range(0, len(whole), 600):
                wire.write(whole[start : start + 600])
                await asyncio.sleep(0.06)
            assert (await wire.one()).statuses == [200]


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_c04_one_connection_more_than_allowed_is_refused_and_told_when_to_come(
    tmp_path: Path, limit: str
) -> None:
    async with house(tmp_path, limits={limit: 3}) as opened:
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(opened.wire()) for _ in range(3)]
            for wire in wires:
                wire.write(GET)
                assert (await wire.one()).statuses == [200]
            heard = await opened.cut(b"")
            heard.refused(503, "overloaded")
            assert heard.headers["retry-after"] == "1"
        await opened.until(lambda: not opened.server.server_state.connections)
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_c04_five_hundred_sockets_that_are_idle_or_amid_a_head_hinder_nobody(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, AsyncExitStack() as stack:
        for number in range(500):
            wire = await stack.enter_async_context(opened.wire())
            wire.write(GET[: number % 2 * 20])
        assert len(opened.server.server_state.connections) >= 400
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_c05_a_body_that_says_it_is_too_long_is_refused_before_it_comes(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        for head in (b"", b"expect: 100-continue\r\n"):
            heard = await opened.send(POST + head + b"content-length: 1073741824\r\n\r\n")
            assert heard.statuses == [413]
            heard.refused(413, "body_too_large")
        assert opened.provider.bodies == []


async def test_c05_a_body_without_an_end_is_refused_at_the_bound_and_then_cut(tmp_path: Path) -> None:
    piece = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
    async with house(tmp_path, "[server]\nmax_body_bytes = 1_000_000\n") as opened, opened.wire() as wire:
        wire.write(POST + b"transfer-encoding: chunked\r\n\r\n")
        wire.write(piece)
        (await wire.one()).refused(413, "body_too_large")
        sent = await _send_while_taken(wire, piece, most=1024)
        assert sent * MIB < MOST_DISCARDED_BYTES + 32 * MIB, "the rest is in the buffers of two sockets"
        assert opened.provider.bodies == []


async def _send_while_taken(wire: Wire, piece: bytes, *, most: int) -> int:
    """How many pieces went out."""
    for count in range(most):
        wire.write(piece)
        try:
            await wire.writer.drain()
        except ConnectionError:
            return count
    return most


async def test_c05_a_length_that_lies_gives_a_400_or_is_waited_for_in_vain(tmp_path: Path) -> None:
    body = chat("ok").partition(b"\r\n\r\n")[2]
    async with house(tmp_path, limits={"body_pace_s": 0.2}) as opened:
        (await opened.send(POST + b"\r\n" + body)).refused(400, "invalid_json")
        short = await opened.cut(POST + b"content-length: 5\r\n\r\n" + body)
        assert short.statuses[0] == 400
        assert short.is_closed
        (await opened.cut(POST + b"content-length: 500\r\n\r\n" + body)).refused(408, "request_timeout")
        assert opened.provider.bodies == []
