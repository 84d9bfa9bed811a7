#!/usr/bin/env python3
"""The whole set-up of a fresh clone, with nothing but Python: an environment in `.venv`, then one command in it.

python3 dev.py demo            set up, then `routewright demo` (any other routewright command works the same way)
python3 dev.py check           set up, then everything that CI checks: formatting, lint, types, import contracts, tests
python3 dev.py check --fast    only the tests, stopping at the first failure
python3 dev.py coverage        set up, then the branch coverage of what money depends on
python3 dev.py mutate          set up, then small faults in it, of which the tests must notice nine in ten
python3 dev.py prove [--long]  set up, then the proofs of docs/reliability.md
python3 dev.py build           set up, then wheel and sdist, into dist/, built two ways to the same bytes
python3 dev.py install-check   set up, then the wheel installed as users do, by each Python here, and exercised
python3 dev.py docs            set up, then the pages that are made from the code, and the site in build/site
python3 dev.py lock            set up, then the hashes of what requirements.txt names, into requirements.lock
python3 dev.py sbom            set up, then what it is made of, as a CycloneDX document
python3 dev.py audit           set up, then whether anything in requirements.lock has a known vulnerability (network)
python3 dev.py release-notes   set up, then what is unreleased; or `release-notes 0.1.0`
python3 dev.py screenshots     set up, then the pictures of README.md and docs/dashboard.md again (needs chromium)
"""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from subprocess import PIPE, STDOUT

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
TO_RUN = "requirements.lock"
TO_CHECK = "requirements-dev.txt"

BESIDE = (
    ("types", ["mypy"]),  # as long as the next four together
    # Nothing new is found: it leaves the tests compiled, where each of three processes would compile all of them.
    ("collection", ["pytest", "--collect-only", "-qq"]),
    ("site", ["mkdocs", "build", "--strict", "--quiet"]),
    ("lint", ["ruff", "check", "."]),
    ("imports", ["lint-imports"]),
    ("format", ["ruff", "format", "--check", "."]),
)
"""Checks of one process each, two at a time."""
# Three at once even on two cores, as many tests wait for servers; neighbours share what is dear to start.
TESTS = ["pytest", "-n", "3", "--dist", "worksteal"]

OF_MONEY = [
    *(f"tests/{folder}" for folder in ("ledger", "catalog", "decision/test_holds.py", "faultlab/test_ledger_disks.py")),
    *(f"tests/layers/test_{layer}.py" for layer in ("afford", "budget", "record")),
    *(f"tests/test_{name}.py" for name in ("alerts", "runtime_budgets", "stores")),
]
COVERAGE = (["coverage", "run", "-m", "pytest", *OF_MONEY], ["coverage", "report"])
LOCKED = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header")
SCRIPTS = {
    "audit": "release/audit.py",
    "build": "release/build.py",
    "install-check": "release/install_check.py",
    "mutate": "benchmarks/mutation.py",
    "prove": "benchmarks/prove.py",
    "release-notes": "release/notes.py",
    "sbom": "release/sbom.py",
    "screenshots": "benchmarks/screenshots.py",
}
COMMANDS = {
    "coverage": COVERAGE,
    "docs": (["python", "tests/pages.py"], ["mkdocs", "build", "--strict", "--quiet"]),
    "lock": (["uv", "pip", "compile", "--quiet", *LOCKED, "requirements.txt", "-o", TO_RUN],),
}


def fingerprint() -> str:
    """What an environment is made from; when it changes, the environment is brought up to date."""
    digest = hashlib.sha256(sys.version.encode())
    names = ("pyproject.toml", "hatch_build.py", "requirements.txt", TO_RUN, TO_CHECK)
    for file in (*(ROOT / name for name in names), *sorted((ROOT / "src").rglob("*.pyx"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def set_up(requirements: str) -> None:
    """Have `.venv` with routewright installed in place and the exact versions that `requirements` names."""
    stamp = VENV / f"set-up-from-{requirements}"
    if stamp.exists() and stamp.read_text() == fingerprint():
        return
    print("setting up .venv (once, about a minute at most) ...", file=sys.stderr, flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        sys.exit(
            f"error: python -m venv failed: {(made.stdout + made.stderr).strip()}\n"
            "hint: on Debian and Ubuntu, `apt-get install python3-venv` brings the missing part of Python"
        )
    # Compiling all that comes takes as long as fetching it, and most of it is never imported.
    pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    for arguments in (["-r", requirements], ["--no-deps", "--no-build-isolation", "-e", "."]):
        if subprocess.run([*pip, *arguments], cwd=ROOT, stdout=sys.stderr).returncode:
            sys.exit(
                f"error: pip could not install what {requirements} names\n"
                "hint: this needs access to PyPI, or a mirror named in PIP_INDEX_URL"
            )
    stamp.write_text(fingerprint())


def check(arguments: list[str]) -> int:
    """Run every check, say which failed, and return 0 only when all passed."""
    if "--fast" in arguments:
        return subprocess.run(made([*TESTS, "-x"]), cwd=ROOT, env=environ()).returncode
    failed = []
    with ThreadPoolExecutor(2) as pool:
        for done in as_completed(pool.submit(told, name, command) for name, command in BESIDE):
            name, code, text = done.result()
            print(f"== {name}", flush=True)
            if code:
                print(text, flush=True)
                failed.append(name)
    print("== tests", flush=True)
    if subprocess.run(made(TESTS), cwd=ROOT, env=environ()).returncode:
        failed.append("tests")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def told(name: str, command: list[str]) -> tuple[str, int, str]:
    """A check by its name, with its exit code and all that it said."""
    done = subprocess.run(made(command), cwd=ROOT, env=environ(), stdout=PIPE, stderr=STDOUT, text=True)
    return name, done.returncode, done.stdout


def made(command: list[str]) -> list[str]:
    """A command of the environment's."""
    return [str(BIN / command[0]), *command[1:]]


def environ() -> dict[str, str]:
    """Ours, but bytecode is kept whatever it says: tests start hundreds of processes that would compile all anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_all(commands: tuple[list[str], ...]) -> int:
    """Run them one after the other, also when one fails; the worst exit code."""
    codes = [subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT).returncode for command in commands]
    return max(codes)


def main() -> int:
    if sys.version_info < (3, 11):
        sys.exit(
            f"error: routewright needs Python 3.11 or newer; this is {sys.version.split()[0]}\n"
            "hint: run this file with a newer one, e.g. python3.12 dev.py"
        )
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if arguments[0] == "check":
        set_up(TO_CHECK)
        return check(arguments[1:])
    if arguments[0] in COMMANDS:
        set_up(TO_CHECK)
        return run_all(COMMANDS[arguments[0]])
    if arguments[0] in SCRIPTS:
        set_up(TO_CHECK)
        script = [str(BIN / "python"), SCRIPTS[arguments[0]], *arguments[1:]]
        return subprocess.run(script, cwd=ROOT).returncode
    set_up(TO_RUN)
    return subprocess.run([str(BIN / "routewright"), *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main())
