"""What the ledger costs: CPU per append and per request, the waits it adds, at 1,000 and 3,000 requests a second.

    python benchmarks/ledger.py [--directory DIR] [--seconds N]

A request appends its hold, waits 50 ms for its answer, waits until the hold is durable, then appends its settlement
and its own row in one write, as the gateway does. CPU is that of the whole process (event loop, syncer, drainer), less
that of the same loop without a ledger; the final drain is included.
"""

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Protocol

import uvloop
from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.ids import uuid7
from routewright.ledger.files import OsFiles
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import LedgerEvent, RequestRecorded, Reserved, Settled, encode_event
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.route import Candidate, Route
from routewright.usage import Usage

ANSWER_S = 0.05
TICK_S = 0.001
APPENDS = 20_000


def route() -> Route:
    """A decision of the usual size."""
    candidates = tuple(
        Candidate(
            model=f"model-{number}",
            tier=Tier.STANDARD,
            is_eligible=True,
            reason="eligible, dearer than the first",
            expected_cost_nanousd=4_000_000 + number,
            deployments=(f"provider/model-{number}",),
        )
        for number in range(6)
    )
    return Route(
        verdict=None,
        tier=Tier.STANDARD,
        reason="the cheapest eligible",
        written=candidates,
        input_tokens=1000,
        output_tokens=300,
        catalog="7f3a7f3a",
        classifier="heuristic@1",
        policy="7f3a7f3a",
    )


ROUTE = route()
IDS = Random()


def events(boot: str) -> tuple[LedgerEvent, LedgerEvent, LedgerEvent]:
    """What one request writes: its hold, its settlement, its own row."""
    now = time.time_ns()
    attempt, request = uuid7(now, IDS), uuid7(now, IDS)
    hold = Reserved(
        attempt_id=attempt,
        request_id=request,
        at_ns=now,
        boot=boot,
        model="model-0",
        deployment="provider/model-0",
        cause="first",
        amount_nanousd=9_000_000,
        price_version="7f3a7f3a",
    )
    settled = Settled(
        attempt_id=attempt,
        request_id=request,
        at_ns=now,
        model="model-0",
        deployment="provider/model-0",
        served_model="model-0-2026-03-01",
        cause="first",
        outcome="complete",
        usage=Usage(input=800, cache_read=200, output=280, reasoning=20),
        cost_nanousd=4_000_000,
        price_version="7f3a7f3a",
        is_estimated=False,
        first_event_ms=40,
        total_ms=50,
    )
    row = RequestRecorded(
        request_id=request,
        at_ns=now,
        dialect="openai_chat",
        requested_model="auto",
        model="model-0",
        tier="standard",
        confidence=0.8,
        reason="the cheapest eligible",
        outcome="complete",
        cost_nanousd=4_000_000,
        is_estimated=False,
        baseline_model="model-5",
        baseline_cost_nanousd=90_000_000,
        attempts=1,
        stream=True,
        total_ms=50,
        overhead_us=150,
        route=ROUTE,
    )
    return hold, settled, row


class Timings:
    """Durations in nanoseconds, told in microseconds."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def at(self, share: float) -> float:
        return sorted(self.taken)[int((len(self.taken) - 1) * share)] / 1000 if self.taken else 0.0


class Books(Protocol):
    """Where a simulated request keeps its accounts."""

    async def request(self) -> None: ...


class NoBooks:
    """The event loop's own cost."""

    async def request(self) -> None:
        events("none")
        await asyncio.sleep(ANSWER_S)


class JournalBooks:
    """What the gateway does."""

    def __init__(self, journal: Journal, *, with_row: bool) -> None:
        self.journal = journal
        self.with_row = with_row
        self.appends = Timings()
        self.waits = Timings()

    def append(self, *events: LedgerEvent, closing: bool) -> int:
        payloads = [encode_event(event) for event in events]
        began = time.perf_counter_ns()
        position = self.journal.append(*payloads, closing=closing)
        self.appends.taken.append(time.perf_counter_ns() - began)
        return position

    async def request(self) -> None:
        hold, settled, row = events(self.journal.boot)
        position = self.append(hold, closing=False)
        await asyncio.sleep(ANSWER_S)
        began = time.perf_counter_ns()
        await self.journal.durable(position)
        self.waits.taken.append(time.perf_counter_ns() - began)
        if self.with_row:
            self.append(settled, row, closing=True)
        else:
            self.append(settled, closing=True)


async def load(books: Books, rate: int, seconds: float) -> float:
    """CPU microseconds per request at a steady rate, all requests included to their end."""
    total, begun = round(rate * seconds), 0
    cpu, start = time.process_time_ns(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        while begun < total:
            due = min(total, int((time.perf_counter() - start) * rate))
            for _ in range(due - begun):
                tasks.create_task(books.request())
            begun = max(begun, due)
            await asyncio.sleep(TICK_S)
    return (time.process_time_ns() - cpu) / total / 1000


class CountingFiles(OsFiles):
    """The system's calls, with the syncs counted."""

    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, fd: int, /) -> None:
        self.syncs += 1
        super().sync(fd)


class TimedStore:
    """SQLite, with its commits timed; or nothing at all."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.commits = Timings()
        self.rows = 0

    def absorb(self, batch: Sequence[bytes]) -> None:
        began = time.perf_counter_ns()
        if self.store is not None:
            self.store.absorb(batch)
        self.rows += len(batch)
        self.commits.taken.append(time.perf_counter_ns() - began)


def append_alone(directory: Path) -> None:
    """One thread appends as fast as it can; the syncer works beside it."""
    journal = Journal(directory / "alone")
    payload = encode_event(events(journal.boot)[0])
    taken = Timings()
    cpu = time.process_time_ns()
    for _ in range(APPENDS):
        began = time.perf_counter_ns()
        journal.append(payload)
        taken.taken.append(time.perf_counter_ns() - began)
    cpu = time.process_time_ns() - cpu
    journal.close()
    print(
        f"append of {len(payload)} bytes, {APPENDS:,} in a row: "
        f"{cpu / APPENDS / 1000:.1f} µs of CPU with its share of syncs; "
        f"took p50 {taken.at(0.5):.1f}, p99 {taken.at(0.99):.1f} µs\n"
    )


class Measured(Struct, frozen=True):
    """One run at a steady rate."""

    cpu_us: float
    """Of the whole process per request, less what the same loop spends without a ledger."""
    appends: Timings
    waits: Timings
    commits: Timings
    syncs: int
    rows: int

    @property
    def wait_p50_ms(self) -> float:
        """What a request waits for until its hold is durable, when its answer has come."""
        return self.waits.at(0.5) / 1000


def measured(
    place: Path, runner: asyncio.Runner, rate: int, seconds: float, *, with_row: bool = True, with_store: bool = True
) -> Measured:
    """Run it in an empty directory, the loop alone first."""
    gc.collect()
    own = runner.run(load(NoBooks(), rate, seconds))
    store = Store(SqliteDatabase(place / "ledger.db")) if with_store else None
    sink, disk = TimedStore(store), CountingFiles()
    journal = Journal(place / "journal", files=disk)
    journal.start(sink.absorb)
    books = JournalBooks(journal, with_row=with_row)

    async def run() -> float:
        cpu = await load(books, rate, seconds)
        flushing = time.process_time_ns()
        await journal.flush()
        return cpu + (time.process_time_ns() - flushing) / (rate * seconds) / 1000

    gc.collect()
    used = runner.run(run())
    journal.close()
    if store is not None:
        store.close()
    return Measured(used - own, books.appends, books.waits, sink.commits, disk.syncs, sink.rows)


def print_block(directory: Path, runner: asyncio.Runner, rate: int, seconds: float) -> None:
    """Print one block of the table."""
    for name, with_row, with_store in (
        ("hold + settle, journal only", False, False),
        ("hold + settle, into SQLite", False, True),
        ("hold + settle + request, into SQLite", True, True),
    ):
        place = directory / f"{rate}-{with_row}-{with_store}"
        run = measured(place, runner, rate, seconds, with_row=with_row, with_store=with_store)
        print(
            f"{rate:>6,} {name:<38} {run.cpu_us:>8.1f} {run.appends.at(0.5):>8.1f} {run.appends.at(0.99):>8.1f}"
            f" {run.waits.at(0.5) / 1000:>8.2f} {run.waits.at(0.99) / 1000:>8.2f} {run.syncs / seconds:>8.0f}"
            f" {run.rows / len(run.commits.taken):>8.0f} {run.commits.at(0.5) / 1000:>8.1f}"
            f" {run.commits.at(0.99) / 1000:>8.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", type=Path, help="on the disk to measure (default: the temporary directory's)")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        append_alone(Path(name))
        print(
            "           per request                             CPU µs   append µs         durable ms       syncs"
            "   commits: rows, ms\n"
            "  rate                                                         p50      p99      p50      p99       /s"
            "     mean      p50      p99"
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for rate in (1000, 3000):
                print_block(Path(name), runner, rate, options.seconds)


if __name__ == "__main__":
    main()
