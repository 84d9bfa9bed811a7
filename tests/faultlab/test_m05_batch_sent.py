"""M05: killed while a file is being sent to a provider's batch API, a batch is sent once, and billed once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routewright
from databases import open_database
from routewright.ledger.ledger import Settled
from routewright.ledger.store import Store

_PACKAGES = Path(routewright.__file__).parents[1]
COUNT = 6
SETTINGS = """
[policy]
classifier = "heuristic"
[providers.openai]
base_url = "http://127.0.0.1:{port}/v1"
[budgets.all]
scope = "total"
limit_usd = 1
period = "day"
"""
RUN = """
from routewright.cli import main
from routewright.jobs import provider
provider.FIRST_PAUSE_S, provider.SOON_S, provider.UNSURE_S = 0.2, 0.2, 1
main()
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    command = [sys.executable, str(Path(__file__).parent / "batch_provider.py"), str(tmp_path)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_PACKAGES)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = ["batch", "run", "in.jsonl", "-o", "out.jsonl", "--via", "provider"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(_PACKAGES), "OPENAI_API_KEY": "sk-x"}
    with (folder / "err").open("ab") as told:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *words], env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=told
        )


def bill(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "bill").read_text().splitlines()]


def settled(folder: Path) -> dict[str, Settled]:
    """By attempt; none of them twice."""
    store = Store(open_database(folder / ".local/share/routewright/ledger.db"))
    rows = store.database.read("SELECT DISTINCT request_id FROM events")
    records = [store.request(row["request_id"]) for row in rows]
    closes = [attempt.close for record in records if record for attempt in record.attempts]
    assert store.open_holds() == []
    assert store.database.read("SELECT boot FROM grants WHERE boot LIKE 'batch%'") == []
    store.close()
    return {close.attempt_id: close for close in closes if isinstance(close, Settled)}


@pytest.mark.parametrize("moment", ["before POST /v1/files", "before POST /v1/batches", "after POST /v1/batches"])
def test_m05_a_batch_that_is_killed_while_it_is_sent_is_sent_once(tmp_path: Path, port: int, moment: str) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
    prompts = [{"custom_id": f"n{n}", "prompt": f"Say {n}", "model": "gpt-5.5", "max_tokens": 9} for n in range(COUNT)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(each) + "\n" for each in prompts))
    (tmp_path / "hold").write_text(moment)
    process = start(tmp_path)
    while not (tmp_path / "held").exists():
        assert process.poll() is None, (tmp_path / "err").read_text()
        time.sleep(0.01)
    process.kill()
    process.wait()
    made = [line for line in bill(tmp_path) if "custom_ids" in line] if (tmp_path / "bill").exists() else []
    assert len(made) == moment.startswith("after"), "it died where it was to die"
    assert not (tmp_path / "out.jsonl").exists() or not (tmp_path / "out.jsonl").read_text()
    (tmp_path / "hold").unlink()
    process = start(tmp_path)
    assert process.wait(30) == 0, (tmp_path / "err").read_text()
    assert '"level":"error"' not in (tmp_path / "err").read_text()
    answers = [json.loads(line)["custom_id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(answers) == [f"n{n}" for n in range(COUNT)]
    lines = bill(tmp_path)
    assert not [line for line in lines if "chat/completions" in line["asked"]], "nothing was asked live"
    [batch] = [line["custom_ids"] for line in lines if "custom_ids" in line]
    paid = settled(tmp_path)
    assert sorted(paid) == sorted(batch), "what the provider has on its bill is in the ledger, and nothing else"
    assert {(close.service_tier, close.is_estimated) for close in paid.values()} == {("batch", False)}
