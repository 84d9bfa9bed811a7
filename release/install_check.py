"""routewright as users install it, in clean places: `python dev.py install-check`.

By pip for each Python from 3.11 that is found, in the exact versions of requirements.txt, the wheel where it is one
for that Python, and the sdist elsewhere; the wheel by `uv tool install` and the sdist by `pipx install`, in the newest
versions. Each is exercised in a home folder of its own: its verbs answer, a gateway serves a request and ends at
SIGTERM, the ledger has the request and is sound. Then what takes room is listed. Exit code 1 if anything does not work;
that the install is larger than its bar is told, but is no failure. It takes two minutes, most of which is pip's.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from building import build  # noqa: E402 what the tests build with is beside them, not in the package
from routewright.cli.starting import EX_CONFIG, OLDEST_PYTHON  # noqa: E402

NEWEST_TRIED = 20
MOST_MB = 40
SERVING = re.compile(r"routewright serving on (http://\S+)")
VERBS = (
    (("--version",), "routewright "),
    (("--help",), "serve"),
    (("explain", "E154"), "3.11"),
    (("config", "check"), ""),
    (("route", "Prove that every finite integral domain is a field"), ""),
    (("prices", "show"), ""),
    (("doctor", "--json"), "["),
    (("demo", "--json", "--speed", "100000"), "{"),
    (("prove", "--quick", "--only", "f4"), "F4"),
)
PATIENCE_S = 120
OURS = f"python3.{sys.version_info.minor}"


class NotWorking(Exception):
    """Something that was installed does not do what it should."""


def exercised(program: Path, home: Path) -> None:
    """Use an installed `routewright`. Raises NotWorking."""
    home.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def run(*arguments: str) -> str:
        command = [str(program), *arguments]
        done = subprocess.run(
            command, env=environ, cwd=home, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if done.returncode:
            raise NotWorking(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    for arguments, word in VERBS:
        if word not in run(*arguments):
            raise NotWorking(f"{' '.join(arguments)} does not say {word!r}")
    _served(program, environ, home)
    if json.loads(run("report", "--json"))["totals"]["requests"] != 1:
        raise NotWorking("the ledger does not have the request")
    run("ledger", "verify")


def _served(program: Path, environ: dict[str, str], home: Path) -> None:
    command = [str(program), "serve", "--simulate", "--port", "0"]
    process = subprocess.Popen(command, env=environ, cwd=home, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = next((match[1] for line in process.stderr if (match := SERVING.search(line))), None)
    if told is None:
        raise NotWorking("the gateway did not start")
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{told}/v1/chat/completions", body, headers)  # noqa: S310 our own
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 our own
        json.load(answer)["choices"][0]
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    if process.wait(PATIENCE_S):
        raise NotWorking("the gateway did not end well")


def pythons() -> list[tuple[str, str, bool]]:
    """Each version of Python 3 that is found, by its name, with where it is, and whether it is new enough."""
    homes = [*os.environ["PATH"].split(os.pathsep), *map(str, (Path.home() / ".pyenv/versions").glob("*/bin"))]
    found = []
    for minor in range(6, NEWEST_TRIED):
        name = f"python3.{minor}"
        places = (shutil.which(name, path=home) for home in homes)
        if place := next((place for place in places if place and _runs(place)), None):
            found.append((name, place, minor >= OLDEST_PYTHON[1]))
    return found


def _runs(python: str) -> bool:
    """Whether it is a Python that can make environments; a version manager's stand-in may be none."""
    return not subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode


def refused(python: str) -> None:
    """Start the program by a Python that is too old. Raises NotWorking if that is not told in two lines."""
    command = [python, "-m", "routewright", "--version"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    if done.returncode != EX_CONFIG or len(lines) != 2 or not lines[0].startswith("error[E154]"):
        raise NotWorking(f"{python} is not refused well: {done.stderr}")


def with_pip(python: str, built: Path, folder: Path) -> Path:
    """A clean environment with a wheel or an sdist; its program."""
    place = folder / f"by-{Path(python).name}"
    subprocess.run([python, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "requirements.txt"), str(built)], check=True)
    return place / "bin/routewright"


def tools(folder: Path) -> Path:
    """Where uv and pipx are, from PyPI."""
    place = folder / "tools"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin/python", "-m", "pip", "install", "--quiet", "uv", "pipx"], check=True)
    return place / "bin"


def with_uv(bin_folder: Path, wheel: Path, folder: Path) -> Path:
    """`uv tool install`; its program."""
    place = folder / "by-uv"
    environ = {
        **os.environ,
        "UV_TOOL_DIR": str(place),
        "UV_TOOL_BIN_DIR": str(place / "bin"),
        "UV_PYTHON": sys.executable,
    }
    subprocess.run([bin_folder / "uv", "tool", "install", "--quiet", str(wheel)], env=environ, check=True)
    return place / "bin/routewright"


def with_pipx(bin_folder: Path, sdist: Path, folder: Path) -> Path:
    """`pipx install`; its program."""
    place = folder / "by-pipx"
    environ = {**os.environ, "PIPX_HOME": str(place), "PIPX_BIN_DIR": str(place / "bin"), "PIPX_MAN_DIR": str(place)}
    subprocess.run([bin_folder / "pipx", "install", "--quiet", "--quiet", str(sdist)], env=environ, check=True)
    return place / "bin/routewright"


def sizes(program: Path) -> list[tuple[str, float, float]]:
    """What each package takes in MB, and how much of that is compiled Python, the largest first; without pip's own."""
    (packages,) = (program.parents[1] / "lib").glob("python*/site-packages")
    found: dict[str, int] = {}
    bytecode: dict[str, int] = {}
    for file in packages.rglob("*"):
        name = file.relative_to(packages).parts[0].partition(".libs")[0].partition("-")[0]
        if file.is_file() and name not in ("pip", "setuptools", "pkg_resources", "_distutils_hack"):
            size = file.stat().st_size
            found[name] = found.get(name, 0) + size
            bytecode[name] = bytecode.get(name, 0) + size * (file.suffix == ".pyc")
    every = ((name, size / 1e6, bytecode[name] / 1e6) for name, size in found.items())
    return sorted(every, key=lambda each: -each[1])


def tell_sizes(program: Path) -> None:
    """Print them, and what they come to."""
    every = sizes(program)
    total, bytecode = sum(size for _, size, _ in every), sum(part for _, _, part in every)
    print(f"on disk: {total:.1f} MB (bar: {MOST_MB} MB{'' if total <= MOST_MB else ', MISSED'}),", end=" ")
    print(f"{total - bytecode:.1f} without compiled Python, of which")
    for name, size, part in every[:12]:
        print(f"  {name:<16} {size:5.1f} MB {size - part:5.1f}")


def main() -> int:
    """Install in each way, exercise, tell."""
    failed = False
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wheel, sdist = build(ROOT, folder / "dist", "wheel"), build(ROOT, folder / "dist", "sdist")
        bin_folder, found = tools(folder), pythons()
        ways: list[tuple[str, Callable[[], Path]]] = [
            *(
                (f"pip, {name}", partial(with_pip, place, wheel if name == OURS else sdist, folder))
                for name, place, is_new in found
                if is_new
            ),
            ("uv tool install", lambda: with_uv(bin_folder, wheel, folder)),
            ("pipx install", lambda: with_pipx(bin_folder, sdist, folder)),
        ]
        for name, place, is_new in found:
            if not is_new:
                refused(place)
                print(f"{name}: told that it is too old", flush=True)
        programs = []
        for number, (name, install) in enumerate(ways):
            try:
                programs.append(install())
                exercised(programs[-1], folder / f"home-{number}")
                print(f"{name}: works", flush=True)
            except (NotWorking, subprocess.SubprocessError, OSError) as error:
                print(f"{name}: DOES NOT WORK: {error}", file=sys.stderr)
                failed = True
        if programs:
            tell_sizes(programs[0])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
