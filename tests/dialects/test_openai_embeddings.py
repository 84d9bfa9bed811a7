from base64 import b64encode

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, call, deployment, model
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.vectors import read_vector
from routewright.errors import InvalidResponse, ProviderOverloaded
from routewright.reply import Event
from routewright.secret import Secret
from routewright.usage import Usage

DIALECT = OpenAIEmbeddings(read_vector)


def answer(*embeddings: object, **more: object) -> bytes:
    return msgspec.json.encode({"data": [{"index": 0, "embedding": each} for each in embeddings], **more})


def decoded(body: bytes, at: int = 7) -> tuple[Event, ...]:
    decoder = DIALECT.decoder(attempt())
    return decoder.feed(body[:at]) + decoder.feed(body[at:]) + decoder.end()


def test_the_words_go_to_embeddings_with_the_key_and_the_attempts_id() -> None:
    place = deployment("acme/embed-3", dialect=DIALECT.name, key=Secret("sk-1"))
    request = DIALECT.write_request(attempt(call("How hard?"), model("embed-3", place)))
    assert request.url == "https://acme.example/v1/embeddings"
    assert msgspec.json.decode(request.body) == {"model": "embed-3", "input": "How hard?"}
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["x-attempt-id"] == "attempt-1"


def test_the_answer_is_one_event_with_its_usage() -> None:
    body = answer([0.5, -1], model="embed-3-large", usage={"prompt_tokens": 7, "total_tokens": 7})
    [event] = decoded(body)
    assert (event.raw, event.usage, event.model, event.finish) == (body, Usage(input=7), "embed-3-large", "stop")
    assert read_vector(event.raw).tolist() == [0.5, -1.0]


def test_numbers_in_base64_are_read_too() -> None:
    packed = b64encode(np.array([0.5, -1], "<f4").tobytes()).decode()
    assert read_vector(answer(packed)).tolist() == [0.5, -1.0]


def test_a_server_that_counts_nothing_leaves_usage_open() -> None:
    [event] = decoded(answer([1.0]))
    assert event.usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": []}',
        answer([1.0], [1.0]),
        answer([]),
        answer(["1"]),
        answer([1e300]),
        answer("AAA"),
        answer("not base64!"),
        answer([1.0] * 16_385),
        b'{"data": [{"embedding": [NaN]}]}',
    ],
)
def test_what_is_no_vector_is_the_providers_failure(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        decoded(body)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_vector_or_an_invalid_response(body: bytes) -> None:
    try:
        vector = read_vector(body)
    except InvalidResponse:
        return
    assert np.isfinite(vector).all()


def test_errors_are_read_as_in_every_dialect() -> None:
    error = DIALECT.read_error(429, {"retry-after": "3"}, b'{"error": {"message": "slow down"}}', now_s=0)
    assert isinstance(error, ProviderOverloaded)
    assert error.retry_after_s == 3
