"""Claude Code and Codex as clients, unchanged and headless: `python -m benchmarks.agents`.

Each is run by `routewright launch` in a home and a folder of its own, once on the built-in simulator, and before a
provider that follows a script (`scripted_upstream.py`), in both dialects: it has the agent read and edit a file, or run
a command, and then say that it is done. Checked are the answer, what the agent did, the rows in the ledger, that the
session and the requests beside the work were recognised, and that the cost was told.

The programs are those on the PATH, or at `--claude` and `--codex`, or else installed by npm into `--cache` (650 MB).
Nothing of them is part of this project, and the tests do without: see `tests/gateway/test_agents.py`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.scripted_upstream import Script, Upstream, Use, scripted_upstream

import routewright

PACKAGES = {"claude": "@anthropic-ai/claude-code@2.1.197", "codex": "@openai/codex@0.171.0"}
DIALECTS = ("anthropic_messages", "openai_chat")
PATIENCE_S = 120
DONE = "The greeting is changed, as scripted."
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "routewright-agents"

SETTINGS = """
[policy]
baseline = "complex-one"
[providers.scripted]
base_url = "{url}{path}"
dialect = "{dialect}"
api_key = "env:SCRIPTED_KEY"
"""
MODEL = """
[models.{tier}-one]
tier = "{tier}"
deployments = ["scripted/{tier}-one"]
context_window = 400_000
max_output_tokens = 64_000
capabilities = ["tools", "json_schema", "reasoning", "vision"]
price = {{ input = "{price}", cache_read = "0.1", output = "4" }}
"""


class Agent(NamedTuple):
    """A program, what it is asked, and what the script has it do."""

    name: str
    arguments: Sequence[str]
    is_claude: bool
    """It asks for a title beside the work, and marks what may be cached."""

    def script(self, folder: Path) -> Script:
        """The steps; the greeting in `app.py` is another one after them."""
        file = str(folder / "app.py")
        if not self.is_claude:
            return [Use("exec_command", {"cmd": "sed -i s/hello/goodbye/ app.py"}), DONE]
        change = {"file_path": file, "old_string": "hello", "new_string": "goodbye"}
        return [Use("Read", {"file_path": file}), Use("Edit", change), DONE]


AGENTS = (
    Agent(
        "claude",
        ["-p", "change the greeting in app.py to a goodbye, please", "--permission-mode", "acceptEdits"],
        is_claude=True,
    ),
    Agent(
        "codex",
        [
            "exec",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            "change the greeting in app.py to a goodbye, please",
        ],
        is_claude=False,
    ),
)


class Ran(NamedTuple):
    """What is left of a run."""

    exit_code: int
    output: str
    cost: dict[str, Any]
    """What `launch --json` told."""
    rows: list[dict[str, Any]]
    """The ledger's, oldest first."""


def run(agent: Agent, program: Path, home: Path, *options: str) -> Ran:
    """Launch it, with its home and its folder in `home`."""
    environ = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "SCRIPTED_KEY": "scripted",
        "DISABLE_AUTOUPDATER": "1",
        "PYTHONPATH": str(Path(routewright.__file__).parents[1]),
    }
    launch = [sys.executable, "-m", "routewright", "launch", "--json", *options, agent.name, "--", *agent.arguments]
    done = _spawn(launch, environ, home)
    rows = _spawn([sys.executable, "-m", "routewright", "ledger", "tail", "--json"], environ, home)
    told = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "{}"
    if not told.startswith("{"):
        print(done.stderr, file=sys.stderr)
        told = "{}"
    return Ran(done.returncode, done.stdout, json.loads(told), json.loads(rows.stdout or "[]"))


def _spawn(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def simulated(agent: Agent, program: Path) -> Iterator[tuple[str, bool]]:
    """On the simulator, which calls no tools unasked."""
    with TemporaryDirectory() as folder:
        ran = run(agent, program, Path(folder), "--simulate")
    yield "ends well", ran.exit_code == 0
    yield "has an answer", "[simulated" in ran.output
    yield "cost told", ran.cost.get("requests", 0) >= 1 and ran.cost.get("cost_nanousd", 0) > 0


def scripted(agent: Agent, program: Path, dialect: str) -> Iterator[tuple[str, bool]]:
    """Before the provider that follows the script."""
    with TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        (home / "app.py").write_text('print("hello")\n')
        script = agent.script(home)
        with scripted_upstream(script) as upstream:
            (home / "routewright.toml").write_text(_settings(upstream, dialect))
            ran = run(agent, program, home)
        yield "ends well", ran.exit_code == 0
        yield "has the scripted answer", DONE in ran.output
        yield "has done it", (home / "app.py").read_text() == 'print("goodbye")\n'
    work = [row for row in ran.rows if not row["reason"].startswith("an agent wants")]
    asides = [row for row in ran.rows if row not in work]
    yield "ledger rows", len(work) == len(script) and all(row["outcome"] == "complete" for row in ran.rows)
    if agent.is_claude or dialect == "openai_chat":  # elsewhere nothing is cached, so nothing shows
        yield "session recognised", any(_is_warm(row) for row in work[1:])
    if agent.is_claude:
        yield "titles are bulk", bool(asides) and all(row["model"] == "bulk-one" for row in asides)
    yield "cost told", ran.cost.get("requests") == len(ran.rows) and ran.cost["cost_nanousd"] > 0
    yield "baseline told", ran.cost.get("baselines") == ["complex-one"]


def _settings(upstream: Upstream, dialect: str) -> str:
    path = "/v1" if dialect == "openai_chat" else ""
    models = [MODEL.format(tier=tier, price=price) for tier, price in (("bulk", 1), ("standard", 2), ("complex", 4))]
    return SETTINGS.format(url=upstream.url, path=path, dialect=dialect) + "".join(models)


def _is_warm(row: Mapping[str, Any]) -> bool:
    """A part of its input was expected to be cached: it was recognised as going on from an earlier one."""
    return any(candidate.get("cold_cost_nanousd") for candidate in row["route"]["candidates"])


def find(name: str, given: Path | None, cache: Path) -> Path:
    """The program: the one that was given, or one on the PATH, or one that npm installs."""
    found = given or shutil.which(name)
    if found:
        return Path(found).absolute()
    subprocess.run(["npm", "install", "--prefix", str(cache), PACKAGES[name]], check=True, stdout=sys.stderr)
    return cache / "node_modules/.bin" / name


def main() -> int:
    """Run them all, and print a table of what was checked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--claude", type=Path, help="the program, instead of the one on the PATH or from npm")
    parser.add_argument("--codex", type=Path, help="likewise")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where npm installs them")
    parser.add_argument("--only", choices=[agent.name for agent in AGENTS])
    arguments = parser.parse_args()
    failures = 0
    for agent in AGENTS:
        if arguments.only not in (None, agent.name):
            continue
        program = find(agent.name, getattr(arguments, agent.name), arguments.cache)
        runs = {"simulator": simulated(agent, program)}
        runs |= {f"scripted, {dialect}": scripted(agent, program, dialect) for dialect in DIALECTS}
        for where, checks in runs.items():
            for what, holds in checks:
                failures += not holds
                print(f"{agent.name:<8}{where:<30}{what:<28}{'ok' if holds else 'FAILED'}", flush=True)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
