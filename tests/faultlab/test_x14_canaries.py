"""X14: secrets that are easy to find are looked for in everything that a gateway says and writes."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from served import Served, serving

PROVIDER_KEY = "sk-canaryprovider0123456789abcdef"
SERVER_KEY = "canaryserverkey0123456789"
PROMPT = "canaryprompt"
ANSWER = "canaryanswer"
SETTINGS = """
[server]
api_key = "env:GATEWAY_KEY"
log_requests = true

[policy]
classifier = "heuristic"
max_retry_attempts = 0

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:PROVIDER_KEY"

[models.ok]
tier = "standard"
deployments = ["mock/ok"]
context_window = 1000
price = {{ input = "1", output = "2" }}

[models.tells]
tier = "bulk"
deployments = ["mock/tells"]
context_window = 1000
price = {{ input = "1", output = "2" }}
"""
ENVIRON = {"GATEWAY_KEY": SERVER_KEY, "PROVIDER_KEY": PROVIDER_KEY}


class Telltale(BaseHTTPRequestHandler):
    """A provider whose errors repeat the key that they refuse."""

    keys: list[str] = []  # noqa: RUF012 one provider at a time

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.keys.append(self.headers["authorization"])
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        good = {"id": "x", "object": "chat.completion", "created": 0, "model": "ok", "choices": [choice]}
        message = f"Incorrect API key provided: {self.headers['authorization']} for {PROMPT}"
        bad = {"error": {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}}
        status = 200 if body["model"] == "ok" else 401
        data = json.dumps(good if status == 200 else bad).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def telltale() -> Iterator[int]:
    """The provider, for the length of a block; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telltale)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Listener:
    """Asks, and keeps all that is answered."""

    def __init__(self, served: Served) -> None:
        self._port = int(served.url.rpartition(":")[2])
        self.heard = ""

    def ask(self, method: str, path: str, body: object = None, key: str | None = SERVER_KEY) -> tuple[int, str]:
        """Status and body."""
        connection = HTTPConnection("127.0.0.1", self._port)
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.heard += f"{response.getheaders()} {text}\n"
        return response.status, text


def test_x14_no_secret_and_no_prompt_is_in_anything_that_is_said_or_written(tmp_path: Path) -> None:
    Telltale.keys.clear()
    with telltale() as port:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        with serving(tmp_path, environ=ENVIRON) as served:
            client = Listener(served)
            virtual = json.loads(client.ask("POST", "/admin/keys", {"name": "app"})[1])["key"]
            client.heard = ""  # a key is shown once, to who made it
            chat = {"model": "ok", "messages": [{"role": "user", "content": PROMPT}]}
            status, text = client.ask("POST", "/v1/chat/completions", chat, virtual)
            assert (status, ANSWER in text) == (200, True)
            client.heard = ""  # an answer is for who asked
            assert client.ask("POST", "/v1/chat/completions", {**chat, "model": "tells"}, virtual)[0] >= 400
            for wrong in (virtual[:-1], SERVER_KEY[:-1], PROVIDER_KEY, None):
                assert client.ask("GET", "/v1/models", key=wrong)[0] == 401
            for path in ("/metrics", "/healthz", "/readyz", "/admin/keys", "/admin/budgets", "/v1/models", "/nothing"):
                client.ask("GET", path)
            client.ask("POST", "/v1/route", chat)
            client.ask("POST", "/v1/chat/completions", {**chat, "n": PROMPT})
            served.process.terminate()
            assert served.process.stderr is not None
            log = served.process.stderr.read()
            served.process.stderr.close()
            assert served.process.wait(30) == 0
    assert Telltale.keys == [f"Bearer {PROVIDER_KEY}"] * len(Telltale.keys)
    assert len(Telltale.keys) >= 2, "the key was used, and its refusal was reached"
    assert "request" in log, "requests are told in the log"
    told = log + commands(tmp_path)
    said = client.heard + told
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (PROVIDER_KEY, PROVIDER_KEY[3:], SERVER_KEY, virtual, virtual[14:40], ANSWER):
        assert secret not in said
        assert secret.encode() not in written
    assert PROMPT.encode() not in written
    assert PROMPT not in told


def commands(home: Path) -> str:
    """All that an operator's verbs say."""
    told = ""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": ":".join(sys.path), **ENVIRON}
    for verb in (["config", "show"], ["doctor"], ["keys", "list"], ["report", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "routewright", *verb],
            cwd=home, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        told += done.stdout + done.stderr
    assert "mock" in told
    assert "app" in told
    return told
