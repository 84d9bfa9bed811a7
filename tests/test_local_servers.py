"""Servers on this machine, found and asked: what they leave out is made up for, and it costs nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from routewright.client import SyncRouter
from routewright.errors import NoEligibleModel

MODELS = {"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 4096}]}


class Plain(BaseHTTPRequestHandler):
    """Answers chats, and leaves out all that it can: usage, ids, `[DONE]`; it knows no `stream_options`."""

    asked: list[dict[str, Any]]

    def do_GET(self) -> None:
        self._send("application/json", json.dumps(MODELS))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        if not body.get("stream"):
            said = {"message": {"content": "Hello there"}, "finish_reason": "stop"}
            self._send("application/json", json.dumps({"choices": [said]}))
            return
        deltas: list[tuple[dict[str, str], str | None]] = [({"content": "Hello"}, None), ({"content": " there"}, None)]
        chunks = [{"choices": [{"delta": delta, "finish_reason": end}]} for delta, end in [*deltas, ({}, "stop")]]
        self._send("text/event-stream", "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks))

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Plain.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def environ(server: ThreadingHTTPServer, tmp_path: Path) -> dict[str, str]:
    address = f"http://127.0.0.1:{server.server_port}/v1"
    return {"HOME": str(tmp_path), "ROUTEWRIGHT_PROVIDERS__OLLAMA__BASE_URL": address}


@pytest.mark.parametrize("model", ["auto", "tiny", "ollama/tiny"])
def test_a_server_that_tells_no_usage_is_answered_from_at_no_cost(environ: dict[str, str], model: str) -> None:
    with SyncRouter(environ=environ) as router:
        answer = router.ask("Hi", model=model)
        with router.stream("Hi", model=model) as stream:
            words = "".join(stream)
    assert answer.text == words == "Hello there"
    for each in (answer, stream.answer):
        assert (each.model, each.receipt.cost_nanousd, each.receipt.is_estimated) == ("tiny", 0, True)
        assert each.receipt.attempts[-1].usage.output > 0
    assert [request["model"] for request in Plain.asked] == ["tiny", "tiny"]


def test_settings_price_a_found_model(environ: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "priced.toml"
    config.write_text('[models.tiny.price]\ninput = "1"\noutput = "2"\n')
    with SyncRouter(environ=environ, config=config) as router:
        assert router.ask("Hi", model="tiny").receipt.cost_nanousd > 0


def test_tools_are_kept_from_it_until_the_settings_say_that_it_can(environ: dict[str, str], tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with SyncRouter(environ=environ) as router, pytest.raises(NoEligibleModel, match="tiny: no tools") as caught:
        router.ask("Hi", model="tiny", tools=[tool])
    assert caught.value.hint == 'if tiny can do it, say so: [models."tiny"] capabilities = ["tools"]'
    config = tmp_path / "able.toml"
    config.write_text('[models."tiny"]\ncapabilities = ["tools"]\n')
    with SyncRouter(environ=environ, config=config) as router:
        assert router.ask("Hi", model="tiny", tools=[tool]).text == "Hello there"
    assert Plain.asked[-1]["tools"] == [tool]
