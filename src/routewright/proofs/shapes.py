"""F4: a provider that reports usage in every shape there is, and bills it by a table and an arithmetic of its own.

    python -m routewright.proofs.shapes BILL SEED        prints its port, serves until it is killed

The shape is chosen by the model's name. Prices stand here in USD per million tokens, as a provider's page has them; the
cost of an attempt is the exact sum as a fraction, rounded once, half up, to nano-dollars. Nothing here knows
routewright. The bill has one JSON line for each attempt, `{"attempt_id", "shape", "cost_nanousd"}`; the cost is null
where the answer did not say what it used, or said what cannot be.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TextIO

from routewright.proofs.exchanges import serve_requests

Tokens = dict[str, int]

TABLE: dict[str, dict[str, str]] = {
    "plain": {"input": "1.1", "output": "4.4"},
    "uneven": {"input": "0.277777", "output": "1.333333"},
    "cached": {"input": "2", "cache_read": "0.5", "output": "8"},
    "written": {"input": "2.5", "cache_read": "0.25", "cache_write": "3.125", "output": "15"},
    "thinking": {"input": "1.25", "output": "10", "reasoning": "12.5"},
    "thinking-beside": {"input": "0.3", "cache_read": "0.075", "output": "0.5", "reasoning": "0.7"},
    "long": {"input": "1.25", "cache_read": "0.125", "output": "10"},
    "long above 200000": {"input": "2.5", "cache_read": "0.25", "output": "15"},
    "sound": {
        "input": "0.6",
        "cache_read": "0.3",
        "output": "2.4",
        "audio_input": "10",
        "audio_cache_read": "0.35",
        "audio_output": "20",
    },
    "served": {"input": "1.25", "cache_read": "0.125", "output": "10"},
    "served batch": {"input": "0.625", "cache_read": "0.0625", "output": "5"},
    "served flex": {"input": "0.625", "cache_read": "0.0625", "output": "5.5"},
    "served priority": {"input": "2.5", "cache_read": "0.25", "output": "20"},
    "claude": {"input": "3", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6", "output": "15"},
}
ODD = ("missing", "absurd", "zero", "refused", "left")
"""Shapes at the prices of `plain`; `left` pauses in the middle of its answer, so that its client can leave."""
UNREPORTED = frozenset({"missing", "absurd"})
PAUSE_S = 0.2
ANTHROPIC = frozenset({"claude"})


def nanousd(row: dict[str, str], tokens: Tokens) -> int:
    """The exact cost, rounded once, half up. A class without a price costs what the class it is part of does."""
    parents = {"reasoning": "output", "cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write"}
    total = Fraction(0)
    for name, count in tokens.items():
        while name not in row:
            name = parents[name]
        total += count * Fraction(row[name]) * 1000  # USD per million tokens = 1,000 nano-USD per token
    return int(total + Fraction(1, 2))


class Shape(NamedTuple):
    """What one answer says about itself."""

    usage: Any
    cost_nanousd: int | None
    service_tier: str | None = None


def count(chance: Random) -> int:
    """Small, usual and large numbers of tokens, and often none."""
    return chance.choice((0, 1, chance.randrange(10), chance.randrange(2_000), chance.randrange(60_000)))


def openai_usage(tokens: Tokens, *, beside: bool = False) -> dict[str, Any]:
    """Sums, with parts of them beside."""
    part = tokens.get
    heard = part("audio_input", 0) + part("audio_cache_read", 0)
    cached = part("cache_read", 0) + part("audio_cache_read", 0)
    sent = tokens["input"] + cached + part("cache_write", 0) + part("audio_input", 0)
    generated = tokens["output"] + part("audio_output", 0) + (0 if beside else part("reasoning", 0))
    prompt: dict[str, Any] = {"cached_tokens": cached, "audio_tokens": heard}
    if heard:
        prompt["cached_tokens_details"] = {"audio_tokens": part("audio_cache_read", 0)}
    if "cache_write" in tokens:
        prompt["cache_write_tokens"] = part("cache_write", 0)
    return {
        "prompt_tokens": sent,
        "completion_tokens": generated,
        "total_tokens": sent + generated + (part("reasoning", 0) if beside else 0),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": part("reasoning", 0),
            "audio_tokens": part("audio_output", 0),
        },
    }


def anthropic_usage(tokens: Tokens) -> dict[str, Any]:
    """Disjoint counts; those of written caches also by their lifetime."""
    return {
        "input_tokens": tokens["input"],
        "cache_read_input_tokens": tokens["cache_read"],
        "cache_creation_input_tokens": tokens["cache_write"] + tokens["cache_write_1h"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens["cache_write"],
            "ephemeral_1h_input_tokens": tokens["cache_write_1h"],
        },
        "output_tokens": tokens["output"],
    }


ABSURD: tuple[Callable[[Random], Any], ...] = (
    lambda chance: {"prompt_tokens": -chance.randrange(1, 99), "completion_tokens": 5},
    lambda chance: {"prompt_tokens": 10**12, "completion_tokens": 5},
    lambda chance: {"prompt_tokens": "many", "completion_tokens": 5},
    lambda chance: {"prompt_tokens": 1.5, "completion_tokens": 5},
    lambda chance: {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}},
    lambda chance: {"prompt_tokens": 10},
    lambda chance: [],
)


def shape(model: str, chance: Random) -> Shape:
    """What a model's next answer says, and what it costs."""
    if model == "missing":
        return Shape(None, None)
    if model == "absurd":
        return Shape(chance.choice(ABSURD)(chance), None)
    row = TABLE.get(model, TABLE["plain"])
    tokens = {name: 0 if model == "zero" else count(chance) for name in row}
    if model == "long":
        tokens["input"] += chance.choice((0, 150_000, 200_000))
        if sum(tokens[name] for name in ("input", "cache_read")) > 200_000:
            row = TABLE["long above 200000"]
    tier = chance.choice((None, "default", "batch", "flex", "priority")) if model == "served" else None
    if tier not in (None, "default"):
        row = TABLE[f"served {tier}"]
    cost = nanousd(row, tokens)
    if model in ANTHROPIC:
        return Shape(anthropic_usage(tokens), cost)
    return Shape(openai_usage(tokens, beside=model == "thinking-beside"), cost, tier)


def litellm_price_map() -> dict[str, dict[str, object]]:
    """The same table as others publish prices: what routewright is given."""
    keys = {
        "input": "input_cost_per_token",
        "output": "output_cost_per_token",
        "cache_read": "cache_read_input_token_cost",
        "cache_write": "cache_creation_input_token_cost",
        "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
        "reasoning": "output_cost_per_reasoning_token",
        "audio_input": "input_cost_per_audio_token",
        "audio_cache_read": "cache_read_input_token_cost_per_audio_token",
        "audio_output": "output_cost_per_audio_token",
    }
    suffixes = {"": "", "above 200000": "_above_200k_tokens", "batch": "_batches", "flex": "_flex"}
    suffixes["priority"] = "_priority"
    rows = TABLE | dict.fromkeys(ODD, TABLE["plain"])
    found: dict[str, dict[str, object]] = {}
    for name, row in rows.items():
        model, _, condition = name.partition(" ")
        provider = "anthropic" if model in ANTHROPIC else "openai"
        entry = found.setdefault(model, {"litellm_provider": provider, "max_input_tokens": 1_000_000})
        for token_class, usd in row.items():
            entry[keys[token_class] + suffixes[condition]] = float(Fraction(usd) / 1_000_000)
    return found


# ---- the server -------------------------------------------------------------------------------------------------


class Provider:
    """Speaks both dialects, streamed and not."""

    def __init__(self, bill: TextIO, chance: Random) -> None:
        self._bill = bill
        self._chance = chance

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        await serve_requests(reader, writer, self._answer)

    async def _answer(self, writer: asyncio.StreamWriter, attempt_id: str, body: dict[str, Any]) -> None:
        model = body["model"]
        told = shape(model, self._chance)
        line = {
            "attempt_id": attempt_id,
            "shape": model,
            "cost_nanousd": 0 if model == "refused" else told.cost_nanousd,
        }
        self._bill.write(json.dumps(line) + "\n")
        self._bill.flush()
        if model == "refused":
            _write(writer, 400, {"error": {"message": "as asked", "type": "invalid_request_error"}})
        elif model in ANTHROPIC:
            self._anthropic(writer, body, told)
        else:
            await self._openai(writer, body, told)
        await writer.drain()

    async def _openai(self, writer: asyncio.StreamWriter, body: dict[str, Any], told: Shape) -> None:
        base: dict[str, Any] = {"id": "chatcmpl-1", "created": 0, "model": body["model"]}
        if told.service_tier:
            base["service_tier"] = told.service_tier
        usage = {} if told.usage is None else {"usage": told.usage}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "words"}, "finish_reason": "stop"}
            _write(writer, 200, {**base, "object": "chat.completion", "choices": [choice], **usage})
            return
        base["object"] = "chat.completion.chunk"
        piece = {"index": 0, "delta": {"content": "words "}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        frames = [{**base, "choices": [piece]}] * 3 + [{**base, "choices": [end]}]
        frames += [{**base, "choices": [], **usage}] if usage else []
        lines = [f"data: {json.dumps(frame)}\n\n" for frame in frames] + ["data: [DONE]\n\n"]
        _begin(writer)
        if body["model"] == "left":
            _chunks(writer, [lines.pop(0)])
            await writer.drain()
            await asyncio.sleep(PAUSE_S)
        _chunks(writer, [*lines, ""])

    def _anthropic(self, writer: asyncio.StreamWriter, body: dict[str, Any], told: Shape) -> None:
        message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        message |= {"stop_reason": "end_turn", "stop_sequence": None}
        if not body.get("stream"):
            _write(writer, 200, {**message, "content": [{"type": "text", "text": "words"}], "usage": told.usage})
            return
        first = {**told.usage, "output_tokens": min(1, told.usage["output_tokens"])}  # which only grows
        begun = {**message, "content": [], "stop_reason": None, "usage": first}
        text = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": "words"}
        frames: list[dict[str, Any]] = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": text},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": told.usage},
            {"type": "message_stop"},
        ]
        _begin(writer)
        _chunks(writer, [*(f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n" for frame in frames), ""])


def _write(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def _begin(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")


def _chunks(writer: asyncio.StreamWriter, frames: list[str]) -> None:
    """One chunk for each; an empty one is the end."""
    writer.write("".join(f"{len(frame.encode()):x}\r\n{frame}\r\n" for frame in frames).encode())


async def main(bill: Path, seed: int) -> None:
    """Serve on a free port of the loopback."""
    with bill.open("a", encoding="utf-8") as file:
        server = await asyncio.start_server(Provider(file, Random(seed)).serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 the parent reads it
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
