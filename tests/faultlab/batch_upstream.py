"""A provider for batches: fast, with a bill, and a limit of requests per minute where one is given.

Every request it works on is one JSON line in the bill, appended before its answer goes out: `{"attempt_id", "item",
"model", "input", "output", "status", "at"}`; `item` is the first word of what was asked, `at` monotonic seconds. The
limit is a bucket of one second's worth that refills evenly, told in OpenAI's headers; what is too much gets a 429.

    python tests/faultlab/batch_upstream.py BILL DELAY_MS PER_MINUTE       prints its port, serves until it is killed
"""

import asyncio
import json
import os
import sys
import time
from typing import Any, cast

import httptools

INPUT, OUTPUT = 20, 8
_BODY = json.dumps(
    {
        "id": "chatcmpl-batch",
        "object": "chat.completion",
        "created": 0,
        "model": "ok",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "%s"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT},
    }
)
_REFUSED = json.dumps({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}})


class Bucket:
    """So many requests a minute, evenly."""

    def __init__(self, per_minute: int) -> None:
        self.per_s = per_minute / 60
        self.size = max(1.0, self.per_s)
        self._left, self._at = self.size, time.monotonic()

    def take(self) -> bool:
        """Whether one more is taken."""
        now = time.monotonic()
        self._left, self._at = min(self.size, self._left + (now - self._at) * self.per_s), now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> str:
        """As OpenAI has them."""
        reset_ms = (self.size - self._left) / self.per_s * 1000
        return (
            f"x-ratelimit-limit-requests: {self.size:.0f}\r\nx-ratelimit-remaining-requests: {int(self._left)}\r\n"
            f"x-ratelimit-reset-requests: {reset_ms:.0f}ms\r\n"
        )


class Mock:
    """What its connections share."""

    def __init__(self, bill: str, delay_s: float, per_minute: int) -> None:
        self.fd = os.open(bill, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.delay_s = delay_s
        self.bucket = Bucket(per_minute) if per_minute else None

    def answer(self, attempt_id: str, body: dict[str, Any]) -> bytes:
        """The answer to a request that is billed now."""
        item = body["messages"][-1]["content"].split()[0]
        is_taken = self.bucket is None or self.bucket.take()
        tokens = {"input": INPUT, "output": OUTPUT} if is_taken else {"input": 0, "output": 0}
        line = {"attempt_id": attempt_id, "item": item, "model": "ok", **tokens}
        line |= {"status": 200 if is_taken else 429, "at": time.monotonic()}
        os.write(self.fd, json.dumps(line).encode() + b"\n")
        data = (_BODY % item if is_taken else _REFUSED).encode()
        head = "HTTP/1.1 200 OK\r\n" if is_taken else "HTTP/1.1 429 No\r\nretry-after-ms: 100\r\n"
        head += self.bucket.headers() if self.bucket else ""
        return f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body, self._attempt_id = b"", ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-attempt-id":
            self._attempt_id = value.decode()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        answer = self._mock.answer(self._attempt_id, json.loads(self._body))
        self._loop.call_later(self._mock.delay_s, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def main(mock: Mock) -> None:
    """Serve on a free port of the loopback."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(mock), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Mock(sys.argv[1], float(sys.argv[2]) / 1000, int(sys.argv[3]))))
