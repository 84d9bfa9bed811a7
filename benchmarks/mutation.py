"""Are the tests of the money worth their name? Small faults are put into the code, one at a time; a test must notice.

    python benchmarks/mutation.py [--sample 25] [--only tape,pricing] [--seed N] [--into docs/reliability.md]

A fault is a comparison, an arithmetic or a Boolean operator exchanged for another, a whole number that is one more, a
truth value turned round, a `not` left out, a `return` without its value, or a statement left out. Left alone are texts,
what is logged and when, types, how long random names are, and the constants of modules and defaults of parameters:
those are chosen, not derived.

For each file, a process imports the tests that mirror it, once, and tries them on the code as it is. Each fault is
then tried in a fork of that process, in which the function gets its faulty code, by the tests that reach its line; one
that runs for much longer than usual counts as noticed. PostgreSQL is not asked. Exit code 1 when the score is below
90 %.
"""

import argparse
import ast
import contextlib
import copy
import gc
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from types import CodeType, FunctionType
from typing import NamedTuple

import pytest
from coverage import Coverage
from hypothesis import Phase, settings
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "routewright"
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "faultlab")]

from benchmarks.page import write  # noqa: E402

from routewright.proofs.figure import Figure, today  # noqa: E402

COMMAND = "benchmarks/mutation.py"
PAGE = ROOT / "docs" / "reliability.md"
BAR = 0.9
WORKERS = os.cpu_count() or 1
PRELOADING_IS_MEANT = "ignore::pytest.PytestAssertRewriteWarning"
PRELOADED = ("apsw", "msgspec", "pytest_asyncio.plugin", "asyncio", "psycopg")
"""Imported once, before the processes are made: none of it is ours."""

DISKS = ("faultlab/test_ledger_disks.py",)
BOOKS = ("ledger/test_store.py", "ledger/test_journal.py")
MORE_TESTS = {
    "ledger/accounts.py": ("layers/test_budget.py", "layers/test_record.py", "ledger/test_escrow.py"),
    "ledger/applying.py": ("ledger/test_balances.py", "ledger/test_keeper.py"),
    "ledger/baselines.py": ("ledger/test_rollups.py", "ledger/test_store.py"),
    "ledger/database.py": ("ledger/test_sqlite.py", "ledger/test_store.py"),
    "ledger/export_files.py": ("ledger/test_exporting.py",),
    "ledger/files.py": ("ledger/test_journal.py", *DISKS),
    "ledger/findings.py": ("ledger/test_checks.py",),
    "ledger/journal.py": DISKS,
    "ledger/posting.py": ("ledger/test_escrow.py", "ledger/test_escrow_sharing.py"),
    "ledger/price_check.py": ("ledger/test_checks.py",),
    "ledger/refusals.py": ("layers/test_budget.py", "layers/test_afford.py"),
    "ledger/rollup_check.py": ("ledger/test_checks.py",),
    "ledger/rollups.py": ("ledger/test_escrow.py",),
    "ledger/rows.py": ("ledger/test_store.py",),
    "ledger/sealed_rows.py": ("ledger/test_seals.py", "ledger/test_checks.py"),
    "ledger/segments.py": ("ledger/test_journal.py", *DISKS),
    "ledger/spending.py": ("ledger/test_rollups.py",),
    "ledger/sqlite.py": ("ledger/test_store.py", *DISKS),
    "ledger/sum_checks.py": ("ledger/test_checks.py",),
    "ledger/tape.py": ("ledger/test_journal.py", *DISKS),
    "ledger/watermark.py": ("ledger/test_journal.py",),
    "ledger/windows.py": ("ledger/test_escrow.py", "ledger/test_alerts.py"),
}
"""Beside those of the file's own name."""


def measured_files() -> list[str]:
    """All that money depends on, as far as it can be run without PostgreSQL."""
    ledger = sorted(path.name for path in (PACKAGE / "ledger").glob("*.py"))
    names = [f"ledger/{name}" for name in ledger if name not in ("__init__.py", "postgres.py")]
    return [*names, "catalog/pricing.py", "layers/budget.py", "layers/afford.py", "decision/holds.py"]


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
        if isinstance(node, ast.If) and all(
            isinstance(inner, ast.Expr) and _is_logging(inner.value) for inner in node.body
        ):
            leave(node.test)
        if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: it states what is so
            leave(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("secrets."):
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


def with_fault(tree: ast.Module, place: Place) -> ast.Module:
    """A file with one fault in it."""
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
    return ast.fix_missing_locations(tree)


def _exchange(tree: ast.Module, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if each is old else each for each in value]


# ---- making one -------------------------------------------------------------------------------------------------


class Source:
    """A file of the package that is imported, whose functions can be given faulty code."""

    def __init__(self, name: str) -> None:
        self.path = PACKAGE / name
        self.tree = _tree_of(name)
        self._module = importlib.import_module("routewright." + name.removesuffix(".py").replace("/", "."))

    def put_in(self, place: Place) -> bool:
        """Give the function at this place its faulty code, in this process, for good; False if there is none.

        Raises what comes of it where constants of the module are made by it.
        """
        faulty = dict(_functions(compile(with_fault(self.tree, place), str(self.path), "exec")))
        has_changed = False
        for function in [each for each in gc.get_objects() if isinstance(each, FunctionType)]:
            code = function.__code__
            if code.co_filename == str(self.path) and (other := faulty.get(_key(code), code)) != code:
                function.__code__ = other
                has_changed = True
        self._derive_constants(place)
        return has_changed

    def reaching(self, place: Place, tests: Mapping[str, list[str]]) -> set[str]:
        """The tests that reach a place, or at least its function, of those by line; none where it is for constants."""
        if found := tests.get(str(place.line)):
            return set(found)
        around = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        around = [node for node in around if node.lineno <= place.line <= (node.end_lineno or node.lineno)]
        lines = range(around[0].body[0].lineno, (around[0].end_lineno or 0) + 1) if around else ()
        return {test for line in lines for test in tests.get(str(line), ())}

    def _derive_constants(self, place: Place) -> None:
        """Make those constants of the module anew that its functions or this class made, wherever they are imported."""
        own = {node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        own |= {node.name for node in classes if node.lineno <= place.line <= (node.end_lineno or 0)}
        before = dict(vars(self._module))
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and own & _names(node):
                own |= _names(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                exec(compile(ast.Module([node], []), str(self.path), "exec"), vars(self._module))  # noqa: S102
        for name, value in list(vars(self._module).items()):
            if value is not before.get(name):
                for module in list(sys.modules.values()):
                    if vars(module).get(name) is before[name]:
                        setattr(module, name, value)


def _tree_of(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _functions(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    """All code within a file's, by what names it."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield _key(inner), inner
            yield from _functions(inner)


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


# ---- trying them ------------------------------------------------------------------------------------------------


_NOT_MADE = 99
"""The exit code of a fork in which no function has the code that is at fault; what pytest itself uses is below 10."""


class Outcome(NamedTuple):
    """What became of one fault."""

    name: str
    place: Place
    was_noticed: bool


class Trials:
    """A plugin of pytest: when the tests are collected, it tries faults in forks, each of which runs the tests."""

    def __init__(self, name: str, chosen: list[Place], folder: Path) -> None:
        self.outcomes: list[Outcome] = []
        self.does_pass = False
        self._name = name
        self._source = Source(name)
        self._chosen = chosen
        self._folder = folder
        self._reached = folder / "reached.json"
        self._coverage: Coverage | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """In the process itself nothing is run: True. In a fork the tests are: None, so pytest goes on."""
        began = time.monotonic()
        passed = self._try(None, 300)
        if passed is None:
            self._coverage = Coverage(data_file=None, config_file=False, include=[str(self._source.path)])
            self._coverage.start()
            return None
        limit_s = 5 + 2 * (time.monotonic() - began)
        self.does_pass = passed
        tests = json.loads(self._reached.read_text()) if passed else {}
        for place in self._chosen if passed else ():
            passed = self._try(place, limit_s)
            if passed is None:
                reached = self._source.reaching(place, tests)
                session.items[:] = [item for item in session.items if not reached or item.nodeid in reached]
                return None
            self.outcomes.append(Outcome(self._name, place, not passed))
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Where the code is as it is, note which lines each test reaches."""
        if self._coverage is not None:
            self._coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_sessionfinish(self) -> None:
        """Hand that over."""
        if self._coverage is not None:
            self._coverage.stop()
            lines = self._coverage.get_data().contexts_by_lineno(str(self._source.path))
            self._reached.write_text(json.dumps(lines))

    def _try(self, place: Place | None, limit_s: float) -> bool | None:
        """Whether the tests pass; in the fork, None."""
        folder = self._folder / "fork"
        folder.mkdir()
        child = os.fork()
        if child == 0:
            os.setsid()
            os.environ.update(PYTEST_DEBUG_TEMPROOT=str(folder), TMPDIR=str(folder))
            tempfile.tempdir = None
            if place is not None and not self._source.put_in(place):
                os._exit(_NOT_MADE)
            return None
        try:
            return _has_passed(child, limit_s)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _has_passed(child: int, limit_s: float) -> bool:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what it has left behind
            code = os.waitstatus_to_exitcode(status)
            if code == _NOT_MADE:
                raise RuntimeError("a fault could not be made")
            return code == 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def try_file(name: str, chosen: list[Place]) -> list[Outcome] | None:
    """Try faults in a file, in a process for nothing else; None when its tests fail as it is."""
    owner = os.getpid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HYPOTHESIS_STORAGE_DIRECTORY=str(Path(folder) / "hypothesis"))
        # To find an example that fails is enough: the smallest one takes the longest to find.
        settings.register_profile("unshrunk", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
        trials = Trials(name, chosen, Path(folder))
        options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-W", PRELOADING_IS_MEANT]
        options += ["--hypothesis-profile=unshrunk", "-k", "not postgres"]
        code = 1
        try:
            code = pytest.main([*options, *tests_of(name)], plugins=[trials])
        finally:
            if os.getpid() != owner:
                os._exit(int(code))
    if trials.does_pass and len(trials.outcomes) < len(chosen):
        raise RuntimeError(f"{name}: the trials ended before their time")
    return trials.outcomes if trials.does_pass else None


def main() -> int:
    """Choose faults, try them, and write the score of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=25, help="how many faults in each file; 0 for every one")
    parser.add_argument("--only", default="", help="files by a part of their names, with commas between")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--into", type=Path, default=PAGE)
    options = parser.parse_args()
    wanted = [part for part in options.only.split(",") if part]
    names = [name for name in measured_files() if not wanted or any(part in name for part in wanted)]
    possible = {name: list(places(_tree_of(name))) for name in names}
    chosen = {name: _sample(its, options.sample, options.seed) for name, its in possible.items() if its}
    for module in PRELOADED:
        importlib.import_module(module)
    console = Console()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    figures: list[Figure] = []
    with multiprocessing.get_context("fork").Pool(WORKERS, maxtasksperchild=1) as pool:
        for name, tried in pool.imap_unordered(_try_one, chosen.items()):
            if tried is None:
                raise SystemExit(f"error: the tests of {name} fail as it is: {' '.join(tests_of(name))}")
            for place in (outcome.place for outcome in tried if not outcome.was_noticed):
                console.print(f"not noticed: {name}:{place.line} {place.fault}", highlight=False)
            outcomes += tried
            figures.append(_figure(name, tried, f"{today()}, seed {options.seed}, of {len(possible[name])} possible"))
            console.print(f"{name}: {figures[-1].measured}, {time.monotonic() - began:.0f} s", highlight=False)
    count = sum(map(len, possible.values()))
    took = f"{time.monotonic() - began:.0f} s"
    total = _figure("all of them", outcomes, f"{today()}, seed {options.seed}, {took}, of {count} possible")
    console.print(f"{total.name}: {total.measured}, {took}", highlight=False)
    write(options.into, "mutation", COMMAND, [*figures, total] if not wanted else figures)
    return 0 if total.has_passed else 1


def _sample(every: list[Place], size: int, seed: int) -> list[Place]:
    return sorted(Random(seed).sample(every, size)) if 0 < size < len(every) else every


def _try_one(task: tuple[str, list[Place]]) -> tuple[str, list[Outcome] | None]:
    return task[0], try_file(*task)


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
