"""The programs under measurement: started, looked at from outside, and stopped whatever happens. Linux only."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from routewright.errors import OperatorError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
LAST_WORDS_S = 0.5
"""After a failure, how long to wait for the program to end, which then was the cause."""
LOG_TAIL_CHARS = 2_000

_ADDRESS = re.compile(rb"serving on http://([\w.]+):(\d+)\s")
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG = 1


class BenchFailed(OperatorError):
    """Something could not be measured; `program` names whose fault it is, if one's."""

    number, code = "E405", "bench_failed"

    def __init__(self, message: str, *, program: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.program = program


class Child(Struct, frozen=True, kw_only=True):
    """A running program that serves HTTP on loopback."""

    name: str
    pid: int
    host: str
    port: int
    others: tuple[int, ...] = ()
    """Further processes that are part of it."""

    @property
    def url(self) -> str:
        """Where it serves, without a path."""
        return f"http://{self.host}:{self.port}"

    def failure(self, how: str, *, hint: str | None = None) -> BenchFailed:
        """The error that this program is to blame for: `failure("hung up")`."""
        return BenchFailed(f"the {self.name} {how}", program=self.name, hint=hint)

    def cpu_s(self) -> float:
        """Seconds of CPU, user and system, that all its threads took since they started; also those that have ended.

        /proc/PID/stat says the same in ticks of 10 ms; the process's own clock, clock_getcpuclockid(3), in nanoseconds.
        """
        try:
            return sum(time.clock_gettime(~pid << 3 | 2) for pid in (self.pid, *self.others))
        except OSError as error:
            raise self.failure("has ended in the middle of the measurement") from error

    def resident_mb(self) -> float:
        """Memory of its processes that is in RAM, in MB of 2²⁰ bytes; what they share counts for each."""
        total_kb = 0
        for pid in (self.pid, *self.others):
            found = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
            if found is None:
                raise self.failure("has ended in the middle of the measurement")
            total_kb += int(found[1])
        return total_kb / 1024


def require_linux() -> None:
    """Raise BenchFailed where there is no /proc to read from."""
    if sys.platform != "linux":
        raise BenchFailed(
            f"CPU and memory of other processes are read as only Linux tells them, and this is {sys.platform}",
            hint="run it on Linux, or in a Linux container",
        )


def environment(folder: Path) -> Mapping[str, str]:
    """What a program is started with: no keys, no proxies, no settings but those in `folder`."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}


@contextmanager
def running(
    name: str, arguments: Sequence[str], folder: Path, *, python: str | Path = sys.executable
) -> Iterator[Child]:
    """Run a Python with these arguments and wait until it says where it serves; stop it at the end.

    Processes that it has started by then are part of it. A BenchFailed that this program is to blame for, here or in
    the block, is raised with the end of what it wrote.
    """
    with started(name, [str(python), *arguments], folder) as (process, log):
        host, port = _await_address(name, process, log)
        yield Child(name=name, pid=process.pid, host=host, port=port, others=children(process.pid))


def children(pid: int) -> tuple[int, ...]:
    """The processes that this one has started, and not ended."""
    return tuple(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@contextmanager
def started(name: str, command: Sequence[str], folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Run a command, and stop it at the end; yields it, and the file of what it says. See `running`."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own modules, and proxies to compare with
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(folder),
            preexec_fn=_follower(),
        )
    try:
        yield process, log
    except BenchFailed as error:
        if error.program != name:
            raise
        told = f"{error.message}\n{name} ({_state(process)}) wrote: {_tail(log)}"
        raise BenchFailed(told, hint=error.hint) from error
    finally:
        _stop(process)


def _follower() -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _await_address(name: str, process: "subprocess.Popen[bytes]", log: Path) -> tuple[str, int]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if found := _ADDRESS.search(log.read_bytes()):
            return found[1].decode(), int(found[2])
        if process.poll() is not None:
            raise BenchFailed(f"the {name} did not start", program=name)
        time.sleep(0.01)
    raise BenchFailed(f"the {name} did not say where it serves within {START_TIMEOUT_S:g} s", program=name)


def _state(process: "subprocess.Popen[bytes]") -> str:
    try:
        return f"exit status {process.wait(LAST_WORDS_S)}"
    except subprocess.TimeoutExpired:
        return "still running"


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-LOG_TAIL_CHARS:] or "nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
