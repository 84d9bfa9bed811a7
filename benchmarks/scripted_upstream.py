"""A provider that says what a script says, in both dialects: for agents that shall do the same each time.

The step is chosen by how many tool results a request brings; a request without tools gets `ASIDE`. From the second
step on most of the input counts as read from a cache; in Anthropic's dialect only where it is marked, as there.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeAlias

ASIDE = "A scripted title"
CHARS_PER_TOKEN = 4


class Use(NamedTuple):
    """A tool is called."""

    tool: str
    arguments: dict[str, Any]


Script: TypeAlias = Sequence[Use | str]
"""What is said step by step; the last one again and again."""


class Upstream(NamedTuple):
    """Where it listens, and what has arrived."""

    url: str
    bodies: list[dict[str, Any]]


@contextmanager
def scripted_upstream(script: Script) -> Iterator[Upstream]:
    """The provider, for the length of a block."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_anthropic = self.path.startswith("/v1/messages")
            answer = _answer(script, body, len(bodies), is_anthropic=is_anthropic)
            bodies.append(body)
            if not body.get("stream"):
                payload, kind = json.dumps(answer.whole).encode(), "application/json"
            else:
                payload, kind = b"".join(answer.events), "text/event-stream"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Upstream(f"http://127.0.0.1:{server.server_port}", bodies)
    finally:
        server.shutdown()
        server.server_close()


class _Answer(NamedTuple):
    whole: dict[str, Any]
    events: list[bytes]


def _answer(script: Script, body: dict[str, Any], number: int, *, is_anthropic: bool) -> _Answer:
    results = sum(map(_results, body["messages"]))
    step = script[min(results, len(script) - 1)] if body.get("tools") else _aside(body)
    text = json.dumps(body)
    tokens = len(text) // CHARS_PER_TOKEN
    is_cached = results > 0 and ("cache_control" in text or not is_anthropic)
    write = _anthropic if is_anthropic else _openai
    return write(step, body["model"], number, tokens, tokens * 3 // 4 if is_cached else 0)


def _aside(body: dict[str, Any]) -> str:
    """In the form that was asked for."""
    wants_json = body.get("response_format") or (body.get("output_config") or {}).get("format")
    return json.dumps({"title": ASIDE}) if wants_json else ASIDE


def _results(message: dict[str, Any]) -> int:
    if message["role"] == "tool":
        return 1
    content = message["content"]
    return sum(part["type"] == "tool_result" for part in content) if isinstance(content, list) else 0


def _anthropic(step: Use | str, model: str, number: int, tokens: int, cached: int) -> _Answer:
    usage = {"input_tokens": tokens // 4, "cache_read_input_tokens": cached, "output_tokens": 20}
    usage["cache_creation_input_tokens"] = tokens - tokens // 4 - cached
    if isinstance(step, Use):
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": step.tool, "input": step.arguments}
        empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(step.arguments)}
        reason = "tool_use"
    else:
        block, empty, reason = {"type": "text", "text": step}, {"type": "text", "text": ""}, "end_turn"
        delta = {"type": "text_delta", "text": step}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model}
    ends = {"stop_reason": reason, "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "usage": usage, **dict.fromkeys(ends)}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ends, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    written = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    return _Answer({**message, "content": [block], "usage": usage, **ends}, written)


def _openai(step: Use | str, model: str, number: int, tokens: int, cached: int) -> _Answer:
    usage = {"prompt_tokens": tokens, "completion_tokens": 20, "total_tokens": tokens + 20}
    counted: dict[str, Any] = {**usage, "prompt_tokens_details": {"cached_tokens": cached}}
    message: dict[str, Any] = {"role": "assistant", "content": step if isinstance(step, str) else None}
    reason = "stop"
    if isinstance(step, Use):
        function = {"name": step.tool, "arguments": json.dumps(step.arguments)}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
        reason = "tool_calls"
    base = {"id": f"chatcmpl-{number}", "created": 0, "model": model}
    whole = {**base, "object": "chat.completion", "usage": counted}
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
    pieces = dict(message)
    if "tool_calls" in pieces:
        pieces["tool_calls"] = [{"index": 0, **pieces["tool_calls"][0]}]
    chunk = {**base, "object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = [
        {**chunk, "choices": [{"index": 0, "delta": pieces, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**chunk, "choices": [], "usage": counted},
    ]
    return _Answer(whole, [*(f"data: {json.dumps(each)}\n\n".encode() for each in chunks), b"data: [DONE]\n\n"])
