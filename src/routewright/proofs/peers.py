"""Other gateways, and ours in the same run, put through trials of money, faults and speed, each with its defaults.

Only when asked, as they have to be installed. Told without bars: what is promised is ours alone.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from routewright.bench.measure import machine
from routewright.bench.peers import KINDS, PEERS, measure
from routewright.bench.processes import BenchFailed, require_linux
from routewright.bench.programs import Running
from routewright.bench.report import Report
from routewright.proofs.contestants import CONTESTANTS, Contestant, Places, places
from routewright.proofs.cost_shapes import provider as shapes_provider
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Part, Run, Told
from routewright.proofs.peer_accounts import ACCOUNTS, LITELLM_NOTE, NONE, Accounts, Providers
from routewright.proofs.peer_faults import Faults, Found, ready
from routewright.proofs.peer_money import Money
from routewright.proofs.served import mock_upstream
from routewright.proofs.side_by_side import NOTE, SETTINGS

STEPS = len(PEERS) + len(KINDS)


def _place(run: Run) -> Path:
    """Raises NotHere where none is given."""
    if run.place is None:
        raise NotHere("other gateways have to be installed: --peers")
    return run.place.absolute()


def faults(run: Run, told: Told) -> list[Figure]:
    """Providers that fail, and SIGTERM."""
    return tried_by_faults(CONTESTANTS, _place(run), run, told)


def tried_by_faults(contestants: Mapping[str, Contestant], place: Path, run: Run, told: Told) -> list[Figure]:
    """All at the same time, as most of it is waiting. Raises NotHere where only ours can be started."""
    began, notes = time.monotonic(), list[Figure]()
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        bill = Path(home) / "bill.jsonl"
        where = stack.enter_context(places(stack.enter_context(mock_upstream(bill))))
        started: dict[str, Running] = {}
        for name, one in contestants.items():
            folder = Path(home) / name
            folder.mkdir()
            with _left_out(name, notes):
                started[name] = stack.enter_context(one.run(where, place, folder, ready(one, where)))
            told(0.1 * len(started) / len(contestants))
        _require_another(started, notes)
        found = asyncio.run(_all_faults(contestants, started, where, bill))
    notes += [_figure(name, NOTE, one.note) for name, one in contestants.items() if one.note and name in started]
    return [*_figures(found, began, run), *notes, *_settings("faults", started)]


async def _all_faults(
    contestants: Mapping[str, Contestant], started: Mapping[str, Running], where: Places, bill: Path
) -> dict[str, list[Found]]:
    trials = (Faults(name, contestants[name], running, where, bill).run() for name, running in started.items())
    return dict(zip(started, await asyncio.gather(*trials), strict=True))


def money(run: Run, told: Told) -> list[Figure]:
    """Budgets and costs."""
    return tried_by_money(ACCOUNTS, _place(run), run, told)


def tried_by_money(accounts: Mapping[str, Accounts], place: Path, run: Run, told: Told) -> list[Figure]:
    """Those that know what answers cost. Raises NotHere where only ours can be started."""
    began, notes = time.monotonic(), list[Figure]()
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        bill = Path(home) / "bill.jsonl"
        mock_port = stack.enter_context(mock_upstream(bill))
        started: dict[str, Running] = {}
        trials: list[Money] = []
        asked = ready(CONTESTANTS["routewright"], Places("", ""))
        for name, one in accounts.items():
            folder = Path(home) / name
            folder.mkdir()
            shapes = folder / "shapes.jsonl"
            providers = Providers(mock_port, stack.enter_context(shapes_provider(shapes, run.seed)))
            with _left_out(name, notes):
                started[name] = stack.enter_context(one.run(providers, place, folder, asked))
                trials.append(Money(name, one, started[name], folder, bill, shapes))
            told(0.1 * len(started) / len(accounts))
        _require_another(started, notes)
        found = asyncio.run(_all_money(trials))
    found |= {name: [Found(each.what, "has none") for each in next(iter(found.values()))] for name in NONE}
    notes += [_figure(name, NOTE, why) for name, why in {"litellm": LITELLM_NOTE, **NONE}.items()]
    return [*_figures(found, began, run), *notes, *_settings("money", started)]


async def _all_money(trials: Sequence[Money]) -> dict[str, list[Found]]:
    found = await asyncio.gather(*(trial.run() for trial in trials))
    return {trial.name: each for trial, each in zip(trials, found, strict=True)}


def speed(run: Run, told: Told) -> list[Figure]:
    """What each takes beside nginx, a bare proxy and ours."""
    require_linux()
    began, notes, steps = time.monotonic(), list[str](), iter(range(1, STEPS + 1))
    figures = measure(list(PEERS), _place(run), notes, lambda _: told(next(steps) / STEPS))
    if all("left out" in note for note in notes):
        raise NotHere("; ".join(notes))
    rows = Report(machine=machine(), figures=tuple(figures), elapsed_s=0).rows()
    measured = [
        Figure(
            name=found.name,
            what=row.what.removeprefix(found.name).removeprefix(", ").strip(),
            bar="",
            measured=f"{row.value} {row.unit}",
            has_passed=True,
            run=run.told(began),
        )
        for found, row in zip(figures, rows, strict=True)
    ]
    return [*measured, *(_figure("speed", NOTE if "left out" in note else SETTINGS, note) for note in notes)]


@contextmanager
def _left_out(name: str, notes: list[Figure]) -> Iterator[None]:
    """What cannot be installed or started is noted, and not tried."""
    try:
        yield
    except BenchFailed as error:
        notes.append(_figure(name, NOTE, f"left out, as it {error.message}"))


def _require_another(started: Mapping[str, Running], notes: Sequence[Figure]) -> None:
    if started.keys() <= {"routewright"}:
        raise NotHere("; ".join(f"{note.name}: {note.measured}" for note in notes))


def _settings(trial: str, started: Mapping[str, Running]) -> list[Figure]:
    return [
        _figure(name, SETTINGS, f"{name} {running.version}, trials of {trial}\n{running.settings}")
        for name, running in started.items()
    ]


def _figures(found: Mapping[str, Sequence[Found]], began: float, run: Run) -> list[Figure]:
    told = run.told(began)
    return [_figure(name, each.what, each.measured, told) for name, all_of in found.items() for each in all_of]


def _figure(name: str, what: str, measured: str, run: str = "") -> Figure:
    """Without a run, a text."""
    return Figure(name=name, what=what, bar="", measured=measured, has_passed=True, run=run, is_text=not run)


PARTS: dict[str, Part] = {"peers-money": money, "peers-faults": faults, "peers-speed": speed}
