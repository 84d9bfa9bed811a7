"""What a start costs: a Python that imports routewright, and the command line up to its help."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from routewright.bench.processes import LOG_TAIL_CHARS, START_TIMEOUT_S, BenchFailed, environment


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


def _children_cpu_s() -> float:
    """CPU of all children that have ended and been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
