"""What batches are measured by: speed, memory, exactness over `kill -9`, a provider's limit used to the full, and Ray.

    python benchmarks/batch.py [--into docs/benchmarks.md] [--only speed,memory,kills,limit,ray] [--items N] …

Each part runs `routewright batch run` in a process of its own against a provider of the lab, with the default settings
but for what its line says. The block it prints is put between the marks of `--into`.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/faultlab")]

from batch_kills import SETTINGS, batch_upstream, kill_until_done, start, write_items  # noqa: E402
from batch_ray import pipelined, scaled  # noqa: E402

SEED = 20261127
DELAY_MS = 5
BEGIN, END = "<!-- batches: begin -->", "<!-- batches: end -->"


class Measured:
    """One whole run of a batch."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Raises SystemExit with what was told when it failed."""
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with start(folder, *arguments) as process:
            self.peak_kib = _watch(process)
        self.code = process.returncode
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_s = time.monotonic() - began
        self.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if self.code:
            raise SystemExit((folder / "err").read_text())


def _watch(process: "subprocess.Popen[bytes]") -> int:
    """The most memory that a process ever had, in KiB, until it has ended."""
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        try:
            lines = status.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            break
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.2)
    process.wait()
    return peak


def speed(items: int, concurrency: int) -> list[str]:
    """How close to what the concurrency allows, and what an item costs in CPU."""
    before = bare(items // 10, concurrency)
    with tempfile.TemporaryDirectory(dir=_place()) as name:
        run = _run(Path(name), items, concurrency, DELAY_MS)
    allowed = max(before, bare(items // 10, concurrency))  # others are on this machine: the better of two
    rate = items / run.wall_s
    return [
        f"| {items:,} items, a provider of {DELAY_MS} ms, {concurrency} at a time | {rate:,.0f} items/s: "
        f"{rate / allowed:.0%} of the {allowed:,.0f} that a bare client reaches so, "
        f"{rate * DELAY_MS / 1000 / concurrency:.0%} of what {DELAY_MS} ms alone allow; {run.cpu_s / items * 1e6:,.0f} "
        f"µs CPU an item, {run.cpu_s / run.wall_s:.0%} of a core, start and end included "
        f"| ≥ 95 %, or CPU-bound at < 500 µs |"
    ]


def bare(items: int, concurrency: int) -> float:
    """Items a second of a client that only sends and reads: what the concurrency allows against this provider."""
    with tempfile.TemporaryDirectory(dir=_place()) as name, batch_upstream(Path(name) / "bill.jsonl", DELAY_MS) as port:
        began = time.monotonic()
        uvloop.run(_bare_clients(port, items, concurrency))
        return items / (time.monotonic() - began)


async def _bare_clients(port: int, items: int, concurrency: int) -> None:
    numbers = iter(range(items))
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_bare_client(port, numbers))


async def _bare_client(port: int, numbers: Iterator[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        body = json.dumps({"model": "ok", "messages": [{"role": "user", "content": f"n{number} of many"}]})
        writer.write(f"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
    writer.close()


def memory(items: int, concurrency: int) -> list[str]:
    """The most memory, and whether it grows with the items."""
    lines = []
    for count in (items // 10, items):
        with tempfile.TemporaryDirectory(dir=_place()) as name:
            run = _run(Path(name), count, concurrency, 0)
        lines.append(
            f"| {count:,} items, {concurrency} at a time | peak memory {run.peak_kib / 1024:.0f} MB "
            f"({run.wall_s:,.0f} s, {run.cpu_s / count * 1e6:,.0f} µs CPU an item) | < 150 MB |"
        )
    return lines


def _run(folder: Path, items: int, concurrency: int, delay_ms: float) -> Measured:
    write_items(folder / "items.jsonl", items)
    with batch_upstream(folder / "bill.jsonl", delay_ms) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
        return Measured(folder, "--concurrency", str(concurrency))


def killed(items: int, peace_s: tuple[float, float]) -> list[str]:
    """Killed until it is done."""
    with tempfile.TemporaryDirectory(dir=_place()) as name:
        outcome = kill_until_done(
            Path(name), SEED, items=items, peace_s=peace_s, delay_ms=20, told=lambda lines: print(f"  {lines:,} lines")
        )
    ledger = outcome.ledger
    wrong = outcome.missing + outcome.repeated_lines + outcome.bad_lines + outcome.answered_twice + ledger.wrong
    told = (
        f"{outcome.lines:,} lines, {outcome.missing} missing, {outcome.repeated_lines} repeated",
        f"{outcome.bad_lines} not valid; {outcome.answered_twice} answers paid for twice",
        f"{outcome.asked_again} items were under way when it was killed and asked again",
        f"{outcome.answered_unsettled} had their answer and were not; of {ledger.billed:,} lines of the bill",
        f"{ledger.lost} are lost in the ledger, {ledger.invented} are invented there",
        f"{ledger.wrong_cost} cost something else",
    )
    what = f"{items:,} items, `kill -9` after {peace_s[0]:g} to {peace_s[1]:g} s, {outcome.kills} times"
    return [f"| {what} | {', '.join(told)} | 0 wrong: {wrong} |"]


def limited(per_minute: int, seconds: int) -> list[str]:
    """A limit told by headers."""
    items = per_minute * seconds // 60
    with tempfile.TemporaryDirectory(dir=_place()) as name:
        folder, bill = Path(name), Path(name) / "bill.jsonl"
        write_items(folder / "items.jsonl", items)
        with batch_upstream(bill, 20, per_minute) as port:
            (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
            Measured(folder, "--concurrency", "50")
        lines = [json.loads(line) for line in bill.read_text().splitlines()]
    at = [line["at"] for line in lines if line["status"] == 200]
    # The bucket was full at the start: what was in it is not what the minute allows.
    used = (len(at) - per_minute / 60) / ((at[-1] - at[0]) * per_minute / 60)
    refused = sum(line["status"] == 429 for line in lines) / len(lines)
    return [
        f"| {per_minute:,} requests a minute by headers, for {at[-1] - at[0]:.0f} s | {used:.1%} used, {refused:.2%} "
        f"of calls answered 429 | ≥ 97 %, < 1 % |"
    ]


def _place() -> str | None:
    """In memory where that can be, so that the disk of this machine is not what is measured."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - it is meant


def _put(page: Path, lines: list[str]) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, help="the page to write to")
    parser.add_argument("--only", default="speed,memory,kills,limit,ray")
    parser.add_argument("--items", type=int, default=100_000, help="of speed")
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--memory-items", type=int, default=1_000_000)
    parser.add_argument("--kill-items", type=int, default=20_000)
    parser.add_argument("--per-minute", type=int, default=6_000)
    parser.add_argument("--limit-seconds", type=int, default=60)
    parser.add_argument("--ray-items", type=int, default=2_400)
    options = parser.parse_args()
    parts: dict[str, Callable[[], list[str]]] = {
        "speed": lambda: speed(options.items, 5) + speed(options.items, options.concurrency),
        "memory": lambda: memory(options.memory_items, options.concurrency),
        "kills": lambda: killed(options.kill_items, (1.0, 4.0)),
        "limit": lambda: limited(options.per_minute, options.limit_seconds),
        "ray": lambda: scaled(options.ray_items, _place()) + pipelined(options.ray_items // 8, _place()),
    }
    lines: list[str] = []
    for part in options.only.split(","):
        print(part, flush=True)
        found = parts[part]()
        print(*found, sep="\n", flush=True)
        lines += found
    if options.into:
        _put(options.into, ["| what | measured | bar |", "|---|---|---|", *lines])


if __name__ == "__main__":
    main()
