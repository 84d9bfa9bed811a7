"""What a start takes, as lists of modules and numbers of values: the same on a busy machine, as times are not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.test_workers import chat
from served import Served
from terminal import Terminal

COUNTED = """
import gc, json, sys
before, modules = len(gc.get_objects()), set(sys.modules)
try:
    {what}
except SystemExit:
    pass
gc.collect()
print()
print(json.dumps({{"values": len(gc.get_objects()) - before, "modules": sorted(set(sys.modules) - modules)}}))
"""
HELP = "sys.argv = ['routewright', '--help']; from routewright.__main__ import main; main()"
OPTIONAL = {
    "anyio", "httpx", "jinja2", "onnxruntime", "openfeature", "opentelemetry", "pandas", "psycopg", "pyarrow",
    "ray", "redis", "requests", "rich", "scipy", "sklearn", "tokenizers", "websockets", "yaml",
}  # fmt: skip
"""What nothing loads that was not asked for."""
DEVELOPERS = ("routewright.bench", "routewright.training", "routewright.testing")
SELDOM = (
    "routewright.tuning",
    "routewright.backtesting",
    "routewright.migration",
    "routewright.jobs.ray",
    "numpy.random",
    "routewright.dashboard.view",
    "routewright.gateway.openapi_page",
    "html",
    "importlib.metadata",
    "importlib.resources",
    "statistics",
    "zoneinfo",
)
"""Large, and needed by few: loaded when they are."""


class Taken(NamedTuple):
    modules: set[str]
    values: int

    @property
    def packages(self) -> set[str]:
        """The outermost names."""
        return {name.partition(".")[0] for name in self.modules}


def taken(what: str, tmp_path: Path) -> Taken:
    environ = Terminal(tmp_path).environ
    done = subprocess.run(
        [sys.executable, "-c", COUNTED.format(what=what)], env=environ, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return Taken(set(told["modules"]), told["values"])


def test_importing_the_package_loads_nothing_of_it(tmp_path: Path) -> None:
    found = taken("import routewright", tmp_path)
    assert {name for name in found.modules if name.startswith("routewright")} == {"routewright"}
    assert found.packages.isdisjoint({"asyncio", "click", "msgspec", "numpy", "ssl", *OPTIONAL})
    assert len(found.modules) < 40
    assert found.values < 5_000


def test_help_loads_the_table_of_verbs_and_no_verb(tmp_path: Path) -> None:
    found = taken(HELP, tmp_path)
    assert "routewright.cli.program" in found.modules
    assert not any(name.startswith("routewright.cli.serve") for name in found.modules)
    assert found.packages.isdisjoint({"asyncio", "msgspec", "numpy", "ssl", *OPTIONAL})
    assert len(found.modules) < 110
    assert found.values < 14_000


def served_modules(home: Path, *arguments: str) -> set[str]:
    """All that a gateway has loaded when it has given its first answer, by what Python tells of each import."""
    gateway = Served(home, "--simulate", *arguments, environ={"PYTHONPROFILEIMPORTTIME": "1"}).start()
    try:
        assert chat(gateway.url, "auto").status == 200
    finally:
        gateway.process.terminate()
        assert gateway.process.stderr is not None
        told = gateway.told + gateway.process.stderr.read()
        gateway.wait()
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("classifier", ["learned", "heuristic"])
def test_serving_loads_what_it_uses(tmp_path: Path, classifier: str) -> None:
    found = served_modules(tmp_path, "--set", f"policy.classifier={classifier}")
    assert "routewright.gateway.server" in found
    assert ("numpy" in found) == (classifier == "learned")
    assert {name.partition(".")[0] for name in found} & OPTIONAL == set()
    assert not [name for name in found if name.startswith((*DEVELOPERS, *SELDOM))]
    assert len(found) < 800, "each costs a millisecond and 50 KB"
