"""Proofs of the quality loop: what drift promises, and how well routing decides on recorded outcomes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from routewright.proofs.drift import Watched, delays, false_alarms
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Part, Run, Size, Told


def alarms(run: Run, told: Told) -> list[Figure]:
    """False alarms of drift, on streams that are stable."""
    if run.size is Size.QUICK:
        raise NotHere("what is rare takes a thousand streams to be counted: without --quick it is tried")
    return _drift("alarms", false_alarms(), 5, run, told)


def drops(run: Run, told: Told) -> list[Figure]:
    """How soon drift is found."""
    return _drift("drops", delays(run.pick(50, 1_000, 1_000)), 4, run, told)


def _drift(name: str, found: Iterator[Watched], cases: int, run: Run, told: Told) -> list[Figure]:
    figures, began = [], time.monotonic()
    for number, watched in enumerate(found, 1):
        figures.append(
            Figure(
                name=f"{name} {number}",
                what=watched.what,
                bar=watched.bar,
                measured=watched.measured,
                has_passed=watched.is_met,
                run=run.told(began),
            )
        )
        told(number / cases)
    return figures


def outcomes(run: Run, told: Told) -> list[Figure]:
    """Recorded outcomes of real models: learned from the train rows, measured on the others, by `routewright eval`."""
    if run.data is None:
        raise NotHere("recorded outcomes are needed: --data DIR, a folder of tables as `routewright eval` reads them")
    began = time.monotonic()
    command = [sys.executable, "-m", "routewright", "eval", str(run.data), "--json", "--seed", str(run.seed)]
    done = subprocess.run([*command, "--paraphrases", "1"], capture_output=True, check=False)
    if done.returncode:
        raise NotHere(f"`routewright eval` could not read them: {done.stderr.decode(errors='replace').strip()}")
    results = msgspec.json.decode(done.stdout)["results"]
    return [figure for result in results for figure in _of_table(result, run.told(began))]


def _of_table(result: dict[str, Any], run_told: str) -> list[Figure]:
    """Whether probabilities are right there, and choices do not hang on wording."""
    table = result["table"]
    due = {
        f"{table}, ECE of P(good)": ((result["calibration"] or {}).get("ece"), "≤ 0.03"),
        f"{table}, same choice on a paraphrase, pair": (result["pair_stability"], "≥ 0.9"),
        f"{table}, same choice on a paraphrase, all models": (result["choice_stability"], "≥ 0.9"),
    }
    return [
        Figure(
            name=what.partition(",")[0],
            what=what,
            bar=bar,
            measured=f"{found['value']:.3f} ({found['low']:.3f}–{found['high']:.3f}), {result['dev']:,} prompts",
            has_passed=found["value"] <= 0.03 if bar.startswith("≤") else found["value"] >= 0.9,
            run=run_told,
        )
        for what, (found, bar) in due.items()
        if found is not None
    ]


PARTS: dict[str, Part] = {"alarms": alarms, "drops": drops, "outcomes": outcomes}
