"""The lab put together: a real gateway in this process, on a real socket, before a provider that does as it is told.

    async with lab(tmp_path, model("cut", fallbacks=["ok"]), faults={"cut": …}) as it:
        seen = await it.ask("cut", "137")
        assert it.upstream.reached("cut")
        await it.audit(seen)

Everything is as it is by default but the time limits. Where somebody is silent or slow they are `PATIENCE_S`, so that
nobody waits for them; elsewhere they are long enough for a busy machine.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvicorn
from faulty_upstream import Fault, FaultyUpstream, faulty_upstream
from oracles import CANARY, Bill, Books, Row, Seen, check_all
from proxy import Proxy, Toxics, proxy
from speech import ANTHROPIC, OPENAI, WORDS

from routewright.dialects.wire import WireRequest
from routewright.errors import StreamCut
from routewright.gateway.app import Gateway
from routewright.gateway.batches_running import JobRunner
from routewright.gateway.connection import Connection
from routewright.gateway.entrance import Entrance
from routewright.gateway.server import limits_of
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.transport import HttpTransport

DEADLINE_S = 5.0
PATIENCE_S = 0.25
"""The limits on a beginning and on a pause, where one of them is to be reached."""
UNHURRIED_S = 2.0
"""The same where none is."""
KEPT_BYTES = 1 << 20
"""Of an answer; beyond it only its end is kept."""

SETTINGS = """
[policy]
classifier = "heuristic"
fallback_timeout_ms = {patience_ms}
response_timeout_ms = {patience_ms}
idle_timeout_ms = {patience_ms}
deadline_ms = {deadline_ms}
{policy}

[providers.mock]
base_url = "http://127.0.0.1:{port}{path}"
dialect = "{dialect}"
api_key = "env:LAB_KEY"

[providers.good]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:OTHER_KEY"

[providers.through]
base_url = "http://127.0.0.1:{proxy}{path}"
dialect = "{dialect}"
api_key = "env:LAB_KEY"
"""


def model(name: str, *deployments: str, fallbacks: Sequence[str] = (), price: bool = True, **more: object) -> str:
    """The settings of a model at $1 per million tokens in, $2 out; without `deployments`, it is at the mock provider.

    The provider `through` is the mock one behind the proxy; `good` is another account there, in OpenAI's dialect.
    """
    fields: dict[str, object] = {
        "tier": "standard",
        "deployments": list(deployments) or [f"mock/{name}"],
        "context_window": 100_000,
        "max_output_tokens": 4_000,
        "fallbacks": list(fallbacks),
        **more,
    }
    lines = [f'[models."{name}"]', *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
    return "\n".join([*lines, 'price = { input = "1", output = "2" }' if price else "", ""])


class Lab:
    """What a test has at hand."""

    def __init__(self, runtime: Runtime, upstream: FaultyUpstream, link: Proxy, bill: Path, port: int) -> None:
        self.runtime = runtime
        self.upstream = upstream
        self.proxy = link
        self.port = port
        self.baseline = 0
        """Tasks of this process before the first question."""
        self._client = HttpTransport()
        self._bill = bill
        self._random = Random()
        self.asked: list[Seen] = []

    async def ask(
        self, name: str, argument: str = "", *, stream: bool = True, headers: Mapping[str, str] | None = None
    ) -> Seen:
        """Ask a model; the answer is read to its end."""
        nonce = f"n{self._random.randbytes(6).hex()}"
        words = f"{nonce} {argument}" if argument else nonce
        body = {"model": name, "messages": [{"role": "user", "content": words}], "stream": stream}
        began = time.monotonic()
        request = WireRequest(
            url=f"http://127.0.0.1:{self.port}/v1/chat/completions",
            headers={"content-type": "application/json", **(headers or {})},
            body=msgspec.json.encode(body),
        )
        response = await self._client.send(request, connect_timeout_s=5)
        answer, is_cut, size = b"", False, 0
        try:
            while data := await response.next():
                size += len(data)
                answer = (answer + data)[-KEPT_BYTES:]
        except StreamCut:
            is_cut = True
        seen = Seen(
            nonce=nonce,
            text_due=" ".join((nonce, *WORDS)),
            is_stream=stream,
            status=response.status,
            headers=dict(response.headers),
            body=answer,
            size=size,
            is_cut=is_cut,
            seconds=time.monotonic() - began,
        )
        self.asked.append(seen)
        return seen

    async def get(self, path: str) -> bytes:
        """What the gateway says of itself there."""
        request = WireRequest(url=f"http://127.0.0.1:{self.port}{path}", headers={}, body=b"", method="GET")
        response = await self._client.send(request, connect_timeout_s=5)
        answer = b""
        while data := await response.next():
            answer += data
        return answer

    async def books(self) -> Books:
        """The bill and the ledger, when all has arrived there."""
        await self.runtime.flush()
        connection = sqlite3.connect(self.runtime.engine.settings.ledger.path / "ledger.db")
        connection.row_factory = sqlite3.Row
        try:
            rows = [Row(**dict(row)) for row in connection.execute(_ROWS)]
            held = connection.execute("SELECT count(*) FROM open_holds").fetchone()[0]
            asked = connection.execute("SELECT count(*) FROM requests").fetchone()[0]
        finally:
            connection.close()
        lines = [Bill(**json.loads(line)) for line in self._bill.read_text().splitlines()]
        return Books(bill=lines, rows=rows, open_holds=held, requests=asked)

    async def audit(self, *, most_attempts: int | None = None) -> list[Row]:
        """Judge everything that was asked by the oracles; the ledger's rows of the attempts, in their order.

        `most_attempts` replaces E7's bound where the row itself says how often to try.
        """
        books = await self.books()
        check_all(books, self.asked, deadline_s=DEADLINE_S, most_attempts=most_attempts)
        await self._back_to_baseline()
        return books.rows

    async def _back_to_baseline(self) -> None:
        """E11: nobody works any more for a request that is over. Raises TimeoutError."""
        async with asyncio.timeout(2):
            while len(_working()) > self.baseline:  # noqa: ASYNC110 nobody tells when a task of theirs is over
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()


_ROWS = """
SELECT attempt_id, request_id, kind, model, deployment, outcome, served_model, cost_nanousd, is_estimated, input, output
FROM events ORDER BY sequence
"""


_WAITING = ("FaultyUpstream.", "Proxy.")


def _working() -> list[asyncio.Task[Any]]:
    """Tasks but those of the provider and the proxy, which wait at the ends of idle connections: a pool keeps these."""
    return [task for task in asyncio.all_tasks() if not _name(task).startswith(_WAITING)]


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


def open_files() -> int:
    """How many file descriptors this process has."""
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.exists() else 0


@asynccontextmanager
async def lab(
    home: Path,
    *models: str,
    faults: Mapping[str, Fault] | None = None,
    dialect: str = OPENAI,
    toxics: Toxics | None = None,
    policy: str = "max_retry_attempts = 1",
    settings: str = "",
    patience_s: float = UNHURRIED_S,
) -> AsyncIterator[Lab]:
    """A gateway with these models, and `ok`, before a provider with these faults.

    `policy` are more lines of that section, `settings` more sections, where `{port}` is the provider's.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(faulty_upstream(home / "bill.jsonl", faults or {}))
        link = await stack.enter_async_context(proxy(upstream.port, toxics or Toxics()))
        written = SETTINGS.format(
            port=upstream.port,
            proxy=link.port,
            dialect=dialect,
            path="" if dialect == ANTHROPIC else "/v1",
            policy=policy,
            patience_ms=round(patience_s * 1000),
            deadline_ms=round(DEADLINE_S * 1000),
        )
        (home / "routewright.toml").write_text(
            "\n".join([written, *models, model("ok", "good/ok"), settings.replace("{port}", str(upstream.port))])
        )
        environ = {"HOME": str(home), "LAB_KEY": CANARY, "OTHER_KEY": f"{CANARY}-2"}
        runtime = Runtime.open(SettingsSource(environ=environ, cwd=home))
        stack.push_async_callback(runtime.close)
        port = await stack.enter_async_context(listening(runtime))
        opened = Lab(runtime, upstream, link, home / "bill.jsonl", port)
        stack.push_async_callback(opened.close)
        opened.baseline = len(_working())
        yield opened


@asynccontextmanager
async def listening(runtime: Runtime) -> AsyncIterator[int]:
    """The application on a socket of its own; yields the port."""
    runtime.open_door()
    application = Gateway(
        runtime.engine,
        runtime.clock,
        keyring=runtime.keyring,
        directory=runtime.directory,
        jobs=JobRunner(runtime),
        policies=runtime.policies,
        payer_of=runtime.payer_of,
    )
    entrance = Entrance(limits_of(runtime.engine.settings.server), application.write_refusal)
    http: Any = partial(Connection, entrance=entrance)
    config = uvicorn.Config(
        application, http=http, ws="none", lifespan="off", access_log=False, log_config=None, proxy_headers=False
    )
    config.load()
    server = uvicorn.Server(config)
    listener = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=server.server_state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
