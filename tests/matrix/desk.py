"""A gateway in a thread of this process, on a real socket, before the lab's provider; SDKs run in the test's own."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import apsw
from anyio.from_thread import BlockingPortal, start_blocking_portal
from lab import listening

from matrix.faces.chat import Chat
from matrix.faces.face import Face, Heard
from matrix.faces.messages import Messages
from matrix.faces.responses import Responses
from matrix.provider import Asked, Play, Provider, listening_provider
from matrix.providers.known import SPEAKERS
from routewright.dialects.known import DOWNSTREAMS, UPSTREAMS
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource

FACES: Mapping[str, type[Chat] | type[Responses] | type[Messages]] = {
    face.name: face for face in (Chat, Responses, Messages)
}
PROVIDERS = tuple(name for name in UPSTREAMS if name != "openai_embeddings")
"""The dialects that a question can be sent on in."""

_HEAD = """
[policy]
classifier = "heuristic"
max_retry_attempts = 0
[server]
max_body_bytes = 200_000
[ledger]
log_content = true
[budgets.broke]
scope = "tag:broke"
limit_usd = "0.000001"
"""


FAULTS = ("limited", "broken", "cut", "alone")
"""Each case has a model of its own for each of them, so that no circuit opens for another's failures. The first two
fall back to the model that does well."""


def _settings(port: int) -> str:
    sections = [_HEAD]
    for upstream in PROVIDERS:
        base = f'base_url = "http://127.0.0.1:{port}'
        sections += [
            f'[providers.{account}]\n{base}/{account}"\ndialect = "{upstream}"\napi_key = "env:LAB_KEY"'
            for account in (upstream, f"shaky-{upstream}")
        ]
        known = SPEAKERS[upstream].model
        sections += [
            _model(upstream, f"{upstream}/{known}"),
            _model(f"two-{upstream}", f"{upstream}/{known}", f"shaky-{upstream}/{known}"),
            _model(f"tiny-{upstream}", f"{upstream}/{known}", window=30),
        ]
        for face in FACES:
            for fault in FAULTS:
                for stream in (False, True):
                    name = _failing(upstream, face, fault, stream=stream)
                    fallbacks = [upstream] if fault in ("limited", "broken") else []
                    sections.append(_model(name, f"shaky-{upstream}/{name}", fallbacks=fallbacks))
    return "\n".join(sections)


def _failing(upstream: str, face: str, fault: str, *, stream: bool) -> str:
    return f"{fault}-{upstream}-{face}-{'streamed' if stream else 'whole'}"


def _model(name: str, *deployments: str, window: int = 100_000, fallbacks: Sequence[str] = ()) -> str:
    return f"""[models."{name}"]
tier = "standard"
deployments = {json.dumps(deployments)}
context_window = {window}
max_output_tokens = {min(window, 8_000)}
fallbacks = {json.dumps(fallbacks)}
capabilities = ["tools", "json_schema", "vision", "reasoning"]
price = {{ input = "1", cache_read = "0.1", output = "2" }}"""


class Desk:
    """What the suite has at hand."""

    def __init__(self, runtime: Runtime, provider: Provider, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.provider = provider
        self.faces: dict[str, Face] = {name: face(self.url) for name, face in FACES.items()}
        self.portal: BlockingPortal
        self._runtime = runtime
        path = runtime.engine.settings.ledger.path / "ledger.db"
        self._ledger = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)

    def rows(self, query: str, *parameters: str) -> list[dict[str, Any]]:
        """What the ledger says, once all has arrived there.

        By the gateway's own SQLite: a second copy in one process would take away the locks of the first.
        """
        self.portal.call(self._runtime.flush)
        cursor = self._ledger.execute(query, parameters)
        return [dict(zip((name for name, _ in cursor.getdescription()), row, strict=True)) for row in cursor]

    def close(self) -> None:
        """Close the clients, and what reads the ledger."""
        self._ledger.close()
        for face in self.faces.values():
            face.close()


@asynccontextmanager
async def _opened(home: Path) -> AsyncIterator[Desk]:
    async with listening_provider() as provider:
        (home / "routewright.toml").write_text(_settings(provider.port))
        runtime = Runtime.open(SettingsSource(environ={"HOME": str(home), "LAB_KEY": "sk-lab"}, cwd=home))
        try:
            async with listening(runtime) as port:
                yield Desk(runtime, provider, port)
        finally:
            await runtime.close()


@contextmanager
def opened_desk(home: Path) -> Iterator[Desk]:
    """A desk for the length of a block."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_opened(home)) as desk:
        desk.portal = portal
        try:
            yield desk
        finally:
            desk.close()


class Case:
    """One cell of the matrix: a face, a provider's dialect, streamed or not."""

    def __init__(self, desk: Desk, face: str, upstream: str, *, stream: bool) -> None:
        self.desk = desk
        self.face = desk.faces[face]
        self.upstream = upstream
        self.speaker = SPEAKERS[upstream]
        self.stream = stream

    def ask(self, wish: Any, *plays: Play, model: str = "", headers: Any = None, **more: Any) -> Heard:
        """Ask the provider of this case, which does as it is told, and hold the books against its bill."""
        provider = self.desk.provider
        provider.plays.clear()
        provider.plays.extend(plays)
        seen = len(provider.asked)
        heard = self.face.ask(wish, model=model or self.upstream, stream=self.stream, headers=headers, **more)
        assert len(provider.asked) - seen == max(1, len(plays)), "the provider was asked as often as was to be"
        self.check_books(heard.headers["x-routewright-request-id"], cost_usd=heard.cost_usd)
        return heard

    def refusal(self, wish: Any, error: str, *plays: Play, model: str = "", headers: Any = None, **more: Any) -> Any:
        """Ask, and get an error of this class of the SDK's, or of the one that it has for this (`Face.classes`)."""
        provider = self.desk.provider
        provider.plays.clear()
        provider.plays.extend(plays)
        seen = len(provider.asked)
        kind = getattr(self.face.sdk, self.face.classes.get(error, error))
        raised = None
        try:
            self.face.ask(wish, model=model or self.upstream, stream=self.stream, headers=headers, **more)
        except self.face.sdk.APIError as failure:
            raised = failure
        assert type(raised) is kind, f"{type(raised).__name__} instead of {kind.__name__}: {raised}"
        assert len(provider.asked) - seen == len(plays), "the provider was asked as often as was to be"
        return raised

    def failing(self, fault: str) -> str:
        """The model of this case for one of `FAULTS`."""
        return _failing(self.upstream, self.face.name, fault, stream=self.stream)

    @property
    def asked(self) -> Asked:
        """What arrived at the provider last."""
        return self.desk.provider.asked[-1]

    def check_books(self, request_id: str, *, outcome: str = "complete", cost_usd: str | None = None) -> None:
        """The ledger has the request, every attempt of it closed, and at the provider's price."""
        [row] = self.desk.rows("SELECT * FROM requests WHERE request_id = ?", request_id)
        assert row["outcome"] == outcome
        assert (row["dialect"], row["stream"]) == (self.face.name, self.stream)
        events = self.desk.rows("SELECT * FROM events WHERE request_id = ?", request_id)
        held = {event["attempt_id"] for event in events if event["kind"] == "reserved"}
        closed = {event["attempt_id"]: event["cost_nanousd"] or 0 for event in events if event["kind"] != "reserved"}
        billed = {attempt: self.desk.provider.bill[attempt] for attempt in held}
        assert held == set(closed)
        assert row["attempts"] == len(held)
        if outcome == "complete":
            assert closed == billed, "the ledger has what the provider bills"
            assert row["cost_nanousd"] == sum(billed.values())
        if cost_usd is not None:
            assert round(float(cost_usd) * 1e9) == row["cost_nanousd"]


def all_cells() -> Iterator[tuple[str, str]]:
    """Face and provider's dialect, in the order of the page."""
    assert set(FACES) == set(DOWNSTREAMS), "every dialect of clients has a face"
    for face in FACES:
        for upstream in PROVIDERS:
            yield face, upstream
