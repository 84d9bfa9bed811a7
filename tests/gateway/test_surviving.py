"""A real gateway before a provider that fails: what the client sees, and what is in the ledger."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from routewright.dialects.wire import WireRequest
from routewright.transport import HttpTransport, WireResponse
from served import Served, mock_upstream, serving

MODEL = """
[models."{name}"]
tier = "{tier}"
deployments = ["mock/{name}"]
context_window = 100_000
fallbacks = [{fallbacks}]
price = {{ input = "1", output = "2" }}
"""
SETTINGS = """
[policy]
max_retry_attempts = 1
fallback_timeout_ms = 100
response_timeout_ms = 100

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[providers.dead]
base_url = "http://127.0.0.1:9/v1"

[models.unreachable]
tier = "complex"
deployments = ["dead/unreachable"]
context_window = 100_000
fallbacks = ["ok"]
price = {{ input = "1", output = "2" }}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("home")
    models = [
        MODEL.format(name="ok", tier="standard", fallbacks=""),
        MODEL.format(name="long", tier="standard", fallbacks=""),
        MODEL.format(name="cut", tier="structured", fallbacks=""),
        MODEL.format(name="slow", tier="bulk", fallbacks='"ok"'),
        MODEL.format(name="status-500", tier="complex", fallbacks='"ok"'),
        MODEL.format(name="status-503", tier="complex", fallbacks='"status-400"'),
        MODEL.format(name="status-400", tier="complex", fallbacks=""),
    ]
    with mock_upstream(home / "bill.jsonl") as port:
        (home / "routewright.toml").write_text(SETTINGS.format(port=port) + "".join(models))
        with serving(home) as gateway:
            yield gateway


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    await transport.close()


async def ask(transport: HttpTransport, served: Served, model: str, **fields: object) -> WireResponse:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    request = WireRequest(url=f"{served.url}/v1/chat/completions", headers={}, body=msgspec.json.encode(body))
    return await transport.send(request, connect_timeout_s=5)


async def read(response: WireResponse) -> bytes:
    answer = b""
    while data := await response.next():
        answer += data
    return answer


async def row(served: Served, request_id: str) -> dict[str, Any]:
    """The request's row, as soon as it has reached the store."""
    while True:
        connection = sqlite3.connect(served.ledger)
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM requests WHERE request_id = ?", [request_id]).fetchone()
        connection.close()
        if found is not None:
            return dict(found)
        await asyncio.sleep(0.02)  # the ledger is another process: there is no event of ours to wait for


@pytest.mark.parametrize("model", ["status-500", "unreachable", "slow"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_fails_before_its_first_event_is_replaced(
    served: Served, transport: HttpTransport, model: str, stream: bool
) -> None:
    response = await ask(transport, served, model, stream=stream)
    answer = await read(response)
    assert response.status == 200
    assert response.headers["x-routewright-model"] == "ok"
    assert int(response.headers["x-routewright-attempts"]) > 1
    assert answer.endswith(b"data: [DONE]\n\n") is stream


async def test_u08_a_stream_that_breaks_ends_in_an_error_and_never_in_done(
    served: Served, transport: HttpTransport
) -> None:
    response = await ask(transport, served, "cut", stream=True)
    answer = await read(response)
    assert response.status == 200
    assert b"[DONE]" not in answer
    error = json.loads(answer.strip().rpartition(b"data: ")[2])["error"]
    assert error["code"] == "upstream_stream_cut"
    record = await row(served, response.headers["x-routewright-request-id"])
    assert (record["outcome"], record["is_estimated"]) == ("upstream_stream_cut", 1)
    assert record["cost_nanousd"] > 0


async def test_when_all_fail_the_error_has_every_attempt(served: Served, transport: HttpTransport) -> None:
    for _ in range(60):  # of how many requests further attempts may be a tenth
        await read(await ask(transport, served, "ok"))
    response = await ask(transport, served, "status-503")
    error = json.loads(await read(response))["error"]
    assert response.status == 502
    assert error["code"] == "all_attempts_failed"
    assert [(attempt["deployment"], attempt["code"]) for attempt in error["attempts"]] == [
        ("mock/status-503", "upstream_failed"),
        ("mock/status-503", "upstream_failed"),
        ("mock/status-400", "upstream_rejected"),
    ]
    assert response.headers["x-should-retry"] == "false"


async def test_c02_a_client_that_leaves_pays_for_what_was_used_and_it_is_in_the_ledger(
    served: Served, transport: HttpTransport
) -> None:
    response = await ask(transport, served, "long", stream=True)
    assert await response.next()
    response.abort()
    record = await row(served, response.headers["x-routewright-request-id"])
    assert (record["outcome"], record["is_estimated"]) == ("abandoned", 1)
    assert record["cost_nanousd"] > 0


async def test_u13_a_request_the_provider_refuses_is_tried_once_and_is_the_callers(
    served: Served, transport: HttpTransport
) -> None:
    response = await ask(transport, served, "status-400")
    error = json.loads(await read(response))["error"]
    assert response.status == 400
    assert len(error["attempts"]) == 1


async def test_the_settings_are_followed_while_requests_run(served: Served, transport: HttpTransport) -> None:
    file = served.home / "routewright.toml"
    before = file.read_text()
    file.write_text(before + "\n[aliases]\nnewcomer = 'ok'\n")
    while (response := await ask(transport, served, "newcomer")).status == 404:
        await read(response)
        await asyncio.sleep(0.05)  # the gateway looks at the file once a second
    assert response.status == 200
    file.write_text(before + "\n[aliases\n")
    health = WireRequest(url=f"{served.url}/healthz", headers={}, body=b"", method="GET")
    while b"mistake" not in await read(await transport.send(health, connect_timeout_s=5)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert (await ask(transport, served, "newcomer")).status == 200, "the last good settings stay"
    file.write_text(before)


async def test_r01_a_stream_finishes_after_sigterm(tmp_path: Path, transport: HttpTransport) -> None:
    with mock_upstream(tmp_path / "bill.jsonl") as port:
        model = MODEL.format(name="long", tier="standard", fallbacks="")
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port).replace('["ok"]', "[]") + model)
        with serving(tmp_path) as gateway:
            response = await ask(transport, gateway, "long", stream=True)
            first = await response.next()
            stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
            answer = first + await read(response)
            assert answer.endswith(b"data: [DONE]\n\n")
            await transport.close()
            assert await stopping == 0
            record = await row(gateway, response.headers["x-routewright-request-id"])
            assert record["outcome"] == "complete"
