"""M05 on a Ray cluster: a node is killed, then the driver, and each item is answered and paid for once.

`benchmarks/batch.py --only ray` does the same to a pipeline of Ray Data.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_kills import SETTINGS, Outcome, batch_upstream, compare_batch, lines_in, start, write_items
from ray_cluster import RayNodes, environ_of, ray_nodes, start_pipeline

pytest.importorskip("ray")

ITEMS, ROWS = 240, 20
PATIENCE_S = 120
CONCURRENCY = 4


def _driver(folder: Path, cluster: RayNodes, actors: int) -> "subprocess.Popen[bytes]":
    ray = ("--engine", "ray", "--actors", str(actors), "--ray-address", cluster.address)
    return start(folder, *ray, "--concurrency", str(CONCURRENCY), environ=environ_of(folder))


def _until(happens: Callable[[], bool], process: "subprocess.Popen[bytes]", told: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not happens():
        assert process.poll() is None, told.read_text()
        assert time.monotonic() < until, told.read_text()
        time.sleep(0.02)


def test_m05_each_item_is_answered_and_paid_for_once_though_a_node_and_then_the_driver_are_killed(
    tmp_path: Path,
) -> None:
    told = tmp_path / "err"
    write_items(tmp_path / "items.jsonl", ITEMS)
    with batch_upstream(tmp_path / "bill.jsonl", 100) as port, ray_nodes(tmp_path, 2) as cluster:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        driver = _driver(tmp_path, cluster, 2)
        _until(lambda: lines_in(tmp_path) >= 20, driver, told)
        cluster.kill(0)
        _until(lambda: "an actor is lost" in told.read_text(), driver, told)
        lines = lines_in(tmp_path)
        _until(lambda: lines_in(tmp_path) > lines, driver, told)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        killed_at = lines_in(tmp_path)
        driver, pipeline = _driver(tmp_path, cluster, 1), start_pipeline(tmp_path, cluster, ROWS)
        assert driver.wait(PATIENCE_S) == 0, told.read_text()
        assert pipeline.wait(PATIENCE_S) == 0, told.read_text()
    rows = json.loads((tmp_path / "rows.json").read_bytes())
    assert {row["custom_id"]: row["answer"] for row in rows} == {f"row{n}": f"row{n}" for n in range(ROWS)}
    outcome = Outcome()
    compare_batch(tmp_path, ITEMS, outcome)
    assert killed_at < ITEMS, "the driver was killed in the middle"
    assert outcome.ledger.crashed, "something was under way when they died"
    assert (outcome.lines, outcome.missing, outcome.repeated_lines, outcome.bad_lines) == (ITEMS, 0, 0, 0)
    assert outcome.answered_twice == 0
    assert outcome.asked_again <= 3 * CONCURRENCY, "only what was under way was asked again"
    assert outcome.ledger.wrong == 0, outcome.ledger
