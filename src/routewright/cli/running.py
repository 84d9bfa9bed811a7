"""Gateways beside this process: one that runs already, or one that is started and ends with us."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec

from routewright.cli.failures import GatewayNotReached

ANSWER_S = 2.0
"""How long a gateway that runs may take to say so."""
START_S = 30.0
END_S = 10.0
"""How long one that we started may take to start, and at the end to bring its ledger home; then it is killed."""
_SERVING = re.compile(r"routewright serving on (http://\S+)")
_MOST_BYTES = 64 * 1024
_MOST_METRICS_BYTES = 16 * 1024 * 1024
_MOST_LINES = 5


def is_serving(host: str, port: int) -> bool:
    """Whether a gateway of ours answers there."""
    health = _get(address_of(host, port), "/healthz", key="")[1]
    return isinstance(health, dict) and "catalog" in health


def address_of(host: str, port: int) -> str:
    """Where a gateway that listens there is reached from this machine."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 not bound here, but asked for
    host = everywhere.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def read_metrics(url: str, key: str) -> str:
    """What the gateway at this address says at `/metrics`. Raises GatewayNotReached."""
    status, body = _answer(url, "/metrics", key, _MOST_METRICS_BYTES)
    if status in (401, 403):
        raise GatewayNotReached(
            f"the gateway at {url} does not let us look",
            hint="export ROUTEWRIGHT_KEY=… with one of its keys: `routewright keys create NAME --role read`",
        )
    if status != 200:
        raise GatewayNotReached(f"no gateway answers at {url}", hint="start it: routewright serve; or name it: --url")
    return body.decode(errors="replace")


def check_admits(url: str, key: str) -> None:
    """Raises GatewayNotReached unless the gateway at this address answers and lets this key in."""
    status, _ = _get(url, "/v1/models", key)
    if status in (401, 403):
        raise GatewayNotReached(
            f"the gateway at {url} does not take the key",
            hint="export ROUTEWRIGHT_KEY=… with one of its keys; `routewright keys create NAME` makes one",
        )
    if status != 200:
        raise GatewayNotReached(f"no gateway answers at {url}", hint="start it: routewright serve")


def _get(url: str, path: str, key: str) -> tuple[int, object]:
    """The status and the document; 0 where nobody answers, None for no document."""
    status, body = _answer(url, path, key, _MOST_BYTES)
    try:
        return status, msgspec.json.decode(body)
    except ValueError:
        return status, None


def _answer(url: str, path: str, key: str, most_bytes: int) -> tuple[int, bytes]:
    """The status and the body; 0 where nobody answers."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=ANSWER_S)
    try:
        connection.request("GET", parts.path.rstrip("/") + path, headers={"authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, response.read(most_bytes)
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


@contextlib.contextmanager
def started(arguments: Sequence[str]) -> Iterator[str]:
    """A gateway on a free port of this machine, for the length of a block; yields its address.

    Away from our terminal, so that Ctrl-C is for the program that uses it. Raises GatewayNotReached.
    """
    serve = [sys.executable, "-m", "routewright", "serve", "--host", "127.0.0.1", "--port", "0", "--exit-with-parent"]
    with TemporaryDirectory(prefix="routewright-launch-") as folder, (Path(folder) / "log").open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603 this program, with options of our user
            [*serve, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield _address(process, Path(log.name))
        finally:
            _end(process)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        has_ended = process.poll() is not None
        told = log.read_text("utf-8", "replace")
        if found := _SERVING.search(told):
            return found[1]
        if has_ended:
            raise GatewayNotReached(
                "the gateway did not start: " + "; ".join(told.strip().splitlines()[-_MOST_LINES:]),
                hint="start it by itself to see more: routewright serve",
            )
        time.sleep(0.02)
    raise GatewayNotReached(f"the gateway did not start within {START_S:g} s", hint="routewright doctor")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Nobody uses it any more: what is open is cut, and all that was spent goes into the ledger."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
