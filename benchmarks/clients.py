"""What an outgoing HTTP call costs, per client library: `python benchmarks/clients.py [candidate ...]`.

A small upstream answers on loopback from another process. Each candidate runs in a process of its own, so that neither
imports nor memory mix, and is charged with the CPU time (user + system, all threads) of that process. Figures are
microseconds of CPU per call at 64 calls in flight on uvloop, medians of three rounds; trust ratios above 1.3. The bare
libraries only count the pieces of a body; `routewright.transport` is all we ship: headers, errors, bounds, liveness.
A candidate that is not installed is skipped.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

CONCURRENCY = 64
PLAIN_CALLS = 6_400
STREAMED_CALLS = 640
ROUNDS = 3
CHUNKS = 50
CHUNK_INTERVAL_S = 0.005
HEADERS = {"content-type": "application/json", "authorization": "Bearer made-up", "accept-encoding": "identity"}
BODY = b"x" * 1024
CHUNK = b"data: " + b"y" * 120 + b"\n\n"

Call = Callable[[str], Awaitable[int]]  # URL → how many pieces the body came in


class Upstream(asyncio.Protocol):
    """Answers `/plain` with 1 KB at once and `/stream` with 50 chunks, 5 ms apart."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self.transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path = url

    def on_message_complete(self) -> None:
        if self.path == b"/plain":
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1024\r\n\r\n" + BODY
            )
        else:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            self.send_chunk(CHUNKS)

    def send_chunk(self, left: int) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
        asyncio.get_running_loop().call_later(CHUNK_INTERVAL_S, self.send_chunk, left - 1)


async def serve_upstream() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@asynccontextmanager
async def with_routewright() -> AsyncIterator[Call]:
    from routewright.dialects.wire import WireRequest
    from routewright.transport import HttpTransport

    transport = HttpTransport()

    async def call(url: str) -> int:
        response = await transport.send(WireRequest(url=url, headers=HEADERS, body=BODY), connect_timeout_s=3.0)
        pieces = 0
        while await response.next():
            pieces += 1
        return pieces

    yield call
    await transport.close()


@asynccontextmanager
async def with_async_curl_multi() -> AsyncIterator[Call]:
    pycurl: Any = import_module("pycurl")
    multi = pycurl.AsyncCurlMulti()
    handles = [pycurl.Curl() for _ in range(CONCURRENCY)]
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]

    async def call(url: str) -> int:
        handle = handles.pop()
        handle.reset()
        pieces: deque[bytes | None] = deque()  # None: the end
        arrived = asyncio.Event()

        def keep(piece: bytes | None) -> None:
            pieces.append(piece)
            arrived.set()

        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, BODY)
        handle.setopt(pycurl.HTTPHEADER, headers)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, 3000)
        handle.setopt(pycurl.WRITEFUNCTION, keep)
        done = multi.add_handle(handle)
        # Not `while not done.done()`: a handle that is added again before the multi's own callback on `done` has run is
        # taken out by that callback, and its new transfer never ends (pycurl 7.49.0).
        done.add_done_callback(lambda _: keep(None))
        seen = -1
        ended = False
        while not ended:
            await arrived.wait()
            arrived.clear()
            seen += len(pieces)
            ended = pieces[-1] is None
            pieces.clear()
        done.result()
        handles.append(handle)
        return seen

    yield call
    await multi.aclose()


@asynccontextmanager
async def with_pyreqwest() -> AsyncIterator[Call]:
    client_builder: Any = import_module("pyreqwest.client").ClientBuilder

    builder = (
        client_builder()
        .follow_redirects(False)
        .connect_timeout(timedelta(seconds=3))
        .pool_max_idle_per_host(CONCURRENCY)
    )
    async with builder.gzip(False).brotli(False).zstd(False).deflate(False).build() as client:

        async def call(url: str) -> int:
            pieces = 0
            async with client.post(url).headers(HEADERS).body_bytes(BODY).build_streamed() as response:
                while await response.body_reader.read_chunk():
                    pieces += 1
            return pieces

        yield call


@asynccontextmanager
async def with_aiohttp() -> AsyncIterator[Call]:
    aiohttp: Any = import_module("aiohttp")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=3)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:

        async def call(url: str) -> int:
            pieces = 0
            async with session.post(url, data=BODY, headers=HEADERS, allow_redirects=False) as response:
                async for _ in response.content.iter_any():
                    pieces += 1
            return pieces

        yield call


@asynccontextmanager
async def with_libcurl() -> AsyncIterator[Call]:
    os.environ |= {"ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"}  # the way for proxies, here without one
    async with with_routewright() as call:
        yield call


CANDIDATES: dict[str, tuple[str, Callable[[], AbstractAsyncContextManager[Call]]]] = {
    "routewright.transport": ("httptools", with_routewright),
    "routewright.transport, libcurl": ("pycurl", with_libcurl),
    "pycurl AsyncCurlMulti": ("pycurl", with_async_curl_multi),
    "pyreqwest": ("pyreqwest", with_pyreqwest),
    "aiohttp": ("aiohttp", with_aiohttp),
}


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def cost_us(call: Call, url: str, calls: int) -> tuple[float, float]:
    """CPU microseconds per call, and pieces per call, of `calls` calls with 64 always in flight."""
    left = iter(range(calls))
    pieces = 0

    async def worker() -> None:
        nonlocal pieces
        for _ in left:
            got = await call(url)  # apart: other workers add while this one waits
            pieces += got

    before = cpu_s()
    async with asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(worker())
    return (cpu_s() - before) / calls * 1e6, pieces / calls


async def measure(candidate: str, port: int) -> dict[str, float]:
    before_mb, before_s = resident_mb(), cpu_s()
    async with CANDIDATES[candidate][1]() as call:
        import_ms, import_mb = (cpu_s() - before_s) * 1e3, resident_mb() - before_mb
        plain, stream = (f"http://127.0.0.1:{port}/{path}" for path in ("plain", "stream"))
        await cost_us(call, plain, 2 * CONCURRENCY)  # warm-up: connections, caches
        plain_us = statistics.median([(await cost_us(call, plain, PLAIN_CALLS))[0] for _ in range(ROUNDS)])
        streams = [await cost_us(call, stream, STREAMED_CALLS) for _ in range(ROUNDS)]
        return {
            "plain_us": plain_us,
            "stream_us": statistics.median(us for us, _ in streams),
            "pieces": statistics.median(pieces for _, pieces in streams),
            "import_ms": import_ms,
            "import_mb": import_mb,
            "used_mb": resident_mb() - before_mb,
        }


def compare(names: list[str]) -> None:
    """Print one line of figures per installed candidate."""
    upstream = subprocess.Popen([sys.executable, __file__, "--upstream"], stdout=subprocess.PIPE, text=True)
    try:
        assert upstream.stdout is not None
        port = upstream.stdout.readline().strip()
        print("CPU µs per call          1 KB   50 chunks   pieces   import ms   import MB   in use MB")
        for name in names:
            if find_spec(CANDIDATES[name][0]) is None:
                print(f"{name:<22} not installed")
                continue
            run = subprocess.run(
                [sys.executable, __file__, "--measure", name, port], stdout=subprocess.PIPE, check=True
            )
            figures = json.loads(run.stdout)
            print(
                "{0:<22}{plain_us:>7.0f}{stream_us:>12.0f}{pieces:>9.0f}{import_ms:>12.0f}{import_mb:>12.1f}{used_mb:>12.1f}".format(
                    name, **figures
                ),
                flush=True,
            )
    finally:
        upstream.kill()
        upstream.wait()


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--upstream"]:
        uvloop.run(serve_upstream())
    elif arguments[:1] == ["--measure"]:
        print(json.dumps(uvloop.run(measure(arguments[1], int(arguments[2])))))
    else:
        compare(arguments or list(CANDIDATES))


if __name__ == "__main__":
    main(sys.argv[1:])
