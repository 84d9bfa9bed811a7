"""How the cost of a request grows: with models, keys, open streams, the size of its body, and the ledger's.

    python benchmarks/growth.py [--into docs/benchmarks.md] [--only models,keys,streams,body,ledger] [--entries N]

The gateway as it is set up by default, on loopback, against the mock provider of `routewright bench`; CPU is what its
process spent, ledger draining included, the median of three rounds of 600 requests of 1 KB. The gateways of one row
run side by side and take turns. The ledger of `--entries` rows is made by `benchmarks/reports.py`, and takes minutes.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import uvloop
from msgspec.structs import replace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page import put  # noqa: E402 our neighbours
from benchmarks.reports import CACHE_KB, ROWS_PER_REQUEST, fill, sqlite_series  # noqa: E402

from routewright.access.description import read_wish  # noqa: E402
from routewright.access.installation import Installation  # noqa: E402
from routewright.access.keyring import Keyring  # noqa: E402
from routewright.bench.load import Load  # noqa: E402
from routewright.bench.plan import Plan  # noqa: E402
from routewright.bench.processes import Child, running  # noqa: E402
from routewright.bench.proxies import PROMPT_CHARS, ask_once, cpu, in_turn, whole  # noqa: E402
from routewright.bench.questions import chat_body  # noqa: E402
from routewright.bench.settings import MODELS, write_settings  # noqa: E402
from routewright.bench.starting import first_answers  # noqa: E402
from routewright.bench.streams import held_open  # noqa: E402
from routewright.clock import SystemClock  # noqa: E402
from routewright.ledger.sealed_rows import content_of, day_of  # noqa: E402
from routewright.ledger.seals import seal_due  # noqa: E402
from routewright.ledger.sqlite import SqliteDatabase  # noqa: E402

PLAN = Plan(rounds=3, requests=600)
KEYS_USED = 100
MOST_CATCHING_UP_S = 900
FLAT = 1.25
"""As many times as much at the largest size as at the smallest is as good as the same: rounds differ by as much."""
_HEAD = ("| what grows | from … to | cost | |", "|---|---|---|---|")
_TIERS = ("bulk", "structured", "standard", "complex")
_MODEL = """
[models."{name}"]
tier = "{tier}"
deployments = ["bench/{name}"]
context_window = {window}
price = {{ input = "{price}", output = "{price}" }}
"""
_COPIES = """
INSERT INTO virtual_keys ({columns})
SELECT {values} FROM virtual_keys AS made CROSS JOIN {series} AS numbers WHERE made.id = ?
"""


class Row(NamedTuple):
    """A line of the table."""

    what: str
    sizes: str
    measured: str
    judged: str


Part: TypeAlias = Callable[[Child, Path, int], Iterator[Row]]


def models(upstream: Child, folder: Path, entries: int) -> Iterator[Row]:
    """Custom ones, as many of each tier, each a little dearer than the one before."""
    with gateways(upstream, folder, {count: _models(count - len(MODELS)) for count in (4, 40, 400)}) as them:
        took = asyncio.run(_loaded(them, whole(PROMPT_CHARS)))
        grows = "each is examined, and stands in the request's route with what it would cost"
        yield _row("models that may be chosen", took, "µs CPU a request", grows=grows)
        took = asyncio.run(_loaded(them, whole(PROMPT_CHARS, model=MODELS[-1])))
        yield _row("models, one of them named by the client", took, "µs CPU a request", grows="the same")


def _models(count: int) -> str:
    return "".join(
        _MODEL.format(name=f"model-{number}", tier=_TIERS[number % 4], window=200_000, price=f"{1 + number / 100:.2f}")
        for number in range(count)
    )


def keys(upstream: Child, folder: Path, entries: int) -> Iterator[Row]:
    """A hundred of them are used in turn, or the only one."""
    with ExitStack() as stack:
        them, loads = {}, {}
        for count in (1, 1_000, 100_000):
            home = _home(folder, f"keys-{count}")
            config = write_settings(home, upstream)
            used = _make_keys(home, count)
            loads[str(count)] = replace(
                whole(PROMPT_CHARS), headers=tuple(f"authorization: Bearer {key}" for key in used)
            )
            them[str(count)] = stack.enter_context(_gateway(config))
        took: dict[str, list[float]] = {name: [] for name in them}
        for _ in range(PLAN.rounds):
            for name, child in them.items():
                one = replace(PLAN, rounds=1)
                took[name] += cpu(asyncio.run(in_turn(one, {name: child}, loads[name], PLAN.requests))[name])
        yield _row("virtual keys", took, "µs CPU a request")
        memory = {name: [child.resident_mb()] for name, child in them.items()}
        grows = "each gateway knows all keys, and asks nobody for one"
        yield _row("virtual keys: memory", memory, "MB of memory", grows=grows)


def _make_keys(home: Path, count: int) -> tuple[str, ...]:
    """So many keys in the ledger's database; the texts of those that can be used."""
    database = SqliteDatabase(home / "ledger" / "ledger.db")
    try:
        keyring = Keyring(database, Installation(None, home / "ledger"), SystemClock())
        issued = [keyring.create(read_wish({"name": f"key {number}"})) for number in range(min(count, KEYS_USED))]
        with database.transaction() as transaction:
            columns = [row["name"] for row in transaction.execute("SELECT name FROM pragma_table_info('virtual_keys')")]
            values = ["printf('%010d', numbers.n)" if name == "id" else f"made.{name}" for name in columns]
            if count > KEYS_USED:
                series = sqlite_series(1, count - KEYS_USED)
                sql = _COPIES.format(columns=", ".join(columns), values=", ".join(values), series=series)
                transaction.execute(sql, issued[0].key.id)
    finally:
        database.close()
    return tuple(each.text.reveal() for each in issued)


def streams(upstream: Child, folder: Path, entries: int) -> Iterator[Row]:
    """Each with a chunk a second."""
    share: dict[str, list[float]] = {}
    kb: dict[str, list[float]] = {}
    with gateways(upstream, folder, {1: ""}) as them:
        (gateway,) = them.values()
        asyncio.run(ask_once(PLAN, gateway))
        for count in (10, 500, 5_000):
            used, each_kb = uvloop.run(held_open(replace(PLAN, open_streams=count), gateway))
            share[f"{count:,}"] = [used * 1e6 / count]
            kb[f"{count:,}"] = [each_kb]
    yield _row("open streams", share, "µs CPU a chunk", falls="a lone chunk pays for waking up alone")
    yield _row("open streams: memory", kb, "KB of memory each", falls="what comes with the first ones stays")


def body(upstream: Child, folder: Path, entries: int) -> Iterator[Row]:
    """Of one message; the model takes as many tokens."""
    sizes = {"1 KB": 1_000, "32 KB": 32_000, "1 MB": 1_000_000, "10 MB": 10_000_000}
    more = _MODEL.format(name="vast", tier="bulk", window=20_000_000, price=1)
    took: dict[str, list[float]] = {}
    with gateways(upstream, folder, {1: more}) as them:
        for name, size in sizes.items():
            count = max(3, min(PLAN.requests, 30_000_000 // size))
            plan = replace(PLAN, concurrency=min(8, count))
            load = Load((chat_body("Why is it so? " * (size // 14), model="vast"),), b"}")
            took[name] = [us / 1000 for us in cpu(asyncio.run(in_turn(plan, them, load, count))["1"])]
    yield _row("a body's size", took, "ms CPU a request", grows="each byte is read, checked, counted and sent on")
    each = {
        name: [ms * 1e6 / sizes[name] for ms in rounds] for name, rounds in took.items() if sizes[name] > 1_000_000 / 2
    }
    yield _row("a body's size: each byte", each, "ns CPU a byte")


def ledger(upstream: Child, folder: Path, entries: int) -> Iterator[Row]:
    """Rows of attempts and requests, with their roll-ups, whose days are sealed already; and what it takes to seal what
    the gateway writes then, as it will do a day later."""
    with ExitStack() as stack:
        configs, ledgers, them = {}, {}, {}
        for size in (0, entries // 10, entries):
            home, name = _home(folder, f"ledger-{size}"), f"{size:,}"
            configs[name], ledgers[name] = write_settings(home, upstream), home / "ledger" / "ledger.db"
            if size:
                database = SqliteDatabase(ledgers[name])
                fill(database, size // ROWS_PER_REQUEST, sqlite_series, f"PRAGMA cache_size = -{CACHE_KB}")
                seal_due(database, time.time_ns())
                database.close()
        starts = {name: [each.cpu_ms for each in first_answers(config, rounds=3)] for name, config in configs.items()}
        for name, config in configs.items():
            them[name] = stack.enter_context(_gateway(config))
            _await_rest(them[name])
        yield _row("rows in the ledger", asyncio.run(_loaded(them, whole(PROMPT_CHARS))), "µs CPU a request")
        yield _row("rows in the ledger: starting", starts, "ms CPU to the first answer")
        sealing = {name: [_sealing_us(path) for _ in range(PLAN.rounds)] for name, path in ledgers.items()}
        yield _row("rows in the ledger: sealing a request, a day later", sealing, "µs CPU, once")


def _sealing_us(path: Path) -> float:
    """CPU of reading and hashing what was written today, a request."""
    database, before = SqliteDatabase(path, read_only=True), time.process_time()
    rows = content_of(database, day_of(time.time_ns()), 0, lambda: None).rows
    spent_s = time.process_time() - before
    database.close()
    return spent_s * 1e6 * ROWS_PER_REQUEST / rows


# ---- what they share ------------------------------------------------------------------------------------------------


@contextmanager
def gateways(upstream: Child, folder: Path, settings: Mapping[int, str]) -> Iterator[Mapping[str, Child]]:
    """One for each size, with these further settings."""
    with ExitStack() as stack:
        them = {}
        for size, more in settings.items():
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            them[f"{size:,}"] = stack.enter_context(_gateway(write_settings(home, upstream, more=more)))
        yield them


@contextmanager
def _gateway(config: Path) -> Iterator[Child]:
    serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    with running("gateway", serve, config.parent) as child:
        yield child


def _await_rest(gateway: Child) -> None:
    """Until it has caught up with a history that it finds: there are streams to watch. That is done once."""
    quiet = 0
    for _ in range(MOST_CATCHING_UP_S):
        before = gateway.cpu_s()
        time.sleep(1)
        quiet = quiet + 1 if gateway.cpu_s() - before < 0.03 else 0
        if quiet == 5:
            return


def _home(folder: Path, name: str) -> Path:
    home = folder / name
    (home / "ledger").mkdir(parents=True, mode=0o700)
    return home


async def _loaded(them: Mapping[str, Child], load: Load) -> dict[str, list[float]]:
    rounds = await in_turn(PLAN, them, load, PLAN.requests)
    return {name: cpu(spent) for name, spent in rounds.items()}


def _row(what: str, took: Mapping[str, list[float]], unit: str, *, grows: str = "", falls: str = "") -> Row:
    """`grows` and `falls` say why, where it does."""
    medians = [statistics.median(rounds) for rounds in took.values()]
    ratio = medians[-1] / medians[0]
    if ratio > FLAT:
        judged = f"{_number(ratio)} times as much" + (f": {grows}" if grows else "")
    elif ratio < 1 / FLAT:
        judged = f"falls to {_number(ratio)}" + (f": {falls}" if falls else "")
    else:
        judged = f"flat ({_number(ratio)})"
    return Row(what, " · ".join(took), " · ".join(map(_number, medians)) + f" {unit}", judged)


def _number(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def _kept(page: Path) -> dict[str, str]:
    """The rows of earlier runs by what grows: those of parts that are not run now stay."""
    block = page.read_text().partition("<!-- growth: begin -->")[2].partition("<!-- growth: end -->")[0]
    lines = [line for line in block.splitlines() if line.startswith("| ") and line not in _HEAD]
    return {line.split("|")[1].strip(): line for line in lines}


PARTS: Mapping[str, Part] = {"models": models, "keys": keys, "streams": streams, "body": body, "ledger": ledger}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, help="the page to write to")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--entries", type=int, default=10_000_000)
    options = parser.parse_args()
    rows = _kept(options.into) if options.into else {}
    with tempfile.TemporaryDirectory(prefix="routewright-growth-") as name:
        folder = Path(name)
        with running("upstream", ["-m", "routewright.bench.upstream"], folder) as upstream:
            for part in options.only.split(","):
                for row in PARTS[part](upstream, folder, options.entries):
                    rows[row.what] = "| " + " | ".join(row) + " |"
                    print(rows[row.what], flush=True)
    if options.into:
        put(options.into, "growth", [*_HEAD, *rows.values()])


if __name__ == "__main__":
    main()
