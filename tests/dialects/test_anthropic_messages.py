"""The dialect as a whole: what providers get, and how their errors are read."""

import pytest

from builders import attempt, call, deployment, model
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.errors import CredentialRefused, ProviderError, ProviderFailed, ProviderOverloaded, ProviderRejected
from routewright.secret import Secret

DIALECT = AnthropicMessages()


@pytest.mark.parametrize("base_url", ["https://api.anthropic.com", "https://api.anthropic.com/"])
def test_a_request_is_addressed_signed_and_numbered(base_url: str) -> None:
    place = deployment("anthropic/claude-sonnet-5", base_url=base_url, key=Secret("sk-ant-test"))
    request = DIALECT.write_request(attempt(call(stream=True), model("sonnet", place)))
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert request.headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-ant-test",
        "x-attempt-id": "attempt-1",
    }


def test_no_key_is_no_header() -> None:
    request = DIALECT.write_request(attempt())
    assert "x-api-key" not in request.headers
    assert request.headers["accept"] == "application/json"


def test_the_decoder_is_the_one_for_what_was_asked() -> None:
    assert isinstance(DIALECT.decoder(attempt(call(stream=True))), StreamDecoder)
    assert isinstance(DIALECT.decoder(attempt(call())), WholeDecoder)


def test_what_it_cannot_say_it_names() -> None:
    assert DIALECT.cannot_carry(call(choices=2)) == "n"
    assert DIALECT.cannot_carry(call()) is None
    assert DIALECT.dropped_fields(call(temperature=0)) == ("temperature",)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}', ProviderRejected),
        (401, b'{"type":"error","error":{"type":"authentication_error","message":"no"}}', CredentialRefused),
        (402, b'{"type":"error","error":{"type":"billing_error","message":"no"}}', CredentialRefused),
        (429, b'{"type":"error","error":{"type":"rate_limit_error","message":"no"}}', ProviderOverloaded),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}', ProviderFailed),
    ],
)
def test_errors_are_read(status: int, body: bytes, kind: type[ProviderError]) -> None:
    error = DIALECT.read_error(status, {}, body, now_s=0)
    assert type(error) is kind
    assert error.provider_status == status
