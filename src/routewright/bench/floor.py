"""The least that a proxy on our server and our transport can cost: `python -m routewright.bench.floor --upstream URL`.

It reads the body, passes it on, and copies status, kind and body of the answer, streamed or whole. It parses nothing,
decides nothing and writes nothing down; what the gateway costs above it is what routewright does.
"""

import argparse
import sys
from collections.abc import Awaitable
from functools import partial
from typing import Any

import uvicorn

from routewright.dialects.wire import WireRequest
from routewright.gateway.connection import Connection
from routewright.gateway.entrance import Entrance, Limits
from routewright.gateway.http import NO_WAIT, RawHeaders, Request, Send, respond
from routewright.transport import HttpTransport, WireResponse

_REQUEST_HEADERS = {"content-type": "application/json"}
_CONNECT_TIMEOUT_S = 3.0
_MOST_BODY_BYTES = 64 * 1024 * 1024
_BACKLOG = 2048
_LIMITS = Limits(
    max_connections=10_000, max_connections_per_address=10_000, max_header_bytes=64 * 1024, header_timeout_s=10
)
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_IDLE_CONNECTION_S = 75
_DRAIN_S = 1


class Floor:
    """The proxy as a handler."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._transport = HttpTransport()

    async def __call__(self, request: Request, send: Send) -> None:
        asked = WireRequest(
            url=self._upstream + request.path, headers=_REQUEST_HEADERS, body=await request.body(_MOST_BODY_BYTES)
        )
        response = await self._transport.send(asked, connect_timeout_s=_CONNECT_TIMEOUT_S)
        try:
            await (_copy_whole if "content-length" in response.headers else _copy_stream)(response, send)
        finally:
            response.abort()


async def _copy_whole(response: WireResponse, send: Send) -> None:
    body = b""
    while piece := await response.next():
        body += piece
    await respond(send, response.status, _headers(response), body)


async def _copy_stream(response: WireResponse, send: Send) -> None:
    await send({"status": response.status, "headers": _headers(response)})
    unsent: Awaitable[None] = NO_WAIT

    def pass_on(piece: bytes) -> bool:
        nonlocal unsent
        unsent = send(piece)
        return unsent is NO_WAIT

    while not await response.relay(pass_on):
        await unsent
    await send({"body": b""})


def _headers(response: WireResponse) -> RawHeaders:
    return [(b"content-type", response.headers["content-type"].encode("latin-1"))]


def main() -> None:
    """Serve on a free port of the loopback until told to stop."""
    parser = argparse.ArgumentParser(description="the plain proxy that routewright is compared with")
    parser.add_argument("--upstream", required=True, metavar="URL")
    http: Any = partial(Connection, entrance=Entrance(_LIMITS, lambda _: _REFUSAL))
    config = uvicorn.Config(
        Floor(parser.parse_args().upstream),
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http=http,
        interface="asgi3",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    socket = config.bind_socket()
    socket.listen(_BACKLOG)  # so that whoever reads the line can connect at once
    sys.stderr.write(f"floor serving on http://127.0.0.1:{socket.getsockname()[1]}\n")
    sys.stderr.flush()
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    main()
