"""The mock upstream, asked directly and through the floor: both must say the same."""

from http.client import HTTPConnection
from typing import Any

import msgspec
import pytest

from routewright.bench.load import PATH
from routewright.bench.processes import Child
from routewright.bench.questions import chat_body

CHUNKS = 3


@pytest.fixture(params=["upstream", "floor"])
def server(request: pytest.FixtureRequest) -> Child:
    child = request.getfixturevalue(request.param)
    assert isinstance(child, Child)
    return child


def ask(server: Child, body: bytes) -> tuple[int, str | None, bytes]:
    connection = HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("POST", PATH, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.getheader("content-type"), response.read()
    finally:
        connection.close()


def test_a_whole_answer_is_a_completion_of_1_kb_with_usage(server: Child) -> None:
    status, kind, body = ask(server, chat_body("Why?"))
    answer: dict[str, Any] = msgspec.json.decode(body)
    assert (status, kind) == (200, "application/json")
    assert 900 < len(body) < 1_200
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] == 450


def test_a_stream_has_the_chunks_that_were_asked_for_then_usage_and_an_end(server: Child) -> None:
    status, kind, body = ask(server, chat_body("Why?", chunks=CHUNKS))
    *events, end, rest = body.decode().split("\n\n")
    chunks = [msgspec.json.decode(event.removeprefix("data: ")) for event in events]
    assert (status, kind) == (200, "text/event-stream; charset=utf-8")
    assert [bool(chunk["choices"] and chunk["choices"][0]["delta"]) for chunk in chunks] == [True] * CHUNKS + [
        False
    ] * 2
    assert chunks[-1]["usage"]["total_tokens"] == 450
    assert (end, rest) == ("data: [DONE]", "")
    assert all(150 < len(event) < 250 for event in events[:CHUNKS])


def test_a_large_request_arrives_whole(server: Child) -> None:
    status, _, body = ask(server, chat_body("Why? " * 20_000))
    assert status == 200
    assert msgspec.json.decode(body)["object"] == "chat.completion"
