"""Several processes of one gateway: a supervisor that serves nothing, and workers that all listen on one port.

The kernel deals connections out among the workers (SO_REUSEPORT). The supervisor starts them, one alone at first, so
that what is wrong with the settings or the ledger is told once; starts again those that die; and passes on the signal
to end. It is forked from, so it has no thread and no event loop.
"""

import gc
import logging
import os
import secrets
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from msgspec import Struct

from routewright.errors import OperatorError

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Before a worker that died is started again; twice as long each time."""
MOST_DEATHS, WITHIN_S = 10, 60.0
"""Of one worker: beyond these something is wrong that no further start would mend."""
LOOK_EVERY_S = 0.5
LAST_WORDS_S = 20.0
"""Beyond `server.drain_seconds`, for what workers do at their end; then they are killed."""
WRONG_SETTINGS = 78
"""The exit code of a worker that cannot use the settings (EX_CONFIG)."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
_LONGEST_FOLDER = 90
"""The path of a Unix socket has at most 107 bytes."""


class WorkersUnavailable(OperatorError):
    """This system does not deal connections out among processes, so there is only one."""

    number, code = "E151", "workers_unavailable"


class WorkersFailed(OperatorError):
    """A worker dies again and again, so the gateway ended."""

    number, code = "E152", "workers_failed"


class Worker(Struct, frozen=True, kw_only=True):
    """What a process knows that is one of several."""

    number: int
    """From 1 to `count`; whoever replaces a worker that died has its number."""
    count: int
    port: int
    """That all listen on."""
    folder: Path
    """Where each has a socket for the others; nobody else may enter it."""
    token: str
    """By which workers know each other's requests."""
    supervisor: int
    """Its process id."""
    told: int
    """A pipe to it."""

    def tell_ready(self) -> None:
        """Requests are taken from now on."""
        os.write(self.told, bytes([self.number]))


def supervise(
    count: int, host: str, port: int, *, drain_s: float, announce: Callable[[str], None], parent: int | None = None
) -> Worker:
    """Returns in each of `count` workers, once in each; in the supervisor it ends with SystemExit.

    `announce` is given the address once all serve; with the end of the process `parent` everything ends at once. Raises
    OSError when the address cannot be had, WorkersUnavailable, WorkersFailed.
    """
    if sys.platform != "linux":
        raise WorkersUnavailable(
            f"connections are not dealt out among processes on {sys.platform}",
            hint="leave server.workers at 1, or run several gateways behind a proxy",
        )
    with _folder() as folder, reserve(host, port) as reserved:
        name, port = reserved.getsockname()[:2]
        address = f"http://{f'[{name}]' if ':' in name else name}:{port}"
        team = Supervisor(count, port, folder, drain_s=drain_s, announce=lambda: announce(address), parent=parent)
        return team.run()


def reserve(host: str, port: int) -> socket.socket:
    """An address that only our workers can listen on from now on; nobody listens by this socket. Raises OSError.

    The first socket is refused where anybody else listens. The second, without SO_REUSEADDR, keeps others out before
    there is a worker: those that would share must say so, and belong to the same user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind((host, port))
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(first.getsockname())
        return held


@contextmanager
def _folder() -> Iterator[Path]:
    """For the length of the block, but for a worker, which leaves it by being there."""
    from shutil import rmtree
    from tempfile import mkdtemp

    ours, path = os.getpid(), Path(mkdtemp(prefix="routewright-"))
    try:
        if len(os.fsencode(path)) > _LONGEST_FOLDER:
            raise WorkersUnavailable(f"{path} is too long a path for sockets", hint="set TMPDIR to a shorter one")
        yield path
    finally:
        if os.getpid() == ours:
            rmtree(path, ignore_errors=True)


@contextmanager
def _caught_signals() -> Iterator[int]:
    """Signals for a supervisor come as bytes, their numbers, of this file descriptor."""
    readable, writable = socket.socketpair()
    readable.setblocking(False)
    writable.setblocking(False)
    handlers = {number: signal.signal(number, _leave_it) for number in (*_ENDS, signal.SIGCHLD)}
    before = signal.set_wakeup_fd(writable.fileno())
    try:
        yield readable.fileno()
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        readable.close()
        writable.close()


def _leave_it(number: int, frame: FrameType | None) -> None:
    """Its number has been written for us already."""


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """To read from, and to write to."""
    readable, writable = os.pipe()
    try:
        yield readable, writable
    finally:
        os.close(readable)
        os.close(writable)


class Restarts:
    """When a worker that died is started again. Times are in monotonic seconds."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)

    def pause_s(self, now: float) -> float | None:
        """It died just now: how long to wait; None when it died too often."""
        if len(self._deaths) == MOST_DEATHS and now - self._deaths[0] < WITHIN_S:
            return None
        self._deaths.append(now)
        recent = sum(now - at < WITHIN_S for at in self._deaths)
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (recent - 1))


class Supervisor:
    """Starts workers and keeps them running: `run` returns in each of them."""

    def __init__(
        self, count: int, port: int, folder: Path, *, drain_s: float, announce: Callable[[], None], parent: int | None
    ) -> None:
        """See `supervise`."""
        self._count = count
        self._port = port
        self._folder = folder
        self._drain_s = drain_s
        self._announce = announce
        self._parent = parent
        self._token = secrets.token_hex()
        self._pid = os.getpid()
        self._alive: dict[int, int] = {}
        """Numbers by process id."""
        self._ready: set[int] = set()
        self._due = {1: 0.0}
        """When to start which."""
        self._restarts = {number: Restarts() for number in range(1, count + 1)}
        self._has_served = False
        self._code = 0
        self._failure: WorkersFailed | None = None
        self._kill_at: float | None = None
        """Set once all are to end."""

    def run(self) -> Worker:
        """Returns in each worker. In the supervisor it ends with SystemExit, or with WorkersFailed."""
        with _pipe() as (told, telling), _caught_signals() as caught:
            while self._due or self._alive:
                for number in [number for number, at in self._due.items() if at <= time.monotonic()]:
                    del self._due[number]
                    if not self._fork(number):
                        return self._worker(number, telling)
                readable, _, _ = select.select([told, caught], [], [], self._patience_s())
                if told in readable:
                    self._heard(os.read(told, self._count))
                if caught in readable:
                    self._signalled(os.read(caught, 64))
                if self._parent is not None and os.getppid() != self._parent:
                    self._end(signal.SIGINT)
                self._kill_late()
                self._reap()
        raise self._failure or SystemExit(self._code)

    def _fork(self, number: int) -> bool:
        """Whether this is the supervisor still."""
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # what is there now is shared with the worker for as long as neither touches it
        pid = os.fork()
        if pid:
            self._alive[pid] = number
        return bool(pid)

    def _worker(self, number: int, telling: int) -> Worker:
        """In the new process: in a group of its own, as Ctrl-C is for the supervisor, which then tells us."""
        os.setpgid(0, 0)
        return Worker(
            number=number,
            count=self._count,
            port=self._port,
            folder=self._folder,
            token=self._token,
            supervisor=self._pid,
            told=os.dup(telling),
        )

    def _patience_s(self) -> float:
        return min([LOOK_EVERY_S, *(max(0.0, at - time.monotonic()) for at in self._due.values())])

    def _heard(self, numbers: bytes) -> None:
        """These workers serve now. After the first one ever, the others are started."""
        is_first = not self._ready
        self._ready.update(numbers)
        if self._has_served or self._kill_at is not None:
            return
        if is_first:
            self._due = {number: 0.0 for number in self._restarts if number not in self._ready}
        if len(self._ready) == self._count:
            self._has_served = True
            self._announce()

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _ENDS:
                self._end(signal.SIGTERM if self._kill_at is None else signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        """Start nobody any more, and have all end: by SIGTERM when what is open is over, by SIGINT at once."""
        self._due.clear()
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._drain_s + LAST_WORDS_S
        for pid in self._alive:
            os.kill(pid, how)

    def _kill_late(self) -> None:
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            for pid in self._alive:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            number = self._alive.pop(pid, None)
            if number is not None:  # in a container we are also told of whoever lost its parent
                self._died(number, pid, os.waitstatus_to_exitcode(status))

    def _died(self, number: int, pid: int, code: int) -> None:
        """A worker ended: when it should, before all served, or by itself."""
        if self._kill_at is not None or not self._has_served:
            if -code not in _ENDS:  # a signal to end that came before the worker could heed it
                self._code = self._code or (code if code >= 0 else 128 - code)
            if self._kill_at is None:
                self._end(signal.SIGTERM)
            return
        how = f"worker {number} (process {pid}) ended with {f'exit code {code}' if code >= 0 else f'signal {-code}'}"
        pause_s = self._restarts[number].pause_s(time.monotonic())
        if code == WRONG_SETTINGS:  # the others go on by the last good ones, for as long as these are being mended
            pause_s = LONGEST_PAUSE_S
        if pause_s is None:
            self._failure = WorkersFailed(f"{how}, for the {MOST_DEATHS + 1}th time within {WITHIN_S:g} s")
            self._end(signal.SIGTERM)
            return
        log.warning("%s, and is started again in %g s", how, pause_s)
        self._due[number] = time.monotonic() + pause_s
