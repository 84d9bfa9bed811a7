"""Other gateways as programs: installed newest when they are first asked for, started with settings, and stopped.

`litellm[proxy]` and `nemo-switchyard` come into environments of their own, `@portkey-ai/gateway` by npm, all below one
folder, the *place*. Takes a gigabyte of disk, and the network.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from routewright.bench.nginx import free_port
from routewright.bench.processes import LOG_TAIL_CHARS, BenchFailed, Child, children, started

START_S = 90.0
SERVE_SWITCHYARD = """\
import signal, sys
from switchyard_rust.server import Server
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with Server(sys.argv[1], int(sys.argv[2])):
    signal.sigwait({signal.SIGTERM})
"""
"""The signal is what ends the block, and so stops the server in its own way."""

PORTKEY = {"dependencies": {"@portkey-ai/gateway": "*"}, "overrides": {"@hono/node-server": "1.14.1"}}
"""With a later server than this one it breaks every stream: https://github.com/Portkey-AI/gateway/issues/1389."""

Ready = Callable[[Child], object]
"""Asks it once; raises BenchFailed while it does not answer."""


class Running(NamedTuple):
    """A gateway that has given its first answer."""

    child: Child
    version: str
    first_answer_s: float
    settings: str
    """The exact command with its environment, and the files that it reads."""


@contextmanager
def litellm(files: Mapping[str, str], place: Path, folder: Path, ready: Ready) -> Iterator[Running]:
    """Of Python; its settings are the first of the files. Telemetry and the look for newer prices are off."""
    environment, config, port = place / "litellm", next(iter(files)), free_port()
    program = _environment(environment, "litellm[proxy]") / "litellm"
    settings = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    settings["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # on loopback, without a key of its own
    command = [str(program), "--config", str(folder / config), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", "1"]
    command += ["--keepalive_timeout", "75"]  # as ours; its default of 5 s cuts who waits between two rounds
    version = _version_of("litellm", environment)
    with _answering("litellm", version, command, port, folder, settings, files, ready) as running:
        yield running


@contextmanager
def portkey(place: Path, folder: Path, ready: Ready) -> Iterator[Running]:
    """Of Node. Each request tells it the provider by headers; one on this machine has to be trusted."""
    home, port = place / "portkey", free_port()
    package = home / "node_modules" / "@portkey-ai" / "gateway"
    if not package.exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps(PORTKEY))
        _install(["npm", "install", "--silent", "--prefix", str(home)])
    program = package / "build" / "start-server.js"
    command = [shutil.which("node") or "node", str(program), "--headless", f"--port={port}"]
    settings = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    version = str(json.loads((package / "package.json").read_bytes())["version"])
    files = {"package.json": json.dumps(PORTKEY)}
    with _answering("portkey", version, command, port, folder, settings, files, ready) as running:
        yield running


@contextmanager
def switchyard(config: str, place: Path, folder: Path, ready: Ready) -> Iterator[Running]:
    """Of Rust; its wheel has the server, for Python to start. Its log is quiet."""
    environment, name, port = place / "switchyard", "routes.toml", free_port()
    python = _environment(environment, "nemo-switchyard") / "python"
    command = [str(python), "-c", SERVE_SWITCHYARD, str(folder / name), str(port)]
    version, settings = _version_of("nemo_switchyard", environment), {"RUST_LOG": "error"}
    with _answering("switchyard", version, command, port, folder, settings, {name: config}, ready) as running:
        yield running


def _environment(environment: Path, requirement: str) -> Path:
    """The programs of an environment that has this package of PyPI."""
    if not environment.exists():
        _install([sys.executable, "-m", "venv", str(environment)])
        _install([str(environment / "bin/pip"), "install", "--quiet", requirement])
    return environment / "bin"


def _install(command: Sequence[str]) -> None:
    """Run an installer. Raises BenchFailed with what it said, also where there is none."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BenchFailed(f"cannot be installed: there is no {command[0]}") from error
    except subprocess.CalledProcessError as error:
        raise BenchFailed(f"cannot be installed: {error.stderr.strip()[-LOG_TAIL_CHARS:]}") from error


def _version_of(name: str, environment: Path) -> str:
    (found,) = environment.glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return found.name.removeprefix(f"{name}-").removesuffix(".dist-info")


@contextmanager
def _answering(
    name: str,
    version: str,
    command: list[str],
    port: int,
    folder: Path,
    settings: Mapping[str, str],
    files: Mapping[str, str],
    ready: Ready,
) -> Iterator[Running]:
    """It runs with these files in its folder, and has given its first answer."""
    for file, text in files.items():
        (folder / file).write_text(text)
    begun = time.monotonic()
    environ = [f"{key}={value}" for key, value in settings.items()]
    with started(name, [shutil.which("env") or "env", *environ, *command], folder) as (process, _):
        child = Child(name=name, pid=process.pid, host="127.0.0.1", port=port)
        while True:
            try:
                ready(child)
                break
            except BenchFailed as error:
                if process.poll() is not None or time.monotonic() - begun > START_S:
                    raise child.failure(f"gave no answer: {error.message}") from error
                time.sleep(0.05)
        took_s = time.monotonic() - begun
        shown = shlex.join([*environ, *(Path(each).name if each.startswith("/") else each for each in command)])
        texts = [f"# {file}\n{text.strip()}" for file, text in files.items()]
        yield Running(whole(child), version, took_s, "\n\n".join([shown, *texts]))


def whole(child: Child) -> Child:
    """With all processes below it."""
    found: list[int] = []
    level = children(child.pid)
    while level:
        found += level
        level = tuple(below for pid in level for below in children(pid))
    return Child(name=child.name, pid=child.pid, host=child.host, port=child.port, others=tuple(found))
