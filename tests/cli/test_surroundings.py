"""Where routewright cannot work: each time one clear line, the fix, and the exit code that docs/cli.md gives."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from routewright.cli import explain, starting
from routewright.cli.failures import NotWhole, WrongPython
from terminal import Terminal

WITHOUT = """
import importlib.abc
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
Done = subprocess.CompletedProcess[str]
TWO_LINES = re.compile(r"error\[(E\d{3})\]: [^\n]+\nhint: [^\n]+\n")
ORDINARY = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Runs a command by permissions alone, also for root."""
EXTRAS = [
    ("psycopg", {"ROUTEWRIGHT_LEDGER__DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "routewright[postgres]"),
    ("redis", {"ROUTEWRIGHT_REDIS__URL": "redis://127.0.0.1:1/0"}, "routewright[redis]"),
    ("openfeature", {"ROUTEWRIGHT_FLAGS__PROVIDER": "openfeature:package.module:Provider"}, "routewright[flags]"),
]


def told(stderr: str, number: str) -> str:
    """The two lines with this number, and nothing else."""
    found = TWO_LINES.fullmatch(stderr)
    assert found, stderr
    assert found[1] == number
    return stderr


def start(script: str, home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Done:
    """The program, after what `script` does to its Python."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nfrom routewright.cli import main\nmain()", *arguments],
        env={**Terminal(home).environ, **(environ or {})},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_is_too_old_is_told_so(tmp_path: Path) -> None:
    done = start("sys.version_info = (3, 10, 4); sys.version = '3.10.4 (main)'", tmp_path, "--help")
    assert done.returncode == 78
    assert "needs Python 3.11 or newer; this is 3.10.4" in told(done.stderr, WrongPython.number)


def test_the_oldest_python_is_the_one_that_the_package_asks_for() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'requires-python = ">={".".join(map(str, starting.OLDEST_PYTHON))}"' in pyproject


def test_what_runs_first_can_be_read_by_an_old_python() -> None:
    for module in ("__init__.py", "__main__.py", "cli/__init__.py", "cli/starting.py"):
        source = (Path(starting.__file__).parents[1] / module).read_text()
        compile(source, module, "exec", dont_inherit=True, _feature_version=6)


@pytest.mark.parametrize("module", ["click", "msgspec"])
def test_a_dependency_that_is_missing_is_named(tmp_path: Path, module: str) -> None:
    done = start(WITHOUT.format(module=module), tmp_path, "config", "check")
    assert done.returncode == 78
    assert f"the module {module} is missing" in told(done.stderr, NotWhole.number)


def test_both_have_a_page(tmp_path: Path) -> None:
    assert {WrongPython.number, NotWhole.number} <= explain.HELP.keys()
    assert "3.11" in Terminal(tmp_path).run("explain", WrongPython.number).stdout


@pytest.mark.parametrize(("module", "environ", "extra"), EXTRAS, ids=[module for module, _, _ in EXTRAS])
def test_an_extra_that_is_missing_is_named(tmp_path: Path, module: str, environ: dict[str, str], extra: str) -> None:
    done = start(WITHOUT.format(module=module), tmp_path, "ask", "--simulate", "Hello", environ=environ)
    assert done.returncode == 78
    assert f"pip install '{extra}'" in told(done.stderr, "E404")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
@pytest.mark.parametrize("verb", [("serve", "--port", "0"), ("ask", "Hello")], ids=lambda verb: str(verb[0]))
def test_a_folder_that_must_not_be_written_to_is_named(tmp_path: Path, verb: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o555)
    done = subprocess.run(
        [*(ORDINARY if os.geteuid() == 0 else ()), sys.executable, "-m", "routewright", *verb, "--simulate"],
        env={**Terminal(tmp_path).environ, "HOME": str(home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"{home}/.local/share/routewright/ledger.db: Permission denied" in told(done.stderr, "E402")
    assert "who may write there" in done.stderr


def test_a_ledger_whose_upgrade_cannot_be_finished_stays_as_it_was_and_says_why(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.run("ask", "--simulate", "Hello").exit_code == 0
    with closing(sqlite3.connect(terminal.ledger)) as ledger:
        (newest,) = ledger.execute("PRAGMA user_version").fetchone()
        ledger.execute("PRAGMA user_version = 1")  # its second step meets tables that it should make
        ledger.commit()
        before = list(ledger.iterdump())
    result = terminal.run("ask", "--simulate", "Hello")
    assert result.exit_code == 78
    assert "could not be brought to schema 2: " in told(result.stderr, "E408")
    with closing(sqlite3.connect(terminal.ledger)) as ledger:
        assert ledger.execute("PRAGMA user_version").fetchone() == (1,)
        assert list(ledger.iterdump()) == before
        ledger.execute(f"PRAGMA user_version = {newest}")
        ledger.commit()
    assert terminal.run("ask", "--simulate", "Hello").exit_code == 0


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.run("ask", "--simulate", "Hello").exit_code == 0
    with closing(sqlite3.connect(terminal.ledger)) as ledger:
        ledger.execute("PRAGMA user_version = 9999")
        ledger.commit()
    result = terminal.run("serve", "--simulate", "--port", "0")
    assert result.exit_code == 78
    assert "upgrade routewright" in told(result.stderr, "E408")


@pytest.mark.parametrize("text", [b"[polcy]\n", b"\xff\xfe\x00", b"[server\n"], ids=["unknown", "binary", "broken"])
def test_a_settings_file_that_is_wrong_is_named_with_its_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "routewright.toml").write_bytes(text)
    result = Terminal(tmp_path).run("serve", "--port", "0")
    assert result.exit_code == 78
    assert result.stderr.startswith("error[E404]: ")
    assert "routewright.toml:1" in result.stderr
    assert result.stderr.count("\n") <= 2
