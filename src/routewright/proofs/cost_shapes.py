"""F4: the cost in the ledger against the bill of a provider that reports usage in every shape, and computes otherwise.

Where an answer said what it used, the ledger's cost is equal to the nano-dollar. Where it did not, or said what cannot
be, or the client left before the end, the cost is estimated, is flagged, and is not nothing.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from msgspec import Struct

from routewright.proofs.kills import HEAD, chunks
from routewright.proofs.served import Served
from routewright.proofs.shapes import ODD, TABLE, UNREPORTED, litellm_price_map

CLIENTS = 16
SHAPES = tuple(sorted({name.partition(" ")[0] for name in TABLE} | set(ODD)))
SHARE_ABORTED = 0.002
USUAL = 100
"""How much oftener an answer says what it used than not: providers seldom forget to."""

PROVIDERS = """
[policy]
classifier = "heuristic"
max_retry_attempts = 0

[providers.openai]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:MADE_UP"

[providers.anthropic]
base_url = "http://127.0.0.1:{port}/v1"
dialect = "anthropic_messages"
api_key = "env:MADE_UP"
"""
MODEL = """
[models."{name}"]
tier = "{tier}"
deployments = ["{provider}/{name}"]
context_window = 1_000_000
"""


class Tally(Struct):
    """What was compared, and what came of it."""

    attempts: int = 0
    reported: int = 0
    wrong: int = 0
    error_nanousd: int = 0
    missing: int = 0
    not_flagged: int = 0
    free: int = 0
    estimated: int = 0
    aborted: int = 0
    by_shape: dict[str, int] = {}


@contextmanager
def provider(bill: Path, seed: int) -> Iterator[int]:
    """The shapes' own, for the length of a block; yields its port."""
    command = [sys.executable, "-m", "routewright.proofs.shapes", str(bill), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def settings(port: int) -> str:
    """A model for each shape."""
    models = (
        MODEL.format(name=name, tier="standard", provider="anthropic" if name == "claude" else "openai")
        for name in SHAPES
    )
    return PROVIDERS.format(port=port) + "".join(models)


class Client:
    """Asks for shapes, one request after the other, and leaves now and then in the middle."""

    def __init__(self, port: int, chance: Random) -> None:
        self.port = port
        self.chance = chance
        self.shapes = [name for name in SHAPES if name not in UNREPORTED | {"left"}] * USUAL + list(UNREPORTED)

    async def ask(self, requests: int, told: Callable[[int], None]) -> None:
        """So many of them."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for _ in range(requests):
            is_leaving = self.chance.random() < SHARE_ABORTED
            stream = is_leaving or self.chance.random() < 0.5
            model = "left" if is_leaving else self.chance.choice(self.shapes)
            body = json.dumps(
                {
                    "model": model,
                    "messages": [{"role": "user", "content": "x" * self.chance.randrange(1, 100)}],
                    "max_tokens": 64,
                    "stream": stream,
                }
            ).encode()
            writer.write(HEAD % len(body) + body)
            told(1)
            if is_leaving:
                await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                continue
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if "content-length" in headers:
                await reader.readexactly(int(headers["content-length"]))
            else:
                await chunks(reader)
        writer.close()


async def load(port: int, seed: int, requests: int, told: Callable[[int], None]) -> None:
    """So many requests, by all clients."""
    chance = Random(seed)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            client = Client(port, Random(chance.random()))
            group.create_task(client.ask(requests // CLIENTS, told))


def compare_costs(folder: Path, seed: int, requests: int, told: Callable[[int], None] = lambda requests: None) -> Tally:
    """The whole of it, in an empty folder."""
    bill = folder / "bill.jsonl"
    with provider(bill, seed) as port:
        (folder / "routewright.toml").write_text(settings(port))
        (folder / "prices.json").write_text(json.dumps(litellm_price_map()))
        served = Served(folder, environ={"MADE_UP": "made-up"})
        synced = [sys.executable, "-m", "routewright", "prices", "sync", "--from", "prices.json", "--accept", "--all"]
        subprocess.run(synced, cwd=folder, env=served.environ, check=True, capture_output=True)
        served.start()
        asyncio.run(load(int(served.url.rsplit(":", 1)[1]), seed, requests, told))
        assert served.stop() == 0
    return compare(bill, served.ledger)


def compare(bill: Path, ledger: Path) -> Tally:
    """Each line of the bill with its row."""
    connection = sqlite3.connect(ledger)
    connection.row_factory = sqlite3.Row
    rows = {row["attempt_id"]: row for row in connection.execute("SELECT * FROM events WHERE kind <> 'reserved'")}
    connection.close()
    tally, by_shape = Tally(), Counter[str]()
    with bill.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            tally.attempts += 1
            by_shape[line["shape"]] += 1
            row = rows.pop(line["attempt_id"], None)
            if row is None:
                tally.missing += 1
                continue
            is_aborted = row["outcome"] == "abandoned"
            tally.aborted += is_aborted
            tally.estimated += bool(row["is_estimated"])
            if line["cost_nanousd"] is None or is_aborted:
                tally.not_flagged += not row["is_estimated"] and line["cost_nanousd"] is None
                tally.free += bool(row["is_estimated"]) and not row["cost_nanousd"]
                continue
            tally.reported += 1
            error = abs((row["cost_nanousd"] or 0) - line["cost_nanousd"])
            tally.error_nanousd += error
            tally.wrong += bool(error) or bool(row["is_estimated"])
    tally.missing += sum(1 for row in rows.values() if row["cost_nanousd"] and not row["is_estimated"])
    tally.by_shape = dict(sorted(by_shape.items()))
    return tally
