"""F13: PostgreSQL is stopped like a power cut under load, for a minute, and started again; what is lost, and when.

Half of the clients spend a hard budget. Its escrow lasts for half a minute without the database: until then nobody
notices anything, and then they are refused, as nobody knows any more what others have spent. The other half is served
all the time. In the end every line of the provider's bill must be in the database, once.
"""

import asyncio
import json
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from postgres_books import PostgresBooks

from databases import PostgresServer
from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.ledger.escrow import LASTS_S
from routewright.transport import HttpTransport
from served import Served, mock_upstream

SETTINGS = """
[policy]
classifier = "heuristic"

[budgets.hard]
scope = "tag"
period = "forever"
limit_usd = "1000"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
CLIENTS = 16
PAUSE_S = 0.05
BEFORE_S, AFTER_S = 3.0, 3.0
HELD_S = LASTS_S - 5
"""A grant was last renewed some seconds before the database went."""
PATIENCE_S = 30.0


class PostgresLoss(Struct, frozen=True, kw_only=True):
    """What was measured."""

    requests: int
    meanwhile: int
    """Of them, those that were answered while the database was away."""
    lost: int
    """Lines of the bill that are not in the database once, settled."""
    errors_under_escrow: int
    """Anything but an answer while escrow was held, and to clients without a budget at any time."""
    refused: int
    """Clients with a budget, once it was not held any more."""
    held_s: float
    """When the first of these was refused, from the stop on; as long as it was away if none was."""
    replay_s: float
    """From the database's first answer until all was in it."""


class _Load:
    """Clients that ask again and again, until told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._transport = HttpTransport()
        self.seen: list[tuple[float, bool, int]] = []
        """When each answer came, whether a budget was spent, and the status; 0 is a broken connection."""

    async def ask(self, *, has_budget: bool) -> None:
        """One client."""
        headers = {"content-type": "application/json"} | ({"x-routewright-tags": "trial"} if has_budget else {})
        body = msgspec.json.encode({"model": "ok", "messages": [{"role": "user", "content": "Hello"}]})
        request = WireRequest(url=f"{self._url}/v1/chat/completions", headers=headers, body=body)
        while True:
            try:
                response = await self._transport.send(request, connect_timeout_s=PATIENCE_S)
                while await response.next():
                    pass
                status = response.status
            except ProviderError:
                status = 0
            self.seen.append((time.monotonic(), has_budget, status))
            await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


def measure(folder: Path, *, down_s: float = 60.0) -> PostgresLoss:
    """Take the database away for so long, in an empty folder. Raises OSError or SubprocessError without PostgreSQL."""
    server = PostgresServer()
    try:
        return asyncio.run(_lose(folder, server, down_s))
    finally:
        server.close()


async def _lose(folder: Path, server: PostgresServer, down_s: float) -> PostgresLoss:
    address, bill = server.new_schema(), folder / "bill.jsonl"
    books = PostgresBooks(server, address.rsplit("%3D", 1)[1])
    with mock_upstream(bill) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
        served = await asyncio.to_thread(Served(folder, environ={"ROUTEWRIGHT_LEDGER__DATABASE_URL": address}).start)
        load = _Load(served.url)
        asking = [asyncio.ensure_future(load.ask(has_budget=bool(number % 2))) for number in range(CLIENTS)]
        try:
            await asyncio.sleep(BEFORE_S)
            stopped_at = time.monotonic()
            await asyncio.to_thread(server.stop_at_once)
            await asyncio.sleep(down_s)
            await asyncio.to_thread(server.start)
            back_at = time.monotonic()
            replay_s = await _replayed(books, bill, back_at)
            await asyncio.sleep(AFTER_S)
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            await load.close()
            await asyncio.to_thread(served.stop)  # which flushes the ledger
    return _judged(load.seen, stopped_at, back_at, replay_s, _lost(books, bill))


async def _replayed(books: PostgresBooks, bill: Path, back_at: float) -> float:
    """Until as many attempts are settled as had been billed when the database was back; in seconds."""
    due = len(await asyncio.to_thread(_lines, bill))
    while await asyncio.to_thread(books.value, "SELECT count(*) FROM events WHERE kind = 'settled'") < due:
        if time.monotonic() - back_at > PATIENCE_S:
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - back_at


def _lines(bill: Path) -> list[str]:
    return bill.read_text().splitlines()


def _lost(books: PostgresBooks, bill: Path) -> int:
    with books.server.connect() as connection:
        connection.execute(f"SET search_path TO {books.schema}".encode())
        rows = connection.execute("SELECT attempt_id FROM events WHERE kind = 'settled'").fetchall()
    settled = [str(row[0]) for row in rows]
    billed = {json.loads(line)["attempt_id"] for line in _lines(bill)}
    return len(billed - set(settled)) + len(settled) - len(set(settled))


def _judged(
    seen: list[tuple[float, bool, int]], stopped_at: float, back_at: float, replay_s: float, lost: int
) -> PostgresLoss:
    bad = [(at, has_budget) for at, has_budget, status in seen if status != 200]
    refused = [at for at, has_budget in bad if has_budget and at >= stopped_at + HELD_S]
    return PostgresLoss(
        requests=len(seen),
        meanwhile=sum(stopped_at <= at < back_at and status == 200 for at, _, status in seen),
        lost=lost,
        errors_under_escrow=len(bad) - len(refused),
        refused=len(refused),
        held_s=min(refused, default=back_at) - stopped_at,
        replay_s=replay_s,
    )
