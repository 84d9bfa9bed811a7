"""A provider for proofs: one process, OpenAI Chat, with a bill of its own that the ledger is compared with.

Every request it works on is one JSON line in the bill, appended before the first byte of the answer goes out:
`{"attempt_id", "model", "input", "output", "status"}`, tokens as the answer's own usage reports them (none for an
error). The fault is chosen by the model's name: `ok`, `long` (a stream of most of a second), `slow` (0.2 s to the first
byte), `status-500`, `cut` (the stream breaks off in the middle), `shaky` (5 % as
the two before, else as `ok`), `spender` (any number of tokens up to `max_tokens`,
2,500 a second, never streamed, and billed in full even if the client leaves; the bill has the first word of the request
as `trial`).

    python -m routewright.proofs.mock_upstream BILL        prints its port, serves until it is killed
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any, TextIO

from routewright.proofs.exchanges import serve_requests

WORDS = ("an", "answer", "of", "some", "words", "that", "nobody", "reads")
LONG = WORDS * 40
TOKENS_PER_S = 2_500
SHAKY = ("ok",) * 38 + ("status-500", "cut")


class MockUpstream:
    """The server; `bill` is an open text file, written line by line."""

    def __init__(self, bill: TextIO) -> None:
        self._bill = bill

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        await serve_requests(reader, writer, self._answer)

    async def _answer(self, writer: asyncio.StreamWriter, attempt_id: str, body: dict[str, Any]) -> None:
        fault = random.choice(SHAKY) if body["model"] == "shaky" else body["model"]
        if fault == "slow":
            await asyncio.sleep(0.2)
        if fault.startswith("status-"):
            status = int(fault.removeprefix("status-"))
            self._charge(attempt_id, fault, 0, 0, status)
            self._write(writer, status, {"error": {"message": "as asked", "type": "server_error"}})
            return
        if fault == "spender":
            await self._spend(writer, attempt_id, body)
            return
        prompt_tokens = max(1, len(json.dumps(body["messages"])) // 4)
        words = LONG if fault == "long" else WORDS
        self._charge(attempt_id, fault, prompt_tokens, len(words), 200)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(words)}
        usage["total_tokens"] = sum(usage.values())
        if body.get("stream"):
            await self._stream(writer, attempt_id, fault, words, usage)
        else:
            message = {"role": "assistant", "content": " ".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._write(writer, 200, _completion(attempt_id, fault, choices=[choice], usage=usage))
        await writer.drain()

    async def _spend(self, writer: asyncio.StreamWriter, attempt_id: str, body: dict[str, Any]) -> None:
        text = body["messages"][0]["content"]
        prompt, completion = max(1, len(text) // 4), random.randint(1, body["max_tokens"])
        await asyncio.sleep(completion / TOKENS_PER_S)
        self._charge(attempt_id, body["model"], prompt, completion, 200, trial=text.split()[0])
        choice = {"index": 0, "message": {"role": "assistant", "content": "spent"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self._write(writer, 200, _completion(attempt_id, body["model"], choices=[choice], usage=usage))

    async def _stream(
        self,
        writer: asyncio.StreamWriter,
        attempt_id: str,
        model: str,
        words: tuple[str, ...],
        usage: dict[str, int],
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, word in enumerate(words):
            if model == "cut" and number == len(words) // 2:
                raise ConnectionResetError
            choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
            _chunk(writer, _completion(attempt_id, model, choices=[choice], usage=None))
            await writer.drain()
            await asyncio.sleep(0.002)
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        _chunk(writer, _completion(attempt_id, model, choices=[choice], usage=None))
        _chunk(writer, _completion(attempt_id, model, choices=[], usage=usage))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _charge(self, attempt_id: str, model: str, prompt: int, completion: int, status: int, **more: str) -> None:
        line = {"attempt_id": attempt_id, "model": model, "input": prompt, "output": completion, "status": status}
        line |= more
        self._bill.write(json.dumps(line) + "\n")
        self._bill.flush()

    @staticmethod
    def _write(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)


def _completion(attempt_id: str, model: str, **rest: object) -> dict[str, Any]:
    return {"id": f"chatcmpl-{attempt_id}", "object": "chat.completion", "created": 0, "model": model, **rest}


def _chunk(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(body | {"object": "chat.completion.chunk"}).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def main(bill: Path) -> None:
    """Serve on a free port of the loopback."""
    with bill.open("a", encoding="utf-8") as file:
        server = await asyncio.start_server(MockUpstream(file).serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
