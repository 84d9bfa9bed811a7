"""What workers tell each other, with a socket for the other one; `test_workers` has real ones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

import pytest
from msgspec.structs import replace

from routewright.access.keys import Caller
from routewright.errors import Overloaded
from routewright.gateway.http import ClientLeft, Gathered, Kept, Request, Send, respond
from routewright.gateway.siblings import MARK, Siblings, merged, socket_path
from routewright.gateway.workers import Worker
from routewright.tenant import Tenant

TOKEN = "ab" * 32
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ndate: today\r\n"
LIMITED = Tenant(key="limited", requests_per_minute=5)


def siblings(folder: Path, *, number: int = 1, count: int = 2, counts_keys: bool = True) -> Siblings:
    worker = Worker(number=number, count=count, port=0, folder=folder, token=TOKEN, supervisor=0, told=0)
    return Siblings(worker, max_body_bytes=lambda: 1_000, counts_keys=counts_keys)


def request(tenant: Tenant = LIMITED, body: bytes = b"{}", **headers: str) -> Request:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request(
        "POST", "/v1/chat/completions", {b"host": b"localhost", **sent}, Kept(body), caller=Caller(tenant=tenant)
    )


async def at_home(request: Request, send: Send) -> None:
    await respond(send, 200, [], b"at home")


@asynccontextmanager
async def other(folder: Path, answer: bytes) -> AsyncIterator[list[bytes]]:
    """All that limited keys are asked of is for worker 2 of 2, or 1: both listen, and what they hear is yielded."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        heard.append(head + await reader.readexactly(size))
        writer.write(answer)
        writer.close()

    servers = [await asyncio.start_unix_server(serve, socket_path(folder, number)) for number in (1, 2)]
    try:
        yield heard
    finally:
        for server in servers:
            server.close()


async def answers(told: Request, folder: Path, **of_siblings: bool) -> list[Gathered]:
    """What each of two workers answers."""
    found = []
    for number in (1, 2):
        handler, sent = siblings(folder, number=number, **of_siblings).remembering(at_home), Gathered()
        await handler(told if number == 1 else replace(told, client=Kept(b"{}")), sent)
        found.append(sent)
    return found


async def test_one_of_them_keeps_a_request_and_the_other_passes_it_on(tmp_path: Path) -> None:
    chunked = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nfrom \r\n5\r\nafar.\r\n0\r\n\r\n"
    async with other(tmp_path, chunked) as heard:
        found = await answers(request(content_length="2", idempotency_key="k"), tmp_path)
    assert sorted(each.body for each in found) == [b"at home", b"from afar."]
    (passed,) = heard
    assert passed.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert passed.endswith(b"\r\n\r\n{}")
    assert passed.count(b"content-length: 2") == 1
    assert b"idempotency-key: k" in passed
    assert MARK + b": " + TOKEN.encode() in passed
    (afar,) = [each for each in found if each.body == b"from afar."]
    assert afar.headers == [(b"content-type", b"text/plain")], "what is about the other connection is left out"


async def test_what_nobody_has_to_remember_is_answered_where_it_comes(tmp_path: Path) -> None:
    for tenant, counts_keys in ((Tenant(), True), (LIMITED, False)):
        found = await answers(request(tenant), tmp_path, counts_keys=counts_keys)
        assert [each.body for each in found] == [b"at home"] * 2


async def test_concurrency_is_counted_here_also_with_redis(tmp_path: Path) -> None:
    limited = Tenant(key="limited", concurrency=1)
    async with other(tmp_path, OK + b"content-length: 4\r\n\r\nafar") as heard:
        found = await answers(request(limited), tmp_path, counts_keys=False)
    assert sorted(each.body for each in found) == [b"afar", b"at home"]
    assert len(heard) == 1


async def test_what_a_sibling_passed_on_is_kept(tmp_path: Path) -> None:
    found = await answers(request(x_worker_token=TOKEN), tmp_path)
    assert found[0].body == b"at home"


@pytest.mark.parametrize("token", ["", "0" * 64, TOKEN[:-1]])
async def test_nobody_else_can_have_it_kept(tmp_path: Path, token: str) -> None:
    async with other(tmp_path, OK + b"content-length: 4\r\n\r\nafar"):
        bodies = []
        for number in (1, 2):
            sent = Gathered()
            await siblings(tmp_path, number=number).remembering(at_home)(request(x_worker_token=token), sent)
            bodies.append(sent.body)
    assert sorted(bodies) == [b"afar", b"at home"]


async def test_a_path_is_one_line_however_it_was_escaped(tmp_path: Path) -> None:
    sly = replace(request(), path="/v1/x HTTP/1.1\r\nhost: y\r\n\r\nGET /admin")
    async with other(tmp_path, OK + b"content-length: 0\r\n\r\n") as heard:
        await siblings(tmp_path, number=away(tmp_path)).remembering(at_home)(sly, Gathered())
    assert heard[0].startswith(b"POST /v1/x%20HTTP/1.1%0D%0Ahost%3A%20y%0D%0A%0D%0AGET%20/admin HTTP/1.1\r\n")


def away(folder: Path) -> int:
    """The worker that does not keep what the limited key asks."""
    return 2 - crc32(b"limited") % 2


@pytest.mark.parametrize("answer", [b"", OK + b"content-length: 9\r\n\r\nhalf", b"220 mail.example\r\n\r\n"])
async def test_a_sibling_that_breaks_off_is_told(tmp_path: Path, answer: bytes) -> None:
    async with other(tmp_path, answer):
        with pytest.raises(Overloaded, match=r"worker \d, which remembers this, is away"):
            await siblings(tmp_path, number=away(tmp_path)).remembering(at_home)(request(), Gathered())


async def test_a_sibling_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match="is away"):
        await siblings(tmp_path, number=away(tmp_path)).remembering(at_home)(request(), Gathered())


class Leaving(Kept):
    """A client that leaves a little after anybody watches it."""

    def watch(self, left: Callable[[], None] | None) -> None:
        if left is not None:
            asyncio.get_running_loop().call_later(0.05, left)


async def test_a_client_that_leaves_is_left_by_the_sibling_too(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while await reader.read(100):
            pass
        writer.close()
        left.set()

    server = await asyncio.start_unix_server(serve, socket_path(tmp_path, 3 - away(tmp_path)))
    leaving = Leaving()
    with pytest.raises(ClientLeft):
        await siblings(tmp_path, number=away(tmp_path)).remembering(at_home)(
            replace(request(), client=Kept(b"{}", leaving)), Gathered()
        )
    await asyncio.wait_for(left.wait(), 5)
    server.close()


def test_texts_of_metrics_become_one() -> None:
    first = '# HELP a What.\n# TYPE a counter\na{model="m{x}"} 1\n# HELP b Other.\n# TYPE b gauge\nb 2\n'
    second = '# HELP a What.\n# TYPE a counter\na{model="n"} 3\n'
    assert merged({1: first, 2: second, 3: None}) == (
        '# HELP a What.\n# TYPE a counter\na{worker="1",model="m{x}"} 1\na{worker="2",model="n"} 3\n'
        '# HELP b Other.\n# TYPE b gauge\nb{worker="1"} 2\n'
        "# HELP routewright_worker_up Whether this worker answers.\n# TYPE routewright_worker_up gauge\n"
        'routewright_worker_up{worker="1"} 1\n'
        'routewright_worker_up{worker="2"} 1\n'
        'routewright_worker_up{worker="3"} 0\n'
    )


async def test_a_worker_that_does_not_answer_is_told_by_the_metrics(tmp_path: Path) -> None:
    told = await siblings(tmp_path, number=1).metrics(request(), "# HELP a What.\n# TYPE a gauge\na 1\n")
    assert 'a{worker="1"} 1' in told
    assert 'routewright_worker_up{worker="2"} 0' in told
