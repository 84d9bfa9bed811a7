"""The vector in an embedding's answer, for our own use; what clients ask for is passed on unread."""

from base64 import b64decode
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidResponse

MOST_DIMENSIONS = 16_384

Vector: TypeAlias = npt.NDArray[np.float32]


class _Embedding(Struct):
    embedding: list[float] | str
    """Numbers, or little-endian float32 in base64."""


class _Answer(Struct):
    data: list[_Embedding]


_decode = msgspec.json.Decoder(_Answer).decode


def read_vector(body: bytes) -> Vector:
    """The vector in an answer. Raises InvalidResponse unless it is one vector of finite numbers."""
    try:
        data = _decode(body).data
    except UNREADABLE as error:
        raise InvalidResponse(f"the provider's embedding cannot be read: {error}") from None
    if len(data) != 1:
        raise InvalidResponse(f"the provider sent {len(data)} embeddings for one text")
    vector = _numbers(data[0].embedding)
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
