"""Other gateways in the run of ours, each with its defaults and what stands here.

What can be installed (`litellm[proxy]` and `nemo-switchyard` in environments of their own, and by npm
`@portkey-ai/gateway`) is installed into a folder, and measured beside nginx, the floor and our gateway, in turn: CPU of
the whole tree of processes for requests of 1 and 32 KB and for streams of 50 chunks, memory, and the time to the first
answer. One process each, one model at the mock provider (Switchyard two, to choose from), logs quiet, no database.
Takes some minutes, a gigabyte of disk, and the network.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop
from msgspec.structs import replace

from routewright.bench.load import Clients, Load
from routewright.bench.nginx import free_port, nginx
from routewright.bench.plan import Plan
from routewright.bench.processes import LOG_TAIL_CHARS, BenchFailed, Child, children, running, started
from routewright.bench.proxies import CHUNKS, LARGE_PROMPT_CHARS, PROMPT_CHARS, spend, streamed, whole
from routewright.bench.report import Figure, figure
from routewright.bench.settings import write_settings

PLAN = Plan(rounds=3, concurrency=32, patience_s=180)
START_S = 90.0
LITELLM = """\
model_list:
  - model_name: auto
    litellm_params: {{model: openai/bench-model, api_base: "{upstream}/v1", api_key: sk-none}}
"""
SWITCHYARD = """\
schema_version = 1

[llm_clients.bench]
format = "openai_chat"
base_url = "{upstream}/v1"

[targets.capable]
id = "claude-opus-4.7"
llm_client = "bench"

[targets.efficient]
id = "deepseek-v3"
llm_client = "bench"

[routes.auto]
id = "auto"
type = "stage_router"
capable_target = "capable"
efficient_target = "efficient"
picker = "efficient_first"
confidence_threshold = 0.5
"""
SERVE_SWITCHYARD = """\
import signal, sys
from switchyard_rust.server import Server
with Server(sys.argv[1], int(sys.argv[2])):
    signal.pause()
"""


class Kind(NamedTuple):
    """What is sent; how much of it to a light gateway, and to one that takes a hundred times as long."""

    name: str
    load: Load
    many: int
    few: int


KINDS = (
    Kind("1 KB request", whole(PROMPT_CHARS), 2_000, 200),
    Kind("32 KB request", whole(LARGE_PROMPT_CHARS), 500, 100),
    Kind(f"stream of {CHUNKS} chunks", streamed(CHUNKS), 128, 32),
)


class Side(NamedTuple):
    """A gateway that runs."""

    child: Child
    headers: tuple[str, ...] = ()
    is_heavy: bool = False
    first_answer_s: float | None = None
    settings: str = ""
    """The exact command, environment and file that it runs with."""


# ---- the peers ------------------------------------------------------------------------------------------------------


@contextmanager
def litellm(upstream: Child, place: Path, folder: Path) -> Iterator[Side]:
    """Of Python. Its environment has no database; telemetry and the look for newer prices are off."""
    program = _installed(place / "litellm", "litellm[proxy]") / "litellm"
    config, port = folder / "litellm.yaml", free_port()
    config.write_text(LITELLM.format(upstream=upstream.url))
    settings = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    settings["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # on loopback, without a key of its own
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    command += ["--keepalive_timeout", "75"]  # as ours; its default of 5 s cuts who waits between two rounds
    with _answering("litellm", command, port, folder, settings) as side:
        yield _with_file(side, config)


@contextmanager
def portkey(upstream: Child, place: Path, folder: Path) -> Iterator[Side]:
    """Of Node. It is told the provider by headers; one on this machine has to be trusted."""
    program = place / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        (place / "portkey").mkdir(parents=True, exist_ok=True)
        _install(["npm", "install", "--silent", "--prefix", str(place / "portkey"), "@portkey-ai/gateway"])
    port = free_port()
    told = f"x-portkey-provider: openai\r\nx-portkey-custom-host: {upstream.url}/v1\r\nauthorization: Bearer sk-none"
    command = [shutil.which("node") or "node", str(program), "--headless", f"--port={port}"]
    settings = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    with _answering("portkey", command, port, folder, settings, told) as side:
        yield side


@contextmanager
def switchyard(upstream: Child, place: Path, folder: Path) -> Iterator[Side]:
    """Of Rust, with the router of its first steps; its wheel has the server, for Python to start. Its log is quiet."""
    python = _installed(place / "switchyard", "nemo-switchyard") / "python"
    config, port = folder / "routes.toml", free_port()
    config.write_text(SWITCHYARD.format(upstream=upstream.url))
    command = [str(python), "-c", SERVE_SWITCHYARD, str(config), str(port)]
    with _answering("switchyard", command, port, folder, {"RUST_LOG": "error"}) as side:
        yield _with_file(side, config)


def _with_file(side: Side, config: Path) -> Side:
    """With what its file of settings says."""
    return side._replace(settings=f"{side.settings}; {config.name}: {config.read_text().strip()!r}")


def _installed(environment: Path, requirement: str) -> Path:
    """The programs of an environment that has this package of PyPI, newest when it is first asked for."""
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


def _litellm_version(place: Path) -> str:
    return _version_of("litellm", place / "litellm")


def _switchyard_version(place: Path) -> str:
    return _version_of("nemo_switchyard", place / "switchyard")


def _portkey_version(place: Path) -> str:
    package = place / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
    return str(msgspec.json.decode(package.read_bytes())["version"])


class Peer(NamedTuple):
    """Another gateway."""

    run: Callable[[Child, Path, Path], AbstractContextManager[Side]]
    version: Callable[[Path], str]
    bar: float
    """It takes so many times our CPU for a request of 1 KB, at least."""


PEERS = {
    "litellm": Peer(litellm, _litellm_version, 75),
    "portkey": Peer(portkey, _portkey_version, 8),
    "switchyard": Peer(switchyard, _switchyard_version, 1.8),
}


@contextmanager
def _answering(
    name: str, command: list[str], port: int, folder: Path, settings: Mapping[str, str], *headers: str
) -> Iterator[Side]:
    """It runs, and has given its first answer."""
    begun = time.monotonic()
    environ = [f"{key}={value}" for key, value in settings.items()]
    with started(name, [shutil.which("env") or "env", *environ, *command], folder) as (process, _):
        child = Child(name=name, pid=process.pid, host="127.0.0.1", port=port)
        while True:
            try:
                uvloop.run(_ask_once(Side(child, headers)))
                break
            except BenchFailed as error:
                if process.poll() is not None or time.monotonic() - begun > START_S:
                    raise child.failure(f"gave no answer: {error.message}") from error
                time.sleep(0.05)
        took_s = time.monotonic() - begun
        told = " ".join(shlex.join([*environ, Path(command[0]).name, *command[1:]]).replace(str(folder), "…").split())
        yield Side(_whole(child), headers, is_heavy=True, first_answer_s=took_s, settings=told)


def _whole(child: Child) -> Child:
    """With all processes below it."""
    found: list[int] = []
    level = children(child.pid)
    while level:
        found += level
        level = tuple(below for pid in level for below in children(pid))
    return Child(name=child.name, pid=child.pid, host=child.host, port=child.port, others=tuple(found))


async def _ask_once(side: Side) -> None:
    async with Clients(side.child, patience_s=PLAN.patience_s) as clients:
        await clients.closed_loop(replace(KINDS[0].load, headers=side.headers), 1, concurrency=1)


# ---- the run --------------------------------------------------------------------------------------------------------


def measure(names: Sequence[str], place: Path, notes: list[str], told: Callable[[str], object]) -> list[Figure]:
    """All of them, in turn; `told` hears what is done, `notes` gets versions, settings, and what was left out.

    A peer that cannot be installed or does not start is left out.
    """
    with tempfile.TemporaryDirectory(prefix="routewright-peers-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(running("upstream", ["-m", "routewright.bench.upstream"], folder))
        plain = stack.enter_context(nginx(upstream, folder))
        sides = {} if plain is None else {"nginx": Side(plain)}
        floor = ["-m", "routewright.bench.floor", "--upstream", upstream.url]
        sides["floor"] = Side(stack.enter_context(running("floor", floor, folder)))
        serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(write_settings(folder, upstream))]
        sides["routewright"] = Side(stack.enter_context(running("gateway", serve, folder)))
        for peer in names:
            told(f"installing and starting {peer}")
            try:
                sides[peer] = stack.enter_context(PEERS[peer].run(upstream, place, folder))
            except BenchFailed as error:
                notes.append(f"{peer}: left out, as it {error.message}")
            else:
                notes.append(f"{peer} {PEERS[peer].version(place)}: {sides[peer].settings}")
        return uvloop.run(_figures(sides, notes, told))


async def _figures(sides: Mapping[str, Side], notes: list[str], told: Callable[[str], object]) -> list[Figure]:
    figures = []
    for kind in KINDS:
        told(kind.name)
        rounds = await _rounds(sides, kind, notes)
        for name, took in rounds.items():
            figures.append(figure(name, f"{name}, {kind.name}", "µs CPU", took))
        for name in (name for name in rounds if sides[name].is_heavy):
            ratio = [its / ours for its, ours in zip(rounds[name], rounds["routewright"], strict=True)]
            least = PEERS[name].bar if kind is KINDS[0] else None
            figures.append(figure(name, f"{name} ÷ routewright, {kind.name}", "×", ratio, least=least))
    for name, side in sides.items():
        figures.append(figure(name, f"{name}, memory after that", "MB", [side.child.resident_mb()]))
        if side.first_answer_s is not None:
            figures.append(figure(name, f"{name}, start to first answer", "s", [side.first_answer_s]))
    return figures


async def _rounds(sides: Mapping[str, Side], kind: Kind, notes: list[str]) -> dict[str, list[float]]:
    """CPU of a request by side; without a peer that does not answer this kind, which is noted."""
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(PLAN.rounds):
        for name in list(rounds):
            side = sides[name]
            load = replace(kind.load, headers=side.headers * len(kind.load.bodies))
            try:
                spent = await spend(PLAN, side.child, load, kind.few if side.is_heavy else kind.many)
            except BenchFailed as error:
                if not side.is_heavy:
                    raise
                notes.append(f"{kind.name}: left out, as {error.message}")
                del rounds[name]
            else:
                rounds[name].append(spent.cpu_us)
    return rounds
