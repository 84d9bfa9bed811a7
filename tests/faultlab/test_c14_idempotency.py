"""C14: one `Idempotency-Key`, a hundred times at once, with another body, after a crash, and after 25 hours."""

import asyncio
import json
import sqlite3
import urllib.request
from pathlib import Path

from clients import SETTINGS, chat, house

from lobby import lobby
from served import Served, mock_upstream

KEY = b"idempotency-key: order-4711\r\n"
HOUR_S = 3_600


async def test_c14_of_a_hundred_at_once_one_is_made_and_the_others_are_told_so(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as first:
        first.write(chat("held", stream=True, head=KEY))
        await first.until(b"hello")
        others = await asyncio.gather(*[opened.send(chat("held", stream=True, head=KEY)) for _ in range(99)])
        for each in others:
            each.refused(409, "request_in_progress")
            assert each.headers["x-should-retry"] == "true"
        opened.provider.let_go.set()
        await first.until(b"[DONE]")
        again = await opened.send(chat("held", stream=True, head=KEY))
        assert (again.statuses, again.headers["x-routewright-replayed"]) == ([200], "1")
        assert b"[DONE]" in again.body
        assert len(opened.provider.bodies) == 1


async def test_c14_with_another_body_it_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        assert (await opened.send(chat("ok", head=KEY))).statuses == [200]
        (await opened.send(chat("ok", head=KEY, max_tokens=7))).refused(422, "idempotency_key_reused")
        assert len(opened.provider.bodies) == 1


def test_c14_after_a_crash_it_is_made_again_and_both_are_in_the_ledger(tmp_path: Path) -> None:
    with mock_upstream(tmp_path / "bill.jsonl") as port:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        gateway = Served(tmp_path)
        for _ in range(2):
            gateway.start()
            for replayed in (None, "1"):
                assert _ask(gateway.url) == replayed
            gateway.kill()
        gateway.start()
        assert gateway.stop() == 0
    bill = [json.loads(line)["attempt_id"] for line in (tmp_path / "bill.jsonl").read_text().splitlines()]
    assert len(bill) == 2
    with sqlite3.connect(gateway.ledger) as ledger:
        settled = ledger.execute("SELECT attempt_id FROM events WHERE kind = 'settled' ORDER BY attempt_id").fetchall()
    assert [row[0] for row in settled] == sorted(bill)


async def test_c14_after_25_hours_it_is_made_again(tmp_path: Path) -> None:
    async with lobby(tmp_path) as opened:
        headers = {"idempotency-key": "order-4711"}
        replayed = []
        for hours in (0, 23, 2):
            opened.clock.advance(hours * HOUR_S)
            answer = await opened.ask(headers=headers)
            replayed.append(answer.headers.get("x-routewright-replayed"))
        assert replayed == [None, "1", None]
        assert sum(opened.runtime.engine.tally.attempts.values()) == 2


def _ask(url: str) -> str | None:
    """Whether the answer is one that was given before."""
    body = json.dumps({"model": "ok", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    headers = {"content-type": "application/json", "idempotency-key": "order-4711"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body, headers)) as answer:  # noqa: S310 our own address
        assert answer.status == 200
        replayed: str | None = answer.headers["x-routewright-replayed"]
    return replayed
