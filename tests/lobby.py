"""A gateway in this process, called as a server would call it; models are simulated, time is a fake clock's."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from routewright.access.description import read_wish
from routewright.access.keyring import Issued
from routewright.gateway.app import Gateway
from routewright.gateway.batches_running import JobRunner
from routewright.gateway.http import Gathered, Kept, Request, by_name
from routewright.ledger.budgets import Budget, Period, Scope, Window
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import FakeClock

SETTINGS = """
[policy]
classifier = "heuristic"
[providers.acme]
base_url = "simulator:"
[providers.beta]
base_url = "simulator:"
[models.swift]
tier = "standard"
deployments = ["acme/swift", "beta/swift"]
fallbacks = ["strong"]
context_window = 100_000
price = { input = "1", output = "2" }
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
price = { input = "10", output = "20" }
[models.plain]
tier = "bulk"
deployments = ["acme/plain"]
context_window = 100_000
price = { input = "0.1", output = "0.2" }
[aliases]
quick = "plain"
"""
GOOD = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
OPERATOR_KEY = "the-operators-own-key"


class Standing(Struct, frozen=True):
    """How a budget stands."""

    budget: Budget
    window: Window
    spent_nanousd: int
    held_nanousd: int
    remaining_nanousd: int
    is_frozen: bool = False


def standing(name: str, scope: Scope = Scope.TOTAL) -> Standing:
    """Of ten dollars two are spent and 0.75 held."""
    budget = Budget(name=name, scope=scope, limit_nanousd=10_000_000_000, period=Period.DAY)
    day = Window(1_800_000_000_000_000_000, 1_800_086_400_000_000_000)
    return Standing(budget, day, 2_000_000_000, 750_000_000, 7_250_000_000)


class LobbyClock(FakeClock):
    """A fake clock beside a real event loop: it stands still, but not so far behind that deadlines have passed."""

    def __init__(self) -> None:
        super().__init__()
        self._began_at = time.monotonic()

    def monotonic(self) -> float:
        return self._began_at + super().monotonic()


class Answered(Struct):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the error."""
        code: str = self.json["error"]["code"]
        return code


class Lobby:
    """What tests call."""

    def __init__(self, runtime: Runtime, clock: FakeClock) -> None:
        self.runtime = runtime
        self.clock = clock
        self.budgets: list[Standing] = []
        self.gateway = Gateway(
            runtime.engine,
            clock,
            keyring=runtime.keyring,
            directory=runtime.directory,
            jobs=JobRunner(runtime),
            policies=runtime.policies,
            payer_of=runtime.payer_of,
            backlog_bytes=runtime.backlog_bytes,
            budgets=lambda: self.budgets,
        )

    def key(self, name: str = "app", **fields: Any) -> Issued:
        """A new key, known to the gateway at once."""
        issued = self.runtime.keyring.create(read_wish({"name": name, **fields}))
        self.runtime.directory.refresh()
        return issued

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw_headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Answered:
        """One exchange; `key` is sent as a bearer token."""
        sent = [(b"host", b"127.0.0.1:8484"), *raw_headers]
        if key is not None:
            sent.append((b"authorization", f"Bearer {key}".encode("latin-1")))
        sent += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        payload = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        path, _, query = path.partition("?")
        named, repeated = by_name(sent)
        return await self.answer(Request(method, path, named, Kept(payload), repeated=repeated, query=query.encode()))

    async def answer(self, request: Request) -> Answered:
        """What the gateway answers, without a socket in between."""
        sent = Gathered()
        await self.gateway(request, sent)
        return Answered(sent.status, {name.decode(): value.decode() for name, value in sent.headers}, sent.body)

    async def ask(self, key: str | None = None, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answered:
        """A chat completion."""
        return await self.call("POST", "/v1/chat/completions", {**GOOD, **fields}, key=key, headers=headers)


@asynccontextmanager
async def lobby(
    folder: Path, more: str = "", environ: Mapping[str, str] | None = None, *, simulator: Simulator | None = None
) -> AsyncIterator[Lobby]:
    """A gateway for the length of a block, with `more` settings before the others."""
    (folder / "routewright.toml").write_text(more + SETTINGS)
    source = SettingsSource(environ={"HOME": str(folder), **(environ or {})}, cwd=folder)
    clock = LobbyClock()
    runtime = Runtime.open(source, simulator=simulator or Simulator(time_scale=0), clock=clock)
    try:
        runtime.open_door()
        opened = Lobby(runtime, clock)
        yield opened
        opened.gateway.ui.close()
    finally:
        await runtime.close()
