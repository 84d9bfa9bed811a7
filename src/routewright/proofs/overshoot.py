"""F3: a thousand requests at once against a budget for a few of them, on real gateways over a real database.

Each trial has a budget of its own: the settings give one to every tag, and a trial's requests bear its tag. Costs are
random, some clients leave at once, and in some trials gateways are killed on the way. After each trial, when nothing is
under way any more, these are counted:

* overshoot: nano-dollars above the limit, by the provider's bill or by the ledger, whichever is more;
* false denials: requests refused as too dear that would have fitted into what was left in the end;
* pending: holds that are open once everybody is back and quiet.

A trigger in the database keeps every state that a budget ever had: spent and granted together never exceed its limit.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Protocol

from msgspec import Struct

from routewright.proofs.served import Served, mock_upstream

REQUESTS = 1_000
BUDGET_FOR = 10
MOST_TOKENS = 200
INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 2_000
QUIET_S, LONGEST_S = 2.5, 40.0

SETTINGS = """
[policy]
classifier = "heuristic"
max_retry_attempts = 0

[spending]
when_full = ["wait", "refuse"]
wait_ms = 20_000

[budgets.trials]
scope = "tag"
period = "forever"
limit_usd = "{limit:.9f}"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.spender]
tier = "standard"
deployments = ["mock/spender"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
LIMIT_NANOUSD = BUDGET_FOR * MOST_TOKENS * OUTPUT_NANOUSD // 2
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"x-routewright-tags: %b\r\ncontent-length: %d\r\n\r\n"
)


class Tally(Struct):
    """What was tried, and what was found."""

    trials: int = 0
    requests: int = 0
    answered: int = 0
    refused: int = 0
    unavailable: int = 0
    other: int = 0
    left: int = 0
    cut_off: int = 0
    kills: int = 0
    overshoot_nanousd: int = 0
    false_denials: int = 0
    pending: int = 0
    states: int = 0
    bad_states: int = 0
    least_used: float = 1.0
    """The smallest share of a budget that was spent in the end."""


class Books(Protocol):
    """The database that the gateways share, looked at from outside."""

    def watch(self) -> None:
        """Keep every state of every budget from now on."""
        ...

    def value(self, sql: str) -> int:
        """One number."""
        ...


class SqliteBooks:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def watch(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE states (budget, spent INTEGER, granted INTEGER, most INTEGER)")
            for event in ("INSERT", "UPDATE"):
                connection.execute(
                    f"CREATE TRIGGER watch_{event} AFTER {event} ON budget_windows BEGIN INSERT INTO states VALUES "  # noqa: S608 - names of events, of a table here
                    "(new.budget, new.posted_nanousd, new.leased_nanousd, new.limit_nanousd); END"
                )

    def value(self, sql: str) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute(sql).fetchone()[0] or 0)


class Server(Protocol):
    """A database server, where each ledger that is asked for is an empty one."""

    def new_ledger(self) -> tuple[str, Books]:
        """Its address, and how it is looked at."""
        ...


class Replicas(Struct):
    """Gateways that share a database, and the provider's bill."""

    served: list[Served]
    books: Books
    bill: Path

    def port(self, number: int) -> int:
        """Where one listens now."""
        return int(self.served[number % len(self.served)].url.rsplit(":", 1)[1])


@contextmanager
def replicas(folder: Path, count: int, server: Server | None) -> Iterator[Replicas]:
    """So many gateways: over one file, or each with a journal of its own over one schema."""
    bill = folder / "bill.jsonl"
    with mock_upstream(bill) as port:
        homes = [folder / f"home-{number if server else 0}" for number in range(count)]
        environ, books = {}, None
        if server is not None:
            address, books = server.new_ledger()
            environ = {"ROUTEWRIGHT_LEDGER__DATABASE_URL": address}
        served = []
        for home in homes:
            home.mkdir(exist_ok=True)
            (home / "routewright.toml").write_text(SETTINGS.format(port=port, limit=LIMIT_NANOUSD / 10**9))
            served.append(Served(home, environ=environ).start())
        try:
            yield Replicas(served, books or SqliteBooks(served[0].ledger), bill)
        finally:
            for one in served:
                if one.process.poll() is None:
                    one.stop()


class Trial:
    """One budget, and everybody who wants some of it."""

    def __init__(self, name: str, gateways: Replicas, chance: Random, tally: Tally) -> None:
        self.name = name
        self.gateways = gateways
        self.chance = chance
        self.tally = tally
        self.denied: list[int] = []

    async def run(self, requests: int, *, kills: int) -> None:
        """All at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                group.create_task(self.ask(number))
            for _ in range(kills):
                await asyncio.sleep(self.chance.uniform(0.2, 1.0))
                victim = self.chance.choice(self.gateways.served)
                await asyncio.to_thread(victim.kill)
                self.tally.kills += 1
                await asyncio.to_thread(victim.start)
        self.tally.trials += 1
        self.tally.requests += requests

    async def ask(self, number: int) -> None:
        """One request of one client."""
        tokens = self.chance.randrange(1, MOST_TOKENS)
        leaves_after_s = self.chance.uniform(0, 0.1) if self.chance.random() < 0.1 else None
        body = json.dumps(
            {
                "model": "spender",
                "max_tokens": tokens,
                "messages": [{"role": "user", "content": f"{self.name} {'x' * self.chance.randrange(100)}"}],
            }
        ).encode()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.gateways.port(number))
        except OSError:
            self.tally.cut_off += 1
            return
        try:
            writer.write(HEAD % (self.name.encode(), len(body)) + body)
            if leaves_after_s is not None:
                await asyncio.sleep(leaves_after_s)
                writer.transport.abort()
                self.tally.left += 1
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
            self.note(int(head.split()[1]), await reader.readexactly(length))
        except (OSError, EOFError):
            self.tally.cut_off += 1
        finally:
            writer.close()

    def note(self, status: int, body: bytes) -> None:
        """What became of a request."""
        if status == 200:
            self.tally.answered += 1
        elif status == 402:
            self.tally.refused += 1
            self.denied.append(asked_nanousd(json.loads(body)))
        elif status == 503:
            self.tally.unavailable += 1
        else:
            self.tally.other += 1

    def wait_until_quiet(self) -> None:
        """Until no hold is open, and nothing has arrived for longer than a journal keeps anything back."""
        books = self.gateways.books
        deadline = time.monotonic() + LONGEST_S
        seen, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            events = books.value("SELECT count(*) FROM events")
            if events != seen or books.value("SELECT count(*) FROM open_holds"):
                seen, since = events, time.monotonic()
            elif time.monotonic() - since > QUIET_S:
                return
            time.sleep(0.1)

    def check(self) -> None:
        """When all is quiet."""
        books = self.gateways.books
        budget = f"trials/{self.name}"
        held = "SELECT count(*) FROM open_holds"
        self.wait_until_quiet()
        spent = books.value(f"SELECT sum(cost_nanousd) FROM events WHERE tags = '[\"{self.name}\"]'")  # noqa: S608 - a trial's own name
        billed = 0
        with self.gateways.bill.open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                if line.get("trial") == self.name:
                    billed += line["input"] * INPUT_NANOUSD + line["output"] * OUTPUT_NANOUSD
        self.tally.overshoot_nanousd += max(0, spent - LIMIT_NANOUSD, billed - LIMIT_NANOUSD)
        self.tally.false_denials += sum(asked <= LIMIT_NANOUSD - spent for asked in self.denied)
        self.tally.pending += books.value(held)
        self.tally.least_used = min(self.tally.least_used, spent / LIMIT_NANOUSD)
        of_it = f"FROM states WHERE budget = '{budget}'"
        self.tally.states += books.value(f"SELECT count(*) {of_it}")
        self.tally.bad_states += books.value(f"SELECT count(*) {of_it} AND spent + granted > most")


def asked_nanousd(body: object) -> int:
    """What a refused request would have held."""
    if isinstance(body, dict):
        if isinstance(asked := body.get("asked_nanousd"), int):
            return asked
        return max((asked_nanousd(value) for value in body.values()), default=0)
    return 0


def try_budgets(
    folder: Path,
    seed: int,
    *,
    trials: int,
    count: int,
    server: Server | None = None,
    requests: int = REQUESTS,
    told: Callable[[int], None] = lambda trials: None,
) -> Tally:
    """So many trials on so many gateways, in an empty folder; in every third one gateways are killed."""
    tally, chance = Tally(), Random(seed)
    with replicas(folder, count, server) as gateways:
        gateways.books.watch()
        for number in range(trials):
            trial = Trial(f"t{number}", gateways, chance, tally)
            asyncio.run(trial.run(requests, kills=2 if number % 3 == 2 else 0))
            trial.check()
            told(number + 1)
    return tally
