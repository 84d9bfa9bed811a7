"""How long the dashboard's pages take over a long history in SQLite.

    python -m benchmarks.dashboard [--entries N] [--directory DIR]

An entry is a row of the ledger, as in reports.py, which makes the rows; a request of the last week has a session, and
latencies are spread over twenty buckets. Every twentieth request has an outcome, and a shadow that was compared. One
request more is asked of the simulator, so that there is a sheet with all that one has. `--entries 0` adds only that
to what is there already. The bar is 300 ms of server time for each page: from reading the address to
the bytes of the answer, by its median. CPU is that of this process.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from benchmarks.reports import DAYS, FIRST_NS, NOW_NS, ROWS_PER_REQUEST, WEEK_NS, fill, sqlite_series

from routewright.access.directory import Directory
from routewright.access.installation import Installation
from routewright.access.keyring import Keyring
from routewright.access.keys import ALL_ROLES
from routewright.cli.opening import deciding_only
from routewright.dashboard.pages import PAGES
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.rendering import render
from routewright.dashboard.view import Desk
from routewright.ledger.rollups import DAY_NS
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.settings_source import SettingsSource
from routewright.testing import FakeClock

BAR_MS = 300
REPEATS = 5
SINCE = "since=2026-06-01"
FRAME = {"navigation": [], "who": "", "needs_login": False, "may_act": True, "query": ""}
_SESSIONS = "UPDATE requests SET session = printf('%032x', rowid / 10) WHERE at_ns >= ?"
_LATENCIES = f"""
WITH RECURSIVE days (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM days WHERE n < {DAYS - 1}),
    models (m) AS (SELECT 0 UNION ALL SELECT m + 1 FROM models WHERE m < 7),
    buckets (b) AS (SELECT 60 UNION ALL SELECT b + 1 FROM buckets WHERE b < 79)
INSERT INTO latencies_daily
SELECT {FIRST_NS // DAY_NS * DAY_NS} + n * {DAY_NS}, measure, 'model-' || m, b, 100
FROM days, models, buckets, (SELECT 'total' AS measure UNION ALL SELECT 'overhead' UNION ALL SELECT 'first')
"""  # noqa: S608 of our own constants
_SOME = "FROM requests WHERE rowid % 20 = 0"
_OUTCOMES = f"""
INSERT INTO outcomes (outcome_id, request_id, at_ns, model, source, score, "check")
SELECT request_id, request_id, at_ns, '', 'feedback', rowid % 100 < 85, '' {_SOME}
"""
_COMPARISONS = f"""
INSERT INTO comparisons (comparison_id, request_id, at_ns, model, shadow, result, decided_by, judge, is_same,
    cost_nanousd, shadow_cost_nanousd, judge_cost_nanousd, total_ms, shadow_ms, answer, shadow_answer)
SELECT request_id, request_id, at_ns, 'model-0', 'model-1', CASE rowid % 60 WHEN 0 THEN 'win' WHEN 20 THEN 'loss' ELSE
    'tie' END, 'judge', 'model-2', 0, 1000000, 10000, 5000, 900, 300, '', '' {_SOME}
"""


class Asked(NamedTuple):
    """A page, and what its address asks."""

    page: str
    query: str = ""
    part: str = ""


def pages(session: str, request: str) -> Sequence[Asked]:
    """All that are asked for; the sheet of one request and one session among them."""
    far = f"before={FIRST_NS + 40 * DAY_NS}-00000000-0000-0000-0000-000000000000"
    return (
        *(Asked("overview", f"days={days}") for days in (7, 30, 91, 364)),
        *(
            Asked("requests", query)
            for query in (
                "", SINCE, f"{SINCE}&{far}", f"{SINCE}&model=model-3", f"{SINCE}&model=none", f"{SINCE}&key=key-7",
                f"{SINCE}&tag=tag-1", f"{SINCE}&tag=none", f"{SINCE}&outcome=failed", f"{SINCE}&outcome=none",
                f"{SINCE}&min_cost=0.009", f"{SINCE}&min_cost=5", f"{SINCE}&max_ms=1&tier=bulk&team=team-1",
                f"{SINCE}&session={session}", f"{SINCE}&session={'f' * 32}",
            )
        ),
        Asked("requests/*", part=request),
        Asked("sessions"),
        Asked("sessions/*", part=session),
        *(Asked("quality", f"by={by}") for by in ("task", "week")),
        *(Asked("shadows", f"show={show}") for show in ("all", "wins")),
        *(Asked(name) for name in ("drift", "backtests", "policies", "models")),
        *(Asked(name) for name in ("budgets", "keys", "batches", "playground")),
    )  # fmt: skip


class Taken(NamedTuple):
    """What a page took."""

    asked: Asked
    size: int
    cpu_ms: float
    p50_ms: float


def measure(desk: Desk, asked: Asked) -> Taken:
    """Make a page several times."""
    page = next(each for each in PAGES if each.name == asked.page)
    times, before, body = [], time.process_time_ns(), b""
    for _ in range(REPEATS):
        began = time.perf_counter()
        view = page.read(desk, Parameters(asked.query.encode(), page.known, asked.part))
        body = render(view.template, {**FRAME, "page": page.name, "title": view.title, **view.values})
        times.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time_ns() - before) / 1e6 / REPEATS
    return Taken(asked, len(body), cpu, statistics.median(times))


def made(path: Path, entries: int) -> Store:
    """The history, opened as the dashboard does."""
    if entries:
        database = SqliteDatabase(path)
        fill(database, entries // ROWS_PER_REQUEST, sqlite_series, "PRAGMA cache_size = -256000")
        with database.transaction() as transaction:
            transaction.execute(_SESSIONS, WEEK_NS)
            for more in (_LATENCIES, _OUTCOMES, _COMPARISONS):
                transaction.execute(more)
        database.close()
    return Store(SqliteDatabase(path, read_only=True))


def ask(folder: Path) -> str:
    """One request in full, recorded in the ledger of this folder; its id."""
    words = ("ask", "--simulate", "--json", "--set", f"ledger.path={folder}", "Why is the sky blue?")
    answer = subprocess.run((sys.executable, "-m", "routewright", *words), check=True, capture_output=True)
    return str(msgspec.json.decode(answer.stdout)["request_id"])


def desk_of(store: Store, folder: Path) -> Desk:
    """What a page is made from, at the end of the history."""
    settings, registry = SettingsSource(environ={"HOME": str(folder)}, cwd=folder, simulate=True).load()
    return Desk(
        engine=deciding_only(settings, registry),
        ledger=store,
        clock=FakeClock(),
        now_ns=NOW_NS,
        started_ns=NOW_NS - DAY_NS,
        directory=Directory(Keyring(store.database, Installation(None, folder), FakeClock()), FakeClock()),
        budgets=(),
        breakers={},
        drift={},
        prices_date="",
        address="http://127.0.0.1:8484",
        roles=ALL_ROLES,
    )


def main() -> int:
    """Exit code 1 when a page takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    folder = arguments.directory or Path(tempfile.mkdtemp(prefix="dashboard-"))
    store = made(folder / "ledger.db", arguments.entries)
    last = "SELECT session FROM requests WHERE at_ns < ? ORDER BY at_ns DESC LIMIT 1"
    session, request = store.database.read(last, NOW_NS)[0]["session"], ask(folder)
    (counted,) = store.database.read("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM requests) AS rows")
    print(f"{counted['rows']:,} entries in {folder}\n\n| page | bytes | CPU ms | p50 ms |\n|---|---|---|---|")
    desk, worst = desk_of(store, folder), 0.0
    for asked in pages(session, request):
        taken = measure(desk, asked)
        worst = max(worst, taken.p50_ms)
        print(
            f"| {asked.page} {asked.query[:70]} | {taken.size:,} | {taken.cpu_ms:.0f} | {taken.p50_ms:.0f} |",
            flush=True,
        )
    return 1 if worst > BAR_MS else 0


if __name__ == "__main__":
    sys.exit(main())
