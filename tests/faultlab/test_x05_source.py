"""X04, X05, X13: what the code does not do at all, looked for in the code itself."""

import ast
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import routewright

ROOT = Path(routewright.__file__).parent
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "jinja2", "dill", "cloudpickle", "joblib", "yaml", "code", "runpy"}
STARTS_PROGRAMS = ("system", "popen", "exec", "spawn", "posix_spawn", "fork")
FORBIDDEN_ATTRIBUTES = {
    "create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell",
    "enable_load_extension", "enableloadextension", "loadextension", "load_extension",
}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
OF_YAML_EVENTS = "migration/yaml_reading.py"
"""Reads YAML by its events alone: what builds objects there are the loaders."""
OF_TEMPLATES = "dashboard/rendering.py"
"""Runs templates: files of this package, and no text from anywhere else."""
OF_THE_BENCH = "bench/unledgered.py"
"""Runs this program, with its journal taken out."""
WORKERS = "gateway/workers.py"
"""Forks itself, before anybody is let in."""
LINGERING = "gateway/lingering.py"
"""Has the address of a constant."""
TRIMMING = "gateway/memory.py"
"""Calls libc's malloc_trim, with nothing but zero."""
PAGES = "dashboard/pages.py"
"""Loads a page's own module when it is first asked for, by a table of names."""
OF_OURSELVES = {
    "__init__.py": {"importlib"},  # names of this package, from a table
    "cli/launch.py": {"subprocess"},  # what the user of the terminal says
    "cli/ledger.py": {"importlib"},
    "cli/program.py": {"importlib"},
    "cli/running.py": {"subprocess"},  # this program
    "classifiers.py": {"importlib"},  # the artefact that ships
    "plug_ins.py": {"importlib"},  # what the operator has installed, by its entry point
    "policies/openfeature.py": {"importlib"},  # the provider of flags that the settings name
    "bench/programs.py": {"subprocess"},  # installers, which the user of the terminal asks for
    "bench/processes.py": {"subprocess", "ctypes"},
    "bench/starting.py": {"subprocess"},
    "proofs/cost_shapes.py": {"subprocess"},  # this program, as in the other proofs
    "proofs/decision.py": {"subprocess"},
    "proofs/quality.py": {"subprocess"},
    "proofs/served.py": {"subprocess"},
    PAGES: {"importlib"},
    LINGERING: {"ctypes"},
    TRIMMING: {"ctypes"},
}
"""Nothing of a request gets there as code or as a command."""
SQL = re.compile(r"\s*(?:SELECT\s.*\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b", re.DOTALL)
PATTERNS_MADE = {
    "decision/paraphrase.py",  # a word, escaped
    "gateway/app.py",  # the table of endpoints
    "simulator/answers.py",  # a word of a table
}
FACING_CLIENTS = ("gateway", "dashboard", "access", "dialects", "layers", "decision", "ledger")


@cache
def sources() -> Sequence[tuple[str, ast.Module]]:
    """Every file, by its path in the package."""
    return [(str(file.relative_to(ROOT)), ast.parse(file.read_text())) for file in sorted(ROOT.rglob("*.py"))]


@cache
def nodes(tree: ast.Module) -> Sequence[ast.AST]:
    """All of a file."""
    return list(ast.walk(tree))


def imported(tree: ast.Module) -> set[str]:
    """First parts of the names of the modules that a file imports, wherever in it."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif node_is_reading_only(node):
            continue
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def node_is_reading_only(node: ast.AST) -> bool:
    """Files and versions of packages, read by importlib's other half."""
    harmless = {"files", "version", "PackageNotFoundError"}
    return isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} <= harmless


def test_x05_of_yaml_only_events_are_read() -> None:
    tree = dict(sources())[OF_YAML_EVENTS]
    used = {node.attr for node in nodes(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml"}
    assert "parse" in used
    assert not any("load" in name.lower() and name not in ("CSafeLoader", "SafeLoader") for name in used)


def test_x05_templates_are_files_of_this_package_alone() -> None:
    tree = dict(sources())[OF_TEMPLATES]
    used = {node.attr for node in nodes(tree) if isinstance(node, ast.Attribute)}
    assert "get_template" in used
    assert not used & {"from_string", "compile", "compile_expression", "overlay"}
    loaders = [node for node in nodes(tree) if isinstance(node, ast.keyword) and node.arg == "loader"]
    assert [ast.unparse(node.value) for node in loaders] == ["PackageLoader('routewright.dashboard')"]


def test_x05_nothing_makes_code_of_data() -> None:
    seen = 0
    for path, tree in sources():
        seen += 1
        modules = imported(tree)
        allowed = {OF_YAML_EVENTS: {"yaml"}, OF_TEMPLATES: {"jinja2"}, OF_THE_BENCH: {"runpy"}}.get(path, set())
        assert not modules & (FORBIDDEN_MODULES - allowed), path
        risky = modules & {"importlib", "subprocess", "multiprocessing", "ctypes"}
        assert risky <= OF_OURSELVES.get(path, set()), path
        if path.startswith(FACING_CLIENTS) and path not in (LINGERING, PAGES, TRIMMING):
            assert not risky, path
        for node in nodes(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute):
                of_system = isinstance(node.value, ast.Name) and node.value.id == "os"
                is_own_worker = path == WORKERS and node.attr == "fork"
                starts = of_system and node.attr.startswith(STARTS_PROGRAMS) and not is_own_worker
                assert not starts, f"{path}:{node.lineno}"
                assert node.attr not in FORBIDDEN_ATTRIBUTES, f"{path}:{node.lineno}"
    assert seen > 150


def test_x04_sql_is_made_of_our_own_names_and_far_from_requests() -> None:
    """The linter finds SQL that is put together, everywhere; where that is allowed, the line says of what."""
    rules = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in rules["select"]
    assert not [rule for rule in rules["ignore"] if "S608".startswith(rule)]
    excused = [rule for place, ignored in rules["per-file-ignores"].items() if "src" in place for rule in ignored]
    assert not [rule for rule in excused if "S608".startswith(rule)]
    allowed = 0
    for file in sorted(ROOT.rglob("*.py")):
        for line in file.read_text().splitlines():
            if "noqa: S608" in line:
                allowed += 1
                assert line.partition("noqa: S608")[2].strip(), f"{file.name}: {line.strip()} does not say of what"
    assert allowed > 20
    for path, tree in sources():
        if path.startswith(("gateway", "dialects", "layers", "decision")):
            texts = [node.value for node in nodes(tree) if isinstance(node, ast.Constant) and type(node.value) is str]
            assert not [text for text in texts if SQL.match(text)], path


def test_x05_arrays_from_files_carry_no_objects() -> None:
    for path, tree in sources():
        for node in nodes(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
                allowed = [key for key in node.keywords if key.arg == "allow_pickle"]
                assert all(isinstance(key.value, ast.Constant) and key.value.value is False for key in allowed), path


def test_x13_no_pattern_from_outside_is_run_by_re() -> None:
    """Those are ours: literals, or made of our own constants when a module is loaded or an application is built.

    All others go through `routewright.patterns`, which alone knows RE2.
    """
    assert [path for path, tree in sources() if "re2" in imported(tree)] == ["patterns.py"]
    seen, made = 0, []
    for path, tree in sources():
        own = {
            id(call) for node in tree.body for call in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign)
        }
        for node in nodes(tree):
            is_pattern = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr not in {"escape", "Pattern"}
            )
            if not is_pattern:
                continue
            assert isinstance(node, ast.Call)
            seen += 1
            if not isinstance(node.args[0], ast.Constant) and id(node) not in own:
                made.append(path)
    assert seen > 30
    assert set(made) == PATTERNS_MADE
