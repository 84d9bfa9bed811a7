"""C01, C02: answers whose client has left are read to their end, within caps, where a key or the settings say so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from clients import PATIENCE_S, House, chat, house

from routewright.access.description import read_wish

FINISH = '[server]\nwhen_left = "finish"\n'
COST_NANOUSD = 3 * 1_000 + 1 * 2_000


@asynccontextmanager
async def left(opened: House, model: str, head: bytes = b"") -> AsyncIterator[None]:
    """After a client has left amid a stream of that model, and the gateway knows it."""
    async with opened.wire() as wire:
        wire.write(chat(model, stream=True, head=head))
        await wire.until(b"\r\n\r\n")
    await opened.until(lambda: not opened.server.server_state.connections)
    yield


async def cancelled(opened: House) -> None:
    """Until a request of the gateway's has been given up, as the provider sees it."""
    async with asyncio.timeout(PATIENCE_S):
        await opened.provider.left.wait()


async def outcomes(opened: House, count: int) -> list[str]:
    """What became of so many requests."""
    return sorted(row["outcome"] for row in await opened.rows(count))


async def test_c02_an_answer_is_finished_and_costs_what_the_provider_says(tmp_path: Path) -> None:
    async with house(tmp_path, FINISH) as opened:
        async with left(opened, "held"):
            assert not opened.provider.left.is_set()
            opened.provider.let_go.set()
        (row,) = await opened.rows()
        assert (row["outcome"], row["is_estimated"], row["cost_nanousd"]) == ("complete", 0, COST_NANOUSD)


async def test_c02_who_comes_back_with_its_idempotency_key_gets_the_answer_that_was_finished(tmp_path: Path) -> None:
    async with house(tmp_path, FINISH) as opened:
        key = b"idempotency-key: order-4711\r\n"
        async with left(opened, "held", key):
            opened.provider.let_go.set()
        await opened.rows()
        again = await opened.send(chat("held", stream=True, head=key))
        assert again.headers["x-routewright-replayed"] == "1"
        assert again.body.endswith(b"data: [DONE]\n\n")
        assert len(opened.provider.bodies) == 1


async def test_c01_also_an_answer_that_has_not_begun_is_finished(tmp_path: Path) -> None:
    async with house(tmp_path, f"{FINISH}when_left_seconds = 1\n") as opened:
        async with opened.wire() as wire:
            wire.write(chat("mute"))
            await opened.asked()
        await opened.until(lambda: not opened.server.server_state.connections)
        assert not opened.provider.left.is_set()
        await cancelled(opened)
        assert await outcomes(opened, 1) == ["abandoned"], "its time was over"


async def test_c02_no_more_bytes_are_read_than_the_cap_says(tmp_path: Path) -> None:
    async with house(tmp_path, f"{FINISH}when_left_bytes = 100_000\n") as opened:
        async with left(opened, "endless"):
            await cancelled(opened)
        assert await outcomes(opened, 1) == ["abandoned"]


async def test_c02_beyond_so_many_at_once_an_answer_is_cancelled(tmp_path: Path) -> None:
    async with house(tmp_path, f"{FINISH}when_left_at_once = 1\n") as opened:
        async with left(opened, "held"), left(opened, "endless"):
            await cancelled(opened)
            opened.provider.let_go.set()
        assert await outcomes(opened, 2) == ["abandoned", "complete"]
        opened.provider.let_go.clear()
        async with left(opened, "held"):
            opened.provider.let_go.set()
        assert await outcomes(opened, 3) == ["abandoned", "complete", "complete"], "the place is free again"


@pytest.mark.parametrize(
    ("settings", "wish", "outcome"),
    [("", "finish", "complete"), (FINISH, "cancel", "abandoned"), (FINISH, None, "complete"), ("", None, "abandoned")],
)
async def test_c02_a_key_says_it_and_else_the_settings(
    tmp_path: Path, settings: str, wish: str | None, outcome: str
) -> None:
    async with house(tmp_path, settings) as opened:
        key = opened.runtime.keyring.create(read_wish({"name": "app", "when_left": wish}))
        opened.runtime.directory.refresh()
        async with left(opened, "held", b"authorization: Bearer %b\r\n" % key.text.reveal().encode()):
            if outcome == "abandoned":
                await opened.rows()
            opened.provider.let_go.set()
        assert await outcomes(opened, 1) == [outcome]


async def test_r01_a_shutdown_waits_for_what_is_being_finished(tmp_path: Path) -> None:
    async with house(tmp_path, FINISH) as opened:
        async with left(opened, "held"):
            opened.signal()
            await opened.until(lambda: not any(server.is_serving() for server in opened.server.servers))
            assert not opened.serving.done()
            opened.provider.let_go.set()
        async with asyncio.timeout(PATIENCE_S):
            await opened.serving
        assert await outcomes(opened, 1) == ["complete"]
