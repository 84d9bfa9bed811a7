"""C01, C02, C03: clients that leave, and clients that do not read."""

import asyncio
from pathlib import Path

import pytest
from clients import PATIENCE_S, Provider, chat, house

MIB = 1024 * 1024


async def noticed(provider: Provider) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await provider.left.wait()


@pytest.mark.parametrize("stream", [False, True])
async def test_c01_who_leaves_before_headers_stops_the_provider_and_is_settled(tmp_path: Path, stream: bool) -> None:
    async with house(tmp_path) as opened:
        async with opened.wire() as wire:
            wire.write(chat("mute", stream=stream))
            await opened.asked()
            wire.leave()
            await noticed(opened.provider)
        (row,) = await opened.rows()
        assert row["outcome"] == "abandoned"
        assert row["is_estimated"], "nobody knows what the provider did with it"
        assert len(opened.provider.bodies) == 1, "it was not tried again"


async def test_c02_who_leaves_amid_a_stream_stops_the_provider_and_pays_for_what_was_made(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        async with opened.wire() as wire:
            wire.write(chat("held", stream=True))
            await wire.until(b"hello")
            wire.leave()
            (row,) = await opened.rows()
            assert (row["outcome"], row["is_estimated"]) == ("abandoned", 1)
            assert row["cost_nanousd"] > 0
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_c01_c02_nothing_is_left_of_a_hundred_who_left(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        before = len(asyncio.all_tasks())
        for number, model in enumerate(("mute", "endless") * 50, 1):
            async with opened.wire() as wire:
                wire.write(chat(model, stream=True))
                await opened.asked(number)
        rows = await opened.rows(100)
        assert {row["outcome"] for row in rows} == {"abandoned"}
        await opened.until(lambda: len(asyncio.all_tasks()) <= before + 2)
        assert not opened.server.server_state.connections
        assert len(opened.provider.bodies) == 100


async def test_c03_who_does_not_read_stops_the_provider_and_is_cut_in_the_end(tmp_path: Path) -> None:
    async with house(tmp_path, limits={"write_stall_s": 0.5}) as opened, opened.wire() as wire:
        wire.write(chat("endless", stream=True))
        await wire.until(b"\r\n\r\n")
        await noticed(opened.provider)
        assert 0 < opened.provider.sent < 32 * MIB, "what lies between is in the buffers of three sockets"
        (row,) = await opened.rows()
        assert row["outcome"] == "abandoned"


async def test_c03_who_reads_on_after_a_while_gets_what_was_held_back(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as wire:
        wire.write(chat("endless", stream=True))
        await wire.until(b"\r\n\r\n")
        while True:
            before = opened.provider.sent
            await asyncio.sleep(0.1)
            if before and opened.provider.sent == before:
                break
        read = 0
        async with asyncio.timeout(PATIENCE_S):
            while read < before + MIB:
                read += len(await wire.reader.read(MIB))
        assert opened.provider.sent > before
