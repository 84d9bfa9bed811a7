"""A provider that costs next to nothing: `python -m routewright.bench.upstream` answers from constants.

Whole answers are 1 KB, at once or after as many milliseconds as the request's `metadata.delay_ms` says. A stream has as
many chunks of about 200 bytes as its `max_tokens` says, each in a write of its own and `CHUNK_INTERVAL_S`, or
`metadata.interval_ms`, after the one before, so that a proxy meets them one by one, as it does in life. With
`metadata.stamped` each says when it was sent, in nanoseconds of the clock that `time.perf_counter_ns` reads.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Callable
from typing import cast

import httptools
import msgspec
import uvloop
from msgspec import Struct

CHUNK_INTERVAL_S = 0.02
DEFAULT_CHUNKS = 50
STAMP_NS = 10**15
"""Stamps are modulo this: 11 days."""

_ID = '"id":"chatcmpl-bench","created":1800000000,"model":"bench-model"'
_USAGE = '"usage":{"prompt_tokens":250,"completion_tokens":200,"total_tokens":450}'
_TEXT = "It is good that you wrote to us at once. " * 18
_ANSWER = (
    f'{{{_ID},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{_TEXT}",'
    f'"refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{_USAGE}}}'
).encode()
_EVENT = f'data: {{{_ID},"object":"chat.completion.chunk","system_fingerprint":"fp_bench","choices":[%s]%s}}\n\n'
_CHUNK = (_EVENT % ('{"index":0,"delta":{"content":" indeed"},"logprobs":null,"finish_reason":null}', "")).encode()
_LAST = (
    _EVENT % ('{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}', "")
    + _EVENT % ("", f",{_USAGE}")
    + "data: [DONE]\n\n"
).encode()


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_HEAD = b"HTTP/1.1 200 OK\r\nx-request-id: req_bench\r\ncontent-type: "
WHOLE = b"%bapplication/json\r\ncontent-length: %d\r\n\r\n%b" % (_HEAD, len(_ANSWER), _ANSWER)
STREAM_HEAD = b"%btext/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n" % _HEAD
CHUNK = _framed(_CHUNK)
_UNSTAMPED = b"@" + 15 * b"0"
_STAMPED = _framed(_CHUNK.replace(b" indeed", _UNSTAMPED)).split(_UNSTAMPED)
STREAM_END = _framed(_LAST) + b"0\r\n\r\n"


class _Asked(Struct):
    """What of a request matters here."""

    stream: bool = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    metadata: dict[str, str] = {}

    @property
    def chunks(self) -> int:
        return self.max_completion_tokens or self.max_tokens or DEFAULT_CHUNKS

    @property
    def delay_s(self) -> float:
        return int(self.metadata.get("delay_ms", 0)) / 1000

    @property
    def interval_s(self) -> float:
        return int(self.metadata.get("interval_ms", CHUNK_INTERVAL_S * 1000)) / 1000


_read = msgspec.json.Decoder(_Asked).decode


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, data: bytes) -> None:
        self._body = self._body + data if self._body else data

    def on_message_complete(self) -> None:
        asked = _read(self._body)
        if asked.stream:
            write = _stamped if "stamped" in asked.metadata else _plain
            self._transport.write(STREAM_HEAD + write())
            self._loop.call_later(asked.interval_s, self._go_on, asked.chunks - 1, asked.interval_s, write)
        elif asked.delay_s:
            self._loop.call_later(asked.delay_s, self._transport.write, WHOLE)
        else:
            self._transport.write(WHOLE)

    def _go_on(self, chunks_left: int, interval_s: float, write: Callable[[], bytes]) -> None:
        if self._transport.is_closing():
            return
        if chunks_left:
            self._transport.write(write())
            self._loop.call_later(interval_s, self._go_on, chunks_left - 1, interval_s, write)
        else:
            self._transport.write(STREAM_END)


def _plain() -> bytes:
    return CHUNK


def _stamped() -> bytes:
    """An `@` and 15 digits for its word."""
    before, after = _STAMPED
    return b"%b@%015d%b" % (before, time.perf_counter_ns() % STAMP_NS, after)


async def _serve() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    sys.stderr.write(f"upstream serving on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stderr.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
