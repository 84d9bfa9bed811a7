"""A conversation that leaves its provider for one turn comes back with its cache marks and sealed thoughts unbroken."""

from pathlib import Path
from typing import Any

import anthropic
from faulty_upstream import Exchange
from lab import lab, model
from speech import ANTHROPIC, data

MARK = {"type": "ephemeral"}
SYSTEM = [{"type": "text", "text": "You are careful. " * 40, "cache_control": MARK}]
THOUGHT = {"type": "thinking", "thinking": "It is about a nonce.", "signature": "sealed-by-the-provider=="}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\n%b" % (kind.encode(), data({"type": kind, "index": 0, **fields}))


async def test_marks_and_signatures_survive_a_fallback_to_another_dialect(tmp_path: Path) -> None:
    sent: dict[str, list[dict[str, Any]]] = {"home": [], "ok": []}

    async def home(exchange: Exchange) -> None:
        """Thinks before it answers; is down for the second turn."""
        sent["home"].append(exchange.body)
        if exchange.argument == "second":
            await exchange.refuse(503)
            return
        exchange.charge()
        started, begun, ping, *rest = exchange.speech.frames()
        thought = [
            event("content_block_start", content_block=THOUGHT | {"signature": ""}),
            event("content_block_delta", delta={"type": "signature_delta", "signature": THOUGHT["signature"]}),
            event("content_block_stop"),
        ]
        later = [frame.replace(b'"index": 0', b'"index": 1') for frame in (begun, *rest)]
        await exchange.answer(started, ping, *thought, *later)

    async def ok(exchange: Exchange) -> None:
        sent["ok"].append(exchange.body)
        await exchange.answer_well()

    async with (
        lab(
            tmp_path,
            model("home", fallbacks=["ok"]),
            faults={"home": home, "ok": ok},
            dialect=ANTHROPIC,
            policy="max_retry_attempts = 0",
        ) as it,
        anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{it.port}", api_key="unused", max_retries=0) as client,
    ):

        async def turn(*messages: dict[str, Any]) -> tuple[dict[str, Any], Any]:
            wish: dict[str, Any] = {"model": "home", "max_tokens": 100, "system": SYSTEM, "messages": list(messages)}
            async with client.messages.stream(**wish) as stream:
                message = await stream.get_final_message()
            return {"role": "assistant", "content": message.to_dict()["content"]}, stream.response.headers

        first = said("n1 first", cache_control=MARK)
        answer, _ = await turn(first)
        assert answer["content"][0] == THOUGHT

        history = [first, answer, said("n2 second", cache_control=MARK)]
        second, headers = await turn(*history)
        assert headers["x-routewright-model"] == "ok"
        assert headers["x-routewright-dropped"] == "cache_control, thinking"
        [elsewhere] = sent["ok"]
        assert "cache_control" not in str(elsewhere)
        assert "sealed" not in str(elsewhere)

        history = [*history, second, said("n3 third", cache_control=MARK)]
        _, headers = await turn(*history)
        assert headers["x-routewright-model"] == "home"
        assert it.upstream.reached("home") == 3
        back = sent["home"][-1]
        assert back["system"] == SYSTEM
        assert back["messages"] == history
        books = await it.books()
        assert books.open_holds == 0
