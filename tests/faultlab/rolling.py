"""Two replicas behind nginx, over one PostgreSQL and one Redis, are restarted one after the other under load.

nginx has the file that ships in `deploy/nginx`, and each replica the settings that `compose.yaml` gives it. A request
has failed if its client got anything but a whole answer; a row is lost if what the provider billed, or what a client
was answered, is not in the ledger exactly once.
"""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from databases import PostgresServer
from redises import redis_server
from served import Served, mock_upstream

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SHIPPED = Path(__file__).parents[2] / "deploy/nginx/routewright.conf"
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/routewright.conf;
}}
"""
SETTINGS = """
[policy]
classifier = "heuristic"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"
"""
MODEL = """
[models.{name}]
tier = "standard"
deployments = ["mock/{name}"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
MIX = (*(("ok", False), ("ok", True), ("slow", False)) * 4, ("long", True))
"""Models of the lab's provider, and whether they are streamed: answers of 1 ms, of 20 ms, of 0.2 s, of 0.7 s."""
PATIENCE_S = 150.0
"""More than a replica is given to end; an overloaded machine takes long."""
_REQUEST_ID = re.compile(rb"\r\nx-request-id: (\S+)\r\n", re.IGNORECASE)
_COMPLAINT = re.compile(r"\] \S+ (?:\*\d+ )?(.*?)(?:, client: .*)?$", re.MULTILINE)
_REFUSED = "connect() failed (111: Connection refused) while connecting to upstream"


class Rolled(Struct, frozen=True, kw_only=True):
    """What was measured."""

    requests: int
    failed: Mapping[str, int]
    """Those that failed, by how they did."""
    lost: int
    passed_on: int
    """Times that nginx found a replica away, and went to the other."""
    complaints: Mapping[str, int]
    """What else nginx met."""
    restarts: int
    clean_ends: int
    """Replicas that ended with exit code 0."""
    slowest_s: float


class _Replica(Served):
    """One with a folder of its own, on a port that it keeps; what it logs is in `log` of its folder."""

    def __init__(self, home: Path, settings: str, environ: dict[str, str]) -> None:
        home.mkdir()
        (home / "routewright.toml").write_text(settings)
        super().__init__(home, "--port", str(_free_port()), environ=environ)

    def start(self) -> Self:
        """Start it, and have its log read, as a full pipe would stop it."""
        super().start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines, (self.home / "log").open("a") as log:
            log.writelines(lines)


class _Load:
    """Requests at a fixed rate, each by a connection of its own, whatever the answers do."""

    def __init__(self, port: int, per_s: int) -> None:
        self._port = port
        self._per_s = per_s
        self.answered: list[str] = []
        """The ids that were told."""
        self.failed: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.sent = 0

    async def run(self, is_over: asyncio.Event) -> None:
        """Send until it is over, and wait for the last answer."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not is_over.is_set():
                group.create_task(self._ask(*MIX[self.sent % len(MIX)]))
                self.sent += 1
                await asyncio.sleep(max(0.0, began + self.sent / self._per_s - time.monotonic()))

    async def _ask(self, model: str, is_stream: bool) -> None:
        began = time.monotonic()
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": is_stream}
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._exchange(msgspec.json.encode(body))
        except (OSError, TimeoutError) as error:
            self.failed[repr(error)] += 1
            return
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        told = _REQUEST_ID.search(answer)
        if answer.startswith(b"HTTP/1.1 200 ") and (b"[DONE]" if is_stream else b'"usage"') in answer and told:
            self.answered.append(told[1].decode())
        else:
            self.failed[answer.partition(b"\r\n")[0].decode(errors="replace")] += 1

    async def _exchange(self, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            return await reader.read(-1)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def measure(folder: Path, *, per_s: int = 200, linger_s: int = 5, steady_s: float = 3.0, restarts: int = 2) -> Rolled:
    """Restart one replica after the other, so often, in an empty folder, `steady_s` after the start and after each.

    Raises OSError or SubprocessError without PostgreSQL, Redis or nginx.
    """
    database = PostgresServer()
    try:
        with redis_server() as redis, mock_upstream(folder / "bill.jsonl") as upstream:
            address = database.new_schema()
            settings = SETTINGS.format(port=upstream) + "".join(
                MODEL.format(name=name) for name in sorted({name for name, _ in MIX})
            )
            environ = {
                "ROUTEWRIGHT_LEDGER__DATABASE_URL": address,
                "ROUTEWRIGHT_REDIS__URL": redis.url,
                "ROUTEWRIGHT_SERVER__LINGER_SECONDS": str(linger_s),
                "ROUTEWRIGHT_SERVER__MAX_CONNECTIONS_PER_ADDRESS": "10000",
            }
            replicas = [_Replica(folder / f"replica-{number}", settings, environ) for number in (1, 2)]
            ends: list[int] = []
            try:
                for replica in replicas:
                    replica.start()
                with _nginx(folder, [replica.url for replica in replicas]) as port:
                    load = _Load(port, per_s)
                    asyncio.run(_roll(replicas, load, steady_s, restarts, ends))
            finally:
                for replica in replicas:
                    if replica.process.poll() is None:
                        replica.process.send_signal(signal.SIGINT)
                        replica.wait()
            lost = _lost(database, address.rsplit("%3D", 1)[1], folder / "bill.jsonl", load.answered)
    finally:
        database.close()
    met = Counter(_COMPLAINT.findall((folder / "error.log").read_text()))
    return Rolled(
        requests=load.sent,
        failed=load.failed,
        lost=lost,
        passed_on=met.pop(_REFUSED, 0),
        complaints=met,
        restarts=restarts,
        clean_ends=ends.count(0),
        slowest_s=load.slowest_s,
    )


async def _roll(replicas: list[_Replica], load: _Load, steady_s: float, restarts: int, ends: list[int]) -> None:
    is_over = asyncio.Event()
    asking = asyncio.create_task(load.run(is_over))
    for replica in islice(cycle(replicas), restarts):
        await asyncio.sleep(steady_s)
        ends.append(await asyncio.to_thread(replica.stop))
        await asyncio.to_thread(replica.start)
    await asyncio.sleep(steady_s)
    is_over.set()
    await asking


@contextmanager
def _nginx(folder: Path, replicas: list[str]) -> Iterator[int]:
    """nginx with the file that ships, before these addresses; yields its port."""
    if NGINX is None:
        raise OSError("nginx is not installed: apt-get install nginx-light")
    port, conf = _free_port(), SHIPPED.read_text()
    conf = conf.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    for number, url in enumerate(replicas, start=1):
        conf = conf.replace(f"replica-{number}:8484", url.removeprefix("http://"))
    (folder / "routewright.conf").write_text(conf)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    process = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        _await_port(port)
        yield port
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(PATIENCE_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("nginx does not listen")
        time.sleep(0.02)


def _lost(database: PostgresServer, schema: str, bill: Path, answered: list[str]) -> int:
    """What is not in the ledger exactly once: attempts that were billed, and requests that were answered."""
    with database.connect() as connection:
        connection.execute(f"SET search_path TO {schema}".encode())
        settled = [str(row[0]) for row in connection.execute("SELECT attempt_id FROM events WHERE kind = 'settled'")]
        complete = connection.execute("SELECT request_id FROM requests WHERE outcome = 'complete'").fetchall()
        held = connection.execute("SELECT count(*) FROM open_holds").fetchall()[0][0]
    billed = {json.loads(line)["attempt_id"] for line in bill.read_text().splitlines()}
    rows = {str(row[0]) for row in complete}
    return len(billed ^ set(settled)) + len(settled) - len(set(settled)) + len(set(answered) - rows) + int(held)
