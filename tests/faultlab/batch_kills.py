"""M05: a batch is killed again and again until it is done; output, bill and ledger are compared item by item."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from msgspec import Struct, field

import routewright
from routewright.proofs.kills import Tally, compare

_PACKAGES = Path(routewright.__file__).parents[1]
SETTINGS = """
[policy]
classifier = "heuristic"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""


class Outcome(Struct):
    """What was done, and what was found."""

    kills: int = 0
    lines: int = 0
    progress: list[int] = []
    """Lines of the output after each kill."""
    missing: int = 0
    repeated_lines: int = 0
    bad_lines: int = 0
    answered_twice: int = 0
    """Items with more than one attempt that the ledger has as answered: paid for, and paid for again."""
    asked_again: int = 0
    """Items whose question was under way when the process died, so nobody had its answer."""
    answered_unsettled: int = 0
    """Attempts whose answer was kept when the process died before it settled them; not asked again."""
    ledger: Tally = field(default_factory=Tally)


@contextlib.contextmanager
def batch_upstream(bill: Path, delay_ms: float = 0, per_minute: int = 0) -> Iterator[int]:
    """The provider for the length of a block; yields its port."""
    script = Path(__file__).parent / "batch_upstream.py"
    command = [sys.executable, str(script), str(bill), str(delay_ms), str(per_minute)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def write_items(path: Path, count: int) -> None:
    """So many requests in OpenAI's form."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            body = {"model": "ok", "messages": [{"role": "user", "content": f"n{number} of many"}], "max_tokens": 64}
            line = {"custom_id": f"n{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")


def start(folder: Path, *more: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """`routewright batch run items.jsonl`; `environ` is beside the usual."""
    command = [sys.executable, "-m", "routewright", "batch", "run", "items.jsonl", "-o", "out.jsonl", *more]
    usual = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(_PACKAGES)}
    with (folder / "err").open("ab") as told:
        return subprocess.Popen(
            command, env={**usual, **(environ or {})}, cwd=folder, stdout=subprocess.DEVNULL, stderr=told
        )


def kill_until_done(
    folder: Path,
    seed: int,
    *,
    items: int,
    peace_s: tuple[float, float],
    kills_at_least: int = 0,
    concurrency: int = 16,
    delay_ms: float = 5,
    told: Callable[[int], None] = lambda lines: None,
    more: Sequence[str] = (),
) -> Outcome:
    """The whole of it, in an empty folder; the pause before each kill is drawn from `peace_s`."""
    chance, outcome, bill = Random(seed), Outcome(), folder / "bill.jsonl"
    write_items(folder / "items.jsonl", items)
    with batch_upstream(bill, delay_ms) as port:
        (folder / "routewright.toml").write_text(SETTINGS.format(port=port))
        while True:
            process = start(folder, "--concurrency", str(concurrency), *more)
            lines = lines_in(folder)
            while process.poll() is None and lines_in(folder) == lines:  # it has begun to answer
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(*peace_s))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            outcome.kills += 1
            outcome.progress.append(lines_in(folder))
            told(outcome.progress[-1])
    assert process.returncode == 0, (folder / "err").read_text()
    assert outcome.kills >= kills_at_least, "it was done too soon"
    compare_batch(folder, items, outcome)
    return outcome


def lines_in(folder: Path) -> int:
    """How many answers are in the output."""
    path = folder / "out.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def compare_batch(folder: Path, items: int, outcome: Outcome) -> None:
    """Output, bill and ledger, item by item: fills in what was found."""
    found = Counter[str]()
    written: dict[str, str] = {}
    with (folder / "out.jsonl").open(encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            custom_id = line["custom_id"]
            content = line["response"]["body"]["choices"][0]["message"]["content"]
            found[custom_id] += 1
            written[line["response"]["request_id"]] = custom_id
            outcome.bad_lines += content != custom_id or line["error"] is not None
    outcome.lines = sum(found.values())
    outcome.missing = sum(f"n{number}" not in found for number in range(items))
    outcome.repeated_lines = sum(count - 1 for count in found.values())
    ledger = folder / ".local/share/routewright/ledger.db"
    compare(folder / "bill.jsonl", ledger, [], outcome.ledger)
    with (folder / "bill.jsonl").open(encoding="utf-8") as file:
        bill = {line["attempt_id"]: line["item"] for line in map(json.loads, file)}
    connection = sqlite3.connect(ledger)
    closed = connection.execute("SELECT attempt_id, request_id, outcome FROM events WHERE kind = 'settled'").fetchall()
    connection.close()
    answers = Counter(bill[attempt] for attempt, _, how in closed if how == "complete")
    outcome.answered_twice = sum(count > 1 for count in answers.values())
    asked = Counter(bill.values())
    outcome.asked_again = sum(count > 1 for count in asked.values())
    unsettled = [bill.get(attempt) for attempt, request, how in closed if how == "crashed" and request in written]
    outcome.answered_unsettled = len(unsettled)
    outcome.answered_twice += sum(asked[item] > 1 and answers[item] > 0 for item in unsettled if item is not None)
