"""`prove`: the parts that are asked for, run one after the other, and what came of them as one report."""

import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct

from routewright.errors import RoutewrightError
from routewright.proofs import decision, faults, money, peers, quality, speed
from routewright.proofs.figure import HEAD, Figure, machine, today
from routewright.proofs.part import NotHere, Part, Run, Told
from routewright.proofs.side_by_side import side_by_side
from routewright.version import running_version

GROUPS: Mapping[str, Mapping[str, Part]] = {
    "money": money.PARTS,
    "faults": faults.PARTS,
    "decision": decision.PARTS,
    "quality": quality.PARTS,
    "speed": speed.PARTS,
    "peers": peers.PARTS,
}
ELSEWHERE = (
    (
        "overshoot over PostgreSQL, every row of the catalogue of faults, memory over a million requests, streams cut "
        "at random bytes, secrets hunted, damaged input, SIGTERM amid streams, Redis and PostgreSQL taken away",
        "needs a checkout with its tests: python3 dev.py prove; the last figures are those of its docs/reliability.md",
    ),
    (
        "agreement, backtest intervals, `tune`'s promises, what shadows cost",
        "a checkout and recorded outcomes: python benchmarks/quality.py DATA; the last are those of docs/quality.md",
    ),
)
"""What the package does not try, and where it is tried."""
OTHERS = (
    "other gateways in the same trials",
    "they have to be installed: routewright prove --only peers --peers-in DIR; the last figures are those of "
    "docs/peers.md, and of speed those of docs/benchmarks.md",
)
THEIR_SPEED = (
    "what they take",
    "ten minutes on a quiet machine: routewright prove --only peers-speed --peers-in DIR; the last figures are those "
    "of docs/benchmarks.md",
)
_PAGE = re.compile(r"\bdocs/(\w+\.md)")
"""Beside the report's own."""


class Skipped(Struct, frozen=True, kw_only=True):
    """What was not tried, and why."""

    what: str
    why: str


class Group(Struct, frozen=True, kw_only=True):
    """One subject's figures."""

    name: str
    figures: tuple[Figure, ...]


class Report(Struct, frozen=True, kw_only=True):
    """All of one run."""

    command: str
    day: str
    version: str
    machine: str
    load: float
    """Of the machine in the last quarter of an hour, this run's own included: what runs beside makes figures worse."""
    seed: int
    size: str
    elapsed_s: float
    groups: tuple[Group, ...]
    skipped: tuple[Skipped, ...]
    elsewhere: tuple[Skipped, ...]

    @property
    def missed(self) -> list[Figure]:
        """Promises that were broken."""
        return [figure for group in self.groups for figure in group.figures if not figure.has_passed]


Watched = Callable[[str], AbstractContextManager[Told]]
"""Shows somebody how far the part of that name is."""


def prove(run: Run, names: Sequence[str], watched: Watched, *, arguments: Sequence[str] = ()) -> Report:
    """Try the parts of these names, in the order of `GROUPS`; `arguments` is how the command was asked."""
    began, groups, skipped = time.monotonic(), [], []
    for group, parts in GROUPS.items():
        figures: list[Figure] = []
        for name, part in parts.items():
            if name in names or group in names:
                with watched(name) as told:
                    try:
                        figures += _tried(name, part, run, told)
                    except NotHere as why:
                        skipped.append(Skipped(what=f"{group}: {name}", why=str(why)))
        if figures:
            groups.append(Group(name=group, figures=tuple(figures)))
    return Report(
        command=shlex.join(["routewright", "prove", *arguments]),
        day=today(),
        version=running_version(),
        machine=machine(),
        load=round(os.getloadavg()[2], 1),
        seed=run.seed,
        size=run.size,
        elapsed_s=time.monotonic() - began,
        groups=tuple(groups),
        skipped=tuple(skipped),
        elsewhere=tuple(Skipped(what=what, why=why) for what, why in _elsewhere(names)),
    )


def _elsewhere(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    theirs = [name for name in names if name.startswith("peers")]
    if len(theirs) < len(names):
        yield from ELSEWHERE
    if not theirs:
        yield OTHERS
    elif not {"peers", "peers-speed"} & set(theirs):
        yield THEIR_SPEED


def _tried(name: str, part: Part, run: Run, told: Told) -> list[Figure]:
    """Its figures; a trial that ends before its figures is a promise that was not kept."""
    began = time.monotonic()
    try:
        return part(run, told)
    except (AssertionError, OSError, RoutewrightError) as error:
        return [
            Figure(
                name=name,
                what="the trial itself",
                bar="runs to its end",
                measured=f"{type(error).__name__}: {error}".replace("\n", " "),
                has_passed=False,
                run=run.told(began),
            )
        ]


def markdown(report: Report) -> str:
    """As a page."""
    return "\n".join([*_lines(report), ""])


def _lines(report: Report) -> Iterator[str]:
    barred = [figure for group in report.groups for figure in group.figures if figure.bar]
    yield "# Proofs" if barred else "# Beside other gateways: the trials"
    yield ""
    yield f"Written by `{report.command}` on {report.day}, in {report.elapsed_s:.0f} s; anyone can run it."
    yield ""
    yield f"* routewright {report.version}, seed {report.seed}, size `{report.size}`"
    yield f"* {report.machine}, a load of {report.load:g} in the last quarter of an hour, this run's own included"
    if barred:
        yield f"* {len(barred) - len(report.missed)} of {len(barred)} figures are within their bars"
    for group in report.groups:
        yield ""
        yield f"## {group.name.capitalize()}"
        yield ""
        if group.name == "peers":
            yield from side_by_side(group.figures)
        else:
            yield HEAD
            yield from (figure.row() for figure in group.figures)
    if left := (*report.skipped, *report.elsewhere):
        yield from ("", "## Not tried in this run", "")
        yield from (f"* {each.what}: {_linked(each.why)}" for each in left)


def _linked(text: str) -> str:
    return _PAGE.sub(r"[\1](\1)", text)
