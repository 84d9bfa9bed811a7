"""The dialect as a whole: what providers get, and how their errors are read."""

import msgspec
import pytest

from builders import attempt, call, deployment, message, model
from routewright.call import Call, Message, Opaque, Options, Text
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.known import DOWNSTREAMS, REWRITERS, UPSTREAMS
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.wire import Downstream, Upstream
from routewright.errors import CredentialRefused, ProviderOverloaded, ProviderRejected
from routewright.secret import Secret

DIALECT = OpenAIChat()


def from_client(**fields: object) -> Call:
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields})
    return DIALECT.read(body, request_id="request-1", options=Options())


def test_it_is_both_sides_of_a_dialect() -> None:
    upstream: Upstream = DIALECT
    downstream: Downstream = DIALECT
    assert upstream.name == downstream.name == "openai_chat"
    for known in (UPSTREAMS, DOWNSTREAMS, REWRITERS):
        assert {"openai_chat", "anthropic_messages"} <= known.keys()
        assert all(name == dialect.name for name, dialect in known.items())


@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "https://api.openai.com/v1/"])
def test_a_request_is_addressed_signed_and_numbered(base_url: str) -> None:
    place = deployment("openai/gpt-5", base_url=base_url, key=Secret("sk-test"))
    request = DIALECT.write_request(attempt(from_client(), model("gpt-5", place)))
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer sk-test",
        "x-attempt-id": "attempt-1",
    }
    assert msgspec.json.decode(request.body) == {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_stream_is_asked_for_and_no_key_is_no_header() -> None:
    request = DIALECT.write_request(attempt(from_client(stream=True)))
    assert request.headers["accept"] == "text/event-stream"
    assert "authorization" not in request.headers
    assert b'"include_usage":true' in request.body


def test_the_decoder_is_the_one_for_what_was_asked() -> None:
    assert isinstance(DIALECT.decoder(attempt(call(stream=True))), StreamDecoder)
    assert isinstance(DIALECT.decoder(attempt(call())), WholeDecoder)


def test_its_own_calls_can_always_be_carried_whole() -> None:
    asked = from_client(audio={}, seed=1, messages=[{"role": "user", "content": [{"type": "file", "file": {}}]}])
    assert DIALECT.cannot_carry(asked) is None
    assert DIALECT.dropped_fields(asked) == ()


def test_what_only_another_dialect_knows_cannot_be_carried() -> None:
    foreign = call(dialect="anthropic_messages", body={"x": 1}, extra_fields=("metadata", "top_k"))
    assert DIALECT.cannot_carry(foreign) == "top_k"
    hinted = call(dialect="anthropic_messages", body={"x": 1}, extra_fields=("metadata",))
    assert DIALECT.cannot_carry(hinted) is None
    assert DIALECT.dropped_fields(hinted) == ("metadata",)
    document = Message("user", (Text("Sum up:"), Opaque("document")))
    assert DIALECT.cannot_carry(call(messages=(message("Hi"), document))) == "messages[1] (document)"


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (
            400,
            b'{"error":{"message":"Bad value \\u001b for n.","code":"x"}}',
            ProviderRejected,
            "400: Bad value   for n.",
        ),
        (401, b'{"error":{"message":"Wrong key sk-abcdef123"}}', CredentialRefused, "refused our key"),
        (429, b'{"error":{"message":"Slow down","type":"requests"}}', ProviderOverloaded, "429: Slow down"),
        (429, b'{"error":{"message":"No quota","type":"insufficient_quota"}}', CredentialRefused, "used up"),
        (404, b"<html>404</html>", ProviderRejected, "answered 404"),
    ],
)
def test_errors_are_read(status: int, body: bytes, kind: type[Exception], told: str) -> None:
    error = DIALECT.read_error(status, {"retry-after-ms": "250"}, body, now_s=0)
    assert type(error) is kind
    assert told in error.message
    assert error.retry_after_s == (0.25 if kind is ProviderOverloaded else None)
