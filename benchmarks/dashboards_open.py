"""What ten open dashboards do to live traffic: its latency with none open and with ten, in turn.

    python benchmarks/dashboards_open.py [--entries N] [--ledger FILE] [--rounds N] [--per-second N] [--into PAGE]

A gateway on loopback over a long history in SQLite, before a mock provider. Requests go out at a fixed rate from this
process, the dashboards are in another. Each follows the requests as they come, and has another page made every five
seconds, as somebody who clicks does. A round is a time with none, then one with ten; the bar is for the median of the
rounds' ratios. `--ledger` takes one that `benchmarks/dashboard.py` made, and copies it. Exit code 1 above the bar.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.dashboard import made  # noqa: E402
from benchmarks.page import write  # noqa: E402

from routewright.bench.load import Clients  # noqa: E402
from routewright.bench.processes import Child, running  # noqa: E402
from routewright.bench.proxies import whole  # noqa: E402
from routewright.bench.report import percentile  # noqa: E402
from routewright.bench.settings import write_settings  # noqa: E402
from routewright.ledger.seals import seal_due  # noqa: E402
from routewright.ledger.sqlite import SqliteDatabase  # noqa: E402
from routewright.proofs.figure import Figure, today  # noqa: E402

COMMAND = "benchmarks/dashboards_open.py"
DASHBOARDS = 10
CLICK_EVERY_S = 5.0
MOST = 1.05
SETTLED_S = 3.0
"""Until each has been shown its first page, which loads what pages are made of."""
PROMPT_CHARS = 1024
PAGES = ("overview", "requests", "sessions", "quality", "models", "overview?days=91", "budgets", "drift")
ANSWERS_AFTER_MS = (0, 200)


class Side(NamedTuple):
    """Latencies of one time, in milliseconds."""

    p50: float
    p99: float


class Live(NamedTuple):
    """The traffic that is looked at."""

    after_ms: int
    """So long the provider takes."""
    per_s: int
    seconds: int


async def follow(gateway: Child) -> None:
    """Hold the live tail open."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(f"GET /ui/requests/tail HTTP/1.1\r\nhost: {gateway.host}:{gateway.port}\r\n\r\n".encode())
    while await reader.read(65536):
        pass
    raise ConnectionError("the tail ended")


async def click(gateway: Child, number: int) -> None:
    """Have one page made after the other. Raises ConnectionError for any that is none."""
    await asyncio.sleep(CLICK_EVERY_S * number / DASHBOARDS)
    for page in islice(cycle(PAGES), number, None):
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        head = f"GET /ui/{page} HTTP/1.1\r\nhost: {gateway.host}:{gateway.port}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"/ui/{page}: {answer[:200]!r}")
        await asyncio.sleep(CLICK_EVERY_S)


async def look(gateway: Child) -> None:
    """Ten dashboards, for as long as nothing fails."""
    clicks = [click(gateway, number) for number in range(DASHBOARDS)]
    await asyncio.gather(*clicks, *[follow(gateway) for _ in clicks])


def looking(gateway: Child) -> None:
    """What the other process does."""
    asyncio.run(look(gateway))


@contextlib.contextmanager
def dashboards(gateway: Child) -> Iterator[None]:
    """Ten, open. Raises ConnectionError if they were not all the time."""
    process = multiprocessing.get_context("spawn").Process(target=looking, args=(gateway,))
    process.start()
    time.sleep(SETTLED_S)
    try:
        yield
        if process.exitcode is not None:
            raise ConnectionError("the dashboards did not stay open")
    finally:
        process.terminate()
        process.join()


async def latencies(gateway: Child, live: Live) -> Side:
    """Of requests at their rate, for so long."""
    async with Clients(gateway, patience_s=60) as clients:
        load = whole(PROMPT_CHARS, delay_ms=live.after_ms)
        await clients.closed_loop(load, 64, concurrency=8)
        run = await clients.open_loop(load, live.per_s * live.seconds, per_s=live.per_s)
    return Side(percentile(run.latencies_s, 0.5) * 1e3, percentile(run.latencies_s, 0.99) * 1e3)


def rounds(gateway: Child, live: Live, count: int) -> list[tuple[Side, Side]]:
    """Each with none, then with ten."""
    found = []
    for number in range(count):
        alone = asyncio.run(latencies(gateway, live))
        with dashboards(gateway):
            found.append((alone, asyncio.run(latencies(gateway, live))))
        print(f"  round {number + 1}: p99 {alone.p99:.1f} → {found[-1][1].p99:.1f} ms", flush=True)
    return found


def figure(name: str, live: Live, found: Sequence[tuple[Side, Side]]) -> Figure:
    """p99 beside its bar, p50 told."""
    told, ratios = [], {}
    for pick in Side._fields:
        each = [(getattr(alone, pick), getattr(open_, pick)) for alone, open_ in found]
        ratio = sorted(open_ / alone for alone, open_ in each)
        ratios[pick] = statistics.median(ratio)
        medians = " → ".join(f"{statistics.median(side):.2f}" for side in zip(*each, strict=True))
        told.append(f"{pick} {medians} ms: {ratios[pick]:.2f} × ({ratio[0]:.2f}–{ratio[-1]:.2f})")
    return Figure(
        name=name,
        what=f"latency of {live.per_s} requests/s, answered by the provider after {live.after_ms} ms, none → "
        f"{DASHBOARDS} dashboards open",
        bar=f"p99 ≤ {MOST} ×",
        measured="; ".join(reversed(told)),
        has_passed=ratios["p99"] <= MOST,
        run=f"{today()}, {len(found)} rounds of 2 × {live.seconds} s, a load of {os.getloadavg()[2]:.1f} in the last "
        "quarter of an hour",
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--into", type=Path, help="the page to write to")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "ledger").mkdir()
        if options.ledger:
            shutil.copyfile(options.ledger, folder / "ledger" / "ledger.db")
        else:
            made(folder / "ledger" / "ledger.db", options.entries).close()
        history = SqliteDatabase(folder / "ledger" / "ledger.db")
        seal_due(history, time.time_ns())  # else the gateway does, beside what is measured
        history.close()
        with running("upstream", ("-m", "routewright.bench.upstream"), folder) as upstream:
            config = write_settings(folder, upstream)
            serve = ("-m", "routewright", "serve", "--port", "0", "--config", str(config))
            with running("gateway", serve, folder) as gateway:
                for after_ms in ANSWERS_AFTER_MS:
                    live = Live(after_ms, options.per_second, options.seconds)
                    found = rounds(gateway, live, options.rounds)
                    name = f"ten dashboards, {after_ms} ms"
                    figures.append(figure(name, live, found))
                    print(figures[-1].row(), flush=True)
    if options.into:
        write(options.into, "dashboards", COMMAND, figures)
    return 0 if all(each.has_passed for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
