"""Whatever a client sends, it gets the documented error, and nothing goes upstream."""

import asyncio
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from routewright.dialects.wire import WireRequest
from routewright.transport import HttpTransport
from served import mock_upstream, serving

SETTINGS = """
[server]
max_body_bytes = 100_000
api_key = "env:GATEWAY_KEY"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 1000
max_output_tokens = 500
price = {{ input = "1", output = "2" }}
"""
KEY = "a-key-of-the-gateway"
GOOD = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


class Gateway:
    """What the tests send to, and what reached the provider."""

    def __init__(self, url: str, bill: Path) -> None:
        self.url = url
        self._bill = bill

    def post(
        self, body: bytes, path: str = "/v1/chat/completions", method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer."""
        sent = {"authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = WireRequest(url=self.url + path, headers=sent, body=body, method=method)

        async def exchange() -> tuple[int, bytes]:
            transport = HttpTransport()
            response = await transport.send(request, connect_timeout_s=5)
            answer = b""
            while data := await response.next():
                answer += data
            await transport.close()
            return response.status, answer

        status, answer = asyncio.run(exchange())
        return status, json.loads(answer)

    def heard(self, method: str, path: str) -> tuple[int, str | None, bytes]:
        """Status, the methods that are allowed, and the body; as a client hears it that knows what HEAD is."""
        to = HTTPConnection(self.url.removeprefix("http://"))
        to.request(method, path, headers={"authorization": f"Bearer {KEY}"})
        answer = to.getresponse()
        told = answer.status, answer.getheader("allow"), answer.read()
        to.close()
        return told

    @property
    def billed(self) -> int:
        """How many requests the provider has seen."""
        return len(self._bill.read_text().splitlines())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    with mock_upstream(home / "bill.jsonl") as port:
        (home / "routewright.toml").write_text(SETTINGS.format(port=port))
        with serving(home, environ={"GATEWAY_KEY": KEY}) as served:
            yield Gateway(served.url, home / "bill.jsonl")


def test_the_good_request_behind_the_bad_ones_passes(gateway: Gateway) -> None:
    before = gateway.billed
    status, answer = gateway.post(json.dumps(GOOD).encode())
    assert status == 200
    assert answer["model"] == "ok"
    assert gateway.billed == before + 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b"\xff\xfe{}", "invalid_json"),
        (b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}', "invalid_json"),
        (b'{"model":"auto","messages":' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
        (b'{"model":"auto","temperature":NaN,"messages":[{"role":"user","content":"x"}]}', "invalid_json"),
        (b'{"model":"auto","seed":' + b"9" * 5000 + b',"messages":[{"role":"user","content":"x"}]}', "invalid_json"),
        (b'{"model":"auto"}', "invalid_request"),
        (b'{"model":"auto","messages":[]}', "invalid_request"),
        (b'{"model":7,"messages":[{"role":"user","content":"x"}]}', "invalid_request"),
        (b'{"model":"auto","messages":[{"role":"wizard","content":"x"}]}', "invalid_request"),
        (b'{"model":"auto","stream":"yes","messages":[{"role":"user","content":"x"}]}', "invalid_request"),
        (b'{"model":"auto","max_tokens":-1,"messages":[{"role":"user","content":"x"}]}', "invalid_request"),
        (b'{"model":"auto","n":1000,"messages":[{"role":"user","content":"x"}]}', "invalid_request"),
        (
            b'{"model":"auto","routewright":{"teir":"bulk"},"messages":[{"role":"user","content":"x"}]}',
            "invalid_request",
        ),
    ],
)
def test_a_malformed_body_is_a_400_and_costs_nothing(gateway: Gateway, body: bytes, code: str) -> None:
    before = gateway.billed
    status, answer = gateway.post(body)
    assert (status, answer["error"]["code"]) == (400, code)
    assert answer["error"]["message"]
    assert gateway.billed == before


def test_a_body_over_the_bound_is_a_413(gateway: Gateway) -> None:
    status, answer = gateway.post(b" " * 100_001)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")


def test_a_prompt_that_fits_no_window_says_so(gateway: Gateway) -> None:
    before = gateway.billed
    body = {"model": "auto", "messages": [{"role": "user", "content": "many words " * 2000}]}
    status, answer = gateway.post(json.dumps(body).encode())
    assert (status, answer["error"]["code"]) == (400, "context_too_long")
    assert gateway.billed == before


def test_a_demand_no_model_meets_names_each_model_and_its_reason(gateway: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    status, answer = gateway.post(json.dumps({**GOOD, "tools": tools}).encode())
    assert (status, answer["error"]["code"]) == (400, "no_eligible_model")
    assert "ok" in answer["error"]["message"]
    assert "tools" in answer["error"]["message"]


@pytest.mark.parametrize(
    "header",
    [{"x_routewright_tier": "huge"}, {"x_routewright_min_quality": "high"}, {"x_routewright_deadline_ms": "soon"}],
)
def test_a_wish_we_cannot_read_is_refused_and_not_ignored(gateway: Gateway, header: dict[str, str]) -> None:
    before = gateway.billed
    status, answer = gateway.post(json.dumps(GOOD).encode(), **header)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert gateway.billed == before


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \xfc"])
def test_without_the_key_nothing_is_answered(gateway: Gateway, authorization: str) -> None:
    before = gateway.billed
    status, answer = gateway.post(json.dumps(GOOD).encode(), authorization=authorization)
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert gateway.billed == before


def test_unknown_addresses_and_methods_are_told(gateway: Gateway) -> None:
    assert gateway.post(b"{}", path="/v1/nothing")[0] == 404
    assert gateway.post(b"", path="/v1/chat/completions", method="GET")[0] == 405


def test_what_can_be_got_can_be_asked_for_its_head_and_a_wrong_method_is_told_the_right_ones(gateway: Gateway) -> None:
    assert gateway.heard("HEAD", "/readyz") == (200, None, b"")
    assert gateway.heard("HEAD", "/v1/models") == (200, None, b"")
    assert gateway.heard("HEAD", "/v1/chat/completions") == (405, "POST", b"")
    assert gateway.heard("PUT", "/v1/files/file-1")[:2] == (405, "GET, HEAD, DELETE")
    assert gateway.heard("POST", "/v1/models")[:2] == (405, "GET, HEAD")


def test_health_needs_no_key_and_says_little(gateway: Gateway) -> None:
    status, answer = gateway.post(b"", path="/readyz", method="GET", authorization="")
    assert (status, answer) == (200, {"status": "ready"})
    status, answer = gateway.post(b"", path="/healthz", method="GET", authorization="")
    assert (status, answer["status"]) == (200, "ok")


def test_a_deadline_too_short_for_any_attempt_starts_none(gateway: Gateway) -> None:
    before = gateway.billed
    status, answer = gateway.post(json.dumps(GOOD).encode(), x_routewright_deadline_ms="1")
    assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
    assert gateway.billed == before
