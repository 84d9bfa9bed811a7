"""The proofs of survival that need nothing but routewright: providers that fail, on a simulated clock."""

import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from routewright.proofs.brownout import HEDGE_AFTER_MS, Brownout
from routewright.proofs.brownout import measure as measure_brownouts
from routewright.proofs.figure import Figure
from routewright.proofs.flood import OTHERS, TIMES, WORKERS, Flood
from routewright.proofs.flood import measure as measure_floods
from routewright.proofs.overload import CONDITIONS
from routewright.proofs.overload import measure as measure_overloads
from routewright.proofs.part import NotHere, Part, Run, Size, Told
from routewright.proofs.recovery import OUTAGE_S, outages
from routewright.proofs.recovery import measure as measure_recoveries

SIMULATED = "simulated clock"


def f6(run: Run, told: Told) -> list[Figure]:
    """Outages."""
    began, done = time.monotonic(), count(1)
    # One in three of them has every shape once, and every failure.
    tried = list(outages(run.seed, run.pick(1, 2, 10)))[:: run.pick(3, 1, 1)]
    with tempfile.TemporaryDirectory() as folder:
        found = measure_recoveries(Path(folder), tried, lambda: told(next(done) / len(tried)))
    primaries = [each for each in found if not each.outage.is_of_all]
    run_told = run.told(began, f"{SIMULATED}, {len(found)} outages, 1 to 5 deployments, 2 to 25 requests a second")
    latest, least = max(each.first_success_s for each in found), min(each.served for each in found)
    probes, back = max(each.probes for each in primaries), [each.back_s for each in primaries]
    return [
        Figure(
            name="F6",
            what="after 60 s without all deployments, or without the primary: when the first request is answered, the "
            "share of requests answered from 5 s on; in the worst of the outages",
            bar="≤ 2 s; ≥ 99 %",
            measured=f"{latest:.2f} s; {least:.2%}",
            has_passed=latest <= 2 and least >= 0.99,
            run=run_told,
        ),
        Figure(
            name="F6 probes",
            what="what a dead primary is asked in 60 s while another place serves; its rests are 1 s × 2ⁿ",
            bar=f"≤ 1 in 5 s: {OUTAGE_S / 5:.0f}",
            measured=f"at most {probes}; it is asked again {sum(back) / len(back):.0f} s after its return, "
            f"at most {max(back):.0f} s",
            has_passed=probes <= OUTAGE_S / 5,
            run=run_told,
        ),
    ]


def f7(run: Run, told: Told) -> list[Figure]:
    """Brown-outs."""
    if run.size is Size.QUICK:
        raise NotHere("ten minutes of traffic in each of sixteen ways take some minutes: without --quick it is tried")
    began, times, done = time.monotonic(), run.pick(1, 1, 3), count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_brownouts(Path(folder), run.seed, times, told=lambda: told(next(done) / (16 * times)))
    told_run = run.told(
        began,
        f"{SIMULATED}, ten minutes, 10 and 30 requests a second, with hedging after {HEDGE_AFTER_MS} ms and without",
    )
    by_kind = {kind: [each for each in found if each.kind == kind] for kind in ("slow", "errors", "stalls", "hangs")}
    names = {"slow": "ten times slower", "errors": "30 % errors", "stalls": "silent for 10 s in every stream"}
    figures = [_brownout(f"F7 {kind}", names[kind], by_kind[kind], told_run) for kind in names]
    return [*figures, _hangs(by_kind["hangs"], told_run)]


def _brownout(name: str, what: str, found: Sequence[Brownout], run_told: str) -> Figure:
    first, total = max(each.first_ratio for each in found), max(each.total_ratio for each in found)
    success, hedges = min(each.success for each in found), max(each.hedges for each in found)
    return Figure(
        name=name,
        what=f"one of three deployments {what}: p99 of the first word and of the whole over healthy; success; hedges",
        bar="≤ 1.3; ≥ 99.95 %; ≤ 5 %",
        measured=f"{first:.2f} and {total:.2f}; {success:.3%}; {hedges:.1%}",
        has_passed=max(first, total) <= 1.3 and success >= 0.9995 and hedges <= 0.05,
        run=run_told,
    )


def _hangs(found: Sequence[Brownout], run_told: str) -> Figure:
    success = min(each.success for each in found)
    return Figure(
        name="F7 hangs",
        what="one of three deployments silent for ever within every stream: success; what has begun cannot begin again",
        bar="told only",
        measured=f"{success:.2%}",
        has_passed=True,
        run=run_told,
    )


def f8(run: Run, told: Told) -> list[Figure]:
    """Overloads."""
    began, done = time.monotonic(), count(1)
    times, places, patience_s = run.pick((1, (1,), (10.0,)), (1, (1, 3), (10.0, 30.0)), (5, (1, 3), (10.0, 30.0)))
    total = times * len(CONDITIONS) * len(places) * len(patience_s)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_overloads(
            Path(folder), run.seed, times, places=places, patience_s=patience_s, told=lambda: told(next(done) / total)
        )
    run_told = run.told(
        began,
        f"{SIMULATED}, {len(found)} triggers: errors, no connection, 429, half of them 429, silence, ten times slower, "
        f"three times the clients; {_either(places)} deployments, patience of {_either(patience_s)} s",
    )
    most = max(each.attempts_per_request for each in found if each.is_total)
    least = min(found, key=lambda each: each.goodput)
    return [
        Figure(
            name="F8 attempts",
            what="attempts for each request where all of them fail",
            bar="≤ 1.10",
            measured=f"{most:.3f}",
            has_passed=most <= 1.1,
            run=run_told,
        ),
        Figure(
            name="F8 goodput",
            what="requests answered from 10 s to 40 s after a trigger of 60 s, at 80 % load, unaided; the worst",
            bar="≥ 99 %",
            measured=f"{least.goodput:.2%} ({least.trigger})",
            has_passed=least.goodput >= 0.99,
            run=run_told,
        ),
    ]


def e14(run: Run, told: Told) -> list[Figure]:
    """Floods."""
    began, times, done = time.monotonic(), run.pick(1, 3, 20), count(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_floods(Path(folder), run.seed, times, told=lambda: told(next(done) / (2 * times)))
    run_told = run.told(began, f"{SIMULATED}, five minutes, {times} times, {len(OTHERS)} others, {WORKERS} workers")
    return [
        _flood("E14 known", "the settings say how much at once", [each for each in found if each.is_told], run_told),
        _flood("E14 learned", "its refusals show how much", [each for each in found if not each.is_told], run_told),
    ]


def _flood(name: str, what: str, found: Sequence[Flood], run_told: str) -> Figure:
    ratio, first_s = max(each.total_ratio for each in found), max(each.first_added_s for each in found)
    return Figure(
        name=name,
        what=f"while one tenant asks for {TIMES} times as much as all others, of a place where {what}: their p99 over "
        "that without it; what their first word waits longer, p99; their success",
        bar="≤ 1.2; told only; ≥ 99.9 %",
        measured=f"{ratio:.2f}; {first_s:.2f} s; {min(each.success for each in found):.2%}",
        has_passed=ratio <= 1.2 and min(each.success for each in found) >= 0.999,
        run=run_told,
    )


def _either(numbers: Sequence[float]) -> str:
    return " and ".join(f"{number:g}" for number in numbers)


PARTS: dict[str, Part] = {"f6": f6, "f7": f7, "f8": f8, "e14": e14}
