"""Are the tests of the money worth their name? Small faults are put into the code, one at a time; a test must notice.

    python benchmarks/mutation.py [--sample 200] [--only tape,pricing] [--seed N] [--into docs/reliability.md]

A fault is a comparison, an arithmetic or a Boolean operator exchanged for another, a whole number that is one more, a
truth value turned round, a `not` left out, a `return` without its value, or a statement left out. Left alone are texts,
what is logged, types, and the constants of modules and defaults of parameters: those are chosen, not derived. Each
fault is tried in a process of its own on a copy of the package, by the tests that mirror the file; one that runs for
much longer than usual counts as noticed. Exit code 1 when the score is below 90 %.
"""

import argparse
import ast
import compileall
import copy
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "routewright"
sys.path[:0] = [str(ROOT / "tests" / "faultlab")]

from reliability import Figure, today, write  # noqa: E402 the lab is beside the tests, not in the package

COMMAND = "benchmarks/mutation.py"
PAGE = ROOT / "docs" / "reliability.md"
BAR = 0.9
WORKERS = os.cpu_count() or 1
PRELOADING_IS_MEANT = "ignore::pytest.PytestAssertRewriteWarning"
PRELOADED = ("pytest", "hypothesis", "apsw", "msgspec", "rich", "click", "pytest_asyncio.plugin", "asyncio")
"""Imported once, before the copies are made: none of it is ours."""

DISKS = ("faultlab/test_s05_power_cuts.py", "faultlab/test_ledger_disks.py")
MORE_TESTS = {
    "ledger/accounts.py": ("layers/test_budget.py", "layers/test_record.py"),
    "ledger/database.py": ("ledger/test_sqlite.py", "ledger/test_store.py"),
    "ledger/files.py": ("ledger/test_journal.py", *DISKS),
    "ledger/journal.py": DISKS,
    "ledger/rows.py": ("ledger/test_store.py",),
    "ledger/segments.py": ("ledger/test_journal.py", *DISKS),
    "ledger/sqlite.py": ("ledger/test_store.py", *DISKS),
    "ledger/tape.py": ("ledger/test_journal.py", *DISKS),
    "ledger/watermark.py": ("ledger/test_journal.py",),
}
"""Beside those of the file's own name."""


def measured_files() -> list[str]:
    """All that money depends on, as far as it can be run without PostgreSQL."""
    ledger = sorted(path.name for path in (PACKAGE / "ledger").glob("*.py"))
    names = [f"ledger/{name}" for name in ledger if name not in ("__init__.py", "ledger.py", "postgres.py")]
    others = ["catalog/pricing.py", "layers/budget.py", "layers/afford.py", "decision/holds.py"]
    return names + [name for name in others if (PACKAGE / name).exists()]


def tests_of(name: str) -> list[str]:
    """The tests that mirror a file."""
    folder, stem = name.removesuffix(".py").rsplit("/", 1)
    own = sorted((ROOT / "tests" / folder).glob(f"test_{stem}*.py"))
    more = [ROOT / "tests" / test for test in MORE_TESTS.get(name, ())]
    return [str(path.relative_to(ROOT)) for path in dict.fromkeys((*own, *more))]


# ---- faults -----------------------------------------------------------------------------------------------------

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


class Place(NamedTuple):
    """One fault that can be made: the `number`th node of the tree's walk, and which of its faults."""

    number: int
    fault: str
    line: int


def places(tree: ast.Module) -> Iterator[Place]:
    """Every fault that can be made in a file, in order."""
    skipped = _left_alone(tree)
    for number, node in enumerate(ast.walk(tree)):
        if number in skipped:
            continue
        for fault in _faults(node):
            yield Place(number, fault, getattr(node, "lineno", 0))


def _left_alone(tree: ast.Module) -> set[int]:
    """Nodes in annotations, defaults, logging, and at the level of modules and classes."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    left: set[int] = set()

    def leave(node: ast.AST | None) -> None:
        if node is not None:
            left.update(numbers[id(inner)] for inner in ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            for inner in node.body:
                if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    leave(inner)
        if isinstance(node, ast.ClassDef):
            for keyword in node.keywords:
                leave(keyword)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            leave(node.args)
            leave(node.returns)
            for decorator in node.decorator_list:
                leave(decorator)
        if isinstance(node, ast.AnnAssign):
            leave(node.annotation)
        if isinstance(node, ast.Expr) and (_is_logging(node.value) or isinstance(node.value, ast.Constant)):
            leave(node)
        if isinstance(node, ast.JoinedStr):
            leave(node)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            leave(node)
    return left


def _is_logging(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")


def _faults(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Compare(ops=ops):
            yield from (f"compare {place}" for place, op in enumerate(ops) if type(op) in _COMPARED)
        case ast.BinOp(op=op) if type(op) in _COMPUTED and not _is_text(node):
            yield "compute"
        case ast.AugAssign(op=op):
            yield "leave out"
            if type(op) in _COMPUTED:
                yield "compute"
        case ast.BoolOp():
            yield "and/or"
        case ast.UnaryOp(op=ast.Not()):
            yield "not"
        case ast.Constant(value=bool()):
            yield "turn"
        case ast.Constant(value=int()):
            yield "one more"
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "return"
        case ast.Expr() | ast.Delete() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "leave out"


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str | bytes) for part in (node.left, node.right)
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def with_fault(tree: ast.Module, place: Place) -> str:
    """The file's text with one fault in it."""
    tree = copy.deepcopy(tree)
    node = next(node for number, node in enumerate(ast.walk(tree)) if number == place.number)
    kind, _, index = place.fault.partition(" ")
    match node:
        case ast.Compare() if kind == "compare":
            node.ops[int(index)] = _COMPARED[type(node.ops[int(index)])]()
        case ast.BinOp() | ast.AugAssign() if place.fault == "compute":
            node.op = _COMPUTED[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            _exchange(tree, node, node.operand)
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int(number)):
            node.value = number + 1
        case ast.Return():
            node.value = None
        case ast.stmt():
            _exchange(tree, node, ast.Pass())
    return ast.unparse(ast.fix_missing_locations(tree))


def _exchange(tree: ast.Module, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if each is old else each for each in value]


# ---- trying them ------------------------------------------------------------------------------------------------


class Copy:
    """A copy of the package in which one file at a time is at fault."""

    def __init__(self, folder: Path, number: int) -> None:
        self.root = folder / f"copy-{number}"
        shutil.copytree(ROOT / "src", self.root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(self.root / "src", quiet=2)
        self._whole: tuple[Path, str] | None = None

    def start(self, name: str, text: str | None, tests: list[str]) -> int:
        """Run tests with this text in place of the file's; returns the process."""
        self.restore()
        path = self.root / "src" / "routewright" / name
        self._whole = path, path.read_text(encoding="utf-8")
        compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        compiled.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        child = os.fork()
        if child == 0:
            self._test(tests)
        return child

    def restore(self) -> None:
        """Put the file back."""
        if self._whole is not None:
            path, text = self._whole
            path.write_text(text, encoding="utf-8")

    def _test(self, tests: list[str]) -> None:
        """In the child; does not return."""
        code = 99
        try:
            os.setsid()
            quiet = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(quiet, stream)
            os.chdir(ROOT)
            os.environ.update(ROUTEWRIGHT_CUTS="40", HYPOTHESIS_STORAGE_DIRECTORY=str(self.root / "hypothesis"))
            sys.path.insert(0, str(self.root / "src"))
            sys.dont_write_bytecode = True
            import pytest

            options = [
                "-x",
                "-q",
                "--tb=no",
                "-p",
                "no:cacheprovider",
                "-W",
                PRELOADING_IS_MEANT,
                f"--basetemp={self.root / 'temporary'}",
            ]
            code = int(pytest.main([*options, "-k", "not postgres and not kill", *tests]))
        finally:
            os._exit(code)


class Outcome(NamedTuple):
    """What became of one fault."""

    name: str
    place: Place
    was_noticed: bool


class Trial(NamedTuple):
    """One fault being tried."""

    name: str
    place: Place | None
    copy: Copy
    began: float
    limit_s: float


class Lab:
    """Tries faults, one on each copy of the package at a time."""

    def __init__(self, folder: Path) -> None:
        self._free = [Copy(folder, number) for number in range(WORKERS)]
        self._running: dict[int, Trial] = {}

    def usual_s(self, name: str) -> float:
        """How long the tests of a file take as it is. Ends the program if they fail."""
        self._start(name, None, None, 300)
        trial, passed, took_s = self._wait()
        if not passed:
            raise SystemExit(f"error: the tests of {trial.name} fail as it is: {' '.join(tests_of(name))}")
        return took_s

    def try_all(self, chosen: list[tuple[str, Place]], usual_s: dict[str, float]) -> Iterator[Outcome]:
        """Each fault once, in the order in which they end."""
        trees = {name: ast.parse((PACKAGE / name).read_text(encoding="utf-8")) for name in usual_s}
        waiting = list(reversed(chosen))
        while waiting or self._running:
            while waiting and self._free:
                name, place = waiting.pop()
                self._start(name, place, with_fault(trees[name], place), 5 + 4 * usual_s[name])
            trial, passed, _ = self._wait()
            assert trial.place is not None
            yield Outcome(trial.name, trial.place, not passed)

    def _start(self, name: str, place: Place | None, text: str | None, limit_s: float) -> None:
        own = self._free.pop()
        self._running[own.start(name, text, tests_of(name))] = Trial(name, place, own, time.monotonic(), limit_s)

    def _wait(self) -> tuple[Trial, bool, float]:
        """Until one has ended, or has been ended: whether its tests passed, and how long it took."""
        while True:
            for child, trial in self._running.items():
                took_s = time.monotonic() - trial.began
                ended, status = os.waitpid(child, os.WNOHANG)
                is_late = not ended and took_s > trial.limit_s
                if is_late:
                    os.killpg(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                if ended or is_late:
                    del self._running[child]
                    trial.copy.restore()
                    self._free.append(trial.copy)
                    return trial, bool(ended) and os.waitstatus_to_exitcode(status) == 0, took_s
            time.sleep(0.02)


def main() -> int:
    """Choose faults, try them, and write the score of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=200, help="how many faults, over all files; 0 for every one")
    parser.add_argument("--only", default="", help="files by a part of their names, with commas between")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--into", type=Path, default=PAGE)
    options = parser.parse_args()
    wanted = [part for part in options.only.split(",") if part]
    names = [name for name in measured_files() if not wanted or any(part in name for part in wanted)]
    names = [name for name in names if tests_of(name)]
    every = [
        (name, place) for name in names for place in places(ast.parse((PACKAGE / name).read_text(encoding="utf-8")))
    ]
    chosen = every if not options.sample else Random(options.seed).sample(every, min(options.sample, len(every)))
    for module in PRELOADED:
        importlib.import_module(module)
    console = Console()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        usual_s = {name: lab.usual_s(name) for name in sorted({name for name, _ in chosen})}
        tried = lab.try_all(sorted(chosen), usual_s)
        outcomes = []
        for outcome in track(tried, "faults", total=len(chosen), console=console):
            outcomes.append(outcome)
            if not outcome.was_noticed:
                place = outcome.place
                console.print(f"not noticed: {outcome.name}:{place.line} {place.fault}", highlight=False)
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_name[outcome.name].append(outcome)
    run = f"{today()}, seed {options.seed}"
    figures = [_figure(name, its, run) for name, its in by_name.items()]
    total = _figure("all of them", outcomes, f"{run}, {time.monotonic() - began:.0f} s, of {len(every)} possible")
    for figure in (*figures, total):
        console.print(f"{figure.name}: {figure.measured}", highlight=False)
    write(options.into, "mutation", COMMAND, [*figures, total] if not wanted else figures)
    return 0 if total.has_passed else 1


def _figure(name: str, outcomes: list[Outcome], run: str) -> Figure:
    noticed = sum(outcome.was_noticed for outcome in outcomes)
    return Figure(
        name=name,
        what="faults noticed by the tests",
        bar=f"≥ {BAR:.0%}",
        measured=f"{noticed / len(outcomes):.0%} ({noticed} of {len(outcomes)})",
        has_passed=noticed >= BAR * len(outcomes),
        run=run,
    )


if __name__ == "__main__":
    sys.exit(main())
