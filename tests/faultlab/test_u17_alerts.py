"""U13 and U17: what only an operator can mend is told to one: in the log, to a webhook, and in the metrics."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Exchange
from lab import lab, model

ODD = {"prompt_tokens": 7, "completion_tokens": -5, "total_tokens": 2}
ABSURD = {"prompt_tokens": 10**12, "completion_tokens": 5, "total_tokens": 10**12 + 5}


async def odd(exchange: Exchange) -> None:
    exchange.charge()
    await exchange.answer(*exchange.speech.frames(ODD))


async def absurd(exchange: Exchange) -> None:
    exchange.charge()
    await exchange.answer(exchange.speech.whole(usage=ABSURD))


async def zero(exchange: Exchange) -> None:
    exchange.charge(0, sent=0)
    await exchange.answer(*exchange.speech.frames(dict.fromkeys(ODD, 0)))


async def silent_about_it(exchange: Exchange) -> None:
    exchange.charge()
    await exchange.answer(*exchange.speech.frames(None))


async def refused(exchange: Exchange) -> None:
    await exchange.refuse(401, message="no such key")


@asynccontextmanager
async def webhook(told: "asyncio.Queue[Any]") -> AsyncIterator[int]:
    """Whoever is told; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        told.put_nowait(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("name", "fault", "kind", "stream"),
    [
        ("odd", odd, "usage", True),
        ("absurd", absurd, "usage", False),
        ("refused", refused, "credential", True),
    ],
)
async def test_u13_u17_an_operator_is_told_once_and_every_time_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, fault: Any, kind: str, stream: bool
) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()
    async with webhook(told) as port:
        settings = f'[alerts]\nwebhook = "http://127.0.0.1:{port}/"\n'
        async with lab(tmp_path, model(name), faults={name: fault}, settings=settings) as it:
            following = asyncio.create_task(it.runtime.follow_budgets())
            seen = [await it.ask(name, stream=stream) for _ in range(2)]
            assert all(each.is_complete for each in seen) is (kind == "usage")
            async with asyncio.timeout(5):
                alert = await told.get()
            following.cancel()
            place = f"mock/{name}"
            assert (alert["deployment"], alert["kind"]) == (place, kind)
            assert f"{place} needs you ({kind}): {alert['message']}" in caplog.text
            assert told.empty()
            counted = f'routewright_provider_incidents_total{{deployment="{place}",kind="{kind}"}} '
            lines = (await it.get("/metrics")).decode().splitlines()
            [count] = [line.removeprefix(counted) for line in lines if line.startswith(counted)]
            assert int(count) == (2 if kind == "usage" else 1), "a refused key rests after the first"
            rows = [row for row in await it.audit(most_attempts=2) if row.kind == "settled"]
            assert [row.is_estimated for row in rows] == ([1, 1] if kind == "usage" else [])


@pytest.mark.parametrize("fault", [zero, silent_about_it])
async def test_u17_zero_and_nothing_are_no_incident(tmp_path: Path, fault: Any) -> None:
    async with lab(tmp_path, model("free"), faults={"free": fault}) as it:
        assert (await it.ask("free")).is_complete
        assert b"routewright_provider_incidents_total{" not in await it.get("/metrics")
        (row,) = [row for row in await it.audit(most_attempts=1) if row.kind == "settled"]
        assert (row.cost_nanousd == 0) is (fault is zero)
        assert row.is_estimated == (fault is not zero)
