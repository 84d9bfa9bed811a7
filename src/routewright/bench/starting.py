"""What a start costs: an import of routewright, the command line up to its help, a gateway up to its first answer."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

from msgspec import Struct

from routewright.bench.load import PATH
from routewright.bench.processes import LOG_TAIL_CHARS, START_TIMEOUT_S, BenchFailed, Child, environment, running
from routewright.bench.proxies import PROMPT_CHARS
from routewright.bench.questions import chat_body, prompts


class Start(Struct, frozen=True):
    """One start."""

    cpu_ms: float
    wall_ms: float


def starts(arguments: Sequence[str], folder: Path, *, rounds: int) -> list[Start]:
    """Run `python` with these arguments to its end, `rounds` times, after one run that is not counted.

    Raises BenchFailed when it fails. Nothing else may be started meanwhile.
    """
    _start(arguments, folder)
    return [_start(arguments, folder) for _ in range(rounds)]


def _start(arguments: Sequence[str], folder: Path) -> Start:
    cpu_before, begun = _children_cpu_s(), time.perf_counter()
    try:
        subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(folder),
            timeout=START_TIMEOUT_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchFailed(f"python {' '.join(arguments)} took more than {START_TIMEOUT_S:g} s") from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode(errors="replace").strip()[-LOG_TAIL_CHARS:]
        raise BenchFailed(f"python {' '.join(arguments)} ended with status {error.returncode}: {told}") from error
    wall_s = time.perf_counter() - begun
    return Start(cpu_ms=(_children_cpu_s() - cpu_before) * 1e3, wall_ms=wall_s * 1e3)


def first_answers(config: Path, *, rounds: int) -> list[Start]:
    """Start a gateway with these settings and ask it at once, `rounds` times, after one that is not counted.

    Raises BenchFailed.
    """
    _first_answer(config)
    return [_first_answer(config) for _ in range(rounds)]


def _first_answer(config: Path) -> Start:
    begun = time.perf_counter()
    serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    with running("gateway", serve, config.parent) as gateway:
        _ask(gateway)
        return Start(cpu_ms=gateway.cpu_s() * 1e3, wall_ms=(time.perf_counter() - begun) * 1e3)


def _ask(gateway: Child) -> None:
    connection = HTTPConnection(gateway.host, gateway.port, timeout=START_TIMEOUT_S)
    try:
        connection.request("POST", PATH, chat_body(prompts(PROMPT_CHARS)[0]), {"content-type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise gateway.failure(f"answered with status {response.status}: {response.read()[:LOG_TAIL_CHARS]!r}")
        response.read()
    finally:
        connection.close()


def _children_cpu_s() -> float:
    """CPU of all children that have ended and been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
