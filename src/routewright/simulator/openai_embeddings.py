"""OpenAI's embeddings, as its provider speaks them: vectors of length one, drawn from the text, that mean nothing."""

import math
import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from routewright.simulator import tokens
from routewright.simulator.answers import Ask, Completion
from routewright.simulator.chance import generator
from routewright.simulator.openai_chat import refusal_body
from routewright.simulator.wire import Chunk, Reason, Refusal

USUAL_DIMENSIONS = 16

_Text = str | list[int]


class _Request(Struct, frozen=True):
    model: str
    input: str | Annotated[list[_Text | int], Meta(min_length=1)]
    dimensions: Annotated[int, Meta(ge=1)] = USUAL_DIMENSIONS
    encoding_format: Literal["float", "base64"] = "float"


class _EmbeddingAsk(Ask, frozen=True, kw_only=True):
    texts: tuple[bytes, ...]
    dimensions: int
    is_base64: bool


class OpenAIEmbeddings:
    """`/embeddings`."""

    request_id_header = "x-request-id"

    def read(self, body: bytes) -> Ask:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Reason.INVALID, f"The request cannot be read: {error}") from None
        given = request.input
        is_one = isinstance(given, str) or isinstance(given[0], int)
        texts = [given] if is_one else given
        return _EmbeddingAsk(
            model=request.model,
            digest=sha256(body).hexdigest(),
            prompt="",
            input_tokens=sum(len(text) if isinstance(text, list) else tokens.count(str(text)) for text in texts),
            max_tokens=1,
            texts=tuple(msgspec.json.encode(text) for text in texts),
            dimensions=request.dimensions,
            is_base64=request.encoding_format == "base64",
        )

    def whole(self, completion: Completion) -> bytes:
        ask = completion.ask
        assert isinstance(ask, _EmbeddingAsk)
        sent = completion.usage.input_total
        data = [
            {"object": "embedding", "index": index, "embedding": _written(_vector(ask, text), ask)}
            for index, text in enumerate(ask.texts)
        ]
        usage = {"prompt_tokens": sent, "total_tokens": sent}
        return msgspec.json.encode({"object": "list", "data": data, "model": completion.model, "usage": usage})

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        yield Chunk(self.whole(completion))

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        return refusal_body(refusal)


def _vector(ask: _EmbeddingAsk, text: bytes) -> list[float]:
    chance = generator(0, "vector", ask.model, sha256(text).hexdigest())
    drawn = [chance.gauss(0, 1) for _ in range(ask.dimensions)]
    length = math.hypot(*drawn)
    return [number / length for number in drawn]


def _written(vector: list[float], ask: _EmbeddingAsk) -> list[float] | str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if ask.is_base64 else vector
