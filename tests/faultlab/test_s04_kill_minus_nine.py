"""S04: `kill -9` of the whole gateway under load loses no row. The mock upstream's bill is compared with the ledger.

`ROUTEWRIGHT_KILLS=50 pytest tests/faultlab/test_s04_kill_minus_nine.py` kills more often than the default.
"""

import asyncio
import json
import os
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.transport import HttpTransport
from served import Served, mock_upstream

KILLS = int(os.environ.get("ROUTEWRIGHT_KILLS", "3"))
CLIENTS = 8
SEED = 20261122

SETTINGS = """
[policy]
max_retry_attempts = 1

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 100_000
fallbacks = ["slow"]
price = {{ input = "1", output = "2" }}

[models.slow]
tier = "bulk"
deployments = ["mock/slow"]
context_window = 100_000
price = {{ input = "1", output = "2" }}

[models."status-500"]
tier = "complex"
deployments = ["mock/status-500"]
context_window = 100_000
fallbacks = ["ok"]
price = {{ input = "1", output = "2" }}

[models.cut]
tier = "structured"
deployments = ["mock/cut"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""


class Load:
    """Clients that ask without pause, whatever happens to the gateway."""

    def __init__(self) -> None:
        self.answered = 0
        self.cut_off = 0
        self.url = ""

    async def ask_until(self, is_over: asyncio.Event, random: Random) -> None:
        """One client's requests, one after the other."""
        transport = HttpTransport()
        while not is_over.is_set():
            model = random.choice(["ok", "ok", "ok", "slow", "status-500", "cut"])
            body = {"model": model, "messages": [{"role": "user", "content": "x" * random.randrange(1, 400)}]}
            request = WireRequest(
                url=f"{self.url}/v1/chat/completions",
                headers={"content-type": "application/json"},
                body=msgspec.json.encode({**body, "stream": random.random() < 0.5}),
            )
            try:
                response = await transport.send(request, connect_timeout_s=1)
                while await response.next():
                    pass
                self.answered += 1
            except ProviderError:  # the gateway died under us, or is not back yet
                self.cut_off += 1
                await asyncio.sleep(0.01)
        await transport.close()


async def load_and_kill(served: Served, kills: int) -> Load:
    """Kill and restart the gateway `kills` times while it is under load, then let it end in peace."""
    random, load, is_over = Random(SEED), Load(), asyncio.Event()
    load.url = served.url
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(load.ask_until(is_over, Random(random.random())))
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.3, 0.8))
            await asyncio.to_thread(served.kill)
            await asyncio.to_thread(served.start)
            load.url = served.url
        await asyncio.sleep(0.3)
        is_over.set()
    return load


def test_s04_no_row_is_lost_or_doubled_over_kills(tmp_path: Path) -> None:
    bill_file = tmp_path / "bill.jsonl"
    with mock_upstream(bill_file) as port:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        served = Served(tmp_path).start()
        load = asyncio.run(load_and_kill(served, KILLS))
        assert served.stop() == 0
    bill = [json.loads(line) for line in bill_file.read_text().splitlines()]
    rows = closed_attempts(served.ledger)

    assert load.answered > 20 * KILLS, "there was load"
    assert load.cut_off >= KILLS, "every kill was felt"
    crashed = [row for row in rows if row["outcome"] == "crashed"]
    assert crashed, "a kill came between hold and settlement"

    by_attempt = {row["attempt_id"]: row for row in rows}
    assert len(by_attempt) == len(rows), "E3: no attempt is closed twice"
    assert [line for line in bill if line["attempt_id"] not in by_attempt] == [], "E1: nothing billed is missing"
    billed = {line["attempt_id"] for line in bill}
    invented = [row for row in rows if row["attempt_id"] not in billed and row["cost_nanousd"]]
    assert [row for row in invented if not row["is_estimated"]] == [], "E2: only what nobody knows is estimated"
    for line in bill:
        row = by_attempt[line["attempt_id"]]
        cost = line["input"] * 1_000 + line["output"] * 2_000
        if row["is_estimated"]:
            assert row["cost_nanousd"] >= cost, "the billed-but-unknown rule"
        elif line["status"] == 200:
            assert row["cost_nanousd"] == cost, "E4: to the nano-dollar"
    assert count(served.ledger, "SELECT count(*) FROM open_holds") == 0, "E5: nothing is pending"


def closed_attempts(ledger: Path) -> list[dict[str, Any]]:
    """Every attempt's closing event."""
    connection = sqlite3.connect(ledger)
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT * FROM events WHERE kind <> 'reserved'").fetchall()
    connection.close()
    return [dict(row) for row in rows]


def count(ledger: Path, query: str) -> int:
    """A number from the ledger."""
    connection = sqlite3.connect(ledger)
    (number,) = connection.execute(query).fetchone()
    connection.close()
    return int(number)
