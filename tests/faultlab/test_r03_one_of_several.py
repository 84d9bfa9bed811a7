"""R03: of two gateways over one ledger, one is killed with requests in flight; the other settles its holds in 10 s."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.ledger.sqlite import SqliteDatabase
from routewright.transport import HttpTransport
from served import Served, mock_upstream, serving

SETTINGS = """
[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "bulk"
deployments = ["mock/ok"]
context_window = 100_000
price = {{ input = "1", output = "2" }}

[models.hang]
tier = "bulk"
deployments = ["mock/hang"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
IN_FLIGHT = 20
BOUND_S = 10


async def ask(url: str, model: str, times: int) -> int:
    """Ask at once, so often; how many were answered."""
    transport = HttpTransport()

    async def once() -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        request = WireRequest(
            url=f"{url}/v1/chat/completions",
            headers={"content-type": "application/json"},
            body=msgspec.json.encode(body),
        )
        with suppress(ProviderError):
            response = await transport.send(request, connect_timeout_s=1)
            while await response.next():
                pass
            return int(response.status == 200)
        return 0

    answered = sum(await asyncio.gather(*(once() for _ in range(times))))
    await transport.close()
    return answered


async def kill_in_flight(served: Served, ledger: SqliteDatabase) -> int:
    """Ask, and kill the gateway once all that was asked is held; how many were answered."""
    asking = asyncio.create_task(ask(served.url, "hang", IN_FLIGHT))
    async with asyncio.timeout(BOUND_S):
        while len(ledger.read("SELECT 1 AS it FROM open_holds")) < IN_FLIGHT:  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.02)
    served.kill()
    return await asking


def wait_for_rows(ledger: SqliteDatabase) -> float:
    """How long it took, in seconds, until nothing was open."""
    began = time.monotonic()
    while time.monotonic() - began < 2 * BOUND_S:
        crashed = ledger.read("SELECT count(*) AS n FROM events WHERE outcome = 'crashed'")[0]["n"]
        if crashed == IN_FLIGHT and not ledger.read("SELECT 1 AS it FROM open_holds"):
            break
        time.sleep(0.1)
    return time.monotonic() - began


def test_r03_a_living_gateway_settles_what_a_killed_one_held(tmp_path: Path) -> None:
    with mock_upstream(tmp_path / "bill.jsonl") as port:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        with serving(tmp_path) as living:
            dying = Served(tmp_path).start()
            ledger = SqliteDatabase(living.ledger, read_only=True)
            assert asyncio.run(kill_in_flight(dying, ledger)) == 0
            assert wait_for_rows(ledger) < BOUND_S
            assert asyncio.run(ask(living.url, "ok", 3)) == 3, "the other one serves on"
            ledger.close()
