"""OpenAI's embeddings, which most servers of models speak: text in, a vector out. The side towards providers only.

It is a dialect like any other, so that an embedding is an attempt like any other: held, priced, retried, bounded.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from routewright.call import Attempt, Call
from routewright.dialects.decoding import WholeDecoder
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.strict_json import UNREADABLE
from routewright.dialects.wire import Decoder, WireRequest
from routewright.errors import InvalidResponse, ProviderError
from routewright.reply import Event
from routewright.usage import Usage

DIALECT = "openai_embeddings"
MOST_DIMENSIONS = 16_384

Vector: TypeAlias = npt.NDArray[np.float32]


class _Embedding(Struct):
    embedding: list[float] | str
    """Numbers, or little-endian float32 in base64."""


class _Usage(Struct):
    prompt_tokens: int = 0


class _Answer(Struct):
    data: list[_Embedding]
    model: str = ""
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class OpenAIEmbeddings:
    """Translates one text to `POST …/embeddings` and its answer to one event."""

    name = DIALECT

    def cannot_carry(self, call: Call) -> str | None:
        """Nothing but the words of a call is carried, and no more is asked for."""
        return None

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """None."""
        return ()

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/embeddings` with the words of the call."""
        deployment = attempt.deployment
        headers = {"content-type": "application/json", "accept": "application/json", "x-attempt-id": attempt.id}
        if deployment.key is not None:
            headers["authorization"] = f"Bearer {deployment.key.reveal()}"
        words = "\n".join(message.text for message in attempt.call.messages)
        return WireRequest(
            url=deployment.base_url.rstrip("/") + "/embeddings",
            headers=headers,
            body=msgspec.json.encode({"model": deployment.upstream_model, "input": words}),
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of the whole answer: its one event has the body in `raw`, where `read_vector` finds the vector."""
        return WholeDecoder(_read_answer)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return provider_error(status, headers, said_in(body), now_s=now_s)


def read_vector(body: bytes) -> Vector:
    """The vector in an answer. Raises InvalidResponse unless it is one vector of finite numbers."""
    return _vector(_read(body))


def _read_answer(body: bytes) -> tuple[Event, ...]:
    answer = _read(body)
    _vector(answer)  # what cannot be read is the provider's failure, as long as there may be another try
    usage = None if answer.usage is None else Usage(input=max(0, answer.usage.prompt_tokens))
    return (Event(raw=body, finish="stop", usage=usage, model=answer.model),)


def _read(body: bytes) -> _Answer:
    try:
        return _decode(body)
    except UNREADABLE as error:
        raise InvalidResponse(f"the provider's embedding cannot be read: {error}") from None


def _vector(answer: _Answer) -> Vector:
    if len(answer.data) != 1:
        raise InvalidResponse(f"the provider sent {len(answer.data)} embeddings for one text")
    [embedding] = answer.data
    vector = _numbers(embedding.embedding)
    if not 0 < vector.size <= MOST_DIMENSIONS or not np.isfinite(vector).all():
        raise InvalidResponse(f"the provider's embedding is not 1 to {MOST_DIMENSIONS:,} finite numbers")
    return vector


def _numbers(embedding: list[float] | str) -> Vector:
    if isinstance(embedding, list):
        with np.errstate(over="ignore"):  # it becomes infinite, which is refused
            return np.array(embedding, np.float32)
    try:
        return np.frombuffer(b64decode(embedding, validate=True), "<f4").astype(np.float32)
    except ValueError as error:
        raise InvalidResponse(f"the provider's embedding cannot be read: {error}") from None
