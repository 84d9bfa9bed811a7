import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from routewright.detection import MAX_ANSWER_BYTES, Found, FoundModel, FoundServer, detect, list_models, read_models

OLLAMA = {"object": "list", "data": [{"id": "llama3.2:3b", "object": "model", "created": 1, "owned_by": "library"}]}
VLLM = {"object": "list", "data": [{"id": "Qwen/Qwen3-8B", "object": "model", "max_model_len": 40960, "root": "x"}]}
LLAMACPP = {
    "models": [{"name": "m.gguf"}],
    "object": "list",
    "data": [{"id": "m.gguf", "object": "model", "meta": {"n_vocab": 1, "n_ctx_train": 131072}}],
}

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that answer `GET /v1/models` with the given body; gives their base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/v1/models" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The base URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def test_servers_on_this_machine_are_found_with_their_models(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routewright.detection.PATIENCE_S", 10.0)
    places = {
        "ollama": serve(json.dumps(OLLAMA).encode()),
        "llamacpp": serve(json.dumps(LLAMACPP).encode()),
        "lmstudio": f"http://127.0.0.1:{closed_port()}/v1",
        "vllm": serve(json.dumps(VLLM).encode()),
    }
    assert await detect(places) == Found(
        (
            FoundServer("ollama", (FoundModel("llama3.2:3b", None),)),
            FoundServer("llamacpp", (FoundModel("m.gguf", 131072),)),
            FoundServer("vllm", (FoundModel("Qwen/Qwen3-8B", 40960),)),
        )
    )


async def test_a_server_that_does_not_answer_is_left_after_the_time_limit(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routewright.detection.PATIENCE_S", 0.05)
    assert await list_models(silent) is None


async def test_all_places_are_asked_at_the_same_time() -> None:
    all_are_asked = asyncio.Barrier(3)

    async def probe(base_url: str) -> tuple[FoundModel, ...] | None:
        async with asyncio.timeout(10), all_are_asked:
            return None

    assert await detect({"a": "1", "b": "2", "c": "3"}, probe) == Found()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>It works!</html>",
        b"{}",
        b'{"object": "list"}',
        b'{"object": "list", "data": [{"id": "x"}]}',
        b'{"object": "list", "data": [{"id": "", "object": "model"}]}',
        b'{"object": "list", "data": [{"id": "a\\u001b[2J", "object": "model"}]}',
        b'{"object": "list", "data": [{"id": "x", "object": "model", "max_model_len": -1}]}',
        b'{"object": "page", "data": [{"id": "x", "object": "model"}]}',
        b'["x"]',
        b'{"object": "list", "data": [{"id": "\xff", "object": "model"}]}',
        b'{"x": ' + b"[" * 100_000,
        b" " * (MAX_ANSWER_BYTES + 1),
    ],
)
async def test_what_is_no_list_of_models_is_no_server(serve: Serve, body: bytes) -> None:
    assert await list_models(serve(body)) is None


async def test_a_server_with_an_endless_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    monkeypatch.setattr("routewright.detection.PATIENCE_S", 5.0)
    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.wait_for(list_models(f"http://127.0.0.1:{port}/v1"), 4) is None


@pytest.mark.parametrize("head", [b"HTTP/1.1 404 Not Found", b"HTTP/1.1 2000", b"SSH-2.0-x 200 OK", b""])
def test_only_an_answer_with_status_200_counts(head: bytes) -> None:
    with pytest.raises(ValueError, match="status 200"):
        read_models(head + b"\r\n\r\n" + json.dumps(OLLAMA).encode())


def test_models_that_do_not_chat_are_left_out_and_no_models_are_none() -> None:
    def models(*names: str) -> tuple[FoundModel, ...]:
        body = {"object": "list", "data": [{"id": name, "object": "model"} for name in names] or None}
        return read_models(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(body).encode())

    assert models("nomic-embed-text:latest", "text-embedding-3", "bge-reranker", "qwen3") == (FoundModel("qwen3"),)
    assert models() == ()


def test_the_window_a_server_runs_with_is_above_the_one_it_was_trained_for() -> None:
    data = [{"id": "m", "object": "model", "meta": {"n_ctx": 4096, "n_ctx_train": 131072}}]
    body = json.dumps({"object": "list", "data": data}).encode()
    assert read_models(b"HTTP/1.1 200 OK\r\n\r\n" + body) == (FoundModel("m", 4096),)


async def test_any_probe_can_be_asked_and_servers_without_models_do_not_count() -> None:
    async def probe(base_url: str) -> tuple[FoundModel, ...] | None:
        return {"a": (FoundModel("m"),), "b": ()}.get(base_url)

    assert await detect({"one": "a", "two": "b", "three": "c"}, probe) == Found(
        (FoundServer("one", (FoundModel("m"),)),)
    )
