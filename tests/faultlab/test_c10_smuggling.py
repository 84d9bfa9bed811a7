"""C10: a request that two readers could read in two ways is read by neither."""

import asyncio
from pathlib import Path

from clients import House, chat, house, post

HOST = b"host: 127.0.0.1\r\n"
GET = b"GET /readyz HTTP/1.1\r\n"
READY = GET + HOST + b"\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
REFUSED = {
    "no host": GET + b"\r\n",
    "two hosts": GET + HOST + HOST + b"\r\n",
    "another server's address": b"GET http://evil/readyz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a proxy's business": b"CONNECT evil:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no path": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /readyz\r\n\r\n",
    "HTTP/1.2": b"GET /readyz HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xff\x00",
    "tabs": b"GET\t/readyz\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "bare LF": b"GET /readyz HTTP/1.1\nhost: 127.0.0.1\n\n",
    "bare CR": GET + HOST + b"x: a\rb\r\n\r\n",
    "NUL": GET + HOST + b"x: a\x00b\r\n\r\n",
    "NUL in a name": GET + HOST + b"x\x00: a\r\n\r\n",
    "a space before the colon": GET + HOST + b"x : a\r\n\r\n",
    "a space in a name": GET + HOST + b"a b: a\r\n\r\n",
    "no name": GET + HOST + b": a\r\n\r\n",
    "obs-fold": GET + HOST + b"x: a\r\n b\r\n\r\n",
    "a path outside ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "CL.TE": POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + READY,
    "TE.CL": POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + READY,
    "TE.TE": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE hidden": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE identity": POST + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "TE in two": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /v1/route HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL.CL": POST + b"content-length: 0\r\ncontent-length: 44\r\n\r\n" + READY,
    "CL twice": POST + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "CL list": POST + b"content-length: 2, 2\r\n\r\n{}",
    "CL with a sign": POST + b"content-length: +2\r\n\r\n{}",
    "CL below zero": POST + b"content-length: -2\r\n\r\n{}",
    "CL of 30 digits": POST + b"content-length: " + b"9" * 30 + b"\r\n\r\n{}",
    "a chunk's size in another way": POST + b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2^68": POST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "chunks by bare LF": POST + b"transfer-encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "a body before a change of protocol": post(b"{}", b"connection: upgrade\r\nupgrade: h2c\r\n"),
}
TOO_LARGE = {
    "a header of 100 kB": GET + HOST + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    "1,000 headers": GET + HOST + b"".join(b"x%d: a\r\n" % number for number in range(1000)) + b"\r\n",
    "a target of 10 kB": b"GET /readyz?" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a head without an end": GET + HOST + b"x: " + b"a" * 600_000,
    "trailers without an end": POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: " + b"a" * 600_000,
    "an extension of a chunk without an end": POST + b"transfer-encoding: chunked\r\n\r\n2;" + b"a" * 600_000,
    "empty lines without an end": b"\r\n" * 300_000,
}


async def test_c10_what_is_ambiguous_is_a_400_and_the_end_of_the_connection(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        for name, data in REFUSED.items():
            heard = await opened.cut(data)
            assert heard.statuses == [400], name
            heard.refused(400, "invalid_http")
            assert heard.headers["connection"] == "close", name
        assert opened.provider.bodies == []
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_c10_what_is_too_large_is_refused_while_it_comes(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        for name, data in TOO_LARGE.items():
            heard = await opened.cut(data)
            if heard.data or len(data) < 200_000:  # who still sends when the connection ends may see only that
                heard.refused(431, "head_too_large")
            assert heard.is_closed, name
        assert opened.provider.bodies == []


async def test_c10_trailers_are_not_headers(tmp_path: Path) -> None:
    body = b'{"model":"ok","messages":[{"role":"user","content":"Hi"}]}'
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    async with house(tmp_path) as opened:
        heard = await opened.send(chunked + b"host: evil\r\nx-routewright-tier: huge\r\n\r\n")
        assert heard.statuses == [200]
        assert len(opened.provider.bodies) == 1


async def test_c10_old_ways_that_are_not_ambiguous_are_understood(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        assert (await opened.cut(b"GET /readyz HTTP/1.0\r\n\r\n")).statuses == [200]
        whole_address = b"GET http://127.0.0.1/readyz HTTP/1.1\r\n" + HOST + b"\r\n"
        assert (await opened.send(whole_address)).statuses == [200]
        assert (await opened.send(b"\r\n" + READY)).statuses == [200]
        upgrading = GET + HOST + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
        assert (await opened.cut(upgrading + READY)).statuses == [200]
        for wish in (b"expect: 100-continue\r\n", b"Expect: 100-Continue\r\n"):
            async with opened.wire() as wire:
                wire.write(chat("ok", head=wish))
                assert (await wire.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
                assert (await wire.one()).statuses == [200]
        of_old = chat("ok", head=b"expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await opened.cut(of_old)).statuses == [200], "who speaks HTTP/1.0 knows no 100"


async def test_c10_pipelined_requests_are_answered_in_their_order_and_only_some(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        async with opened.wire() as wire:
            wire.write(READY + chat("ok") + READY)
            statuses = [(await wire.one()).statuses for _ in range(3)]
            assert statuses == [[200], [200], [200]]
        heard = await opened.cut(READY * 1000)
        assert heard.is_closed
        assert len(heard.statuses) < 30
        heard = await opened.cut(READY + b"garbage\r\n\r\n" + READY)
        assert heard.statuses == [200], "the good one before it is answered, and then it ends"


async def test_c10_bytes_behind_a_stream_do_not_get_into_it(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as wire:
        wire.write(chat("held", stream=True))
        await wire.until(b"hello")
        wire.write(b"garbage\r\n\r\n")
        await _taken_in(opened)
        opened.provider.let_go.set()
        heard = await wire.rest()
        assert heard.data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert b"invalid_http" not in heard.data


async def _taken_in(opened: House) -> None:
    """The gateway's loop is this one: after some turns of it, what was written has been read."""
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert opened.server.server_state.connections
