"""A provider for proofs: one process, OpenAI Chat, with a bill of its own that the ledger is compared with.

Every request it works on is one JSON line in the bill, appended before the first byte of the answer goes out:
`{"attempt_id", "model", "input", "output", "status"}`, tokens as the answer's own usage reports them (none for an
error); `trial`, the request's first word, tells one's own. The fault is chosen by the model's name, what follows an `_`
in it left out: `ok`, `long` (a stream of most of a second), `held` (one of three seconds), `slow` (0.2 s to the first
byte), `hang` (no byte at all), `status-500` and its like (429 asks for 10 s), `cut` (the stream breaks off in the
middle), `ended` (there its body ends, properly), `malformed` (there its JSON ends), `error-200` (an error with the
status of an answer), `shaky` (5 % as `status-500` or `cut`, else as `ok`), `spender` (any number of tokens up to
`max_tokens`, 2,500 a second, never streamed, and billed in full even if the client leaves).

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
HELD, HELD_FOR_S = WORDS * 4, 3.0
RETRY_AFTER_S = 10
HANGS_FOR_S = 3600
ERROR = {"error": {"message": "as asked", "type": "server_error"}}
TOKENS_PER_S = 2_500
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
SHAKY = ("ok",) * 38 + ("status-500", "cut")


class MockUpstream:
    """The server; `bill` is an open text file, written line by line."""

    def __init__(self, bill: TextIO) -> None:
        self._bill = bill

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        await serve_requests(reader, writer, self._answer)

    async def _answer(self, writer: asyncio.StreamWriter, attempt_id: str, body: dict[str, Any]) -> None:
        fault = random.choice(SHAKY) if body["model"] == "shaky" else body["model"].partition("_")[0]
        trial = _first_word(body)
        if fault == "slow":
            await asyncio.sleep(0.2)
        if fault == "hang":
            self._charge(attempt_id, fault, 0, 0, 0, trial)
            await asyncio.sleep(HANGS_FOR_S)
            return
        if fault.startswith("status-"):
            status = int(fault.removeprefix("status-"))
            self._charge(attempt_id, fault, 0, 0, status, trial)
            self._write(writer, status, ERROR, *([f"retry-after: {RETRY_AFTER_S}"] if status == 429 else []))
            return
        if fault in ("malformed", "error-200"):
            self._charge(attempt_id, fault, 0, 0, 200, trial)
            await self._mistake(writer, attempt_id, fault, is_stream=bool(body.get("stream")))
            return
        if fault == "spender":
            await self._spend(writer, attempt_id, body, trial)
            return
        prompt_tokens = max(1, len(json.dumps(body["messages"])) // 4)
        words = {"long": LONG, "held": HELD}.get(fault, WORDS)
        self._charge(attempt_id, fault, prompt_tokens, len(words), 200, trial)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(words)}
        usage["total_tokens"] = sum(usage.values())
        if body.get("stream"):
            await self._stream(writer, attempt_id, fault, words, usage)
        else:
            message = {"role": "assistant", "content": " ".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._write(writer, 200, _completion(attempt_id, fault, choices=[choice], usage=usage))
        await writer.drain()

    async def _spend(self, writer: asyncio.StreamWriter, attempt_id: str, body: dict[str, Any], trial: str) -> None:
        text = body["messages"][0]["content"]
        prompt, completion = max(1, len(text) // 4), random.randint(1, body["max_tokens"])
        await asyncio.sleep(completion / TOKENS_PER_S)
        self._charge(attempt_id, body["model"], prompt, completion, 200, trial)
        choice = {"index": 0, "message": {"role": "assistant", "content": "spent"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self._write(writer, 200, _completion(attempt_id, body["model"], choices=[choice], usage=usage))

    async def _mistake(self, writer: asyncio.StreamWriter, attempt_id: str, fault: str, *, is_stream: bool) -> None:
        choice = {"index": 0, "delta": {"content": "an "}, "finish_reason": None}
        whole = _completion(attempt_id, fault, choices=[choice]) if fault == "malformed" else ERROR
        data = json.dumps(whole).encode()
        data = data[: len(data) // 2] if fault == "malformed" else data
        if is_stream:
            writer.write(STREAM_HEAD + _framed(b"data: " + data + b"\n\n") + STREAM_END)
        else:
            writer.write(_head(200, len(data)) + data)
        await writer.drain()

    async def _stream(
        self,
        writer: asyncio.StreamWriter,
        attempt_id: str,
        model: str,
        words: tuple[str, ...],
        usage: dict[str, int],
    ) -> None:
        writer.write(STREAM_HEAD)
        for number, word in enumerate(words):
            if model == "cut" and number == len(words) // 2:
                raise ConnectionResetError
            if model == "ended" and number == len(words) // 2:
                writer.write(b"0\r\n\r\n")
                return
            choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
            _chunk(writer, _completion(attempt_id, model, choices=[choice], usage=None))
            await writer.drain()
            await asyncio.sleep(HELD_FOR_S / len(words) if model == "held" else 0.002)
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        _chunk(writer, _completion(attempt_id, model, choices=[choice], usage=None))
        _chunk(writer, _completion(attempt_id, model, choices=[], usage=usage))
        writer.write(STREAM_END)

    def _charge(self, attempt_id: str, model: str, prompt: int, completion: int, status: int, trial: str) -> None:
        line = {"attempt_id": attempt_id, "model": model, "input": prompt, "output": completion, "status": status}
        line["trial"] = trial
        self._bill.write(json.dumps(line) + "\n")
        self._bill.flush()

    @staticmethod
    def _write(writer: asyncio.StreamWriter, status: int, body: dict[str, Any], *headers: str) -> None:
        data = json.dumps(body).encode()
        writer.write(_head(status, len(data), *headers) + data)


def _head(status: int, length: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def _first_word(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content.partition(" ")[0] if isinstance(content, str) else ""


def _completion(attempt_id: str, model: str, **rest: object) -> dict[str, Any]:
    return {"id": f"chatcmpl-{attempt_id}", "object": "chat.completion", "created": 0, "model": model, **rest}


def _chunk(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    writer.write(_framed(b"data: " + json.dumps(body | {"object": "chat.completion.chunk"}).encode() + b"\n\n"))


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def main(bill: Path) -> None:
    """Serve on a free port of the loopback."""
    with bill.open("a", encoding="utf-8") as file:
        server = await asyncio.start_server(MockUpstream(file).serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
