"""A real gateway in a process of its own, for who looks at it from outside: proofs, and tests."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import routewright

_PACKAGES = Path(routewright.__file__).parents[1]
_SERVING = re.compile(r"routewright serving on (http://\S+)")
_PATIENCE_S = 30


class Served:
    """`routewright serve` with its own home folder; `url` is where it listens, `told` what it said before that."""

    def __init__(
        self, home: Path, *arguments: str, environ: Mapping[str, str] | None = None, launcher: Sequence[str] = ()
    ) -> None:
        """`launcher` is a command that starts the one that is given to it, and remains its parent."""
        self.home = home
        self._command = [*launcher, sys.executable, "-m", "routewright", "serve", "--port", "0", *arguments]
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(_PACKAGES),
            **(environ or {}),
        }

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            self._command,
            env=self.environ,
            cwd=self.home,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.told = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told += line
            if found := _SERVING.search(line):
                self.url = found[1]
                return self
        self.kill()
        raise AssertionError(f"the gateway did not start:\n{self.told}")

    @property
    def ledger(self) -> Path:
        """The database of its ledger."""
        return self.home / ".local/share/routewright/ledger.db"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        code = self.process.wait(_PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def serving(home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A gateway for the length of a block."""
    served = Served(home, *arguments, environ=environ).start()
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop()


@contextlib.contextmanager
def mock_upstream(bill: Path) -> Iterator[int]:
    """The provider of `mock_upstream`, for the length of a block; yields its port."""
    command = [sys.executable, "-m", "routewright.proofs.mock_upstream", str(bill)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
