"""Proofs of the decision that need no recorded outcomes: what it costs, what it weighs, whom it agrees with."""

import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import msgspec

from routewright.bench.processes import environment
from routewright.bench.questions import chat_body, prompts
from routewright.call import Options
from routewright.clock import SystemClock
from routewright.dialects.openai_chat import OpenAIChat
from routewright.engine import Engine
from routewright.ledger.accounts import JournaledLedger
from routewright.proofs.figure import Figure
from routewright.proofs.part import Part, Run, Told
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import MemoryLog

UNCOUNTED = 200
SIZES = ((1_000, "1 KB", 150), (32_000, "32 KB", 300), (500_000, "500 KB", 600))
LARGEST_P99_US = 1_000
ARTEFACT_BYTES, MEMORY_KB, LOAD_S = 400_000, 20 * 1024, 0.05
AGREED = 0.85

COST = """
import time
from pathlib import Path
begun = time.perf_counter()
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4
before = resident()
from routewright.decision.learned import LearnedClassifier
from routewright.classifiers import load_artefact
artefact = load_artefact(None)
print(time.perf_counter() - begun, resident() - before)
"""


def times(run: Run, told: Told) -> list[Figure]:
    """How long a whole decision takes, for prompts of three lengths."""
    began, figures, decisions = time.monotonic(), [], run.pick(500, 2_000, 20_000)
    deciding = _engine()
    for number, (chars, name, bar) in enumerate(SIZES, 1):
        spent = _spent_us(deciding, chars, UNCOUNTED + decisions)
        percentiles = quantiles(spent[UNCOUNTED:], n=100)
        middle, p99 = percentiles[49], percentiles[98]
        figures.append(
            Figure(
                name=f"decision {name}",
                what=f"decision, {name}",
                bar=f"median < {bar} µs, p99 < 1 ms",
                measured=f"{middle:.0f} µs, p99 {p99:.0f} µs",
                has_passed=middle < bar and p99 < LARGEST_P99_US,
                run=run.told(began, f"{decisions:,} decisions"),
            )
        )
        told(number / len(SIZES))
    return figures


def _engine() -> Engine:
    """The default decision, away from anybody's settings, before simulated models."""
    settings, registry = SettingsSource(environ={"HOME": "/nowhere"}, cwd=Path("/"), simulate=True).load()
    log = JournaledLedger(MemoryLog(), boot="proof", clock=SystemClock())
    return Engine(settings, registry, ledger=log, transport=Simulator())


def _spent_us(engine: Engine, chars: int, decisions: int) -> list[float]:
    """What each took, of the wall's clock."""
    calls = [OpenAIChat().read(chat_body(text), request_id="0", options=Options()) for text in prompts(chars)]
    spent = []
    for number in range(decisions):
        begun = time.perf_counter_ns()
        engine.route(calls[number % len(calls)])
        spent.append((time.perf_counter_ns() - begun) / 1000)
    return spent


def weight(run: Run, told: Told) -> list[Figure]:
    """Size of the artefact, and what it takes to have it in memory."""
    began, rounds = time.monotonic(), run.pick(3, 5, 15)
    size = len((files("routewright") / "data" / "kinds.artefact").read_bytes())
    runs = []
    for number in range(rounds):
        done = subprocess.run([sys.executable, "-c", COST], capture_output=True, check=True)
        runs.append([float(word) for word in done.stdout.split()])
        told((number + 1) / rounds)
    load_s, kilobytes = map(median, zip(*runs, strict=True))
    due = (
        ("artefact", "artefact that ships", "≤ 400 KB", f"{size / 1000:.0f} KB", size <= ARTEFACT_BYTES),
        ("memory", "its memory, loaded", "≤ 20 MB", f"{kilobytes / 1024:.1f} MB", kilobytes <= MEMORY_KB),
        ("load", "import and load", "≤ 50 ms", f"{load_s * 1000:.0f} ms", load_s <= LOAD_S),
    )
    told_run = run.told(began, f"median of {rounds}")
    return [
        Figure(name=name, what=what, bar=bar, measured=measured, has_passed=is_met, run=told_run)
        for name, what, bar, measured, is_met in due
    ]


def tiers(run: Run, told: Told) -> list[Figure]:
    """The demo's labelled prompts, which nothing was trained on: how often the tier is the expert's."""
    began = time.monotonic()
    command = [sys.executable, "-m", "routewright", "demo", "--json", "--speed", "1000"]
    with TemporaryDirectory(prefix="routewright-proof-") as folder:
        done = subprocess.run(command, capture_output=True, check=True, env=environment(Path(folder)), cwd=folder)
    classified: dict[str, dict[str, int]] = msgspec.json.decode(done.stdout)["classified"]
    right = sum(guesses[label] for label, guesses in classified.items())
    total = sum(sum(guesses.values()) for guesses in classified.values())
    return [
        Figure(
            name="tiers",
            what="labelled prompts of the demo, tier right",
            bar=f"≥ {AGREED:.0%}",
            measured=f"{right / total:.1%} of {total}",
            has_passed=right >= AGREED * total,
            run=run.told(began),
        )
    ]


PARTS: dict[str, Part] = {"times": times, "weight": weight, "tiers": tiers}
