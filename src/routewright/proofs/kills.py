"""S04, F2a: gateways under load are killed again and again; the provider's own bill is compared with the ledger.

Two gateways share a ledger. Clients ask without pause; at random moments one of the two gets SIGKILL and is started
again, and takes up what it left. At the end both end in peace, and every line of the bill is looked up in the ledger:

* E1 lost: an attempt that the provider billed, or a request whose answer a client has whole, is not there;
* E2 invented: an attempt cost money, by nobody's estimate, and the provider knows nothing of it;
* E3 doubled: an attempt is closed twice;
* E4: where the provider reported usage, the cost is not equal to the nano-dollar; where nobody knows, it is below;
* E5: a hold is still open.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from routewright.proofs.served import Served, mock_upstream

CLIENTS = 24
LONGEST_PEACE_S = 1.6

SETTINGS = """
[policy]
max_retry_attempts = 1
classifier = "heuristic"

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
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n"
)
INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 2_000
MODELS = ("ok",) * 60 + ("slow", "status-500", "cut")


class Tally(Struct):
    """What was done, and what was found wrong."""

    kills: int = 0
    answered: int = 0
    cut_off: int = 0
    rows: int = 0
    billed: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    wrong_cost: int = 0
    open_holds: int = 0
    crashed: int = 0
    estimated: int = 0

    @property
    def wrong(self) -> int:
        """Everything that must not be."""
        return self.lost + self.doubled + self.invented + self.wrong_cost + self.open_holds


class Gateways:
    """Two of them, at addresses that change with every start."""

    def __init__(self, home: Path) -> None:
        self.served = [Served(home), Served(home)]

    def ports(self) -> list[int]:
        """Where to ask."""
        return [int(one.url.rsplit(":", 1)[1]) for one in self.served]


class Client:
    """Asks one gateway after the other, with as little work of its own as can be."""

    def __init__(self, gateways: Gateways, number: int, chance: Random, tally: Tally, whole: list[str]) -> None:
        self.gateways = gateways
        self.number = number
        self.chance = chance
        self.tally = tally
        self.whole = whole
        self.is_over = asyncio.Event()

    async def ask(self) -> None:
        """Until it is over, whatever happens to the gateway."""
        while not self.is_over.is_set():
            port = self.gateways.ports()[self.number % 2]
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                while not self.is_over.is_set():
                    await self.exchange(reader, writer)
            except (OSError, EOFError):
                self.tally.cut_off += 1
            finally:
                writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer."""
        model = self.chance.choice(MODELS)
        text = "x" * self.chance.randrange(1, 200)
        stream = b"true" if self.chance.random() < 0.1 else b"false"
        body = b'{"model":"%b","messages":[{"role":"user","content":"%b"}],"max_tokens":64,"stream":%b}'
        body %= model.encode(), text.encode(), stream
        writer.write(HEAD % len(body) + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in answer.split("\r\n")[1:] if ": " in line)
        is_whole = answer.startswith("http/1.1 200")
        if "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        else:
            is_whole &= b"[DONE]" in await chunks(reader)
        self.tally.answered += 1
        if is_whole:
            self.whole.append(headers["x-routewright-request-id"])


async def chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body."""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


async def load_and_kill(
    gateways: Gateways, seed: int, tally: Tally, *, kills: int, answers: int, told: Callable[[Tally], None]
) -> list[str]:
    """Kill one or the other until there were so many kills and answers; returns the requests with a whole answer."""
    chance = Random(seed)
    whole: list[str] = []
    clients = [Client(gateways, number, Random(chance.random()), tally, whole) for number in range(CLIENTS)]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.ask())
        while tally.kills < kills or tally.answered < answers:
            await asyncio.sleep(chance.uniform(0.1, LONGEST_PEACE_S))
            if tally.kills < kills or chance.random() < 0.5:
                victim = chance.choice(gateways.served)
                await asyncio.to_thread(victim.kill)
                tally.kills += 1
                await asyncio.to_thread(victim.start)
            told(tally)
        for client in clients:
            client.is_over.set()
    return whole


def kill_gateways(
    folder: Path, seed: int, *, kills: int, answers: int, told: Callable[[Tally], None] = lambda tally: None
) -> Tally:
    """The whole of it, in an empty folder."""
    bill = folder / "bill.jsonl"
    tally = Tally()
    with mock_upstream(bill) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
        gateways = Gateways(folder)
        for served in gateways.served:
            served.start()
        whole = asyncio.run(load_and_kill(gateways, seed, tally, kills=kills, answers=answers, told=told))
        codes = [served.stop() for served in gateways.served]
    assert codes == [0, 0], f"the gateways ended with {codes}"
    compare(bill, gateways.served[0].ledger, whole, tally)
    return tally


def compare(bill: Path, ledger: Path, whole: list[str], tally: Tally) -> None:
    """Fill in what was found."""
    connection = sqlite3.connect(ledger)
    connection.row_factory = sqlite3.Row
    closed: dict[str, sqlite3.Row] = {}
    for row in connection.execute("SELECT * FROM events WHERE kind <> 'reserved'"):
        tally.doubled += row["attempt_id"] in closed
        closed[row["attempt_id"]] = row
    requests = Counter(row[0] for row in connection.execute("SELECT request_id FROM requests"))
    tally.rows = connection.execute("SELECT (SELECT count(*) FROM events) + count(*) FROM requests").fetchone()[0]
    tally.open_holds = connection.execute("SELECT count(*) FROM open_holds").fetchone()[0]
    connection.close()
    billed = set[str]()
    with bill.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            billed.add(line["attempt_id"])
            row = closed.get(line["attempt_id"])
            tally.lost += row is None
            tally.wrong_cost += row is not None and not is_right(row, line)
    tally.billed = len(billed)
    tally.lost += sum(request_id not in requests for request_id in whole)
    tally.doubled += sum(count > 1 for count in requests.values())
    for attempt_id, row in closed.items():
        tally.crashed += row["outcome"] == "crashed"
        tally.estimated += bool(row["is_estimated"])
        tally.invented += attempt_id not in billed and bool(row["cost_nanousd"]) and not row["is_estimated"]


def is_right(row: sqlite3.Row, line: dict[str, Any]) -> bool:
    """Whether an attempt's closing row agrees with the provider's line."""
    cost = line["input"] * INPUT_NANOUSD + line["output"] * OUTPUT_NANOUSD
    if row["is_estimated"]:
        return bool(row["cost_nanousd"] >= cost)
    return row["cost_nanousd"] == cost if line["status"] == 200 else not row["cost_nanousd"]
