"""What batches on a Ray cluster are measured by: more actors are faster, and a node that dies costs nothing twice."""

import json
import sqlite3
import tempfile
import time
from pathlib import Path

from batch_kills import SETTINGS, batch_upstream, start, write_items
from msgspec import Struct
from ray_cluster import RayNodes, environ_of, ray_nodes, start_pipeline

CONCURRENCY, DELAY_MS = 8, 250
"""Of each actor, and of the provider: asking is then a matter of waiting, and not of the CPU."""


class Run(Struct):
    """One whole run."""

    asking_s: float
    """From the first question to the last: without the start of the actors."""
    wall_s: float
    answers: dict[str, str]
    cost_nanousd: int


def scaled(items: int, place: str | None) -> list[str]:
    """Two actors, then four, on the same cluster."""
    with tempfile.TemporaryDirectory(dir=place) as name, ray_nodes(Path(name), 2) as cluster:
        two, four = (_run(Path(name), cluster, items, actors) for actors in (2, 4))
    is_same = two.answers == four.answers and len(two.answers) == items and two.cost_nanousd == four.cost_nanousd
    return [
        f"| Ray, {items:,} items, a provider of {DELAY_MS} ms, actors with {CONCURRENCY} at a time | "
        f"2 actors: {items / two.asking_s:.0f} items/s ({two.wall_s:.0f} s with start and end); "
        f"4: {items / four.asking_s:.0f} ({four.wall_s:.0f} s): {two.asking_s / four.asking_s:.2f} times; "
        f"results and total cost are {'the same' if is_same else 'NOT THE SAME'} | ≥ 1.8 times, the same |"
    ]


def _run(home: Path, cluster: RayNodes, items: int, actors: int) -> Run:
    folder = home / str(actors)
    folder.mkdir()
    write_items(folder / "items.jsonl", items)
    with batch_upstream(folder / "bill.jsonl", DELAY_MS) as port:
        ledger = folder / "ledger"
        settings = f'[ledger]\npath = "{ledger}"\n{SETTINGS.format(port=port)}'
        (folder / "routewright.toml").write_text(settings)
        ray = ("--engine", "ray", "--actors", str(actors), "--ray-address", cluster.address)
        began = time.monotonic()
        with start(folder, *ray, "--concurrency", str(CONCURRENCY), environ=environ_of(home)) as process:
            process.wait()
        wall_s = time.monotonic() - began
    if process.returncode:
        raise SystemExit((folder / "err").read_text())
    at = [json.loads(line)["at"] for line in (folder / "bill.jsonl").read_text().splitlines()]
    connection = sqlite3.connect(ledger / "ledger.db")
    (cost,) = connection.execute("SELECT sum(cost_nanousd) FROM requests").fetchone()
    connection.close()
    lines = map(json.loads, (folder / "out.jsonl").read_text().splitlines())
    answers = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines}
    return Run(asking_s=max(at) - min(at) + DELAY_MS / 1000, wall_s=wall_s, answers=answers, cost_nanousd=cost)


def pipelined(rows: int, place: str | None) -> list[str]:
    """A pipeline of Ray Data loses a node, then is run again."""
    with tempfile.TemporaryDirectory(dir=place) as name, ray_nodes(Path(name), 2) as cluster:
        folder, bill = Path(name), Path(name) / "bill.jsonl"
        with batch_upstream(bill, DELAY_MS) as port:
            (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
            first = _pipeline(folder, cluster, rows, kill_at=rows // 3)
            asked = len(bill.read_bytes().splitlines())
            again = _pipeline(folder, cluster, rows)
            more = len(bill.read_bytes().splitlines()) - asked
    missing = rows - len({row["custom_id"] for row in first if row["answer"] == row["custom_id"]})
    return [
        f"| a pipeline of Ray Data, {rows:,} rows, one of two nodes killed after {rows // 3:,} | {missing} missing, "
        f"{asked - rows} asked again that were under way there; run again: {more} asked, "
        f"results are {'the same' if _by_id(first) == _by_id(again) else 'NOT THE SAME'} | 0 missing, 0 asked |"
    ]


def _by_id(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["custom_id"]: row for row in rows}


def _pipeline(folder: Path, cluster: RayNodes, rows: int, *, kill_at: int | None = None) -> list[dict[str, str]]:
    bill = folder / "bill.jsonl"
    with start_pipeline(folder, cluster, rows) as process:
        while kill_at is not None and process.poll() is None:
            if bill.exists() and len(bill.read_bytes().splitlines()) >= kill_at:
                cluster.kill(0)
                break
            time.sleep(0.02)
        process.wait()
    if process.returncode:
        raise SystemExit((folder / "err").read_text())
    found: list[dict[str, str]] = json.loads((folder / "rows.json").read_bytes())
    return found
